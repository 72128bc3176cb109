"""Shallow-Deep Networks (Kaya et al., 2019), as the paper uses them: a head per exit, the plain mean of the losses."""

from typing import Annotated

from pydantic import Field

from manyexits.models import heads
from manyexits.models.methods import Method


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
) -> Method:
    """The plain method.

    Args:
        outputs: of each head.
        depth: layers in front of a head's last linear one: convolutions on maps, hidden layers on tokens.
        hidden: width of the hidden layers on tokens; null: the authors' 1024 for one, 8192 for more [C].
    """
    return Method(head=lambda k, n_exits, tap: heads.head(tap, outputs, depth, hidden))
