"""The early stopping rule (DEFINITIONS.md, section 1), checked once per epoch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stopping:
    """Stop once no learning exit has improved on its own best score for `patience` epochs in a row.

    A tie is no improvement. Exits that cannot learn take no part: a frozen last exit would tie for ever, and the
    disjoint regime would never stop early.
    """

    patience: int
    limit: int
    """Epoch limit."""
    learning: list[int]
    """Positions of the exits that learn."""
    best: dict[int, float] = field(default_factory=dict)
    best_epoch: int = 0

    def update(self, epoch: int, scores: list[float]) -> bool:
        """Take an epoch's scores (higher is better) and tell whether any learning exit improved."""
        better = [k for k in self.learning if scores[k] > self.best.get(k, float("-inf"))]
        self.best |= {k: scores[k] for k in better}
        if better:
            self.best_epoch = epoch
        return bool(better)

    def over(self, epoch: int) -> bool:
        """Whether the phase ends after this many epochs."""
        return epoch >= self.limit or epoch - self.best_epoch >= self.patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold."""
        return {"best": dict(self.best), "best_epoch": self.best_epoch}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        self.best, self.best_epoch = dict(state["best"]), state["best_epoch"]
