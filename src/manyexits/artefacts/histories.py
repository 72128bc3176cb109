"""How trainings went, as one frame: every epoch of every exit, and what every phase took."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field

from manyexits.files import made, reading, rows
from manyexits.files.digests import whose
from manyexits.files.provenance import sha256

AGAIN = "let the workflow make the files again"
TOOK = ("epochs", "best_epoch", "stopped_early", "samples_of_phase", "flops_of_phase", "device_seconds")
"""What is kept of a phase's record."""
LEAST = {"epoch": 1, "exit": 1, "samples": 0, "flops": 0, "score": -math.inf}
"""What is drawn of a history, none of which may lack or be infinite, and its least value."""
WHOLE = ("epoch", "exit", "samples")
"""Columns of whole numbers; FLOPs may be more than fit into one."""


class PhaseTook(BaseModel):
    """A phase that has ended."""

    phase: str
    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=0)]
    stopped_early: bool
    samples_of_phase: Annotated[int, Field(ge=0)]
    flops_of_phase: Annotated[int, Field(ge=0)]
    device_seconds: Annotated[float, Field(ge=0)]


class TrainingRecord(BaseModel):
    """What is read of run.json."""

    settings: dict[str, Any]
    phases: Annotated[list[PhaseTook], Field(min_length=1)]
    outputs_sha256: dict[str, str]


def read(paths: Sequence[Path], runs: Sequence[dict[str, Any]], made_by: Sequence[str | None]) -> pd.DataFrame:
    """History and record of every run, given in turns.

    Returns:
        The columns of histories, `score` in place of the task's gain; those of the run; `place`, the phase's number in
        its run, from 1; and TOOK, of the whole phase.

    Raises:
        ValueError: when a file is damaged, was made by other settings, or is not the one that its record tells of.
    """
    if len(paths) != 2 * len(runs):
        raise ValueError(f"--inputs: {len(runs)} runs have {2 * len(runs)} files, and {len(paths)} are given; {AGAIN}")
    found = []
    for history, record, run, expected in zip(paths[::2], paths[1::2], runs, made_by[::2], strict=True):
        told = reading.json_as(record, TrainingRecord)
        made.by_digest(record, whose(told.settings), expected)
        if told.outputs_sha256.get(history.name) != sha256(history):
            raise ValueError(f"{history} is not the one that {record} tells of; {AGAIN}")
        found.append(_joined(_epochs(history), told.phases, history).assign(**run))
    return pd.concat(found, ignore_index=True)


def _epochs(path: Path) -> pd.DataFrame:
    with reading.reading(path, "history of a training", AGAIN):
        frame = pd.read_csv(path, dtype={"phase": "string"}, keep_default_na=False, na_values=[""])
        *known, gained = frame.columns
        if tuple(known) != rows.HISTORY:
            raise ValueError("it has other columns than this version writes")
        frame = frame.rename(columns={gained: "score"})
        if frame["phase"].isna().any():
            raise ValueError("a row has no phase")
        for column, least in LEAST.items():
            values = frame[column]
            if values.dtype.kind not in "iuf" or not (values.ge(least) & values.abs().lt(math.inf)).all():
                raise ValueError(f"a row's {column} is no number")
            if column in WHOLE and values.mod(1).ne(0).any():
                raise ValueError(f"a row's {column} is no whole number")
        return frame


def _joined(epochs: pd.DataFrame, phases: Sequence[PhaseTook], path: Path) -> pd.DataFrame:
    """Every epoch with what its phase took; a phase begins where epochs count from 1 again."""
    new = epochs["samples"].diff().ne(0)  # of the rows of an epoch the first
    numbered = epochs.assign(place=(new & (epochs["epoch"] == 1)).cumsum())
    if list(numbered.loc[new].groupby("place")["epoch"].max()) != [phase.epochs for phase in phases]:
        raise ValueError(f"{path} has other phases than its record tells of; {AGAIN}")
    took = pd.DataFrame([phase.model_dump(include=set(TOOK)) for phase in phases])
    return numbered.merge(took.assign(place=range(1, len(phases) + 1)), on="place", validate="many_to_one")
