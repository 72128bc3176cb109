"""Leave when the largest class probability is above T, strictly. T = 1: nobody; T = 0: everybody at exit 1."""

import numpy as np
from jaxtyping import Float

from manyexits.exits.criteria import PAPER_POINTS, Carry, Criterion
from manyexits.exits.task import Task

TASKS = ("classification",)

CACHED = 2**17
"""Logits that `confidence` works on at a time."""


def confidence(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n"]:
    """Largest class probability in float64: 1 / (1 + what the other classes have, relative to the largest).

    A few samples at a time stay in the processor's cache. The largest class enters exactly, so that exponentials in
    float32 suffice to tell confidences apart however close to 1 they are.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    others = np.empty(len(flat))
    at_once = max(1, CACHED // logits.shape[-1])
    for begin in range(0, len(flat), at_once):
        some = flat[begin : begin + at_once].astype(np.result_type(logits, np.float32), copy=False)
        top = some.argmax(-1)[:, None]
        largest = np.take_along_axis(some, top, 1)
        relative = np.exp(some - largest)
        np.put_along_axis(relative, top, largest - largest, 1)
        others[begin : begin + at_once] = relative.sum(-1)
    return (1 / (1 + others)).reshape(logits.shape[:-1])


def scans(task: Task, n_exits: int) -> list[Criterion]:
    """Confidence itself is the certainty."""
    points = np.linspace(0, 1, PAPER_POINTS)
    return [Criterion("confidence", "confidence", confidence, 1.0, points, _at)]


def _at(values: Float[np.ndarray, " b"], carry: Carry) -> tuple[Float[np.ndarray, " b"], Carry]:
    return values, carry
