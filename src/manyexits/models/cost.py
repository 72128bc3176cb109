"""Cost in FLOPs, one convention (DEFINITIONS.md, section 2): multiply-accumulates of convolutions, linear layers and
matrix products count 1; norms, pooling, softmax and element-wise operators count 0.

fvcore traces the modules. An operator that it meets must have a handler or stand on the list of free ones: what costs
something and is not known is an error, never a silent zero.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from manyexits.batches.state import State, parts
from manyexits.batches.views import Blanks
from manyexits.models.backbones import Backbone
from manyexits.models.methods import Memory
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
        " hardsigmoid hardswish hardswish_ addcmul amax linalg_vector_norm reshape_as expand_as log_softmax"
        " eq ne lt le gt ge logical_and logical_or logical_not arange"
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


def count(module: nn.Module, *inputs: State, what: str = "") -> int:
    """FLOPs of one call of a module, for the whole batch in its inputs.

    Args:
        module: what is called.
        inputs: of the call.
        what: how an error calls it; its class by default.

    Raises:
        UncountedOperatorError: names the operator.
    """
    flat = tuple(part for state in inputs for part in parts(state))
    analysis = FlopCountAnalysis(_Flat(module, inputs), flat)
    handlers: dict[str, Any] = dict.fromkeys(FREE, _nothing) | {"aten::scaled_dot_product_attention": _attention}
    analysis.set_op_handle(**handlers)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        total = analysis.total()
        unknown = set(analysis.unsupported_ops())
    if unknown:
        raise UncountedOperatorError(
            f"{what or type(module).__name__} uses {', '.join(sorted(unknown))}, whose cost is not known;"
            " add a handler or list it as free in src/manyexits/models/cost.py"
        )
    return int(total)


class _Flat(nn.Module):
    """A module that takes the tensors of its inputs one by one, as a trace wants them."""

    def __init__(self, module: nn.Module, inputs: tuple[State, ...]) -> None:
        super().__init__()
        self.module = module
        self.lengths = [len(each) if isinstance(each, tuple) else None for each in inputs]

    def forward(self, *tensors: Tensor) -> Any:
        """What the module gives."""
        rest = iter(tensors)
        inputs = [next(rest) if length is None else tuple(next(rest) for _ in range(length)) for length in self.lengths]
        return self.module(*inputs)


@torch.no_grad()
def states(backbone: Backbone, blank: State) -> list[State]:
    """The state after each stage for two blank samples."""
    doubled = tuple(torch.cat([part, part]) for part in parts(blank))
    return [state for _, _, state in _walk(backbone, doubled if isinstance(blank, tuple) else doubled[0])]


@torch.no_grad()
def stage_costs(backbone: Backbone, blanks: Blanks) -> list[int]:
    """FLOPs of each stage for one sample, the mean over the inputs' sizes."""
    found = [[count(stage, before) for stage, before, _ in _walk(backbone, blank.inputs)] for blank in blanks]
    return _mean(found, blanks)


def _mean(found: list[list[int]], blanks: Blanks) -> list[int]:
    """Each column's mean over the inputs' sizes, in whole FLOPs."""
    return [
        round(sum(blank.share * value for blank, value in zip(blanks, column, strict=True)))
        for column in zip(*found, strict=True)
    ]


def _walk(backbone: Backbone, inputs: State) -> Iterator[tuple[nn.Module, State, State]]:
    """(stage, state before, state after) in order, in evaluation mode, which is undone at the end."""
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    state = inputs
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
    """Each exit's own outputs, without the stages; the last are the backbone's classifier's."""
    answers: list[int]
    """What each exit's answer adds to its own outputs."""

    @property
    def backbone(self) -> int:
        """All stages and the classifier: budget 100 %."""
        return sum(self.stages) + self.heads[-1]

    @property
    def exits(self) -> list[int]:
        """C_k: stages up to exit k, and all exits passed with their answers."""
        passed = self.deployed
        return [sum(self.stages[:block]) + sum(passed[: k + 1]) for k, block in enumerate(self.blocks)]

    @property
    def deployed(self) -> list[int]:
        """Each exit of a trained network, without the stages."""
        return [head + answer for head, answer in zip(self.heads, self.answers, strict=True)]

    def training(self, groups: tuple[str, ...], exits: tuple[int, ...], answered: bool = False) -> int:
        """FLOPs of one training sample: what is computed, and twice over what is differentiated [O].

        A backward pass costs twice the forward pass of the part that learns; a frozen backbone has none, and what
        lies beyond the last learning exit is not run.
        """
        heads = sum(self.heads[k - 1] for k in exits if k < len(self.blocks))
        answers = answered * sum(self.answers[k - 1] for k in exits)
        backbone = self.up_to(exits) + (len(self.blocks) in exits) * self.heads[-1]
        learned = ("backbone" in groups) * backbone + ("heads" in groups) * heads + ("extras" in groups) * answers
        return backbone + heads + answers + 2 * learned

    def up_to(self, exits: tuple[int, ...]) -> int:
        """FLOPs of the stages up to the last of these exits, without any head."""
        return sum(self.stages[: self.blocks[exits[-1] - 1]])


@torch.no_grad()
def count_network(network: MultiExit, blanks: Blanks) -> Costs:
    """Costs of a network for one sample, the mean over the inputs' sizes."""
    found = [_count(network, blank.inputs) for blank in blanks]
    stages, heads, answers = (_mean([each[part] for each in found], blanks) for part in range(3))
    return Costs(network.blocks, stages, heads, answers)


def _count(network: MultiExit, inputs: State) -> tuple[list[int], list[int], list[int]]:
    """FLOPs of every stage, of every exit's own outputs and of what its answer adds."""
    stages, heads, answers = [], [], []
    memory: Memory = ()
    training = network.training
    network.eval()
    for block, (stage, before, after) in enumerate(_walk(network.backbone, inputs), start=1):
        stages.append(count(stage, before))
        if block in network.blocks:
            exit_ = network.blocks.index(block) + 1
            tapped = network.read(exit_, after)
            heads.append(count(_Of(network, partial(network.exit, exit_)), tapped, memory, what=f"exit {exit_}"))
            outputs, memory = network.exit(exit_, tapped, memory)
            said = partial(network.answer, exit_)
            answers.append(count(_Of(network, said), outputs, memory, what=f"the answer of exit {exit_}"))
    network.train(training)
    return stages, heads, answers


class _Of(nn.Module):
    """A function of a network as a module, which is what can be counted."""

    def __init__(self, network: MultiExit, function: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, *inputs: Any) -> Any:
        """What the function gives."""
        return self.function(*inputs)
