"""How a model of timm is taken apart: where it keeps its blocks, and what it computes before and after them."""

import copy
from typing import Any

from torch import Tensor, nn

CHAINS = (
    ("blocks",),
    ("stages",),
    ("layers",),
    ("features",),
    ("body",),
    ("dense_stages",),
    ("layer1", "layer2", "layer3", "layer4"),
    ("s1", "s2", "s3", "s4"),
)
"""Where timm's models keep their blocks."""


class NoChainError(ValueError):
    """A model of timm is no chain of blocks."""

    def __init__(self, name: str, why: object) -> None:
        super().__init__(
            f"timm's {name} is no chain kept in `blocks`, `stages`, `layers`, `features`, `layer1` to `layer4` or the"
            f" like: {why}; choose another model, such as a ViT, ConvNeXt or ResNet"
        )


class Before(nn.Module):
    """What a model computes before its first block, from images (B, 3, H, W)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """The state that the first block reads."""
        return self.model.forward_features(images)


class After(nn.Module):
    """What a model computes after its last block: what is left of its features, then its head."""

    def __init__(self, final: nn.Sequential, model: Any) -> None:
        super().__init__()
        self.final, self.model = final, model

    def forward(self, state: Tensor) -> Tensor:
        """Logits (B, C) from the state after the last block."""
        return self.model.forward_head(self.final(state))


def reason(error: Exception) -> str:
    """What an error says, in one line; never nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def blocks(part: nn.Module, whole: bool) -> list[nn.Module]:
    """All blocks of a container, which has them in groups, or alone; or its groups as a whole."""
    if isinstance(part, nn.Sequential) and not all(list(layer.children()) for layer in part):
        return _joined(part)
    groups = _entries(part)
    return groups if whole else [block for group in groups for block in _entries(group)]


def _joined(layers: nn.Sequential) -> list[nn.Module]:
    """A list of single layers as blocks: one for each part that has weighted layers, or else for each such layer.

    What comes before the first belongs to it, and what follows one belongs to that.
    """
    weighted = [any(weight.dim() > 1 for weight in layer.parameters()) for layer in layers]
    parted = [begin and bool(list(layer.children())) for begin, layer in zip(weighted, layers, strict=True)]
    begins = parted if any(parted) else weighted
    blocks: list[list[nn.Module]] = [[]]
    begun = False
    for layer, begin in zip(layers, begins, strict=True):
        if begin and begun:
            blocks.append([])
        begun |= begin
        blocks[-1].append(layer)
    return [nn.Sequential(*block) if len(block) > 1 else block[0] for block in blocks]


def _entries(part: nn.Module) -> list[nn.Module]:
    """The parts of a container of blocks; a block is its own only part.

    A container is a list of modules that have parts themselves, or a module with such `blocks` at its end; what it has
    before them is joined to the first. RegNet's stages name their blocks b1, b2 …
    """
    children = dict(part.named_children())
    if list(children) == [f"b{number}" for number in range(1, len(children) + 1)]:
        return list(children.values())
    if isinstance(part, nn.Sequential | nn.ModuleList) and all(list(child.children()) for child in children.values()):
        return list(children.values())
    if list(children)[-1:] == ["blocks"] and isinstance(children["blocks"], nn.Sequential | nn.ModuleList):
        first, *others = children.pop("blocks").children()
        return [nn.Sequential(*children.values(), first), *others]
    return [part]


def without(model: Any, parts: list[str]) -> Any:
    """A copy that shares the model's weights and parts, but in which some parts do nothing."""
    shared = (*model.children(), *model.parameters(recurse=False), *model.buffers(recurse=False))
    copied = copy.deepcopy(model, {id(part): part for part in shared})
    for part in parts:
        setattr(copied, part, nn.Sequential())
    return copied
