"""Mode connectivity (paper, Figure 3; DEFINITIONS.md, section 10): the loss on the plane through the three regimes and
on the straight lines between runs, with barriers as numbers."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import nn

from manyexits.batches.views import Part, Views
from manyexits.data.prepared import Prepared
from manyexits.models.measure import measure
from manyexits.models.network import MultiExit

PAIRS = True
LEAST = 2
"""Networks that one job compares at least."""
TASKS = ("classification",)
COLUMNS = (
    "part",
    "first",
    "second",
    "seed",
    "second_seed",
    "t",
    "alpha",
    "beta",
    "x",
    "y",
    "exit",
    "metric",
    "value",
    "n",
)
"""part: line, barrier, plane or anchor. t, alpha, beta: coefficients. x, y: Euclidean distances of backbone parameters.
metric: train_loss (mean cross-entropy of that exit alone), test_accuracy, barrier, distance."""
TEXT = ("part", "first", "second", "metric")

PLANE = ("disjoint", "joint", "mixed")
MARGIN = 0.2
"""The plane reaches this far beyond its anchors, as a share of the distance between them."""
BATCHNORM_BATCH = 100
"""Images of a pass that re-estimates BatchNorm's statistics [O]; these depend on it, since every layer below normalises
by its batch."""
FLAT = 1e-6
"""Height of the triangle, relative to its base, below which there is no plane."""

Models = list[tuple[str, int, MultiExit]]
Rows = list[dict[str, Any]]


def analyse(
    runs: Models,
    data: Prepared,
    *,
    grid: Annotated[int, Field(ge=2, le=1000)] = 25,
    line: Annotated[int, Field(ge=2, le=1000)] = 25,
    n_probe: Annotated[int, Field(ge=1, le=10**9)] = 10000,
    n_batchnorm: Annotated[int, Field(ge=1, le=10**9)] = 10000,
    n_test: Annotated[int, Field(ge=1, le=10**9)] | None = None,
    control: str = "disjoint",
) -> Rows:
    """Lines between all pairs of models and, where all three regimes are there, their plane.

    Args:
        runs: of one experiment, as regime, seed and network.
        data: prepared dataset.
        grid: points along each axis of the plane.
        line: points on a line, ends included.
        n_probe: training images that the loss is measured on.
        n_batchnorm: training images that re-estimate BatchNorm's statistics at every point, in batches of 100 [O].
        n_test: test images that accuracy is measured on; null: all.
        control: regime whose runs under two seeds are the control.
    """
    surface = Surface([model for _, _, model in runs], data, n_probe, n_batchnorm, n_test)
    rows: Rows = []
    for first, second in itertools.combinations(range(len(runs)), 2):
        ends = {
            "first": runs[first][0],
            "second": runs[second][0],
            "seed": runs[first][1],
            "second_seed": runs[second][1],
        }
        rows += [ends | row for row in line_rows(surface, first, second, line)]
    where = {regime: index for index, (regime, _, _) in enumerate(runs)}
    if len(where) == len(runs) and set(PLANE) <= set(where):
        rows += [{"seed": runs[0][1]} | row for row in plane_rows(surface, [where[regime] for regime in PLANE], grid)]
    return rows


def line_rows(surface: "Surface", first: int, second: int, points: int) -> Rows:
    """Loss and accuracy on the straight line between two models, and each exit's barrier."""
    ts = np.linspace(0, 1, points)
    measured = [surface.at({first: 1 - t, second: t}) for t in ts]
    rows = [
        {"part": "line", "t": float(t)} | row
        for t, found in zip(ts, measured, strict=True)
        for row in surface.rows(found)
    ]
    losses = np.stack([found.loss for found in measured])
    heights = barrier(ts, losses)
    rows += [
        {"part": "barrier", "exit": k, "metric": "barrier", "value": float(height), "n": surface.n_probe}
        for k, height in enumerate(heights, start=1)
    ]
    distance = float(np.linalg.norm(surface.flat[first] - surface.flat[second]))
    return [*rows, {"part": "barrier", "metric": "distance", "value": distance}]


def barrier(t: Float[np.ndarray, " p"], loss: Float[np.ndarray, "p k"]) -> Float[np.ndarray, " k"]:
    """How far the loss rises above the straight line between its ends, at most; never negative."""
    between = (1 - t)[:, None] * loss[0] + t[:, None] * loss[-1]
    return np.maximum((loss - between).max(0), 0.0)


@dataclass(frozen=True)
class Frame:
    """The plane through D, J and M: origin M, one axis towards J, the other towards what is left of D."""

    d_x: float
    """Distance of J from M."""
    d_y: float
    """Distance of D from the line through M and J."""
    alpha_d: float
    """Where D lies along the first axis, in units of d_x; along the second it lies at 1."""

    def coefficients(self, alpha: float, beta: float) -> tuple[float, float, float]:
        """Weights of D, J and M at a point, adding up to 1."""
        joint = alpha - beta * self.alpha_d
        return beta, joint, 1 - beta - joint


