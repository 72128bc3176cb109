"""What a step of a phase trains: the same at every step of most phases, two or more in turns in an alternation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from manyexits.batches.state import State
from manyexits.batches.views import Part
from manyexits.models.cost import Costs
from manyexits.models.methods import Memory
from manyexits.models.network import MultiExit
from manyexits.study.recipe import Recipe
from manyexits.study.regimes import PHASES, frozen, learning_exits
from manyexits.training.optimiser import optimiser

if TYPE_CHECKING:
    from manyexits.training.lessons import Lessons


class Turn:
    """One kind of step: its groups, its exits, and an optimiser of its own."""

    def __init__(self, name: str, network: MultiExit, costs: Costs, recipe: Recipe, accelerator: Accelerator) -> None:
        """Freeze what does not learn, and make the optimiser of what does.

        Raises:
            ValueError: when there is nothing to learn.
        """
        self.network, self.kind, self.frozen = network, PHASES[name], frozen(name)
        self.exits = learning_exits(name, network.n_exits)
        self.costs = tuple(costs.exits[exit_ - 1] / costs.backbone for exit_ in self.exits)
        network.freeze(self.frozen)
        self.learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not self.learned:
            groups = " and ".join(self.kind.groups)
            raise ValueError(f"phase {name} has nothing to learn: the network's {groups} hold no parameters")
        self.optimizer = accelerator.prepare(optimiser(recipe, self.learned))
        self.flops_per_sample = costs.training(self.kind.groups, self.exits, self.kind.answers)
        self.flops_of_lesson = costs.lesson(self.kind.groups, self.exits)
        self.lessons: Lessons | None = None

    def keep_features(self, costs: Costs) -> int:
        """From now on what the exits read is not computed again; what it costs to compute it once, for a sample."""
        once = costs.up_to(self.exits)
        self.flops_per_sample -= once
        self.flops_of_lesson -= 2 * once
        return once

    def outputs(self, part: Part) -> tuple[list[Float[Tensor, "p o"]], Memory]:
        """Outputs of the learning exits for a slice, and the memory behind the last of them."""
        return self.network.fold(self.read(part), self.exits, self.kind.answers)

    def read(self, part: Part) -> list[State]:
        """What the learning exits read of a slice."""
        if part.features is not None:
            return part.features
        assert part.inputs is not None
        return self.network.features(part.inputs, self.exits)
