"""Backbones, one family a file: `build(outputs, *, options)` returns a Backbone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from manyexits.batches.state import State, parts


@dataclass(frozen=True)
class Tap:
    """What an exit reads."""

    shape: tuple[int, ...]
    """Of one sample: a map (D, H, W) or a vector (D,)."""
    body: tuple[nn.Sequential, int] | None = None
    """What an exit of a network that is born with exits has in front of its last linear layer, and the width (D,) that
    this gives; None: of others."""


class Backbone(nn.Module):
    """A network as stages that are run in order, cut where a head may sit, and a classifier.

    Running all stages and then the classifier is the original network.
    """

    def __init__(
        self,
        stages: list[nn.Module],
        classifier: nn.Module,
        output_layers: str | tuple[str, ...],
        pixels: int | None = None,
    ) -> None:
        """A backbone from its parts.

        Args:
            stages: state -> state; the first reads the inputs.
            classifier: last state -> outputs (B, O).
            output_layers: name in the original network of the layer, or layers, that give the outputs.
            pixels: the one height and width of images that it takes; None: any.
        """
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.classifier = classifier
        self.output_layers, self.pixels = output_layers, pixels
        self.original: dict[str, str] = {}
        """Name of each weight in the original network -> its name here."""

    def check(self, inputs: State) -> None:
        """Refuse inputs that it cannot take.

        Raises:
            ValueError: for images of another size than its own.
        """
        height, width = parts(inputs)[0].shape[2:] if self.pixels is not None else (None, None)
        if (height, width) != (self.pixels, self.pixels):
            raise ValueError(
                f"the backbone takes images of {self.pixels} x {self.pixels} pixels, but the dataset's are"
                f" {width} x {height}; set the backbone's pixels, or prepare the dataset at that size"
            )

    def begin(self) -> None:
        """Set weights that start otherwise than they were drawn; called once the inputs were checked, which compares
        outputs. Here none do."""

    def tap(self, state: State) -> Tensor:
        """What a head after a stage reads: maps (B, D, H, W) or vectors (B, D). Here the state itself."""
        assert isinstance(state, Tensor)
        return state

    def scaled(self, state: State, factor: float) -> State:
        """The same state, whose gradient is multiplied on its way back. Here that of every part."""
        return tuple(rescaled(part, factor) for part in state) if isinstance(state, tuple) else rescaled(state, factor)

    def body(self, shape: tuple[int, ...]) -> tuple[nn.Sequential, int] | None:
        """What its own exits have in front of their last linear layer, for a tapped shape, and the width of that.

        None: it was born without exits.
        """
        return None

    def renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names of the original network. Here they have them already."""
        return weights

    def understood(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights as the original network has them: their names, and shapes where these can be changed."""
        return self.renamed(weights)

    def unlike(self, configuration: dict[str, Any]) -> list[str]:
        """What a checkpoint's own configuration says otherwise than the backbone's options, beside the shapes of its
        weights. Here there are no such configurations."""
        return []

    def for_another_size(self, names: list[str]) -> str:
        """What to do where these weights have another shape because they are for images of another size, if so."""
        return ""

    def forward(self, state: State) -> Tensor:
        """Outputs (B, O) of the backbone's own classifier."""
        for stage in self.stages:
            state = stage(state)
        return self.classifier(state)


class _Rescaled(torch.autograd.Function):
    """Identity forward, a factor backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        """The values."""
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Their gradient, multiplied."""
        return ctx.factor * gradients[0], None


def rescaled(values: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient is multiplied on its way back: R(.; a) of Li et al. (2019)."""
    scaled: Tensor = _Rescaled.apply(values, factor)
    return scaled


@contextmanager
def in_mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Inside the block a module trains or evaluates; every part of it is put back."""
    modes = {each: each.training for each in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode
