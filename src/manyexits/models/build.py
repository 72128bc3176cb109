"""From settings to a network, drawn from a seed: the backbone, where its heads sit, the heads."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from manyexits.models.backbones import Backbone
from manyexits.models.cost import stage_costs, states
from manyexits.models.network import MultiExit


def backbone(settings: dict[str, Any], seed: int) -> Backbone:
    """The backbone of a network's settings, drawn from a generator of its own."""
    options = {key: value for key, value in settings["backbone"].items() if key != "family"}
    module = importlib.import_module(f"manyexits.models.backbones.{settings['backbone']['family']}")
    with drawn_from(seed, 0):
        return module.build(settings["classes"], **options)


def network(settings: dict[str, Any], shape: tuple[int, int, int], seed: int) -> MultiExit:
    """The network of these settings for images of a shape (H, W, 3). Without a `placement` it has no heads.

    Each head has a generator of its own, so that equal blocks have equal first heads in every placement.

    Raises:
        ValueError: when the backbone takes images of another size, or heads are asked for after blocks that do not
            exist.
    """
    stages = backbone(settings, seed)
    if stages.pixels is not None and shape[:2] != (stages.pixels, stages.pixels):
        raise ValueError(
            f"the backbone takes images of {stages.pixels} x {stages.pixels} pixels, but the dataset's are"
            f" {shape[1]} x {shape[0]}; set the backbone's pixels, or prepare the dataset at that size"
        )
    if "placement" not in settings:
        return MultiExit(stages, {})
    features = [stages.tap(state).shape[1:] for state in states(stages, shape)]
    blocks = place(settings["placement"], lambda: stage_costs(stages, shape), len(features))
    options = {key: value for key, value in settings["method"].items() if key != "kind"}
    method = importlib.import_module(f"manyexits.models.methods.{settings['method']['kind']}")
    heads = {}
    for block in blocks:
        with drawn_from(seed, block):
            (heads[block],) = method.build_heads([features[block - 1]], settings["classes"], **options)
    return MultiExit(stages, heads)


def place(placement: dict[str, Any], costs: Callable[[], list[int]], n_blocks: int) -> list[int]:
    """Blocks with a head: those stated, or those nearest to shares of the stages' cost (DEFINITIONS.md, section 3).

    Args:
        placement: `blocks`, or `shares` in (0, 1).
        costs: function that returns each stage's cost; called only for `shares`.
        n_blocks: blocks of the backbone; the last one has the backbone's own exit.

    Raises:
        ValueError: when a stated block does not exist.
    """
    if "blocks" in placement:
        if wrong := [block for block in placement["blocks"] if not 1 <= block < n_blocks]:
            raise ValueError(f"there is no place for a head after block {wrong[0]}; valid blocks: 1 to {n_blocks - 1}")
        return list(placement["blocks"])
    reached = np.cumsum(costs())
    reached = reached[:-1] / reached[-1]
    # argmin takes the first of equals: ties go to the earlier block, and a set lets duplicates fall away
    return (
        sorted({int(np.argmin(np.abs(reached - share))) + 1 for share in placement["shares"]}) if n_blocks > 1 else []
    )


@contextmanager
def drawn_from(seed: int, part: int) -> Iterator[None]:
    """Draws inside the block come from a generator of their own; the global one stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> 1))
        yield
