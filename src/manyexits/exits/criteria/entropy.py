"""Leave when the entropy of the class probabilities, divided by ln C [O], is below S, strictly."""

import numpy as np
from jaxtyping import Float

from manyexits.exits.criteria import PAPER_POINTS, Carry, Criterion
from manyexits.exits.task import Task

TASKS = ("classification",)


def log_softmax(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n c"]:
    """Logarithm of the class probabilities, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def entropy(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n"]:
    """Entropy of the class probabilities divided by ln C, in [0, 1]; 0 where there is one class only."""
    logs = log_softmax(logits)
    terms = np.exp(logs) * np.where(np.isneginf(logs), 0, logs)  # 0 ln 0 = 0; NaN stays NaN
    return -terms.sum(-1) / np.log(max(logits.shape[-1], 2))


def scans(task: Task, n_exits: int) -> list[Criterion]:
    """The negative entropy is the certainty."""
    points = np.linspace(0, 1, PAPER_POINTS)
    return [Criterion("entropy", "entropy", entropy, -1.0, points, _at)]


def _at(values: Float[np.ndarray, " b"], carry: Carry) -> tuple[Float[np.ndarray, " b"], Carry]:
    return -values, carry
