"""Exit rules (DEFINITIONS.md, section 7). Decisions are per sample; NaN never leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from manyexits.exits import criteria
from manyexits.exits.criteria import Carry
from manyexits.exits.task import Task

WORDS = {"nobody": np.inf, "everybody": -np.inf}
"""Thresholds that have no number, on the scale of certainty; who has no certainty (NaN, -inf) stays all the same."""


@dataclass(frozen=True)
class Policy:
    """A criterion with one threshold for each exit but the last, in the criterion's own units."""

    criterion: str
    thresholds: tuple[float, ...]
    inclusive: bool = False
    """Whether a sample on the threshold leaves; only MSDNet's protocol (`geometric`) says so."""
    patience: int | None = None
    """Agreement's P."""
    task: Task | None = None
    """None: classification, into as many classes as there are outputs."""
    temperatures: tuple[float, ...] | None = None
    """Of the exits, by which their outputs are divided; None: 1."""

    @classmethod
    def of(cls, cell: Mapping[str, Any], task: Task) -> "Policy":
        """The policy of a cell of thresholds.json.

        Raises:
            ValueError: when no threshold meets the cell's budget.
        """
        if cell["thresholds"] is None:
            raise ValueError(f"no threshold meets the budget {cell['budget']}: it is below what the exits cost")
        name, patience = cell["criterion"], cell.get("patience")
        sign = criteria.one(name, task, len(cell["thresholds"]) + 1, patience).sign
        thresholds = tuple((sign * understood(cell["thresholds"], sign)).tolist())
        temperatures = cell.get("temperatures")
        return cls(
            name, thresholds, cell["inclusive"], patience, task, None if temperatures is None else tuple(temperatures)
        )

    def leaves(
        self, exit_: int, outputs: Float[np.ndarray, "b o"], carry: Carry = ()
    ) -> tuple[Bool[np.ndarray, " b"], Carry]:
        """Which samples leave at exit `exit_` (from 1, not the last), and what to remember at the next.

        Args:
            exit_: exits are asked in order.
            outputs: of the samples that are still inside.
            carry: what the exit before gave back, of these samples alone (`criteria.some`).

        Raises:
            ValueError: when the task has no such criterion, or the criterion no such patience.
        """
        task = self.task or Task("classification", outputs.shape[1])
        scan = criteria.one(self.criterion, task, len(self.thresholds) + 1, self.patience)
        if self.temperatures is not None:
            outputs = outputs / np.float32(self.temperatures[exit_ - 1]).astype(outputs.dtype)
        certain, carry = scan.at(scan.keep(outputs), carry)
        threshold = np.float64(scan.sign * self.thresholds[exit_ - 1])  # compared in float64, as stored arrays are
        return certain >= threshold if self.inclusive else certain > threshold, carry


def exit_index(
    certain: Float[np.ndarray, "n k"], thresholds: Float[np.ndarray, " j"], inclusive: bool = False
) -> Int[np.ndarray, " n"]:
    """The exit (from 1) at which each sample leaves.

    Args:
        certain: certainty at all K exits.
        thresholds: of the first K - 1 exits, on the scale of certainty.
        inclusive: whether a sample on the threshold leaves.
    """
    early = certain[:, :-1]
    leaves = early >= thresholds if inclusive else early > thresholds
    decided = np.concatenate([leaves, np.ones((len(certain), 1), dtype=bool)], axis=1)
    return decided.argmax(1) + 1


def told(thresholds: Float[np.ndarray, " j"], sign: float) -> list[float | str]:
    """Thresholds on the scale of certainty as a cell holds them: numbers in the criterion's own units, or words."""
    words = {value: word for word, value in WORDS.items()}
    return [words.get(t, sign * t) for t in thresholds.tolist()]


def understood(listed: Sequence[float | str], sign: float) -> Float[np.ndarray, " j"]:
    """What `told` wrote, on the scale of certainty again."""
    return np.array([WORDS[t] if isinstance(t, str) else sign * t for t in listed], dtype=np.float64)
