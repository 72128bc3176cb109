"""Cost in FLOPs, one convention (DEFINITIONS.md, section 2): multiply-accumulates of convolutions, linear layers and
matrix products count 1; norms, pooling, softmax and element-wise operators count 0.

fvcore traces the modules. An operator that it meets must have a handler or stand on the list of free ones: what costs
something and is not known is an error, never a silent zero.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from manyexits.models.backbones import Backbone
from manyexits.models.network import MultiExit

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore uses torch.jit, which torch has deprecated
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import get_shape

CONVENTION = (
    "FLOPs are multiply-accumulates of convolutions, linear layers and matrix products (attention: two products);"
    " norms, pooling, softmax and element-wise operators count 0"
)

FREE = {
    f"aten::{name}"
    for name in (
        "add add_ sub sub_ rsub mul mul_ div div_ neg exp sqrt pow relu relu_ gelu silu silu_ sigmoid tanh softmax"
        " hardtanh hardtanh_ dropout batch_norm layer_norm group_norm max_pool2d avg_pool2d adaptive_avg_pool2d"
        " adaptive_max_pool2d mean sum cumsum where masked_fill expand embedding clone copy_ constant_pad_nd pad"
        " hardsigmoid hardswish hardswish_ addcmul amax linalg_vector_norm reshape_as expand_as"
    ).split()
}
"""Operators that cost nothing under the convention. fvcore itself ignores those that only reshape, slice or cast."""


def _nothing(inputs: list[Any], outputs: list[Any]) -> int:
    """Handler of an operator that is free; fvcore itself counts norms and pooling."""
    return 0


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """scaled_dot_product_attention: the products of queries and keys, and of weights and values."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    assert all(shape is not None for shape in (query, key, value))
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


class UncountedOperatorError(ValueError):
    """A module uses an operator whose cost is not known."""


def count(module: nn.Module, state: Tensor) -> int:
    """FLOPs of one call of a module, for the whole batch in `state`.

    Raises:
        UncountedOperatorError: names the operator.
    """
    analysis = FlopCountAnalysis(module, state)
    handlers: dict[str, Any] = dict.fromkeys(FREE, _nothing) | {"aten::scaled_dot_product_attention": _attention}
    analysis.set_op_handle(**handlers)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        total = analysis.total()
        unknown = set(analysis.unsupported_ops())
    if unknown:
        raise UncountedOperatorError(
            f"{type(module).__name__} uses {', '.join(sorted(unknown))}, whose cost is not known;"
            " add a handler or list it as free in src/manyexits/models/cost.py"
        )
    return int(total)


@torch.no_grad()
def states(backbone: Backbone, shape: tuple[int, int, int]) -> list[Tensor]:
    """The state (1, ...) after each stage for one black image of a shape (H, W, 3)."""
    return [state for _, _, state in _walk(backbone, shape)]


@torch.no_grad()
def stage_costs(backbone: Backbone, shape: tuple[int, int, int]) -> list[int]:
    """FLOPs of each stage for one image of a shape (H, W, 3)."""
    return [count(stage, before) for stage, before, _ in _walk(backbone, shape)]


def _walk(backbone: Backbone, shape: tuple[int, int, int]) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """(stage, state before, state after) in order, in evaluation mode, which is undone at the end."""
    height, width, channels = shape
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    state = torch.zeros(1, channels, height, width)
    for stage in backbone.stages:
        after = stage(state)
        yield stage, state, after
        state = after
    for module, mode in modes.items():
        module.training = mode


@dataclass(frozen=True)
class Costs:
    """What a network costs for one sample, in FLOPs."""

    blocks: list[int]
    """Blocks after which the exits sit, counted from 1."""
    stages: list[int]
    """Each stage alone."""
    heads: list[int]
    """Each exit's head alone; the last is the backbone's classifier."""

    @property
    def backbone(self) -> int:
        """All stages and the classifier: budget 100 %."""
        return sum(self.stages) + self.heads[-1]

    @property
    def exits(self) -> list[int]:
        """C_k: stages up to exit k and all heads passed."""
        return [sum(self.stages[:block]) + sum(self.heads[: k + 1]) for k, block in enumerate(self.blocks)]

    def training(self, groups: tuple[str, ...], exits: tuple[int, ...]) -> int:
        """FLOPs of one training sample: what is computed, and twice over what is differentiated [O].

        A backward pass costs twice the forward pass of the part that learns; a frozen backbone has none, and what
        lies beyond the last learning exit is not run.
        """
        heads = sum(self.heads[k - 1] for k in exits if k < len(self.blocks))
        backbone = self.up_to(exits) + (len(self.blocks) in exits) * self.heads[-1]
        learned = ("backbone" in groups) * backbone + ("heads" in groups) * heads
        return backbone + heads + 2 * learned

    def up_to(self, exits: tuple[int, ...]) -> int:
        """FLOPs of the stages up to the last of these exits, without any head."""
        return sum(self.stages[: self.blocks[exits[-1] - 1]])


@torch.no_grad()
def count_network(network: MultiExit, shape: tuple[int, int, int]) -> Costs:
    """Costs of a network for one image of a shape (H, W, 3)."""
    backbone, stages, heads = network.backbone, [], []
    for block, (stage, before, after) in enumerate(_walk(backbone, shape), start=1):
        stages.append(count(stage, before))
        if block in network.blocks:
            exit_ = network.blocks.index(block) + 1
            head = backbone.classifier if exit_ == network.n_exits else network.heads[str(block)]
            heads.append(count(head, network.read(exit_, after)))
    return Costs(network.blocks, stages, heads)
