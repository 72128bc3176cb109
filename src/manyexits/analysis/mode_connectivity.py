"""Mode connectivity (paper, Figure 3; DEFINITIONS.md, section 10): the loss on the plane through the three regimes, on
straight lines between runs, before and after their units are matched, and on a curve, with barriers as numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from manyexits.analysis import _curve, _matching
from manyexits.analysis._runs import pairs
from manyexits.analysis._surface import Point, Surface
from manyexits.data.prepared import Prepared
from manyexits.models.network import MultiExit

VERSION = 2
PAIRS = True
LEAST = 2
"""Networks that one job compares at least."""
COLUMNS = (
    "part",
    "path",
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
"""part: line, barrier, plane or anchor. path: straight; matched, the second network's units in the order of the
first's; or curve. t, alpha, beta: coefficients. x, y: Euclidean distances of backbone parameters. metric: train_loss
(mean cross-entropy or squared error of that exit alone), test_accuracy or test_gain (the negative mean squared error),
barrier, distance."""
TEXT = ("part", "path", "first", "second", "metric")

PLANE = ("disjoint", "joint", "mixed")
BENT = ("joint", "mixed")
"""Regimes between which there is a curve."""
MARGIN = 0.2
"""The plane reaches this far beyond its anchors, as a share of the distance between them."""
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
    curve: Annotated[int, Field(ge=0, le=10**9)] = 3000,
    curve_lr: Annotated[float, Field(gt=0, le=100)] = 0.01,
    curve_batch: Annotated[int, Field(ge=2, le=10**6)] = 128,
) -> Iterator[Callable[[], Rows]]:
    """Lines between all regimes of a seed, or the seeds of every regime; of one seed a curve between joint and mixed
    and, where all three regimes are there, their plane.

    Args:
        runs: of one experiment, as regime, seed and network.
        data: prepared dataset.
        grid: points along each axis of the plane.
        line: points on a line or curve, ends included.
        n_probe: training samples that the loss is measured on.
        n_batchnorm: training samples that re-estimate BatchNorm's statistics at every point, in batches of 100 [O].
        n_test: test samples that the score is measured on; null: all.
        curve: number of steps that bend the curve [O]; 0: no curve.
        curve_lr: learning rate of these steps [O].
        curve_batch: samples of one of them [O].

    Returns:
        Steps, each of which gives its rows.
    """
    models = [model for _, _, model in runs]
    units, vectors = _matching.units_of(models[0]), [states(model) for model in models]
    surface = Surface(models, data, n_probe, n_batchnorm, n_test)
    for first, second in pairs(runs):
        ends = named(runs, first, second)
        yield partial(line_rows, surface, ends | {"path": "straight"}, first, second, line)
        if units is not None:
            order = partial(_matching.matched, vectors[first], vectors[second], units)
            yield partial(matched_rows, surface, ends | {"path": "matched"}, first, order, line)
    where = {regime: index for index, (regime, _, _) in enumerate(runs)}
    one_seed = len(where) == len(runs)
    if one_seed and curve and set(BENT) <= set(where):
        first, second = (where[regime] for regime in BENT)
        bend = partial(_curve.bent, steps=curve, lr=curve_lr, batch=curve_batch)
        yield partial(curve_rows, surface, named(runs, first, second) | {"path": "curve"}, first, second, bend, line)
    if one_seed and set(PLANE) <= set(where):
        djm = [where[regime] for regime in PLANE]
        plane = frame(*(surface.flat[index] for index in djm))
        about = {"seed": runs[0][1]}
        for beta in np.linspace(-MARGIN, 1 + MARGIN, grid):
            yield partial(plane_rows, surface, about, djm, plane, float(beta), grid)
        yield partial(anchors, about, plane)


def named(runs: Models, first: int, second: int) -> dict[str, Any]:
    """Which two runs rows are of."""
    (one, seed, _), (other, second_seed, _) = runs[first], runs[second]
    return {"first": one, "second": other, "seed": seed, "second_seed": second_seed}


def states(model: MultiExit) -> dict[str, np.ndarray]:
    """Parameters and buffers, as they are now: surfaces change those of a network."""
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


# -- lines and curves -------------------------------------------------------------------------------------------------


def line_rows(surface: Surface, about: dict[str, Any], first: int, second: int, points: int) -> Rows:
    """Loss and score on the straight line between two networks, and each exit's barrier."""
    rows = path_rows(surface, about, lambda t: {first: 1 - t, second: t}, points)
    distance = float(np.linalg.norm(surface.flat[first] - surface.flat[second]))
    return [*rows, about | {"part": "barrier", "metric": "distance", "value": distance}]


