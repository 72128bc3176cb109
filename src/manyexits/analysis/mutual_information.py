"""Mutual information of every block's noisy activations with inputs and labels (our definition; DEFINITIONS.md, section
12), in nats."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float32, Float64, Int, Shaped
from pydantic import Field

from manyexits.data.prepared import Prepared
from manyexits.exits.representations import Activations, Representations

READS = "representations"
COLUMNS = (
    "seed",
    "regime",
    "view",
    "block",
    "noise",
    "quantity",
    "bound",
    "value",
    "low",
    "high",
    "ceiling",
    "n",
    "components",
    "explained",
    "note",
)
"""noise: variance of the noise, where the activations have 1 per component. quantity: I(X;T) or I(T;Y). bound: lower,
upper or infonce. low, high: of the 95 % interval. ceiling: that the estimate cannot pass. components: of the
activations; explained: their share of the variance. note: why there is no value."""
TEXT = ("regime", "view", "quantity", "bound", "note")

NOISE = (0.5, 2.0, 8.0)
"""Variances [O]: from where most of a layer is seen to where little is."""
BOUNDS = {"upper": 1, "lower": 4}
"""Bound -> by what the noise's variance is multiplied in its kernel."""
ROWS = 100
"""Rows of the matrix of distances that are in memory at a time: few, so that they stay in a processor's cache."""
LEVEL = 0.95

Run = tuple[str, int, Representations]


def analyse(
    runs: list[Run],
    data: Prepared,
    *,
    noise: list[Annotated[float, Field(gt=0, le=1e6)]] | None = None,
    batch: Annotated[int, Field(ge=2, le=10**6)] = 1000,
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000,
) -> list[dict[str, Any]]:
    """I(X;T) and I(T;Y) of every layer of every run, where T is the layer and what is added to it.

    Args:
        runs: regime, seed and representations of each.
        data: prepared dataset.
        noise: variances of the noise, as a factor of the activations' mean per component; null: 0.5, 2 and 8 [O].
        batch: samples that InfoNCE tells apart at a time.
        resamples: of the bootstrap.
    """
    rows: list[dict[str, Any]] = []
    for regime, seed, found in runs:
        groups = classes(found.label, data.classes)
        for (view, block), layer in found.layers.items():
            about = {"seed": seed, "regime": regime, "view": view, "block": block}
            told = {"n": len(layer.scores), "components": layer.scores.shape[1], "note": layer.fault or None}
            measured = of_layer(layer, groups, noise or list(NOISE), batch, resamples)
            rows += [about | told | row for row in measured]
    return rows


def classes(labels: Shaped[np.ndarray, " n"], known: int | None) -> Int[np.ndarray, " n"]:
    """Numbers of the classes that samples belong to; scores are rounded to whole numbers [O]."""
    return np.unique(labels if known is not None else np.rint(labels), return_inverse=True)[1]


