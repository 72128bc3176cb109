"""PBEE's rule: leave when more than P exits in a row have given the same answer [L: Zhou 2020]."""

import numpy as np
from jaxtyping import Float, Shaped

from manyexits.exits.criteria import Carry, Criterion
from manyexits.exits.task import Task

TASKS = ("classification",)


def scans(task: Task, n_exits: int) -> list[Criterion]:
    """The certainty is r_k, the number of equal answers up to exit k; P = 0: everybody at exit 1, P = K - 1: nobody."""
    return [Criterion("patience", "answer", task.answers, 1.0, np.arange(n_exits, dtype=np.float64), _at)]


def _at(answers: Shaped[np.ndarray, " b"], carry: Carry) -> tuple[Float[np.ndarray, " b"], Carry]:
    equal = np.ones(len(answers))
    if carry:
        before, count = carry
        equal = np.where(answers == before, count + 1, 1.0)
    return np.where(answers < 0, np.nan, equal), (answers, equal)  # -1: no answer
