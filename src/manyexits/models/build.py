"""From settings to a network, drawn from a seed: the backbone, where its heads sit, the heads, what a method adds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from manyexits.batches.state import State, parts
from manyexits.batches.views import Blanks
from manyexits.exits import task
from manyexits.models.backbones import Backbone, Tap
from manyexits.models.cost import stage_costs, states
from manyexits.models.methods import Method
from manyexits.models.network import MultiExit
from manyexits.study import components

BACKBONE, EXTRAS = 0, 2**32 - 1
"""Parts of a network that are drawn from generators of their own; a head's part is its block."""


def backbone(settings: dict[str, Any], seed: int) -> Backbone:
    """The backbone of a network's settings, drawn from a generator of its own."""
    options = {key: value for key, value in settings["backbone"].items() if key != "family"}
    with drawn_from(seed, BACKBONE):
        module = components.module("backbones", settings["backbone"]["family"])
        return module.build(task.of(settings).outputs, **options)


def method(settings: dict[str, Any]) -> Method:
    """The method of a network's settings; one without heads needs none, and has the plain one."""
    told = settings.get("method", {"kind": "sdn"})
    options = {key: value for key, value in told.items() if key != "kind"}
    return components.module("methods", told["kind"]).build(task.of(settings).outputs, **options)


def network(settings: dict[str, Any], blanks: Blanks, seed: int) -> MultiExit:
    """The network of these settings for inputs like the blank ones. Without a `placement` it has no heads.

    Each head has a generator of its own, so that equal blocks have equal first heads in every placement.

    Raises:
        ValueError: when the backbone takes other inputs, or heads are asked for after blocks that do not exist, or none
            are left, or the method has no head for what they read.
    """
    stages, how = backbone(settings, seed), method(settings)
    blank = blanks[0].inputs
    stages.check(blank)
    if "placement" not in settings:
        return MultiExit(stages, {}, how)
    after = states(stages, blank)
    _check_states(after, settings["backbone"]["family"])
    shapes = [tuple(stages.tap(state).shape[1:]) for state in after]
    blocks = place(settings["placement"], lambda: stage_costs(stages, blanks), len(shapes))
    heads = {}
    for exit_, block in enumerate(blocks, start=1):
        with drawn_from(seed, block):
            shape = shapes[block - 1]
            heads[block] = how.head(exit_, len(blocks) + 1, Tap(shape, stages.body(shape)))
    with drawn_from(seed, EXTRAS):
        return MultiExit(stages, heads, how)


def place(placement: dict[str, Any], costs: Callable[[], list[int]], n_blocks: int) -> list[int]:
    """Blocks with a head: those stated, or those nearest to shares of the stages' cost (DEFINITIONS.md, section 3).

    Args:
        placement: `after`, blocks; `every` so many blocks; or `shares` in (0, 1).
        costs: function that returns each stage's cost; called only for `shares`.
        n_blocks: blocks of the backbone; the last one has the backbone's own exit.

    Raises:
        ValueError: when a stated block does not exist, or no head is left.
    """
    blocks: list[int] = list(placement.get("after", ()))
    if wrong := [block for block in blocks if not 1 <= block < n_blocks]:
        raise ValueError(f"there is no place for a head after block {wrong[0]}; valid blocks: 1 to {n_blocks - 1}")
    if "every" in placement:
        blocks = list(range(placement["every"], n_blocks, placement["every"]))
    if "shares" in placement and n_blocks > 1:
        reached = np.cumsum(costs())
        reached = reached[:-1] / reached[-1]
        # argmin takes the first of equals: ties go to the earlier block, and a set lets duplicates fall away
        blocks = sorted({int(np.argmin(np.abs(reached - share))) + 1 for share in placement["shares"]})
    if not blocks:
        raise ValueError(
            f"the placement puts no head on the backbone's {n_blocks} blocks, which leaves one exit; choose a larger"
            " backbone or another placement"
        )
    return blocks


def _check_states(after: list[State], family: str) -> None:
    """Refuse states, of two samples, with a part that is not batch first: early exit selects samples of every part."""
    for block, state in enumerate(after, start=1):
        for number, part in enumerate(parts(state), start=1):
            if part.dim() == 0 or len(part) != 2:
                raise ValueError(
                    f"part {number} of the state after block {block} of the backbone {family} has the shape"
                    f" {tuple(part.shape)} for two samples; every part of a state must be batch first"
                )


@contextmanager
def drawn_from(seed: int, part: int) -> Iterator[None]:
    """Draws inside the block come from a generator of their own; the global one stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> 1))
        yield
