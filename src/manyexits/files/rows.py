"""The schema of the tidy rows, the only place where columns are spelled."""

import csv
import io
from pathlib import Path
from typing import Any

from manyexits.files import atomic

IDENTITY = ("experiment", "variant", "dataset", "backbone", "method", "regime", "seed")
"""Which run a row is of."""

COLUMNS = (
    *IDENTITY,
    "split",
    "protocol",
    "criterion",
    "budget",
    "exit",
    "threshold",
    "metric",
    "value",
    "unit",
    "n",
    "cost",
)
"""budget: fraction of the backbone's cost, or `max`. exit: from 1; empty for the policy as a whole. threshold: filled
only in points of a sweep. value: a fraction unless `unit` says otherwise. n: samples. cost: mean FLOPs of a sample."""

HISTORY = ("phase", "epoch", "samples", "flops", "lr", "exit", "train_loss", "loss")
"""One row per epoch and exit; behind these the task's gain, `accuracy` of classes. samples and flops are cumulative
over the phases of a run; loss and gain are the validation split's; train_loss is empty for an exit that takes no part
in the phase."""


def to_csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as CSV; floats with all their digits, None and NaN empty.

    Raises:
        AssertionError: for a key that is no column.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        assert set(row) <= set(columns), f"unknown columns {set(row) - set(columns)}"
        values = [row.get(column) for column in columns]
        writer.writerow([None if value != value else value for value in values])  # only NaN differs from itself
    return buffer.getvalue()


def write(path: Path, rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> None:
    """Write rows as a CSV file, whole or not at all."""
    atomic.write_text(path, to_csv(rows, columns))


def read(paths: list[Path]) -> Any:
    """Rows of several files as one DataFrame; names stay text, also `1e5` and `NA`.

    Raises:
        ValueError: when a file has other columns.
    """
    import pandas as pd

    text = dict.fromkeys((*IDENTITY[:-1], "protocol", "criterion", "budget", "metric", "unit", "split"), "string")
    frames = []
    for path in paths:
        frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
        if tuple(frame.columns) != COLUMNS:
            raise ValueError(f"{path} has other columns than this version writes; remove it and evaluate the run again")
        frames.append(frame)
    everything = pd.concat(frames, ignore_index=True)
    return everything.fillna(dict.fromkeys(text, ""))
