"""PBEE (Zhou et al., 2020; DEFINITIONS.md, section 6): SDN's heads, each loss weighted by its exit; patience decides.

With the plain mean of the losses, as the authors of the paper have it [C], it is no training of its own: that is `sdn`,
evaluated under the criterion `patience`.
"""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from manyexits.models import heads
from manyexits.models.methods import Memory, Method, Now, by_number

CRITERION = {"classification": "patience", "regression": "agreement"}


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
) -> Method:
    """SDN with another loss.

    Args:
        outputs: of each head.
        depth, hidden: of the heads, as for `sdn`.
    """
    return Method(head=lambda k, n_exits, tap: heads.head(tap, outputs, depth, hidden), loss=loss)


def loss(losses: Float[Tensor, "b e"], memory: Memory, now: Now) -> Float[Tensor, ""]:
    """The phase's loss from the losses of the exits that can learn: their mean, weighted by the exits' numbers [L]."""
    return by_number(losses, now)
