"""Shallow-Deep Networks (Kaya et al., 2019), as the paper uses them: a head per exit, the plain mean of the losses."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from manyexits.models import heads


def build_heads(
    features: list[torch.Size],
    classes: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1)] | None = None,
) -> list[nn.Module]:
    """One head for each tapped feature shape (D, H, W) or (D,).

    Args:
        features: the shapes.
        classes: outputs of each head.
        depth: layers in front of the last linear one: convolutions on maps, hidden layers on tokens.
        hidden: width of the hidden layers on tokens; null: the authors' 1024 for one, 8192 for more [C].
    """
    return [heads.head(shape, classes, depth, hidden) for shape in features]


def loss(losses: Float[Tensor, " e"]) -> Float[Tensor, ""]:
    """The phase's loss from the losses of the exits that can learn: their plain mean [C]."""
    return losses.mean()
