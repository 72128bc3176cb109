"""Learning to weight samples (Han et al., 2022; DEFINITIONS.md, section 6): SDN's network, and beside its training a
small one that weighs the losses of every sample at every exit. It learns from what a step with its weights does to
samples that leave where they are sure."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from manyexits.batches.views import Part
from manyexits.models import heads
from manyexits.models.methods import Method, Pupil, Teaching

TEACHES = True
HIDDEN = 500
"""Width of the weight network."""
LR = WEIGHT_DECAY = 1e-4
"""Of its Adam."""


def build(
    outputs: int,
    *,
    depth: Annotated[int, Field(ge=0, le=5)] = 0,
    hidden: Annotated[int, Field(ge=1, le=65536)] | None = None,
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.8,
    every: Annotated[int, Field(ge=1, le=10**6)] = 1,
    centred: Literal["sample", "batch"] = "sample",
    q: Annotated[float, Field(gt=0, le=4)] = 0.75,
) -> Method:
    """SDN with weighed losses. The defaults are the authors' for CIFAR; for ImageNet they have .3, 100 and batch.

    Args:
        outputs: of each head.
        depth, hidden: of the heads, as for `sdn`.
        epsilon: how far a weight may lie from 1.
        every: steps of training to one of the weight network.
        centred: over which losses the mean weight is 1: those of a sample, or of the whole batch.
        q: of the shares q^k of samples that leave at exit k.
    """
    return Method(
        head=lambda k, n_exits, tap: heads.head(tap, outputs, depth, hidden),
        teaching=Teaching(
            teacher=lambda n: WeightNetwork(n, epsilon, centred),
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=LR, weight_decay=WEIGHT_DECAY),
            teach=lambda teacher, pupil, part, partner: teach(teacher, pupil, part, partner, q),
            every=every,
        ),
    )


class WeightNetwork(nn.Module):
    """From the losses (B, E) of a batch to their weights 1 + epsilon (v - mean of v), v in (-1, 1)."""

    def __init__(self, n: int, epsilon: float, centred: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n), nn.Tanh())
        self.epsilon, self.centred = epsilon, centred

    def forward(self, losses: Float[Tensor, "b e"]) -> Float[Tensor, "b e"]:
        """Weights, whose mean over a sample, or over the batch, is 1."""
        values = self.layers(losses)
        mean = values.mean(1, keepdim=True) if self.centred == "sample" else values.mean()
        return 1 + self.epsilon * (values - mean)


def teach(teacher: nn.Module, pupil: Pupil, part: Part, partner: Part, q: float) -> None:
    """Weights 1 + epsilon (v - mean of v) from a network that learns by the loss on the next batch after a step.

    That step, on `part`, has the loss J = mean of w l, so the weights enter its gradient linearly: the weight network's
    own is mean of w r, with r each loss's change along the direction in which the step's gradient raises the loss on
    `partner`. Nothing of second order is left at the pupil's parameters.
    """
    weights = pupil.weights()
    _, losses = pupil.run(weights, part)
    told = teacher(pupil.gathered(losses.detach()))
    shares = (pupil.own(told.detach()) / losses.numel()).requires_grad_()
    of_step = torch.autograd.grad((shares * losses).sum(), list(weights.values()), create_graph=True)
    gradient = [each.requires_grad_() for each in pupil.averaged(of_step)]
    moved = pupil.stepped(weights, gradient)

    after = {name: value.detach().requires_grad_() for name, value in moved.items()}
    outputs, later = pupil.run(after, partner)
    taken = leaving(pupil.gathered(certainties(outputs.detach())), q)
    there = taken.sum(0) > 0
    means = (later * pupil.own(taken)).sum(0)[there] / taken.sum(0)[there]  # of a rank its part of them
    of_after = pupil.averaged(torch.autograd.grad(pupil.ranks * means.sum(), list(after.values())))
    rise = torch.autograd.grad(list(moved.values()), gradient, of_after)
    (change,) = torch.autograd.grad(of_step, shares, rise)
    (told * pupil.gathered(change)).mean().backward()


def certainties(outputs: Float[Tensor, "b e o"]) -> Float[Tensor, "b e"]:
    """The largest probability; of scores how little they differ from the exit before [O]."""
    if outputs.shape[2] > 1:
        return outputs.softmax(2).amax(2)
    first = torch.full_like(outputs[:, :1, 0], -torch.inf)
    return torch.cat([first, -outputs[:, :, 0].diff(dim=1).abs()], dim=1)


def leaving(certain: Float[Tensor, "b e"], q: float) -> Bool[Tensor, "b e"]:
    """Which samples leave at which exit: of those left the most certain, a share q^k at exit k, the rest at the last.

    Args:
        certain: how sure each exit is of each sample, higher is surer.
        q: of the shares q^k / (q + ... + q^E).
    """
    n, exits = certain.shape
    powers = [q**k for k in range(1, exits + 1)]
    taken = torch.zeros_like(certain, dtype=torch.bool)
    inside = torch.arange(n, device=certain.device)
    for k, power in enumerate(powers[:-1]):
        order = certain[inside, k].argsort(descending=True, stable=True)
        leave = int(n * (power / sum(powers)))
        taken[inside[order[:leave]], k] = True
        inside = inside[order[leave:]].sort().values
    taken[inside, -1] = True
    return taken
