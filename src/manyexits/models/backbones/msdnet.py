"""MSDNet (Huang et al., 2018; DEFINITIONS.md, section 5): a network that is born with exits.

Its state is one map for each scale that is still kept, the finest first. Exits read the coarsest and have heads of
their own. A stage is one block: some layers, after which an exit sits; the first layer belongs to the first stage.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from manyexits.batches.state import State, parts
from manyexits.models.backbones import Backbone, rescaled

FACTORS = (1, 2, 4)
"""Channels of a scale, relative to the finest, and width of its bottlenecks, relative to what they give."""
HEAD_READS = (5, 8)
"""Least and largest side of a map of which a head's two strided convolutions leave two pixels: its pooling reads both,
and would leave out the edge of a larger one."""
Maps = tuple[Tensor, ...]
"""One (B, D, H, W) for each kept scale, the finest first."""


def build(
    outputs: int,
    *,
    layers: Annotated[list[Annotated[int, Field(ge=1, le=10000)]], Field(min_length=1)],
    width: Annotated[int, Field(ge=2, le=65536)] = 16,
    growth: Annotated[int, Field(ge=1, le=65536)] = 6,
    scales: Annotated[int, Field(ge=1, le=3)] = 3,
    head: Annotated[int, Field(ge=1, le=65536)] = 128,
) -> Backbone:
    """An MSDNet as stages.

    Args:
        outputs: of the classifier.
        layers: of each block: [1, 2, 3, 4, 5] is "lin_grow", [4, 2, 2, 2, 2, 2, 2] "even".
        width: channels of the finest scale behind the first layer.
        growth: channels that a layer adds to the finest scale; half of them come from the finer neighbour of a scale.
        scales: resolutions at first; each third (or half) of the layers drops the finest.
        head: channels of the convolutions in an exit's head.

    Raises:
        ValueError: for a growth that cannot be halved.
    """
    if growth % 2:
        raise ValueError(f"'growth' {growth} cannot be halved between two scales; choose an even number")
    total = sum(layers)
    dropped_every = -(-total // scales)
    kept = [scales - index // dropped_every for index in range(total)]
    stages: list[nn.Module] = []
    channels, before, index = width, scales, 0
    for count in layers:
        block: list[nn.Module] = [] if stages else [First(width, scales)]
        for number in kept[index : index + count]:
            block.append(Layer(channels, growth, before, number, scales))
            channels += growth
            if number < before:
                block.append(Transition(channels, number, scales))
                channels //= 2
            before = number
        index += count
        stages.append(nn.Sequential(*block))
    body = head_body(channels * FACTORS[scales - 1], head)
    classifier = nn.Sequential(Coarsest(), body, nn.Linear(head, outputs))
    backbone = MSDNet(stages, classifier, output_layers="classifier.2")
    backbone.scales, backbone.head = scales, head
    backbone.original = {name: name for name in backbone.state_dict()}
    return backbone


class MSDNet(Backbone):
    """The stages, and the heads that belong to them."""

    scales: int
    head: int

    def check(self, inputs: State) -> None:
        """Refuse images whose coarsest scale its heads cannot read.

        Raises:
            ValueError: names the sizes that it takes.
        """
        height, width = parts(inputs)[0].shape[2:]
        shrink = 2 ** (self.scales - 1)
        if not all(HEAD_READS[0] <= -(-side // shrink) <= HEAD_READS[1] for side in (height, width)):
            low, high = (HEAD_READS[0] - 1) * shrink + 1, HEAD_READS[1] * shrink
            raise ValueError(
                f"an MSDNet of {self.scales} scales takes images of {low} to {high} pixels, but the dataset's are"
                f" {width} x {height}; choose other 'scales', or prepare the dataset at another size"
            )

    def tap(self, state: State) -> Tensor:
        """The coarsest scale (B, D, H, W)."""
        return parts(state)[-1]

    def scaled(self, state: State, factor: float) -> State:
        """The coarsest scale's gradient alone is multiplied: what the exits read."""
        *finer, coarsest = parts(state)
        return (*finer, rescaled(coarsest, factor))

    def body(self, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
        """Two convolutions of stride 2 and pooling, for a coarsest scale of a shape (D, H, W)."""
        return head_body(shape[0], self.head), self.head


def head_body(channels: int, width: int) -> nn.Sequential:
    """An exit's layers in front of its linear one: (B, channels, H, W) -> (B, width)."""
    first, second = convolution(channels, width, 3, 2), convolution(width, width, 3, 2)
    return nn.Sequential(first, second, nn.AvgPool2d(2), nn.Flatten())


class Coarsest(nn.Module):
    """What the classifier reads of the state."""

    def forward(self, state: State) -> Tensor:
        """The last part."""
        return parts(state)[-1]


class First(nn.Module):
    """From the image to one map for each scale, each coarser one made from the finer."""

    def __init__(self, width: int, scales: int) -> None:
        super().__init__()
        channels = [3, *(width * FACTORS[scale] for scale in range(scales))]
        self.scales = nn.ModuleList(
            convolution(channels[scale], channels[scale + 1], 3, 1 if scale == 0 else 2) for scale in range(scales)
        )

    def forward(self, images: Tensor) -> Maps:
        """(B, 3, H, W) -> all scales."""
        found: list[Tensor] = []
        for scale in self.scales:
            found.append(scale(found[-1] if found else images))
        return tuple(found)


class Layer(nn.Module):
    """Every kept scale with what its own map and that of its finer neighbour add."""

    def __init__(self, channels: int, growth: int, before: int, kept: int, scales: int) -> None:
        """A layer.

        Args:
            channels: of the finest scale of all, before it.
            growth: that it adds to these.
            before, kept: numbers of scales, the coarsest, before and behind it.
            scales: of the network.
        """
        super().__init__()
        self.before, self.kept = before, kept
        self.own, self.finer = nn.ModuleList(), nn.ModuleList()
        for scale in range(scales - kept, scales):
            neighbour = scale > scales - before
            new = growth * FACTORS[scale] // (2 if neighbour else 1)
            self.own.append(bottleneck(channels * FACTORS[scale], new, FACTORS[scale], 1))
            if neighbour:
                self.finer.append(bottleneck(channels * FACTORS[scale - 1], new, FACTORS[scale - 1], 2))

    def forward(self, maps: Maps) -> Maps:
        """All scales before it -> the kept ones."""
        found = []
        finer = iter(self.finer)
        for place, own in enumerate(self.own, start=self.before - self.kept):
            added = [next(finer)(maps[place - 1])] if place > 0 else []
            found.append(torch.cat([maps[place], *added, own(maps[place])], dim=1))
        return tuple(found)


class Transition(nn.Module):
    """Half of the channels at every kept scale, behind a layer that drops one."""

    def __init__(self, channels: int, kept: int, scales: int) -> None:
        super().__init__()
        factors = FACTORS[scales - kept : scales]
        self.scales = nn.ModuleList(convolution(channels * f, channels // 2 * f, 1, 1) for f in factors)

    def forward(self, maps: Maps) -> Maps:
        """Scale by scale."""
        return tuple(scale(map_) for scale, map_ in zip(self.scales, maps, strict=True))


def bottleneck(channels: int, new: int, factor: int, stride: int) -> nn.Sequential:
    """1 x 1 to at most `factor` times what it gives, then 3 x 3."""
    narrow = min(channels, factor * new)
    return nn.Sequential(convolution(channels, narrow, 1, 1), convolution(narrow, new, 3, stride))


def convolution(channels: int, new: int, size: int, stride: int) -> nn.Sequential:
    """Convolution without bias, BatchNorm, ReLU."""
    layer = nn.Conv2d(channels, new, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(new), nn.ReLU(inplace=True))
