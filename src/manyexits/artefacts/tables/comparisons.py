"""Which regime is better, and by how much: differences paired over test samples and seeds, with their intervals."""

from typing import Any, Literal

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import Table

READS = "comparisons"

MEASURED = {"accuracy": "accuracies in points", "gain": "negative squared errors"}
"""What is compared -> how people read it."""


def table(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocols: list[Literal["shared", "paper", "geometric", "temperature"]] | None = None,
    criterion: str | None = None,
) -> Table:
    """Pairs of regimes x budgets: the first's mean minus the second's, and its 95 % interval.

    Args:
        frame: comparisons.
        told: what is drawn.
        protocols: null: `shared`, or all that all its experiments have instead.
        criterion: of all experiments; null: each one's own.
    """
    known = told.get("protocols", ["shared"])
    protocols = protocols or (["shared"] if "shared" in known else list(known))
    parts = []
    for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True):
        own = rows["protocol"].isin(protocols) & (rows["criterion"] == (criterion or identity["criterion"]))
        parts.append(rows[own].assign(label=frames.label(identity)))
    data = pd.concat(parts, ignore_index=True)
    if data.empty:
        raise ValueError(f"no cell was compared under {', '.join(protocols)} and this criterion; name others")
    if unknown := sorted(set(data["metric"].dropna().unique()) - set(MEASURED)):
        raise ValueError(f"--inputs: there are differences of {unknown[0]!r}; let the workflow make the files again")
    sections = {
        f"Difference of {MEASURED[str(metric)]}, protocol {protocol}, first regime minus second": lines(group)
        for (protocol, metric), group in data.groupby(["protocol", "metric"], sort=False)
    }
    return Table(data.drop(columns="label"), sections, notes(data))


def lines(frame: pd.DataFrame) -> pd.DataFrame:
    """One line for each pair of regimes of an experiment, one column for each budget."""
    found = []
    for (experiment, first, second), group in frame.groupby(["label", "first", "second"], sort=False):
        rows = frames.records(group)
        line = {"experiment": experiment, "difference": f"{first} − {second}"}
        line |= {frames.budget(row["budget"]): cell(row) for row in rows}
        found.append(line | {"n": f"{rows[0]['n']:,.0f}", "seeds": f"{rows[0]['seeds']:.0f}"})
    return pd.DataFrame(found).fillna("–")


def cell(row: dict[str, Any]) -> str:
    """A difference with its interval, marked where that excludes zero."""
    scale = 100 if row["metric"] == "accuracy" else 1
    difference, low, high = (f"{scale * row[name]:+.2f}" for name in ("difference", "low", "high"))
    return f"{difference} [{low}, {high}]{'*' if row['low'] > 0 or row['high'] < 0 else ''}"


def notes(shown: pd.DataFrame) -> list[str]:
    """What a reader has to know."""
    found = [
        "[low, high]: 95 % interval of 10,000 bootstrap resamples that draw test samples and seeds, both paired: every"
        " regime answers the same samples, and its seed s starts where that of the others does [O]",
        f"*: the interval excludes 0, which 5 % of the {len(shown)} would by chance alone",
    ]
    if (shown["seeds"] == 1).any():
        found.append(
            "one seed: the interval is over test samples alone, and does not tell what another seed would give"
        )
    return found
