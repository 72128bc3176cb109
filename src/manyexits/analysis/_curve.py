"""A quadratic Bezier curve between two networks along which the loss stays low (Garipov et al., 2018)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.func import functional_call

from manyexits.analysis._modes import norms_in_training
from manyexits.batches.views import Part, Views
from manyexits.exits import task
from manyexits.models import losses
from manyexits.models.network import MultiExit

MOMENTUM = 0.9


def coefficients(t: float) -> tuple[float, float, float]:
    """Weights of the first network, of the point that learns and of the second network at t."""
    return (1 - t) ** 2, 2 * t * (1 - t), t**2


def bent(
    model: MultiExit,
    ends: tuple[Float64[Tensor, " p"], Float64[Tensor, " p"]],
    views: Views,
    steps: int,
    lr: float,
    batch: int,
) -> Float64[Tensor, " p"]:
    """The point that the curve bends towards, after so many steps of SGD from the midpoint: t is drawn uniformly for
    every batch, the loss is the mean over the exits, samples are not augmented [O].

    Args:
        model: whose structure counts; its parameters stay.
        ends: parameters of the two networks.
        views: of the dataset.
        steps: of the optimiser.
        lr: learning rate, annealed to 0 along a cosine.
        batch: samples of a step.
    """
    names = [name for name, _ in model.named_parameters()]
    shapes = [parameter.shape for parameter in model.parameters()]
    first, second = (each.to(next(model.parameters())) for each in ends)
    theta = ((first + second) / 2).requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=lr, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    asked, drawn = task.of(views.data.task), np.random.default_rng(0)
    with norms_in_training(model):
        for part in _batches(views, steps, batch):
            one, bend, other = coefficients(drawn.uniform())
            pieces = (one * first + bend * theta + other * second).split([shape.numel() for shape in shapes])
            weights = {name: each.view(shape) for name, each, shape in zip(names, pieces, shapes, strict=True)}
            outputs = functional_call(model, weights, (part.inputs,))
            loss = torch.stack([losses.summed(asked, each.float(), part.targets) for each in outputs]).mean()
            optimizer.zero_grad()
            (loss / len(part.targets)).backward()
            optimizer.step()
            schedule.step()
    return theta.detach().double()


def _batches(views: Views, steps: int, batch: int) -> Iterator[Part]:
    """So many batches of training samples, in an order drawn anew for every epoch."""
    split, drawn = views.data.train, np.random.default_rng(1)
    size, left = min(batch, len(split)), steps
    while left > 0:
        shuffled = replace(split, indices=split.indices[drawn.permutation(len(split))])
        some = min(left, len(split) // size)
        yield from islice(views.whole(shuffled, size=size), some)
        left -= some
