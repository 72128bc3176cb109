"""Global past-future exits (Liao et al., 2021; DEFINITIONS.md, section 6): an exit answers from its own state, those of
the exits before it, and what it imagines of those behind it. The backbone's own exit has neither."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from manyexits.models import heads
from manyexits.models.methods import Heads, Memory, Method, Now, by_number


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
    width: Annotated[int, Field(ge=1, le=65536)] = 512,
) -> Method:
    """States instead of outputs at the heads, and layers that all exits share.

    Args:
        outputs: of each exit.
        depth, hidden: of the heads, as for `sdn`.
        width: D, of an exit's state [C]; the authors have 768 for BERT.
    """
    return Method(
        head=lambda k, n_exits, tap: nn.Sequential(heads.head(tap, width, depth, hidden), nn.ReLU()),
        extras=lambda n_exits: PastFuture(n_exits - 1, width, outputs),
        exit=exit,
        loss=loss,
    )


def exit(heads: Heads, extras: nn.Module, k: int, tapped: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """Outputs from past, present and imagined states; the last two (B, K - k, D) are remembered, the present first."""
    return extras(heads[k](tapped), memory)


def loss(losses: Float[Tensor, "b e"], memory: Memory, now: Now) -> Float[Tensor, ""]:
    """The exits' losses, weighted by their numbers, and how far what they imagined is from what came."""
    return by_number(losses, now) + imitation(memory)


def imitation(memory: Memory) -> Float[Tensor, ""] | float:
    """Mean over the exits with a future of 1 - cosine between their imagined states and the detached real ones."""
    states = [each[:, 0].detach() for each in memory]
    apart = [
        1 - functional.cosine_similarity(each[:, 1:], torch.stack(states[i:], dim=1), dim=2).mean()
        for i, each in enumerate(memory[:-1], start=1)
    ]
    return torch.stack(apart).mean() if apart else 0.0


class PastFuture(nn.Module):
    """What n internal exits share: imitators of each exit's state, their readings (A, B), and the gate W.

    With z_m the states up to exit i, past ones detached, and z_j the imagined ones of exits j > i:
    P_i = sum_m (z_m A_m + a_m), Q_i = sum_j (z_j A_j + a_j), G_i = (1/i) sum_m (z_m B_m + b_m), and with
    l_i = sigmoid(W ReLU(G_i) + c) the outputs are l_i P_i + (1 - l_i) Q_i.
    """

    def __init__(self, n: int, width: int, outputs: int) -> None:
        super().__init__()
        self.imitators = nn.ModuleDict({str(j): nn.Linear(width, width) for j in range(2, n + 1)})
        self.reads = nn.ModuleList(_reading(width, outputs) for _ in range(n))
        self.gates = nn.ModuleList(_reading(width, outputs) for _ in range(n))
        self.gate = nn.Linear(outputs, outputs)

    def forward(self, present: Float[Tensor, "b d"], memory: Memory) -> tuple[Float[Tensor, "b o"], Memory]:
        """Outputs of exit i from its state and what exits 1 to i - 1 remember, and what exits 1 to i do."""
        i = len(memory) + 1
        imagined = [self.imitators[str(j)](present).relu() for j in range(i + 1, len(self.reads) + 1)]
        known = [*(each[:, 0].detach() for each in memory), present]
        past = torch.stack([read(state) for read, state in zip(self.reads, known, strict=False)]).sum(0)
        future = sum(read(state) for read, state in zip(self.reads[i:], imagined, strict=True))
        weighed = torch.stack([gate(state) for gate, state in zip(self.gates, known, strict=False)]).mean(0)
        share = self.gate(weighed.relu()).sigmoid()
        return share * past + (1 - share) * future, (*memory, torch.stack([present, *imagined], dim=1))


def _reading(width: int, outputs: int) -> nn.Linear:
    """A layer D -> O with weights ~ N(0, 1/D) and no bias at first."""
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=width**-0.5)
    nn.init.zeros_(layer.bias)
    return layer
