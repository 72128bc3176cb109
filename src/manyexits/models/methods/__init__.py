"""Methods, one file each: `build(outputs, *, options)` returns a Method.

Beside it may stand literals that the study reads without importing: PHASES, those that the method appends to every
regime; CRITERION, the exit rule that tables print for it; TASKS, where it is not defined for both; TEACHES, where
something learns beside the network. The card prints what the function `loss` says of itself, or that which the option
`cure` names, and `teach`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn, optim

from manyexits.batches.views import Part
from manyexits.models.backbones import Tap

Memory = tuple[Tensor, ...]
"""What flows from one exit to the next: tensors, batch first; none before the first exit."""
Heads = dict[int, nn.Module]
"""Exit (1 to K-1) -> its head."""


@dataclass(frozen=True)
class Now:
    """Where a training is."""

    epoch: int
    """Of the phase, from 1."""
    exits: tuple[int, ...]
    """Exits whose losses are given, from 1."""
    costs: tuple[float, ...]
    """Their costs as shares of the backbone's."""
    n_exits: int
    """K."""


def extras(n_exits: int) -> nn.Module:
    """Nothing is deployed beside the heads."""
    return nn.ModuleDict()


def exit(heads: Heads, extras: nn.Module, k: int, tapped: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """The head's outputs (B, O); nothing is remembered."""
    return heads[k](tapped), memory


def answer(extras: nn.Module, k: int, outputs: Float[Tensor, "b o"], memory: Memory) -> Float[Tensor, "b o"]:
    """An exit answers with its own outputs."""
    return outputs


def loss(losses: Float[Tensor, "b e"], memory: Memory, now: Now) -> Float[Tensor, ""]:
    """The phase's loss from the losses of the exits that can learn: their plain mean [C]."""
    return losses.mean(0).mean()


def by_number(losses: Float[Tensor, "b e"], now: Now) -> Float[Tensor, ""]:
    """The mean of the losses of the exits that can learn, weighted by the exits' numbers."""
    weights = losses.new_tensor(now.exits)
    return (losses.mean(0) * weights).sum() / weights.sum()


Weights = dict[str, Tensor]
"""Name of a parameter -> its value."""


@runtime_checkable
class Pupil(Protocol):
    """A phase under way, as what learns beside it meets it. Nothing that is asked of it changes it."""

    ranks: int

    def weights(self) -> Weights:
        """What the phase learns, as it is now."""

    def run(self, weights: Weights, part: Part) -> tuple[Float[Tensor, "p e o"], Float[Tensor, "p e"]]:
        """Outputs and losses of the exits that learn, in training mode, with other weights."""

    def stepped(self, weights: Weights, gradient: Sequence[Tensor]) -> Weights:
        """The weights after a step of the phase's optimiser, differentiable in the gradient."""

    def averaged(self, gradient: Sequence[Tensor]) -> list[Tensor]:
        """A gradient's mean over the ranks, detached."""

    def gathered(self, values: Tensor) -> Tensor:
        """The values (p, ...) of all ranks' samples, detached."""

    def own(self, values: Tensor) -> Tensor:
        """Of values for all ranks' samples this rank's."""


@dataclass(frozen=True)
class Teaching:
    """What learns beside a phase, and weighs its losses: new in each phase, never deployed."""

    teacher: Callable[[int], nn.Module]
    """Number E of the exits that learn -> a module: losses (B, E) of a batch -> weights (B, E)."""
    optimizer: Callable[[Iterable[nn.Parameter]], optim.Optimizer]
    """Of the teacher's parameters."""
    teach: Callable[[nn.Module, Pupil, Part, Part], None]
    """(teacher, pupil, a batch, its partner) -> gives the teacher's parameters their gradient."""
    every: int
    """Steps of the phase to one of the teacher."""


@dataclass(frozen=True)
class Method:
    """What a network does at its exits, and what it learns from them. The defaults are those of SDN."""

    head: Callable[[int, int, Tap], nn.Module]
    """(exit, K, what it reads) -> its head, drawn from the exit's own generator; for exits 1 to K-1."""
    extras: Callable[[int], nn.Module] = extras
    """K -> what is deployed beside the heads, drawn from a generator of its own."""
    exit: Callable[[Heads, nn.Module, int, Tensor, Memory], tuple[Tensor, Memory]] = exit
    """(heads, extras, exit, what it reads, memory) -> outputs (B, O) that phases train, and the memory behind it."""
    answer: Callable[[nn.Module, int, Tensor, Memory], Tensor] = answer
    """(extras, exit, outputs, memory behind it) -> (B, O), what a trained network says at an exit."""
    loss: Callable[[Tensor, Memory, Now], Tensor] = loss
    """(losses (B, E) of the exits that learn, memory behind the last, now) -> what a step minimises."""
    teaching: Teaching | None = None
    """What learns beside the network, and weighs its losses before `loss` has them."""
    equilibrium: bool = False
    """Whether a stage gets the mean of the gradients of the exits behind it that learn, instead of their sum."""
