"""Measures of every block's activations: what the tables and figures of them share."""

import math
from typing import Any

import pandas as pd

from manyexits.artefacts import frames

READ_BY_HEADS = "what a head reads"
"""How people call the view `tapped`."""


def over_seeds(frame: pd.DataFrame, *by: str) -> pd.DataFrame:
    """mean, std (of the sample; empty for one seed), number of seeds and the first note of `value`; groups in first
    order."""
    columns = {
        "mean": ("value", "mean"),
        "std": ("value", "std"),
        "seeds": ("value", "count"),
        "note": ("note", "first"),
    }
    return frame.groupby([*frames.NAMES, *by], sort=False, dropna=False).agg(**columns).reset_index()


def lines(data: pd.DataFrame, columns: str, order: list[str], digits: int = 1) -> pd.DataFrame:
    """One line for each block of an experiment, one cell for each value of a column: mean ± standard deviation."""
    found = []
    for _, rows in data.groupby(["view", "block"], sort=False):
        line = {"block": place(rows, data)}
        by = {row[columns]: row for row in frames.records(rows)}
        found.append(line | {name: number(by[name]["mean"], by[name]["std"], digits) for name in order if name in by})
    return pd.DataFrame(found).fillna("–")


def place(rows: pd.DataFrame, of: pd.DataFrame) -> str:
    """The layer of some rows as people read it; its view where an experiment has two."""
    beside = rows["view"].iloc[0] == "tapped" and of["view"].nunique() > 1
    return str(rows["block"].iloc[0]) + (f", {READ_BY_HEADS}" if beside else "")


def number(mean: float, std: float, digits: int = 2) -> str:
    """A mean with its deviation where there is one; a dash for an empty one."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")


def reasons(frame: pd.DataFrame) -> list[str]:
    """Why cells are empty, as notes."""
    told = frame.loc[frame["value"].isna() & frame["note"].notna()]
    return [
        f"–, {label}, block {row['block']}: {row['note']}"
        for row in frames.records(told.drop_duplicates([*frames.NAMES, "block", "note"]))
        for label in [frames.label(row)]
    ]


def last(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of an experiment's last block, as heads or the classifier meet it."""
    view = "output" if (rows["view"] == "output").any() else "tapped"
    own = rows[rows["view"] == view]
    return own[own["block"] == own["block"].max()]


def reference(regimes: list[str]) -> str:
    """The regime that the others are told against: mixed, where it is there."""
    return "mixed" if "mixed" in regimes else regimes[-1]


def ratios(rows: pd.DataFrame, regimes: list[str]) -> dict[str, tuple[float, float, int]]:
    """Regime -> its value in units of the reference's, of the same seed: mean, standard deviation, number of seeds."""
    by = rows.pivot_table(index="seed", columns="regime", values="value", dropna=False)
    to = reference(regimes)
    found = {}
    for regime in (regime for regime in regimes if regime != to and {regime, to} <= set(by)):
        each = (by[regime] / by[to]).dropna()
        if len(each):
            found[regime] = (float(each.mean()), float(each.std()), len(each))
    return found


def seeds(count: int) -> str:
    """How many seeds, as people read it."""
    return f"{count} seeds" if count > 1 else "one seed"


def experiments(frame: pd.DataFrame, told: dict[str, Any]) -> list[tuple[str, pd.DataFrame, list[str]]]:
    """Name, rows and regimes of every experiment that is drawn."""
    both = zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
    return [(frames.label(identity), rows, frames.regimes(rows, told["regimes"])) for identity, rows in both]
