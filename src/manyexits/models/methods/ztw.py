"""Zero Time Waste (Wójcik et al., 2023; DEFINITIONS.md, section 6): each exit knows what the one before it said, and
answers with a weighted ensemble of all that have spoken. The backbone's own exit has neither."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from manyexits.models import heads
from manyexits.models.backbones import Tap
from manyexits.models.methods import Heads, Memory, Method

PHASES = ("ensemble",)
SPREAD = 0.01
"""Standard deviation of the ensemble's initial weights."""


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
) -> Method:
    """Cascaded heads, and an ensemble that a phase of its own trains.

    Args:
        outputs: of each head.
        depth, hidden: of the heads, as for `sdn`.
    """
    return Method(
        head=lambda k, n_exits, tap: Cascaded(tap, outputs, k, depth, hidden),
        extras=lambda n_exits: Ensemble(n_exits - 1, outputs),
        exit=exit,
        answer=answer,
    )


def exit(heads: Heads, extras: nn.Module, k: int, tapped: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """The head's outputs, from its features and the exit before; all outputs so far are remembered."""
    outputs = heads[k](tapped, memory[-1].detach() if memory else None)
    return outputs, (*memory, outputs)


def answer(extras: nn.Module, k: int, outputs: Float[Tensor, "b o"], memory: Memory) -> Float[Tensor, "b o"]:
    """The ensemble of exits 1 to k."""
    return extras(memory)


class Cascaded(nn.Module):
    """A head whose last layer reads, beside its features, the normalised outputs of the exit before."""

    def __init__(self, tap: Tap, outputs: int, k: int, depth: int, hidden: int | None) -> None:
        super().__init__()
        self.body, width = heads.body(tap, depth, hidden)
        before = outputs if k > 1 else 0
        # of a single number a normalised one is constant, so scores are read as they are [O]
        self.norm = nn.LayerNorm(outputs) if before > 1 else nn.Identity()
        self.last = nn.Linear(width + before, outputs)

    def forward(self, tapped: Tensor, before: Float[Tensor, "b o"] | None) -> Float[Tensor, "b o"]:
        """Outputs (B, O)."""
        features = self.body(tapped)
        return self.last(features if before is None else torch.cat([features, self.norm(before)], dim=1))


class Ensemble(nn.Module):
    """For each internal exit m: weights (m,) of the exits up to it, and a bias (O,).

    Classes: the answer is (1/m) sum_j exp(w_mj) log_softmax(outputs_j) + b_m.
    Scores [O]: sum_j softmax(w_m)_j y_j + b_m.
    """

    def __init__(self, n: int, outputs: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(SPREAD * torch.randn(m)) for m in range(1, n + 1))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(outputs)) for _ in range(n))

    def forward(self, said: Memory) -> Float[Tensor, "b o"]:
        """The answer of exit m from the outputs (B, O) of exits 1 to m."""
        m = len(said)
        weights, bias = self.weights[m - 1], self.biases[m - 1]
        if len(bias) == 1:
            shares, values = weights.softmax(0), torch.stack(said, dim=1)
        else:
            shares, values = weights.exp() / m, torch.stack([each.float().log_softmax(1) for each in said], dim=1)
        with torch.autocast(bias.device.type, enabled=False):  # an ensemble of logarithms needs all digits
            return (shares[None] @ values.float())[:, 0] + bias
