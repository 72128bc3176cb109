"""Numerical rank of the activations of every block, regimes side by side."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames, layers
from manyexits.artefacts.tables import FINDING, Table

READS = "numerical_rank"

MEASURED = {"rank": ("rank", 1), "stable_rank": ("stable rank", 2), "effective_rank": ("effective rank", 1)}
"""Measure -> how people call it, and decimals."""


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """One section for each experiment and measure, one line for each block: mean ± standard deviation over seeds."""
    data = layers.over_seeds(frame, "view", "block", "regime", "metric")
    sections, findings = {}, []
    for name, rows, regimes in layers.experiments(frame, told):
        for metric, (title, digits) in MEASURED.items():
            own = rows[rows["metric"] == metric]
            cells = layers.lines(layers.over_seeds(own, "view", "block", "regime"), "regime", regimes, digits)
            about = own.drop_duplicates(["view", "block"])
            if metric == "rank":
                cells["at most"] = [f"{ceiling:,.0f}" for ceiling in about["ceiling"]]
            cells["columns"] = [width(row) for row in frames.records(about)]
            sections[f"{name}, {title}"] = cells
        findings += finding(name, rows[rows["metric"] == "rank"], regimes)
    samples = " or ".join(f"{n:,}" for n in sorted(frame["n"].astype(int).unique()))
    notes = [
        f"activations of {samples} samples of the test split, in evaluation mode, flattened; columns centred",
        f"rank: eigenvalues of their covariance above {frame['threshold'].max():g} of the largest [L: Masarczyk et"
        " al.]; stable rank: their sum over the largest; effective rank: exp of the entropy of the singular values'"
        " shares; mean ± standard deviation over seeds",
        *layers.reasons(frame),
        *findings,
    ]
    return Table(data, sections, notes)


def width(row: dict[str, Any]) -> str:
    """Columns of a layer, and how many of them were read."""
    read = f"{row['columns']:,.0f} of " if row["columns"] < row["width"] else ""
    return f"{read}{row['width']:,.0f}"


def finding(name: str, ranks: pd.DataFrame, regimes: list[str]) -> list[str]:
    """How the regimes' ranks after the last block relate, as a sentence from the numbers."""
    rows = layers.last(ranks)
    told = [
        f"{regime}'s is {layers.number(mean, std)} of {layers.reference(regimes)}'s ({layers.seeds(count)})"
        for regime, (mean, std, count) in layers.ratios(rows, regimes).items()
    ]
    if not told:
        return []
    return [f"{FINDING}{name}, rank after block {rows['block'].iloc[0]}: {', '.join(told)}"]
