"""Exit heads: small networks on a backbone's features (DEFINITIONS.md, section 4)."""

import torch
from torch import Tensor, nn

CONVOLUTIONS: dict[int, list[tuple[int, int]]] = {
    0: [],
    1: [(2, 2)],
    2: [(1, 2), (2, 1)],
    3: [(1, 2), (1, 1), (2, 1)],
    4: [(2, 1), (1, 1), (1, 2), (2, 1)],
    5: [(2, 1), (1, 1), (1, 1), (1, 1), (1, 1)],
}
"""Depth -> (channel divisor, stride) of the convolutions in front of the linear layer [C]."""


class MixedPool(nn.Module):
    """alpha * max + (1 - alpha) * average, both adaptive, with one learned unconstrained alpha ~ U(0, 1) (SDN)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.rand(1))
        self.max, self.average = nn.AdaptiveMaxPool2d(size), nn.AdaptiveAvgPool2d(size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D, size, size)."""
        return self.alpha * self.max(x) + (1 - self.alpha) * self.average(x)


def convolutional(channels: int, pixels: int, classes: int, depth: int, pooled: int = 4) -> nn.Sequential:
    """SDN's head for features (B, channels, pixels, pixels): `depth` convolutions, mixed pooling, one linear layer.

    Raises:
        ValueError: when the features are too small for the convolutions.
    """
    layers: list[nn.Module] = []
    for divisor, stride in CONVOLUTIONS[depth]:
        if pixels < 3:
            raise ValueError(
                f"a head of depth {depth} does not fit features of {pixels} pixels; choose a smaller depth"
            )
        layers += [nn.ReLU(), nn.Conv2d(channels, channels // divisor, 3, stride)]
        channels, pixels = channels // divisor, (pixels - 3) // stride + 1
    return nn.Sequential(*layers, MixedPool(pooled), nn.Flatten(), nn.Linear(channels * pooled**2, classes))
