"""What a network is asked for: classes or scores. Two tasks are an `if`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

CLOSE = 0.5
"""An answered score counts as right up to this distance from the label, in label units [O]."""


@dataclass(frozen=True)
class Task:
    """What the outputs of an exit mean, and how good they are."""

    name: Literal["classification", "regression"]
    outputs: int
    """O: the number of classes, or 1."""
    span: tuple[float, float] | None = None
    """Lowest and highest score, in label units; None for classes."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is reported of answers; tables print the first."""
        return ("accuracy",) if self.name == "classification" else ("spearman", "pearson", "mse")

    @property
    def gained(self) -> str:
        """Column of the history that holds the mean gain."""
        return "accuracy" if self.name == "classification" else "gain"

    # `answers` and `gain` are typed Any: they take NumPy arrays, and the tensors that a training has on its device

    def answers(self, outputs: Any) -> Any:
        """The class with the largest of O outputs, -1 where one is no number; or the score: (..., O) -> (...)."""
        if self.name == "regression":
            return outputs[..., 0]
        largest, lost = outputs.argmax(-1), (outputs != outputs).any(-1)  # only NaN differs from itself
        return largest - (largest + 1) * lost

    def gain(self, answers: Any, labels: Any) -> Any:
        """What each answer is worth: additive over samples, higher is better: (n, k), (n,) -> (n, k).

        Whether it is right, as a boolean, or the negative squared error in squared label units.
        """
        if self.name == "classification":
            return answers == labels[:, None]
        return -((labels[:, None] - answers) ** 2)

    def worth(self, answers: Shaped[np.ndarray, "n k"], labels: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        """The gain as numbers that can be summed: an answer that is no number must not spoil every sum, and counts as
        wrong by the whole span [O]."""
        gain = self.gain(answers.astype(np.float64), labels).astype(np.float64)
        if self.span is None:
            return gain
        return np.where(np.isfinite(gain), gain, -((self.span[1] - self.span[0]) ** 2))

    def right(self, answers: Shaped[np.ndarray, "n k"], labels: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, "n k"]:
        """Whether an answer is the label, or close to it."""
        if self.name == "classification":
            return answers == labels[:, None]
        return np.abs(labels[:, None] - answers) <= CLOSE

    def score(self, metric: str, answers: Shaped[np.ndarray, " n"], labels: Shaped[np.ndarray, " n"]) -> float:
        """One of `metrics`; a correlation with something constant is NaN."""
        if metric == "accuracy":
            return float((answers == labels).mean())
        answers, labels = answers.astype(np.float64), labels.astype(np.float64)
        if metric == "mse":
            return float(((labels - answers) ** 2).mean())
        if not np.isfinite(answers).all() or any((values == values[0]).all() for values in (answers, labels)):
            return float("nan")
        from scipy import stats

        correlation = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[metric]
        return float(correlation(answers, labels).statistic)


def of(settings: Mapping[str, Any]) -> Task:
    """The task of settings that hold either `classes: C` or `scores: [lowest, highest]`.

    Raises:
        ValueError: when they hold neither or both.
    """
    if ("classes" in settings) == ("scores" in settings):
        raise ValueError("a task has either `classes: <number>` or `scores: [<lowest>, <highest>]`")
    if "classes" in settings:
        return Task("classification", settings["classes"])
    low, high = settings["scores"]
    return Task("regression", 1, (float(low), float(high)))
