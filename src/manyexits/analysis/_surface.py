"""Loss and score as functions of the weights of combinations of networks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from manyexits.batches.views import Part, Views
from manyexits.data.prepared import Prepared
from manyexits.exits import task
from manyexits.models.measure import measure
from manyexits.models.network import MultiExit

BATCHNORM_BATCH = 100
"""Samples of a pass that re-estimates BatchNorm's statistics [O]; these depend on it, since every layer below
normalises by its batch."""
SCORES = {"classification": "test_accuracy", "regression": "test_gain"}
"""Task -> what is measured on the test split: accuracy, or the negative mean squared error."""


@dataclass(frozen=True)
class Point:
    """What was measured at one point of parameter space, per exit."""

    loss: Float[np.ndarray, " k"]
    score: Float[np.ndarray, " k"]


class Surface:
    """Loss and score at affine combinations of networks."""

    def __init__(
        self, models: Sequence[MultiExit], data: Prepared, n_probe: int, n_batchnorm: int, n_test: int | None = None
    ) -> None:
        self.model = models[0]
        self.vectors = [flat(model) for model in models]
        self.flat = [flat(model.backbone).cpu().numpy() for model in models]
        """Backbone parameters alone: distances and axes."""
        order = np.random.default_rng(0).permutation(len(data.train))  # the same samples for every regime and point
        self.probe = replace(data.train, indices=data.train.indices[order[:n_probe]])
        self.batchnorm = replace(data.train, indices=data.train.indices[order[:n_batchnorm]])
        tested = np.random.default_rng(1).permutation(len(data.test))[:n_test]
        self.test = data.test if n_test is None else replace(data.test, indices=data.test.indices[np.sort(tested)])
        self.views = Views(data, self.vectors[0].device)
        self.n_probe, self.score = len(self.probe), SCORES[task.of(data.task).name]

    @contextmanager
    def beside(self, vector: Float64[Tensor, " p"]) -> Iterator[int]:
        """Inside the block there is a further network of these parameters, under the number that is given."""
        self.vectors.append(vector.to(self.vectors[0]))
        try:
            yield len(self.vectors) - 1
        finally:
            self.vectors.pop()

    @torch.no_grad()
    def at(self, weights: Mapping[int, float]) -> Point:
        """Measure the combination sum(weight * network), BatchNorm's statistics re-estimated there."""
        put(self.model, sum_of(self.vectors, weights))
        estimate_batchnorm(self.model, lambda: self.views.whole(self.batchnorm, size=BATCHNORM_BATCH))
        loss, _, _ = measure(self.model, self.views, self.probe)
        _, gain, _ = measure(self.model, self.views, self.test)
        return Point((loss / len(self.probe)).cpu().numpy(), (gain / len(self.test)).cpu().numpy())

    def rows(self, point: Point) -> list[dict[str, Any]]:
        """A measured point as rows."""
        both = {"train_loss": (point.loss, self.n_probe), self.score: (point.score, len(self.test))}
        return [
            {"exit": k, "metric": metric, "value": float(value), "n": n}
            for metric, (values, n) in both.items()
            for k, value in enumerate(values, start=1)
        ]


def flat(module: nn.Module) -> Float64[Tensor, " p"]:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().double().flatten() for parameter in module.parameters()])


def sum_of(vectors: Sequence[Tensor], weights: Mapping[int, float]) -> Float64[Tensor, " p"]:
    """Vectors times their weights, added up."""
    (first, weight), *others = weights.items()
    found = vectors[first] * weight
    for index, other in others:
        found.add_(vectors[index], alpha=other)
    return found


def put(module: nn.Module, vector: Float64[Tensor, " p"]) -> None:
    """Set all parameters from one vector."""
    parameters = list(module.parameters())
    for parameter, values in zip(parameters, vector.split([each.numel() for each in parameters]), strict=True):
        parameter.copy_(values.view_as(parameter))


def estimate_batchnorm(model: nn.Module, batches: Callable[[], Iterator[Part]]) -> None:
    """Running statistics anew, in one pass: the momentum of a batch is its share of the samples seen including it."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    for part in batches():
        n = len(part.targets)
        seen += n
        for norm in norms:
            norm.momentum = n / seen
        model(part.inputs)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()