def matched_rows(
    surface: Surface, about: dict[str, Any], first: int, order: Callable[[], dict[str, np.ndarray]], points: int
) -> Rows:
    """The same where the second network's units are in the order of the first's."""
    found = order()
    parameters = [torch.from_numpy(found[name]) for name, _ in surface.model.named_parameters()]
    with surface.beside(torch.cat([each.double().flatten() for each in parameters])) as second:
        return path_rows(surface, about, lambda t: {first: 1 - t, second: t}, points)


def curve_rows(
    surface: Surface,
    about: dict[str, Any],
    first: int,
    second: int,
    bend: Callable[..., torch.Tensor],
    points: int,
) -> Rows:
    """The same on a curve that was bent so that the loss along it is low."""
    bent = bend(surface.model, (surface.vectors[first], surface.vectors[second]), surface.views)
    with surface.beside(bent) as middle:
        three = (first, middle, second)
        return path_rows(surface, about, lambda t: dict(zip(three, _curve.coefficients(t), strict=True)), points)


def path_rows(
    surface: Surface, about: dict[str, Any], weights: Callable[[float], dict[int, float]], points: int
) -> Rows:
    """Loss and score along a path between two networks, and each exit's barrier."""
    ts = np.linspace(0, 1, points)
    measured = [surface.at(weights(float(t))) for t in ts]
    rows = [
        about | {"part": "line", "t": float(t)} | row
        for t, found in zip(ts, measured, strict=True)
        for row in surface.rows(found)
    ]
    heights = barrier(ts, np.stack([found.loss for found in measured]))
    return rows + [
        about | {"part": "barrier", "exit": k, "metric": "barrier", "value": float(height), "n": surface.n_probe}
        for k, height in enumerate(heights, start=1)
    ]


def barrier(t: Float[np.ndarray, " p"], loss: Float[np.ndarray, "p k"]) -> Float[np.ndarray, " k"]:
    """How far the loss rises above the straight line between its ends, at most; never negative."""
    between = (1 - t)[:, None] * loss[0] + t[:, None] * loss[-1]
    return np.maximum((loss - between).max(0), 0.0)


# -- the plane --------------------------------------------------------------------------------------------------------


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

    def place(self, alpha: float, beta: float) -> dict[str, float]:
        """A point in both units."""
        return {"alpha": alpha, "beta": beta, "x": alpha * self.d_x, "y": beta * self.d_y}


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


def plane_rows(
    surface: Surface, about: dict[str, Any], djm: Sequence[int], plane: Frame, beta: float, grid: int
) -> Rows:
    """Loss and score on one row of a grid in the plane."""
    low, high = min(-MARGIN, plane.alpha_d - MARGIN), max(1 + MARGIN, plane.alpha_d + MARGIN)
    rows: Rows = []
    for alpha in np.linspace(low, high, grid):
        found: Point = surface.at(dict(zip(djm, plane.coefficients(float(alpha), beta), strict=True)))
        place = about | {"part": "plane"} | plane.place(float(alpha), beta)
        rows += [place | row for row in surface.rows(found)]
    return rows


def anchors(about: dict[str, Any], plane: Frame) -> Rows:
    """Where the three regimes lie in the plane."""
    places = zip(PLANE, [(plane.alpha_d, 1.0), (1.0, 0.0), (0.0, 0.0)], strict=True)
    return [about | {"part": "anchor", "first": regime} | plane.place(*place) for regime, place in places]
