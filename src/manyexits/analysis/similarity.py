"""Similarity of the regimes' representations, block by block: linear CKA (Kornblith et al., 2019). Beyond the paper."""

import itertools
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from manyexits.analysis._runs import pairs
from manyexits.data.prepared import Prepared
from manyexits.exits.representations import Activations, Representations

READS = "representations"
PAIRS = True
COLUMNS = (
    "first",
    "second",
    "seed",
    "second_seed",
    "view",
    "first_block",
    "second_block",
    "metric",
    "value",
    "n",
    "note",
)
"""metric: cka, or cka_debiased, which does not rise where there are more columns than samples. note: why there is no
value."""
TEXT = ("first", "second", "view", "metric", "note")
LEAST_SAMPLES = 4
"""Below which no unbiased estimate exists."""

Run = tuple[str, int, Representations]


def analyse(runs: list[Run], data: Prepared) -> list[dict[str, Any]]:
    """Every block of a run against every block of another, and of itself.

    Args:
        runs: regime, seed and representations of each.
        data: prepared dataset.
    """
    rows: list[dict[str, Any]] = []
    own = [(index, index) for index in range(len(runs))] if len({seed for _, seed, _ in runs}) == 1 else []
    for first, second in [*own, *pairs(runs)]:
        (one, seed, a), (other, second_seed, b) = runs[first], runs[second]
        about = {"first": one, "second": other, "seed": seed, "second_seed": second_seed}
        for x, y in itertools.product(a.layers.values(), b.layers.values()):
            if x.view == y.view:
                told = {"view": x.view, "first_block": x.block, "second_block": y.block, "n": len(x.gram)}
                rows += [about | told | row for row in similarities(x, y)]
    return rows


def similarities(x: Activations, y: Activations) -> list[dict[str, Any]]:
    """Of two layers; no value where nothing can be said."""
    note = x.fault or y.fault or ""
    found: dict[str, float | None] = {"cka": None, "cka_debiased": None}
    if not note:
        found["cka"] = cka(x.gram, y.gram)
        found["cka_debiased"] = debiased(x.gram, y.gram)
        note = "too few samples"
    return [
        {"metric": metric, "value": value, "note": None if value is not None else note}
        for metric, value in found.items()
    ]


def cka(x: Float[np.ndarray, "s s"], y: Float[np.ndarray, "s s"]) -> float:
    """Linear CKA of centred inner products: 1 for layers that are rotations or multiples of one another."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def debiased(x: Float[np.ndarray, "s s"], y: Float[np.ndarray, "s s"]) -> float | None:
    """The same from unbiased estimates (Szekely and Rizzo, 2014; Nguyen et al., 2021); None where they do not exist, or
    that of a layer with itself is not positive."""
    if len(x) < LEAST_SAMPLES:
        return None
    x, y = unbiased(x), unbiased(y)
    own = (x * x).sum() * (y * y).sum()
    return float((x * y).sum() / np.sqrt(own)) if own > 0 else None


def unbiased(inner: Float[np.ndarray, "s s"]) -> Float64[np.ndarray, "s s"]:
    """Inner products, U-centred: the diagonal counts for nothing."""
    values, n = inner.astype(np.float64), len(inner)
    np.fill_diagonal(values, 0)
    sums = values.sum(0)
    values = values - (sums[:, None] + sums) / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(values, 0)
    return values
