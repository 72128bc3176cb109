"""From settings to a network, drawn from a seed: the backbone, where its heads sit, the heads, what a method adds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from manyexits.batches.state import State, parts
from manyexits.batches.views import Blanks
from manyexits.exits import task
from manyexits.models import device, reach
from manyexits.models.backbones import Backbone, Tap
from manyexits.models.cost import stage_costs, states
from manyexits.models.methods import Memory, Method
from manyexits.models.network import MultiExit
from manyexits.study import components

Built = TypeVar("Built", Backbone, Method)
CPU = torch.device("cpu")
BACKBONE, BEGIN, EXTRAS = 0, 2**32 - 2, 2**32 - 1
"""Parts of a network that are drawn from generators of their own; a head's part is its block."""


def backbone(settings: dict[str, Any], seed: int) -> Backbone:
    """The backbone of a network's settings, drawn from a generator of its own."""
    options = {key: value for key, value in settings["backbone"].items() if key != "family"}
    with drawn_from(seed, BACKBONE):
        return _built("backbones", settings["backbone"]["family"], Backbone, task.of(settings).outputs, options)


def method(settings: dict[str, Any]) -> Method:
    """The method of a network's settings; one without heads needs none, and has the plain one."""
    told = settings.get("method", {"kind": "sdn"})
    options = {key: value for key, value in told.items() if key != "kind"}
    return _built("methods", told["kind"], Method, task.of(settings).outputs, options)


def _built(kind: str, name: str, what: type[Built], outputs: int, options: dict[str, Any]) -> Built:
    """What a component's `build` returns, if that is what it should."""
    built = components.module(kind, name).build(outputs, **options)
    if not isinstance(built, what):
        raise ValueError(f"{components.file(kind, name)}: build must return a {what.__name__}, not {built!r}")
    return built


def network(settings: dict[str, Any], blanks: Blanks, seed: int) -> MultiExit:
    """The network of these settings for inputs like the blank ones. Without a `placement` it has no heads.

    Each head has a generator of its own, so that equal blocks have equal first heads in every placement.

    Raises:
        ValueError: when the backbone takes other inputs or does not read all of them, or heads are asked for after
            blocks that do not exist, or none are left, or the method has no head for what they read.
    """
    stages, how = backbone(settings, seed), method(settings)
    blank = blanks[0].inputs
    stages.check(blank)
    reach.check(stages, blank, settings["backbone"]["family"])
    with drawn_from(seed, BEGIN):
        stages.begin()
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
        built = MultiExit(stages, heads, how)
    _check_memory(built, [after[block - 1] for block in blocks], settings["method"]["kind"])
    return built


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


@torch.no_grad()
def _check_memory(network: MultiExit, states: list[State], kind: str) -> None:
    """Refuse a memory, of two samples, with a part that is not batch first."""
    memory: Memory = ()
    network.eval()
    for exit_, state in enumerate(states, start=1):
        _, memory = network.exit(exit_, network.read(exit_, state), memory)
        for number, part in enumerate(memory, start=1):
            if part.dim() == 0 or len(part) != 2:
                raise ValueError(
                    f"part {number} of the memory behind exit {exit_} of the method {kind} has the shape"
                    f" {tuple(part.shape)} for two samples; every part of a memory must be batch first"
                )
    network.train()


@contextmanager
def drawn_from(seed: int, part: int) -> Iterator[None]:
    """Draws inside the block come from a generator of their own; the global one stays as it was."""
    with torch.random.fork_rng(devices=[]):
        device.seed(int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> 1), CPU)
        yield