def of_layer(
    layer: Activations, groups: Int[np.ndarray, " n"], noise: list[float], batch: int, resamples: int
) -> list[dict[str, Any]]:
    """Both quantities under both bounds, and InfoNCE's estimate of the first, of one layer, for every noise."""
    n, batches = len(groups), max(1, len(groups) // batch)
    shares = np.bincount(groups) / n
    most = {"I(X;T)": np.log(n), "I(T;Y)": -(shares * np.log(shares)).sum()}
    told = [
        {"noise": variance, "quantity": quantity, "bound": bound, "ceiling": most[quantity]}
        for variance in noise
        for bound in BOUNDS
        for quantity in most
    ]
    told += [
        {"noise": variance, "quantity": "I(X;T)", "bound": "infonce", "ceiling": np.log(-(-n // batches))}
        for variance in noise
    ]
    if layer.fault:
        return told
    points, explained = scaled(layer)
    estimates = kernels(points, groups, [factor * variance for variance in noise for factor in BOUNDS.values()])
    estimates += [infonce(points, variance, batches) for variance in noise]
    intervals = bootstrap([each.influence for each in estimates], resamples)
    return [
        row
        | {
            "value": each.value,
            "low": max(0.0, each.value + low),
            "high": min(row["ceiling"], each.value + high),
            "explained": explained,
        }
        for row, each, (low, high) in zip(told, estimates, intervals, strict=True)
    ]


def scaled(layer: Activations) -> tuple[Float64[np.ndarray, "n c"], float]:
    """Principal components with a mean variance of 1, and their share of the layer's: one factor for the whole layer,
    never one per feature, so that a rotation or a scale of the layer changes nothing."""
    points = layer.scores.astype(np.float64)
    points = points - points.mean(0)
    kept = points.var(0, ddof=1).sum()
    return points * np.sqrt(points.shape[1] / kept), float(kept / layer.spectrum.sum())


@dataclass(frozen=True)
class Estimate:
    """An estimate, and how it depends on its samples."""

    value: float
    influence: Float64[np.ndarray, " n"]
    """To first order the estimate of other samples is its value and the mean of theirs; its mean is 0."""


def kernels(points: Float64[np.ndarray, "n c"], groups: Int[np.ndarray, " n"], widths: list[float]) -> list[Estimate]:
    """I(X;T) and I(T;Y) with Gaussian kernels of these variances (Kolchinsky and Tracey, 2017): over all samples, and
    over those of one class."""
    order = np.argsort(groups, kind="stable")
    points, ordered = points[order], groups[order]
    counts = np.bincount(ordered)
    starts = np.cumsum(counts) - counts
    n, own = len(points), counts[ordered]
    # mean kernel with all samples, and with those of the class
    everywhere, inside = (np.empty((len(widths), n)) for _ in range(2))
    for rows, width, kernel in _kernels(points, widths):
        everywhere[width, rows] = kernel.mean(1)
        sums = np.add.reduceat(kernel, starts, axis=1)
        inside[width, rows] = sums[np.arange(len(sums)), ordered[rows]] / own[rows]
    # what every sample adds to those of the others
    given, given_inside = (np.zeros((len(widths), n)) for _ in range(2))
    for rows, width, kernel in _kernels(points, widths):
        given[width] += (1 / (n * everywhere[width, rows])).astype(np.float32) @ kernel
        weights = (1 / (own[rows] * inside[width, rows])).astype(np.float32)
        for group in np.unique(ordered[rows]):
            those, members = ordered[rows] == group, slice(starts[group], starts[group] + counts[group])
            given_inside[width, members] += weights[those] @ kernel[those, members]
    about_x, about_class = -np.log(everywhere), -np.log(inside)
    by_quantity = zip(
        (about_x, about_x - about_class),
        (about_x - given, about_x - given - about_class + given_inside),
        strict=True,
    )
    found = [
        [Estimate(float(value.mean()), _back(each, order)) for value, each in zip(values, influences, strict=True)]
        for values, influences in by_quantity
    ]
    return [each for of_width in zip(*found, strict=True) for each in of_width]


def _back(influence: Float64[np.ndarray, " n"], order: Int[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Influences about their mean, in the order of the samples."""
    found = np.empty_like(influence)
    found[order] = influence - influence.mean()
    return found


def _kernels(
    points: Float64[np.ndarray, "n c"], widths: list[float]
) -> Iterator[tuple[slice, int, Float32[np.ndarray, "r n"]]]:
    """Some rows of exp(-D / 2 width), and the number of the width; the array is used again."""
    single = points.astype(np.float32)
    squares = (single**2).sum(1)
    for begin in range(0, len(points), ROWS):
        rows = slice(begin, min(begin + ROWS, len(points)))
        distances = (-2 * single[rows]) @ single.T
        distances += squares
        distances += squares[rows, None]
        np.maximum(distances, 0, out=distances)
        distances[np.arange(rows.stop - begin), np.arange(begin, rows.stop)] = 0
        kernel = np.empty_like(distances)
        for number, width in enumerate(widths):
            yield rows, number, np.exp(np.multiply(distances, -0.5 / width, out=kernel), out=kernel)


def infonce(points: Float64[np.ndarray, "n c"], noise: float, batches: int) -> Estimate:
    """InfoNCE (Oord et al., 2018) of I(X;T), whose critic is the known density of the noise: nothing is trained."""
    drawn = np.random.default_rng(0)
    noisy = points + np.sqrt(noise) * drawn.standard_normal(points.shape)
    told = np.empty(len(points))
    for own in np.array_split(drawn.permutation(len(points)), batches):
        squares = (noisy[own] ** 2).sum(1)[:, None] + (points[own] ** 2).sum(1) - 2 * noisy[own] @ points[own].T
        critic = -squares / (2 * noise)
        most = critic.max(1)
        told[own] = np.diag(critic) - most - np.log(np.exp(critic - most[:, None]).mean(1))
    return Estimate(float(told.mean()), told - told.mean())


def bootstrap(influences: list[Float64[np.ndarray, " n"]], resamples: int) -> list[tuple[float, float]]:
    """95 % intervals of what an estimate varies by, over resamples of its influences.

    The samples themselves are not resampled: copies of a sample, at distance 0 of one another, would pull every
    estimate down.
    """
    values = np.stack(influences, axis=1)
    n = len(values)
    drawn = np.random.default_rng(0)
    means = np.stack([np.bincount(drawn.integers(0, n, n), minlength=n) @ values / n for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
