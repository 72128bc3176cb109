"""Criteria: how sure an exit is (DEFINITIONS.md, section 7). One file each, found by its name.

A file says in `TASKS` which tasks the criterion is defined for and in `scans(task, n_exits)` how it is read: one scan,
or one for each value of what else has to be chosen (agreement's P). Adding a file adds the criterion.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from manyexits.exits.task import Task

Carry = tuple[np.ndarray, ...]
"""What a scan remembers of the exits before: batch-first arrays."""

PAPER_POINTS = 100
"""Thresholds that the authors try, evenly spaced, both ends included [C]."""


@dataclass(frozen=True)
class Criterion:
    """A scan over the exits, of the deployed network and of stored arrays alike."""

    name: str
    kept: str
    """The array of the predictions that it reads."""
    keep: Callable[[Float[np.ndarray, "b o"]], Shaped[np.ndarray, " b"]]
    """That array, from one exit's outputs."""
    sign: float
    """A threshold in the criterion's own units is `sign` times that on the scale of certainty."""
    points: Float[np.ndarray, " t"]
    """Thresholds that the protocol `paper` tries, in the criterion's own units."""
    at: Callable[[Shaped[np.ndarray, " b"], Carry], tuple[Float[np.ndarray, " b"], Carry]]
    """Certainty at the next exit, and what to remember: nothing, (), before the first. Certainty rises with being sure;
    a sample leaves when it is above the threshold."""
    patience: int | None = None
    """Agreement's P."""


def names(task: Task) -> list[str]:
    """The criteria that are defined for a task."""
    return [name for name in _names() if task.name in _module(name).TASKS]


def named(name: str, task: Task, n_exits: int) -> list[Criterion]:
    """The scans of a criterion over K exits.

    Raises:
        ValueError: when the task has no such criterion.
    """
    if name not in names(task):
        raise ValueError(f"there is no criterion {name!r} for {task.name}; valid names: {', '.join(names(task))}")
    return _module(name).scans(task, n_exits)


@cache
def one(name: str, task: Task, n_exits: int, patience: int | None) -> Criterion:
    """One scan of a criterion. A deployed network asks for it at every exit, hence the cache.

    Raises:
        ValueError: when the task has no such criterion, or the criterion no such patience.
    """
    scans = {scan.patience: scan for scan in named(name, task, n_exits)}
    if patience not in scans:
        raise ValueError(f"{name} has no patience {patience} here; valid values: {', '.join(map(str, scans))}")
    return scans[patience]


def certainties(criterion: Criterion, values: Shaped[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Certainty at every exit, from what was kept of it."""
    carry: Carry = ()
    found = np.empty(values.shape)
    for exit_ in range(values.shape[1]):
        found[:, exit_], carry = criterion.at(values[:, exit_], carry)
    return found


def some(carry: Carry, rows: Bool[np.ndarray, " b"]) -> Carry:
    """The same samples of every part."""
    return tuple(part[rows] for part in carry)


def _names() -> list[str]:
    return sorted(path.stem for folder in __path__ for path in Path(folder).glob("*.py") if path.stem[0] != "_")


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
