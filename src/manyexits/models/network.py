"""MultiExit: a backbone's stages with heads on the way, read as one fold over the exits.

The state flows through the stages, the memory from one exit to the next. Training, early exit, cost and prediction are
this fold read differently. Exits count from 1; the last is the backbone's classifier.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import save
from torch import Tensor, nn

from manyexits.batches.state import State, parts, some
from manyexits.exits import criteria
from manyexits.exits.policies import Policy
from manyexits.files import atomic, made
from manyexits.files.made import Made
from manyexits.files.reading import tensors
from manyexits.models.backbones import Backbone
from manyexits.models.methods import Heads, Memory, Method

REMEDY = "remove the file and make it again"
LISTED = 5
"""Names that a message shows."""


class MultiExit(nn.Module):
    """Stages, heads, and what a method adds (`extras`)."""

    def __init__(self, backbone: Backbone, heads: dict[int, nn.Module], method: Method) -> None:
        """A network from its parts.

        Args:
            backbone: stages and classifier.
            heads: block -> the head behind it.
            method: what happens at the exits.
        """
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({str(block): head for block, head in sorted(heads.items())})
        self.extras = method.extras(len(heads) + 1)
        self.method = method
        self.blocks = [*sorted(heads), len(backbone.stages)]
        """Blocks after which the exits sit, counted from 1."""
        self.frozen: tuple[str, ...] = ()

    @property
    def n_exits(self) -> int:
        """K."""
        return len(self.blocks)

    @property
    def exit_heads(self) -> Heads:
        """Heads by their exits."""
        return dict(enumerate(self.heads.values(), start=1))

    def freeze(self, groups: Iterable[str]) -> None:
        """Fix the parameters and buffers of these groups (backbone, heads, extras) and free all others."""
        self.frozen = tuple(groups)
        for name, group in self.named_children():
            group.requires_grad_(name not in self.frozen)
        self.train()

    def train(self, mode: bool = True) -> "MultiExit":
        """As usual, but a frozen group always evaluates: its BatchNorm statistics, too, stay as they are."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    # -- the fold -----------------------------------------------------------------------------------------------------

    def reach(self, exit_: int, state: State) -> State:
        """The state after the block of an exit, from that after the block of the exit before, or from the inputs."""
        before = 0 if exit_ == 1 else self.blocks[exit_ - 2]
        for stage in self.backbone.stages[before : self.blocks[exit_ - 1]]:
            state = stage(state)
        return state

    def read(self, exit_: int, state: State) -> State:
        """What an exit reads of the state after its block: a head what is tapped, the classifier all of it."""
        return state if exit_ == self.n_exits else self.backbone.tap(state)

    def exit(self, exit_: int, tapped: State, memory: Memory) -> tuple[Float[Tensor, "b o"], Memory]:
        """An exit's own outputs, which the phases train, and the memory behind it."""
        if exit_ == self.n_exits:
            return self.backbone.classifier(tapped), memory
        assert isinstance(tapped, Tensor)
        return self.method.exit(self.exit_heads, self.extras, exit_, tapped, memory)

    def answer(self, exit_: int, outputs: Float[Tensor, "b o"], memory: Memory) -> Float[Tensor, "b o"]:
        """What a trained network says at an exit, from its own outputs and the memory behind it."""
        return outputs if exit_ == self.n_exits else self.method.answer(self.extras, exit_, outputs, memory)

    def features(self, inputs: State, exits: tuple[int, ...]) -> list[State]:
        """What these exits, rising, read. Nothing beyond the last of them is run."""
        state: State = inputs
        tapped: list[State] = []
        for exit_ in range(1, exits[-1] + 1):
            state = self.reach(exit_, state)
            if exit_ in exits:
                left = len(exits) - len(tapped)  # exits whose gradients meet here: this one and those behind it
                state = self.backbone.scaled(state, 1 / left) if self.method.equilibrium else state
                tapped.append(self.read(exit_, state))
                state = self.backbone.scaled(state, left - 1) if self.method.equilibrium else state
        return tapped

    def fold(
        self, features: list[State], exits: tuple[int, ...], answered: bool
    ) -> tuple[list[Float[Tensor, "b o"]], Memory]:
        """Outputs of some exits from what they read, and the memory behind the last of them.

        Args:
            features: of each of the exits.
            exits: from 1, rising: all that come before the last of them, or the last of all alone.
            answered: what a trained network says, instead of the exits' own outputs.
        """
        first_to_last = tuple(range(1, exits[-1] + 1))
        assert exits in (first_to_last, (self.n_exits,)), "an exit may need the memory of those before it"
        found: list[Tensor] = []
        memory: Memory = ()
        for exit_, tapped in zip(exits, features, strict=True):
            outputs, memory = self.exit(exit_, tapped, memory)
            found.append(self.answer(exit_, outputs, memory) if answered else outputs)
        return found, memory

    def forward(self, inputs: State, exits: tuple[int, ...] | None = None) -> list[Float[Tensor, "b o"]]:
        """Answers of the exits asked for (all by default), in order, as a trained network gives them.

        Args:
            inputs: normalised images, or what else the first stage reads.
            exits: as for `fold`.
        """
        wanted = tuple(range(1, self.n_exits + 1)) if exits is None else exits
        return self.fold(self.features(inputs, wanted), wanted, answered=True)[0]

    @torch.no_grad()
    def forward_until(self, inputs: State, policy: Policy) -> tuple[Float[Tensor, "b o"], Int[np.ndarray, " b"]]:
        """Early-exit inference that really stops: the answer of the exit that each sample leaves at, and that exit.

        Every sample decides for itself; a stage runs only for the samples that are still inside.
        """
        first = parts(inputs)[0]
        inside = torch.arange(len(first), device=first.device)
        left_at = np.zeros(len(first), dtype=np.int64)
        answers: Tensor | None = None
        state = inputs
        memory: Memory = ()
        carry: criteria.Carry = ()
        for exit_ in range(1, self.n_exits + 1):
            if len(inside) == 0 and answers is not None:
                break
            state = self.reach(exit_, state)
            outputs, memory = self.exit(exit_, self.read(exit_, state), memory)
            said = self.answer(exit_, outputs, memory)
            leaves = np.ones(len(inside), dtype=bool)
            if exit_ < self.n_exits:
                leaves, carry = policy.leaves(exit_, said.float().cpu().numpy(), carry)
            stays = torch.from_numpy(~leaves).to(first.device)
            answers = said.new_zeros(len(first), said.shape[1]) if answers is None else answers
            answers[inside[~stays]] = said[~stays]
            left_at[inside[~stays].cpu().numpy()] = exit_
            inside, state, memory = inside[stays], some(state, stays), some(memory, stays)
            carry = criteria.some(carry, ~leaves)
        assert answers is not None
        return answers, left_at


