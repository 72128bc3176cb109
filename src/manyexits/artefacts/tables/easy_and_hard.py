"""Easy and hard samples: which leave first, which last, and what they are answered."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import SAMPLE, Table

READS = "easy_and_hard"


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """The first seed's samples by experiment, easiest and hardest first, with the mean exit and the answers of every
    regime; the data hold all seeds. The samples themselves stand in the report alone."""
    frames.whole(frame, (*frames.NAMES, SAMPLE))
    sections: dict[str, pd.DataFrame] = {}
    for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True):
        first = rows[rows["seed"] == rows["seed"].min()]
        for kind in ("easy", "hard"):
            title = f"{frames.label(identity)}, {kind}, seed {first['seed'].iloc[0]}"
            sections[title] = _cells(first[first["kind"] == kind], told["regimes"])
    notes = [
        "exit: the mean over the budgets that every regime meets; in brackets what the first and the last exit answer,"
        " once where they agree",
        f"thresholds: {' or '.join(_unique(frame, 'protocol'))}, by {' or '.join(_unique(frame, 'criterion'))}, at"
        f" {' or '.join(_unique(frame, 'budgets'))} budgets; samples are ranked by the mean over the regimes, of equals"
        " the order is drawn",
        "id: number of the sample in the test split, from 0",
    ]
    return Table(frame.drop(columns=SAMPLE), sections, notes)


def _cells(rows: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """One line for each sample.

    Raises:
        ValueError: when one lacks a regime that others have.
    """
    lines, regimes = [], frames.regimes(rows, order)
    for place, own in rows.groupby("place", sort=True):
        line = {"place": str(place), "id": str(own["id"].iloc[0]), "label": str(own["label"].iloc[0])}
        by_regime = {row["regime"]: row for row in frames.records(own)}
        if lacking := [regime for regime in regimes if regime not in by_regime]:
            raise ValueError(f"sample {line['id']} has no row of {lacking[0]}; let the workflow make the files again")
        line |= {regime: _left(by_regime[regime]) for regime in regimes}
        lines.append(line | {SAMPLE: next((text for text in own[SAMPLE] if not pd.isna(text)), "–")})
    return pd.DataFrame(lines, columns=None if lines else ["place", "id", "label", SAMPLE])


def _left(row: dict[str, Any]) -> str:
    first, last = row["first_answer"], row["last_answer"]
    return f"{row['mean_exit']:.2f} ({first if first == last else f'{first} → {last}'})"


def _unique(frame: pd.DataFrame, column: str) -> list[str]:
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in frame[column].unique()]
