"""Exit heads: small networks on a backbone's features (DEFINITIONS.md, section 4).

The head follows the shape of the features: maps get convolutions, pooling and a linear layer, vectors (a class token)
linear layers alone. `depth` counts the layers in front of the last linear one, so the plain head has depth 0 on both.
What the paper calls "kL" counts convolutions on maps, but all linear layers on tokens: depth k there, depth k-1 here.
"""

import torch
from torch import Tensor, nn

from manyexits.models.backbones import Tap

CONVOLUTIONS: dict[int, list[tuple[int, int]]] = {
    0: [],
    1: [(2, 2)],
    2: [(1, 2), (2, 1)],
    3: [(1, 2), (1, 1), (2, 1)],
    4: [(2, 1), (1, 1), (1, 2), (2, 1)],
    5: [(2, 1), (1, 1), (1, 1), (1, 1), (1, 1)],
}
"""Depth -> (channel divisor, stride) of the convolutions in front of the linear layer [C]."""

HIDDEN = {0: 0, 1: 1024, 2: 8192, 3: 8192, 4: 8192}
"""Depth -> width of the hidden layers in front of the linear layer of a token head [C]."""


def head(tap: Tap, outputs: int, depth: int = 0, hidden: int | None = None) -> nn.Sequential:
    """The head for what an exit reads: layers, and a linear one behind them.

    Args:
        tap: what it reads.
        outputs: of the last layer.
        depth: layers in front of the last linear one, beside pooling.
        hidden: width of a token head's hidden layers; None: the authors'.

    Raises:
        ValueError: when there is no such head on such features.
    """
    layers, width = body(tap, depth, hidden)
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def body(tap: Tap, depth: int = 0, hidden: int | None = None) -> tuple[nn.Sequential, int]:
    """A head without its last linear layer, and the width (D,) that it gives.

    Raises:
        ValueError: as `head`.
    """
    if tap.body is not None:
        if depth or hidden:
            raise ValueError("the backbone has heads of its own; remove 'depth' and 'hidden' from the method")
        return tap.body
    if len(tap.shape) == 1:
        return tokens(tap.shape[0], depth, hidden)
    if hidden is not None:
        raise ValueError("'hidden' is the width of heads on tokens, but these features are maps; remove the key")
    return convolutional(tap.shape[0], min(tap.shape[1:]), depth)


class MixedPool(nn.Module):
    """alpha * max + (1 - alpha) * average, both adaptive, with one learned unconstrained alpha ~ U(0, 1) (SDN)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.rand(1))
        self.max, self.average = nn.AdaptiveMaxPool2d(size), nn.AdaptiveAvgPool2d(size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D, size, size)."""
        return self.alpha * self.max(x) + (1 - self.alpha) * self.average(x)


def convolutional(channels: int, pixels: int, depth: int, pooled: int = 4) -> tuple[nn.Sequential, int]:
    """SDN's head for features (B, channels, H, W), whose shorter side is `pixels`: `depth` convolutions and mixed
    pooling.

    Raises:
        ValueError: when the features are too small, or too few, for the convolutions.
    """
    layers: list[nn.Module] = []
    for divisor, stride in CONVOLUTIONS[depth]:
        if pixels < 3:
            raise ValueError(
                f"a head of depth {depth} does not fit features of {pixels} pixels; choose a smaller depth"
            )
        if channels < divisor:
            raise ValueError(
                f"a head of depth {depth} does not fit features of {channels} channels; choose a smaller depth"
            )
        layers += [nn.ReLU(), nn.Conv2d(channels, channels // divisor, 3, stride)]
        channels, pixels = channels // divisor, (pixels - 3) // stride + 1
    return nn.Sequential(*layers, MixedPool(pooled), nn.Flatten()), channels * pooled**2


def tokens(width: int, depth: int, hidden: int | None = None) -> tuple[nn.Sequential, int]:
    """The head for a token (B, width): `depth` hidden layers with exact GELU.

    Raises:
        ValueError: when the authors have no head of that depth, or `hidden` has no layer to be the width of.
    """
    if depth not in HIDDEN:
        raise ValueError(f"there is no head of depth {depth} on tokens; choose 0 to {max(HIDDEN)}")
    if hidden is not None and depth == 0:
        raise ValueError("'hidden' is the width of hidden layers, and a head of depth 0 has none; remove the key")
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, hidden or HIDDEN[depth]), nn.GELU()]
        width = hidden or HIDDEN[depth]
    return nn.Sequential(*layers), width
