"""Shallow-Deep Networks (Kaya et al., 2019), as the paper uses them: a head per exit, the plain mean of the losses."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from manyexits import heads


def build_heads(
    features: list[torch.Size], classes: int, *, depth: Annotated[int, Field(ge=0, le=5)] = 0
) -> list[nn.Module]:
    """One head for each tapped feature shape (channels, height, width)."""
    return [heads.convolutional(channels, pixels, classes, depth) for channels, pixels, _ in features]


def loss(losses: Float[Tensor, " e"]) -> Float[Tensor, ""]:
    """The phase's loss from the losses of the exits that can learn: their plain mean [C]."""
    return losses.mean()
