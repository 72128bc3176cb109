"""Gradient dominance: the share of every exit's loss in the gradient of every stage, by regime."""

from typing import Any

import pandas as pd

from manyexits.artefacts import dominance, frames, layers
from manyexits.artefacts.tables import FINDING, Table, percent

READS = "gradient_dominance"


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """One section for each experiment and regime, one line for each stage: projection shares of the exits behind it in
    the regime's last phase, means over its snapshots and over seeds. The data hold every snapshot, norm shares and
    cosines."""
    dominance.whole(frame)
    by = [*frames.NAMES, "regime", "place", "phase", "epoch", "stage", "exit", "metric"]
    data = frame.groupby(by, sort=False, dropna=False).agg(
        mean=("value", "mean"),
        std=("value", "std"),
        seeds=("value", "count"),
        weight=("weight", "mean"),
        n=("n", "max"),
        note=("note", "first"),
    )
    sections, notes = {}, []
    for name, rows, regimes in layers.experiments(frame, told):
        for regime in regimes:
            own = dominance.last_phase(rows[rows["regime"] == regime])
            shares = dominance.over_epochs(own)
            title = f"{name}, {regime}: {dominance.phases(own)}; {frames.seeds(own)}; share (%) of each exit"
            sections[title] = lines(shares)
            notes.append(finding(f"{name}, {regime}", shares))
    samples = " or ".join(f"{n:,}" for n in sorted(frame["n"].astype(int).unique()))
    empty = frame[frame["value"].isna() & frame["note"].notna()].drop_duplicates([*frames.NAMES, "regime", "note"])
    about = [
        "projection share of an exit: inner product of its weighted loss's gradient with the whole gradient of the"
        " stage, in units of the latter's square; those of a stage add up to 100 %, and one may be negative [O: the"
        " paper's formula is not public]",
        f"gradients by the weights of the backbone but its norms', on {samples} training samples without augmentation,"
        " BatchNorm as in training; in the phase heads the backbone is frozen: what the heads would ask of it",
        *(f"–, {frames.label(row)}, {row['regime']}: {row['note']}" for row in frames.records(empty)),
    ]
    return Table(data.reset_index(), sections, about + notes)


def lines(shares: pd.DataFrame) -> pd.DataFrame:
    """One line for each stage; dashes for exits before it."""
    found = []
    for stage, row in shares.iterrows():
        cells = {f"exit {exit_}": percent(value) for exit_, value in row.items()}
        strongest = "–" if row.isna().all() else str(row.idxmax())
        found.append({"stage": str(stage)} | cells | {"dominant": strongest})
    return pd.DataFrame(found)


def finding(name: str, shares: pd.DataFrame) -> str:
    """Which exits dominate how many stages, as a sentence from the numbers."""
    several = shares.dropna(how="all")[shares.notna().sum(axis=1) > 1]
    if several.empty:
        return f"{FINDING}{name}: no stage has several exits behind it"
    counts = several.idxmax(axis=1).value_counts().sort_index()
    told = ", ".join(f"exit {exit_} in {count}" for exit_, count in counts.items())
    return (
        f"{FINDING}{name}: of {len(several)} stages with several exits behind them the largest share is that of {told}"
    )