def save_weights(path: Path, module: nn.Module, by: Made) -> None:
    """Write parameters and buffers as safetensors."""
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    atomic.write(path, lambda file: file.write(save(weights, made.metadata(by))))


def read_weights(path: Path) -> tuple[dict[str, Tensor], Made | None]:
    """A state dict in safetensors, and what made it.

    Raises:
        ValueError: when the file is missing or damaged, or holds what is no number.
    """
    weights, about = tensors(path, "pt", REMEDY)
    if lost := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise ValueError(f"the weights {path} are no finite numbers: {listed(lost)} hold NaN or infinity; {REMEDY}")
    return weights, made.found(path, about)


def listed(names: list[str]) -> str:
    """Some names of weights, as a message shows them."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(name if name.isprintable() else ascii(name) for name in names[:LISTED]) + more


def load_weights(path: Path, module: nn.Module) -> Made | None:
    """Read what `save_weights` wrote, and what made it.

    Raises:
        ValueError: when the file is damaged or belongs to another network.
    """
    weights, by = read_weights(path)
    own = module.state_dict()
    wrong = sorted({*own} ^ {*weights}) or [
        name for name in own if own[name].shape != weights[name].shape or own[name].dtype != weights[name].dtype
    ]
    if wrong:
        raise ValueError(f"the weights {path} belong to another network: {listed(wrong)} do not fit; {REMEDY}")
    module.load_state_dict(weights)
    return by
