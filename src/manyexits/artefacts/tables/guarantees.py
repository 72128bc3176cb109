"""Thresholds with a guarantee: the risk that was tolerated, that on test, and what the samples cost then."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import Table, percent

READS = "guarantees"
TASKS = ("classification",)

ABOUT = {
    "consistency": "share of the samples with another answer than the last exit's",
    "gap": "share of the samples with a wrong answer where the last exit's is right",
}
"""What a loss counts."""
PROCEDURES = {
    "ucb": "ucb: an upper bound of the risk (Waudby-Smith and Ramdas, 2024), with probability 1 - delta",
    "ltt": "ltt: learn then test, with probability 1 - delta",
    "crc": "crc: conformal risk control, in expectation",
}
NOBODY = "†"
"""Behind a risk where no threshold passes under any seed."""


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """Experiments x regimes x procedures, a column for each tolerated risk: means over seeds.

    Args:
        frame: guarantees.
        told: what is drawn.

    Raises:
        ValueError: for a row of a loss or a procedure that is none.
    """
    for column, known in (("loss", ABOUT), ("procedure", PROCEDURES)):
        if unknown := list(frame.loc[~frame[column].isin(list(known)), column]):
            raise ValueError(f"--inputs: a row's {column} is {unknown[0]!r}; let the workflow make the files again")
    by = [*frames.NAMES, "regime", "criterion", "loss", "procedure", "epsilon", "delta"]
    relative = frame.assign(cost=frame["cost"] / frame["backbone_cost"])
    means = {name: (name, "mean") for name in ("risk", "accuracy", "cost", "early", "chosen_on", "n")}
    data = (
        relative.groupby(by, sort=False, dropna=False)
        .agg(**means, risk_std=("risk", "std"), seeds=("seed", "nunique"))
        .reset_index()
    )
    ordered = [
        rows[rows["regime"] == regime]
        for identity, rows in zip(told["experiments"], frames.each(data, told["experiments"]), strict=True)
        for regime in frames.regimes(rows, told["regimes"])
    ]
    data = pd.concat(ordered, ignore_index=True)
    sections = {}
    for loss, rows in data.groupby("loss", sort=False):
        about = f"{loss}, the {ABOUT[str(loss)]}"
        sections[f"Risk on test (%) by tolerated risk: {about}"] = lines(rows, risk)
        sections[f"Mean cost really spent (% of the backbone's) by tolerated risk: {loss}"] = lines(rows, cost)
    return Table(data, sections, notes(data))


def lines(rows: pd.DataFrame, cell: Any) -> pd.DataFrame:
    """One line for each experiment, regime and procedure."""
    found = []
    for (*names, regime, procedure), group in rows.groupby([*frames.NAMES, "regime", "procedure"], sort=False):
        identity = dict(zip(frames.NAMES, names, strict=True))
        line = {"experiment": frames.label(identity), "regime": regime, "procedure": procedure}
        found.append(line | {f"{100 * row['epsilon']:g} %": cell(row) for row in frames.records(group)})
    return pd.DataFrame(found)


def risk(row: dict[str, Any]) -> str:
    """A mean risk, and whether nobody leaves early."""
    return percent(row["risk"], row["risk_std"]) + (f" {NOBODY}" if row["early"] == 0 else "")


def cost(row: dict[str, Any]) -> str:
    """A mean cost."""
    return percent(row["cost"])


def notes(data: pd.DataFrame) -> list[str]:
    """How the numbers are to be read."""
    number = " or ".join(f"{n:,.0f}" for n in dict.fromkeys(data["n"]))
    chosen = " or ".join(f"{n:,.0f}" for n in dict.fromkeys(data["chosen_on"]))
    deltas = " or ".join(f"{delta:g}" for delta in dict.fromkeys(data["delta"].dropna()))
    seeds = " or ".join(f"{count:.0f}" for count in dict.fromkeys(data["seeds"]))
    found = [
        f"criterion {' or '.join(dict.fromkeys(data['criterion']))}; thresholds chosen on {chosen} validation samples,"
        f" n = {number} test samples, {seeds} seeds; delta {deltas}",
        *(told for name, told in PROCEDURES.items() if name in set(data["procedure"])),
        "the validation samples also chose each phase's best epoch, which the guarantees do not know of",
    ]
    return found + ([f"{NOBODY} no threshold passes: nobody leaves early"] if (data["early"] == 0).any() else [])
