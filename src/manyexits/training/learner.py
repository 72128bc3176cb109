"""A phase as what learns beside it meets it: passes with other weights, steps that can be differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from manyexits.batches.views import Part
from manyexits.models import device
from manyexits.models.methods import Weights
from manyexits.training import ranks
from manyexits.training.optimiser import stepped

if TYPE_CHECKING:
    from manyexits.training.phase import Phase
    from manyexits.training.turn import Turn


class Learner:
    """One phase under way, as a `Pupil`: nothing that is asked of it changes it."""

    def __init__(self, phase: Phase, turn: Turn) -> None:
        self.phase, self.turn, self.ranks = phase, turn, ranks.count()
        self.pass_ = Pass(turn)

    def weights(self) -> Weights:
        """What the phase learns, as it is now."""
        learned = ((name, value) for name, value in self.pass_.named_parameters() if value.requires_grad)
        return {name: value.detach().requires_grad_() for name, value in learned}

    def run(self, weights: Weights, part: Part) -> tuple[Float[Tensor, "p e o"], Float[Tensor, "p e"]]:
        """Outputs and losses of the exits that learn, in training mode, with other weights."""
        device.seed(part.seed, self.phase.accelerator.device)
        buffers = {name: value.clone() for name, value in self.pass_.named_buffers()}  # running statistics move
        # of the attentions the plain one alone can be differentiated twice
        with self.phase.accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            outputs = functional_call(self.pass_, weights | buffers, (part,))
        losses = [each.sum(1) for each in self.phase.terms(outputs, part)]
        return torch.stack([each.float() for each in outputs], dim=1), torch.stack(losses, dim=1)

    def stepped(self, weights: Weights, gradient: Sequence[Tensor]) -> Weights:
        """The weights after a step of the phase's optimiser, differentiable in the gradient.

        Where the recipe clips, the factor that this gives is a constant [O].
        """
        clip, factor = self.phase.recipe.clip, 1.0
        if clip is not None:
            norm = torch.cat([each.detach().flatten() for each in gradient]).norm()
            factor = min(1.0, clip / (float(norm) + 1e-6))  # as torch has it
        moved = {}
        for (name, value), own in zip(weights.items(), gradient, strict=True):
            state = self.turn.optimizer.state.get(self.pass_.get_parameter(name), {})
            moved[name] = stepped(self.phase.recipe, self.phase.rate, value.detach(), factor * own, state)
        return moved

    def averaged(self, gradient: Sequence[Tensor]) -> list[Tensor]:
        """A gradient's mean over the ranks, detached."""
        found = [each.detach().clone() for each in gradient]
        ranks.average(found)
        return found

    def gathered(self, values: Tensor) -> Tensor:
        """The values (p, ...) of all ranks' samples, detached."""
        gathered: Tensor = self.phase.accelerator.gather(values.detach())
        return gathered

    def own(self, values: Tensor) -> Tensor:
        """Of values for all ranks' samples this rank's."""
        return values.chunk(self.ranks)[self.phase.accelerator.process_index]


class Pass(nn.Module):
    """A pass as a module, so that its weights can be others."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.network = turn.network
        self.outputs_of = turn.outputs

    def forward(self, part: Part) -> list[Float[Tensor, "p o"]]:
        """Outputs of the exits that learn."""
        return self.outputs_of(part)[0]
