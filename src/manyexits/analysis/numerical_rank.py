"""Numerical rank of every block's activations (paper; DEFINITIONS.md, section 11)."""

from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from manyexits.data.prepared import Prepared
from manyexits.exits.representations import Activations, Representations

READS = "representations"
COLUMNS = (
    "seed",
    "regime",
    "view",
    "block",
    "metric",
    "value",
    "n",
    "width",
    "columns",
    "ceiling",
    "threshold",
    "note",
)
"""metric: rank, stable_rank or effective_rank. width: columns that the activations have, of which `columns` were read.
ceiling: of the rank, min(n - 1, columns). threshold: share of the largest eigenvalue. note: why there is no value."""
TEXT = ("regime", "view", "metric", "note")

Run = tuple[str, int, Representations]


def analyse(
    runs: list[Run], data: Prepared, *, threshold: Annotated[float, Field(gt=0, lt=1)] = 1e-3
) -> list[dict[str, Any]]:
    """Rank, stable rank and effective rank of every layer of every run.

    Args:
        runs: regime, seed and representations of each.
        data: prepared dataset.
        threshold: share of the largest eigenvalue of the covariance above which an eigenvalue counts.
    """
    return [
        {"seed": seed, "regime": regime, "view": view, "block": block} | row
        for regime, seed, found in runs
        for (view, block), layer in found.layers.items()
        for row in ranks(layer, threshold)
    ]


def ranks(layer: Activations, threshold: float) -> list[dict[str, Any]]:
    """All ranks of one layer; no value where nothing can be said."""
    about = {
        "n": len(layer.scores),
        "width": layer.width,
        "columns": layer.columns,
        "ceiling": layer.ceiling,
        "threshold": threshold,
        "note": layer.fault or None,
    }
    measures = {
        "rank": numerical(layer.spectrum, threshold),
        "stable_rank": stable(layer.spectrum),
        "effective_rank": effective(layer.spectrum),
    }
    return [{"metric": name, "value": None if layer.fault else value} | about for name, value in measures.items()]


def numerical(spectrum: Float[np.ndarray, " r"], threshold: float) -> int:
    """Eigenvalues of the covariance above a share of the largest [P, L: Masarczyk 2023]."""
    return int((spectrum > threshold * spectrum.max(initial=0)).sum())


def stable(spectrum: Float[np.ndarray, " r"]) -> float:
    """Sum of the eigenvalues, in units of the largest."""
    largest = spectrum.max(initial=0)
    return float(spectrum.sum() / largest) if largest > 0 else 0.0


def effective(spectrum: Float[np.ndarray, " r"]) -> float:
    """exp of the entropy of the singular values' shares."""
    values = np.sqrt(spectrum[spectrum > 0])
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(values) else 0.0
