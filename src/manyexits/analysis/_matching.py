"""Matching the units of two networks: permutations of hidden channels that change no output (Ainsworth et al., 2023,
weight matching). Defined for our ResNets with heads of plain layers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from manyexits.models.heads import MixedPool
from manyexits.models.network import MultiExit

Arrays = dict[str, np.ndarray]
ENOUGH = 1e-9
"""Relative gain below which nothing has changed."""


@dataclass(frozen=True)
class Axis:
    """Where one set of units stands in one parameter or buffer."""

    name: str
    axis: int
    each: int = 1
    """Entries of every unit, side by side: places of a map that was flattened."""


Units = list[list[Axis]]
"""Sets of units that are numbered anew together, each with all places where it stands."""


def units_of(model: MultiExit) -> Units | None:
    """The sets of units of a network; None where they are not defined."""
    found: Units = []
    stream: list[Axis] = []
    for number, stage in enumerate(model.backbone.stages):
        place, block = f"backbone.stages.{number}", stage
        if number == 0 and isinstance(stage, nn.Sequential):
            stream = _new(found, f"{place}.0.0", f"{place}.0.1")
            place, block = f"{place}.1", stage[1]
        if not isinstance(block, BasicBlock | Bottleneck):
            return None
        stream = _of_block(found, block, place, stream)
        head = str(number + 1)
        if head in model.heads and not _of_head(found, model.heads[head], f"heads.{head}", stream):
            return None
    stream.append(Axis("backbone.classifier.2.weight", 1))
    return found


def _new(found: Units, convolution: str, norm: str) -> list[Axis]:
    """A new set of units: what a convolution and the norm behind it give."""
    found.append([])
    _join(found[-1], convolution, norm)
    return found[-1]


def _join(units: list[Axis], convolution: str, norm: str) -> None:
    """What a convolution and the norm behind it give are these units."""
    units.append(Axis(f"{convolution}.weight", 0))
    units += [Axis(f"{norm}.{name}", 0) for name in ("weight", "bias", "running_mean", "running_var")]


def _of_block(found: Units, block: BasicBlock | Bottleneck, place: str, stream: list[Axis]) -> list[Axis]:
    """Units inside of a residual block, and those behind it, which are those before it where nothing projects them."""
    layers = (1, 2) if isinstance(block, BasicBlock) else (1, 2, 3)
    before = stream
    for layer in layers[:-1]:
        before.append(Axis(f"{place}.conv{layer}.weight", 1))
        before = _new(found, f"{place}.conv{layer}", f"{place}.bn{layer}")
    before.append(Axis(f"{place}.conv{layers[-1]}.weight", 1))
    behind = stream
    if block.downsample is not None:
        stream.append(Axis(f"{place}.downsample.0.weight", 1))
        behind = _new(found, f"{place}.downsample.0", f"{place}.downsample.1")
    _join(behind, f"{place}.conv{layers[-1]}", f"{place}.bn{layers[-1]}")
    return behind


def _of_head(found: Units, head: nn.Module, place: str, stream: list[Axis]) -> bool:
    """Units that a head reads and has; whether it consists of layers that are known here."""
    if not isinstance(head, nn.Sequential):
        return False
    units, each = stream, 1
    for name, layer in head.named_children():
        if isinstance(layer, nn.Conv2d):
            units.append(Axis(f"{place}.{name}.weight", 1))
            found.append([Axis(f"{place}.{name}.weight", 0), Axis(f"{place}.{name}.bias", 0)])
            units = found[-1]
        elif isinstance(layer, MixedPool):
            each = 16
        elif isinstance(layer, nn.Linear):
            units.append(Axis(f"{place}.{name}.weight", 1, each))
        elif not isinstance(layer, nn.ReLU | nn.Flatten):
            return False
    return True


def matched(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], units: Units) -> Arrays:
    """The second network, its units in the order in which they fit those of the first best.

    One set after another is assigned anew, by the inner products of all weights that touch it, until nothing changes.

    Args:
        first, second: parameters and buffers by their names.
        units: of both.
    """
    found = {name: np.array(value) for name, value in second.items()}
    order, changed = np.random.default_rng(0), True
    while changed:
        changed = False
        for number in order.permutation(len(units)):
            products = _products(first, found, units[number])
            _, chosen = linear_sum_assignment(products, maximize=True)
            gain = products[np.arange(len(chosen)), chosen].sum() - np.trace(products)
            if gain > ENOUGH * np.abs(products).sum():
                renumber(found, units[number], chosen)
                changed = True
    return found


def renumber(arrays: Arrays, units: list[Axis], order: np.ndarray) -> None:
    """Put the units of one set into another order, in place."""
    for where in units:
        whole = (order[:, None] * where.each + np.arange(where.each)).ravel()
        arrays[where.name] = np.take(arrays[where.name], whole, axis=where.axis)


def _products(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], units: list[Axis]
) -> Float64[np.ndarray, "u u"]:
    """Inner products of every unit of one network with every unit of the other; running statistics do not count."""
    count = first[units[0].name].shape[units[0].axis] // units[0].each
    found = np.zeros((count, count))
    for where in units:
        if "running" not in where.name:
            one, other = (
                np.moveaxis(arrays[where.name].astype(np.float64), where.axis, 0).reshape(count, -1)
                for arrays in (first, second)
            )
            found += one @ other.T
    return found
