"""MultiExit: a backbone's stages with heads on the way. Exits count from 1; the last is the backbone's classifier."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from manyexits.exits.policies import Policy
from manyexits.files import atomic
from manyexits.models.backbones import Backbone


class MultiExit(nn.Module):
    """Stages, heads, and what a method adds (`extras`)."""

    def __init__(self, backbone: Backbone, heads: dict[int, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({str(block): head for block, head in sorted(heads.items())})
        self.extras = nn.ModuleDict()
        self.blocks = [*sorted(heads), len(backbone.stages)]
        """Blocks after which the exits sit, counted from 1."""
        self.frozen: tuple[str, ...] = ()

    @property
    def n_exits(self) -> int:
        """K."""
        return len(self.blocks)

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

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"] | None,
        exits: tuple[int, ...] | None = None,
        features: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Logits (B, C) of the exits asked for (all by default), in order.

        Args:
            images: normalised.
            exits: from 1, rising. Nothing beyond the last of them is run.
            features: what these exits read, where it is known already; the images are not looked at then.
        """
        wanted = tuple(range(1, self.n_exits + 1)) if exits is None else exits
        if features is None:
            assert images is not None
            features = self.features(images, wanted)
        return [self.answer(exit_, tapped) for exit_, tapped in zip(wanted, features, strict=True)]

    def features(self, images: Float[Tensor, "b 3 h w"], exits: tuple[int, ...]) -> list[Tensor]:
        """What these exits read."""
        exit_after = {self.blocks[exit_ - 1]: exit_ for exit_ in exits}
        state, tapped = images, []
        for block, stage in enumerate(self.backbone.stages[: max(exit_after)], start=1):
            state = stage(state)
            if block in exit_after:
                tapped.append(self.read(exit_after[block], state))
        return tapped

    def read(self, exit_: int, state: Tensor) -> Tensor:
        """What an exit reads of the state after its block: a head what is tapped, the classifier all of it."""
        return state if exit_ == self.n_exits else self.backbone.tap(state)

    def answer(self, exit_: int, features: Tensor) -> Float[Tensor, "b c"]:
        """Logits of one exit from what it reads."""
        if exit_ == self.n_exits:
            return self.backbone.classifier(features)
        return self.heads[str(self.blocks[exit_ - 1])](features)

    @torch.no_grad()
    def forward_until(
        self, images: Float[Tensor, "b 3 h w"], policy: Policy
    ) -> tuple[Float[Tensor, "b c"], Int[np.ndarray, " b"]]:
        """Early-exit inference that really stops: logits of the exit that each sample leaves at, and that exit.

        Every sample decides for itself; a stage runs only for the samples that are still inside.
        """
        inside = torch.arange(len(images), device=images.device)
        left_at = np.zeros(len(images), dtype=np.int64)
        answers: Tensor | None = None
        state, block = images, 0
        for exit_, last in enumerate(self.blocks, start=1):
            if len(inside) == 0:
                break
            for stage in self.backbone.stages[block:last]:
                state = stage(state)
            block = last
            logits = self.answer(exit_, self.read(exit_, state))
            leaves = torch.ones(len(inside), dtype=torch.bool, device=images.device)
            if exit_ < self.n_exits:
                leaves = torch.from_numpy(policy.leaves(exit_, logits.float().cpu().numpy())).to(images.device)
            answers = logits.new_zeros(len(images), logits.shape[1]) if answers is None else answers
            answers[inside[leaves]] = logits[leaves]
            left_at[inside[leaves].cpu().numpy()] = exit_
            inside, state = inside[~leaves], state[~leaves]
        assert answers is not None, "at least one sample"
        return answers, left_at


def save_weights(path: Path, module: nn.Module, about: dict[str, str]) -> None:
    """Write parameters and buffers as safetensors."""
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    atomic.write(path, lambda file: file.write(save(weights, about)))


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict in safetensors.

    Raises:
        ValueError: when the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"the weights {path} cannot be read ({error}); remove the file and make it again") from error


def load_weights(path: Path, module: nn.Module) -> None:
    """Read what `save_weights` wrote.

    Raises:
        ValueError: when the file is damaged or belongs to another network.
    """
    weights = read_weights(path)
    own = module.state_dict()
    wrong = sorted({*own} ^ {*weights}) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise ValueError(f"the weights {path} belong to another network: {', '.join(wrong[:5])} do not fit")
    module.load_state_dict(weights)
