"""Patience for scores: leave when each of the last P gaps between neighbouring exits' answers is below tau."""

from functools import partial

import numpy as np
from jaxtyping import Float

from manyexits.exits.criteria import PAPER_POINTS, Carry, Criterion
from manyexits.exits.task import Task

TASKS = ("regression",)


def scans(task: Task, n_exits: int) -> list[Criterion]:
    """One for each P = 1..K-1; tau is in label units. The protocol `paper` reads the first, P = 1 [O]."""
    assert task.span is not None
    low, high = task.span
    points = np.linspace(0, high - low, PAPER_POINTS)
    return [
        Criterion("agreement", "answer", task.answers, -1.0, points, partial(_at, p), patience=p)
        for p in range(1, max(n_exits, 2))
    ]


def _at(patience: int, answers: Float[np.ndarray, " b"], carry: Carry) -> tuple[Float[np.ndarray, " b"], Carry]:
    """Minus the widest of the last P gaps; -inf, nobody leaves, where there are not yet so many."""
    answers = answers.astype(np.float64)
    gaps = np.full((len(answers), patience), np.inf)
    if carry:
        before, earlier = carry
        gaps = np.column_stack([earlier[:, 1:], np.abs(answers - before)])
    return -gaps.max(1), (answers, gaps)
