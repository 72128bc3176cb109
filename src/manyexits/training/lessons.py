"""What learns beside a phase: a method's weight network, with its optimiser, from one batch and its partner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from manyexits.batches.views import Part
from manyexits.models.build import drawn_from
from manyexits.models.methods import Teaching
from manyexits.training.learner import Learner

if TYPE_CHECKING:
    from manyexits.training.phase import Phase
    from manyexits.training.turn import Turn

TEACHER = 2**31
"""Part of a network's draws that is a phase's teacher: this, and the phase's own number."""


class Lessons:
    """The weight network of one phase, or of one that takes turns with others."""

    def __init__(self, phase: Phase, turn: Turn, teaching: Teaching, seed: int) -> None:
        """A new one, drawn from a generator of its own.

        Raises:
            ValueError: when an epoch has a single batch, which has no partner.
        """
        if phase.feed.steps == 1:
            raise ValueError(
                f"an epoch of phase {phase.name} has a single batch of {phase.recipe.batch}, and the method needs two;"
                " lower the recipe's batch"
            )
        self.phase, self.teaching, self.pupil = phase, teaching, Learner(phase, turn)
        with drawn_from(seed, TEACHER + turn.kind.number):
            self.teacher = teaching.teacher(len(turn.exits)).to(phase.accelerator.device)
        self.optimizer = teaching.optimizer(self.teacher.parameters())

    def due(self, epoch: int, step: int) -> bool:
        """Whether the weight network learns at a step, which is its turn's."""
        return self.phase.taken(epoch, step) // len(self.phase.turns) % self.teaching.every == 0

    def learn(self, part: Part, epoch: int, step: int) -> None:
        """A step of the weight network, where it is due; the phase's weights, moments and statistics stay."""
        if not self.due(epoch, step):
            return
        (partner,) = self.phase.feed.at(epoch, partner_of(step, self.phase.feed.steps))
        self.teaching.teach(self.teacher, self.pupil, part, partner)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def weigh(self, losses: Float[Tensor, "p e"]) -> Float[Tensor, "p e"]:
        """Losses times their weights, which are constants."""
        with torch.no_grad():
            weights = self.pupil.own(self.teacher(self.pupil.gathered(losses)))
        return weights * losses

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold."""
        return {"teacher": self.teacher.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        self.teacher.load_state_dict(state["teacher"])
        self.optimizer.load_state_dict(state["optimizer"])


def partner_of(step: int, steps: int) -> int:
    """The other batch: steps 2m and 2m + 1 are each other's; an odd last one has the one before it [O]."""
    other = step ^ 1
    return other if other < steps else step - 1


def lessons_of(phase: Phase, turn: Turn, seed: int) -> Lessons | None:
    """What learns beside a turn: nothing for most methods, or where one loss has no other to be weighed against."""
    teaching = phase.network.method.teaching
    return Lessons(phase, turn, teaching, seed) if teaching and len(turn.exits) > 1 else None
