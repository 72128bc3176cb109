"""ResNets (He et al., 2016): every variant is a list of residual blocks, built from torchvision's own.

A stage is one block; the stem belongs to the first. With four groups the stages are those of torchvision's networks, in
order; with three groups and width 16 those of the original CIFAR networks, with projections as shortcuts.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from manyexits.models.backbones import Backbone

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def build(
    outputs: int,
    *,
    groups: Annotated[list[Annotated[int, Field(ge=1, le=10000)]], Field(min_length=1)],
    block: Literal["basic", "bottleneck"] = "basic",
    width: Annotated[int, Field(ge=1, le=65536)] = 64,
    stem: Literal["3x3", "imagenet"] = "3x3",
    initialisation: Literal["torch"] | None = None,
) -> Backbone:
    """A ResNet as stages.

    Args:
        outputs: of the classifier.
        groups: blocks of each group; each group but the first halves the resolution and doubles the channels.
        block: basic (two 3x3 convolutions) or bottleneck (1x1, 3x3, 1x1).
        width: channels of the first group, before a bottleneck's expansion.
        stem: one 3x3 convolution at full resolution, or ImageNet's 7x7 with stride 2 and max pooling.
        initialisation: of the convolutions: torch leaves PyTorch's own, as the authors do [C]; null: He's normal one by
            fan-out, as torchvision has it.
    """
    stages: list[nn.Module] = []
    channels = width
    for group, count in enumerate(groups):
        planes = width * 2**group
        for index in range(count):
            stride = 2 if group > 0 and index == 0 else 1
            out = planes * BLOCKS[block].expansion
            joined = None if stride == 1 and channels == out else _projection(channels, out, stride)
            stages.append(BLOCKS[block](channels, planes, stride, joined))
            channels = out
    stages[0] = nn.Sequential(_stem(stem, width), stages[0])
    classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
    backbone = Backbone(stages, classifier, output_layers="fc")
    if initialisation is None:
        _initialise(backbone)
    backbone.original = _original(backbone.state_dict(), groups)
    return backbone


def _stem(kind: str, width: int) -> nn.Sequential:
    if kind == "3x3":
        return nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
    convolution = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


def _projection(channels: int, out: int, stride: int) -> nn.Sequential:
    """What joins blocks of different shape: a 1x1 convolution (He et al., option B)."""
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


def _initialise(backbone: Backbone) -> None:
    """As torchvision does: He's normal initialisation by fan-out for convolutions."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _original(weights: Iterable[str], groups: list[int]) -> dict[str, str]:
    """torchvision's name of each weight -> its name in these stages."""
    places = [f"layer{group}.{index}" for group, count in enumerate(groups, start=1) for index in range(count)]
    parts = {"stages.0.0.0": "conv1", "stages.0.0.1": "bn1", "stages.0.1": places[0], "classifier.2": "fc"}
    parts |= {f"stages.{number}": place for number, place in enumerate(places) if number > 0}

    def part(weight: str) -> str:
        return next(ours for ours in parts if weight.startswith(f"{ours}."))

    return {parts[part(weight)] + weight.removeprefix(part(weight)): weight for weight in weights}
