"""States: what flows through a network's stages, its inputs first. One tensor or several, batch first."""

from typing import TypeVar

from jaxtyping import Bool, Int
from torch import Tensor

State = Tensor | tuple[Tensor, ...]
AnyState = TypeVar("AnyState", Tensor, tuple[Tensor, ...], State)


def parts(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    return state if isinstance(state, tuple) else (state,)


def some(state: AnyState, rows: Bool[Tensor, " b"] | Int[Tensor, " p"]) -> AnyState:
    """The same samples of every part: those that are marked, or those at these places."""
    return tuple(part[rows] for part in state) if isinstance(state, tuple) else state[rows]
