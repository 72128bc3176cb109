"""Exit rules (DEFINITIONS.md, section 7). Decisions are per sample; NaN never leaves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from manyexits.exits import criteria
from manyexits.exits.criteria import Carry
from manyexits.exits.task import Task


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