def frame(d: Float[np.ndarray, " p"], j: Float[np.ndarray, " p"], m: Float[np.ndarray, " p"]) -> Frame:
    """The plane's axes from three parameter vectors in float64.

    Raises:
        ValueError: when the three lie on one line.
    """
    along, other = j - m, d - m
    d_x = float(np.linalg.norm(along))
    alpha_d = float(other @ along) / d_x**2 if d_x > 0 else 0.0
    d_y = float(np.linalg.norm(other - alpha_d * along))
    if d_x == 0 or d_y < FLAT * d_x:
        raise ValueError("the three regimes' backbones lie on one line, so no plane goes through them")
    return Frame(d_x, d_y, alpha_d)


def plane_rows(surface: "Surface", djm: list[int], grid: int) -> Rows:
    """Loss and accuracy on a grid in the plane, and where the three regimes lie in it."""
    plane = frame(*(surface.flat[index] for index in djm))
    low, high = min(-MARGIN, plane.alpha_d - MARGIN), max(1 + MARGIN, plane.alpha_d + MARGIN)
    rows: Rows = []
    for beta in np.linspace(-MARGIN, 1 + MARGIN, grid):
        for alpha in np.linspace(low, high, grid):
            found = surface.at(dict(zip(djm, plane.coefficients(alpha, beta), strict=True)))
            place = {
                "alpha": float(alpha),
                "beta": float(beta),
                "x": float(alpha * plane.d_x),
                "y": float(beta * plane.d_y),
            }
            rows += [{"part": "plane", **place} | row for row in surface.rows(found)]
    anchors = zip(PLANE, [(plane.alpha_d, 1.0), (1.0, 0.0), (0.0, 0.0)], strict=True)
    return rows + [
        {"part": "anchor", "first": regime, "alpha": a, "beta": b, "x": a * plane.d_x, "y": b * plane.d_y}
        for regime, (a, b) in anchors
    ]


@dataclass(frozen=True)
class Point:
    """What was measured at one point of parameter space, per exit."""

    loss: Float[np.ndarray, " k"]
    accuracy: Float[np.ndarray, " k"]


class Surface:
    """Loss and accuracy as functions of the weights of an affine combination of models."""

    def __init__(
        self, models: list[MultiExit], data: Prepared, n_probe: int, n_batchnorm: int, n_test: int | None = None
    ) -> None:
        self.model = models[0]
        self.vectors = [torch.cat([p.detach().double().flatten() for p in model.parameters()]) for model in models]
        self.flat = [
            torch.cat([p.detach().double().flatten() for p in model.backbone.parameters()]).cpu().numpy()
            for model in models
        ]
        """Backbone parameters alone: distances and axes."""
        order = np.random.default_rng(0).permutation(len(data.train))  # the same images for every regime and point
        self.probe = replace(data.train, indices=data.train.indices[order[:n_probe]])
        self.batchnorm = replace(data.train, indices=data.train.indices[order[:n_batchnorm]])
        tested = np.random.default_rng(1).permutation(len(data.test))[:n_test]
        self.test = data.test if n_test is None else replace(data.test, indices=data.test.indices[np.sort(tested)])
        self.views = Views(data, self.vectors[0].device)
        self.n_probe = len(self.probe)

    @torch.no_grad()
    def at(self, weights: dict[int, float]) -> Point:
        """Measure the combination sum(weight * model), BatchNorm's statistics re-estimated there."""
        combined = torch.stack([self.vectors[index] * weight for index, weight in weights.items()]).sum(0)
        begin = 0
        for parameter in self.model.parameters():
            parameter.copy_(combined[begin : begin + parameter.numel()].view_as(parameter))
            begin += parameter.numel()
        estimate_batchnorm(self.model, lambda: self.views.whole(self.batchnorm, size=BATCHNORM_BATCH))
        loss, _, _ = measure(self.model, self.views, self.probe)
        _, right, _ = measure(self.model, self.views, self.test)
        return Point((loss / len(self.probe)).cpu().numpy(), (right / len(self.test)).cpu().numpy())

    def rows(self, point: Point) -> Rows:
        """A measured point as rows."""
        both = {"train_loss": (point.loss, self.n_probe), "test_accuracy": (point.accuracy, len(self.test))}
        return [
            {"exit": k, "metric": metric, "value": float(value), "n": n}
            for metric, (values, n) in both.items()
            for k, value in enumerate(values, start=1)
        ]


def estimate_batchnorm(model: nn.Module, batches: Callable[[], Iterator[Part]]) -> None:
    """Running statistics anew, in one pass: the momentum of a batch is its share of the images seen including it."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
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
