"""Shallow-Deep Networks (Kaya et al., 2019), as the paper uses them: a head per exit, the plain mean of the losses. And
the cures of joint training that others have proposed (DEFINITIONS.md, section 6)."""

from functools import partial
from typing import Annotated, Any, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from manyexits.models import heads
from manyexits.models.methods import Memory, Method, Now, by_number

SMALLEST = 0.01
"""Weight that an exit's loss begins above."""
EPOCHS = 100
"""Over which the weights rise [O]: phases stop early, so that their own limit says little."""


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
    cure: Literal["loss_scaling", "linear_weights", "gradient_equilibrium"] | None = None,
    rising: Annotated[int, Field(ge=1, le=10**6)] | None = None,
) -> Method:
    """The plain method, or one of its cures.

    Args:
        outputs: of each head.
        depth: layers in front of a head's last linear one: convolutions on maps, hidden layers on tokens.
        hidden: width of the hidden layers on tokens; null: the authors' 1024 for one, 8192 for more [C].
        cure: what is done about exits that disturb one another; null: nothing.
        rising: number of epochs over which loss_scaling's weights rise; null: 100.
    """
    if rising is not None and cure != "loss_scaling":
        raise ValueError(
            "'rising' is how long the weights of loss_scaling rise, and the cure is another; remove the key"
        )
    changed: dict[str | None, dict[str, Any]] = {
        "loss_scaling": {"loss": partial(loss_scaling, rising=rising or EPOCHS)},
        "linear_weights": {"loss": linear_weights},
        "gradient_equilibrium": {"loss": gradient_equilibrium, "equilibrium": True},
    }
    return Method(head=lambda k, n_exits, tap: heads.head(tap, outputs, depth, hidden), **changed.get(cure, {}))


def loss_scaling(losses: Float[Tensor, "b e"], memory: Memory, now: Now, rising: int = EPOCHS) -> Float[Tensor, ""]:
    """CE_K + sum of min(C_i, .01 + e C_i / E) CE_i over the other exits, C_i their share of the backbone's cost [L]."""
    weights = [
        1.0 if exit_ == now.n_exits else min(cost, SMALLEST + now.epoch * cost / rising)
        for exit_, cost in zip(now.exits, now.costs, strict=True)
    ]
    return (losses.mean(0) * losses.new_tensor(weights)).sum()


def linear_weights(losses: Float[Tensor, "b e"], memory: Memory, now: Now) -> Float[Tensor, ""]:
    """The mean of the losses of the exits that can learn, weighted by the exits' numbers [L]."""
    return by_number(losses, now)


def gradient_equilibrium(losses: Float[Tensor, "b e"], memory: Memory, now: Now) -> Float[Tensor, ""]:
    """The sum of the losses; a stage gets the mean of the gradients of the exits behind it (Li et al., 2019) [L]."""
    return losses.mean(0).sum()
