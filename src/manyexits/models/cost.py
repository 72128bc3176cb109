"""Cost in FLOPs, one convention (DEFINITIONS.md, section 2): multiply-accumulates of convolutions, linear layers and
matrix products count 1; norms, pooling, softmax and element-wise operators count 0.

torch's own counter sees every operator that a module really calls, whatever it is composed of. What is neither counted
nor free is an error, never a silent zero.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import nn
from torch.backends import mha
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from manyexits.batches.state import State, parts
from manyexits.batches.views import Blanks
from manyexits.models.backbones import Backbone, in_mode
from manyexits.models.lengths import counted
from manyexits.models.methods import Memory
from manyexits.models.network import MultiExit

CONVENTION = (
    "FLOPs are multiply-accumulates of convolutions, linear layers and matrix products (attention: two products);"
    " norms, pooling, softmax and element-wise operators count 0"
)

COSTLY = re.compile(
    r"conv|mm(?!a|i)|mv|dot|linear|matmul|einsum|attention|multi_head|transformer|rnn|lstm|gru|_cell|fft(?!\w*freq)|cdist"
    r"|pdist|euclidean|linalg|svd|qr(?!t)|cholesky|solve|inverse|matrix|det(?!ach)|addr|^ger$"
)
"""Names of operators that multiply and add up, or decompose a matrix."""
FREE = re.compile(r"_?(linalg_(_powsum|check_errors|cross|diagonal|vector_norm)|upsample_|convert_|slice_inverse)")
"""Names that look alike, of operators that do not."""
ATEN = torch.ops.aten


def _product(left: Any, right: Any, *_: Any, **__: Any) -> int:
    """A matrix or vector by a vector: as many products as the first has entries. torch counts 2 for each."""
    return 2 * prod(left)


def _sum_of_products(addend: Any, left: Any, right: Any, *_: Any, **__: Any) -> int:
    """An addend, and a matrix by a vector, a matrix, or the sum over a batch of matrices."""
    return 2 * prod(left) * (right[-1] if len(right) > 1 else 1)


def _recurrent(inputs: Any, of_inputs: Any, of_state: Any, *_: Any, **__: Any) -> int:
    """A recurrent layer: both of its matrices at every step."""
    return 2 * prod(inputs[:-1]) * (prod(of_inputs) + prod(of_state))


BEYOND = {
    ATEN.mv: _product,
    ATEN.dot: _product,
    ATEN.vdot: _product,
    ATEN.addmv: _sum_of_products,
    ATEN.addmv_: _sum_of_products,
    ATEN.addmm_: _sum_of_products,
    ATEN.addbmm: _sum_of_products,
    ATEN.addbmm_: _sum_of_products,
    ATEN.baddbmm_: _sum_of_products,
    ATEN._addmm_activation: _sum_of_products,
    ATEN.mkldnn_rnn_layer: _recurrent,
}
"""Operators that cost something and that torch's counter does not know, with their FLOPs as it counts them."""


class UncountedOperatorError(ValueError):
    """A module uses an operator whose cost is not known."""


class Seen(TorchDispatchMode):
    """Remembers which operators are called."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operator."""
        self.operators.add(func)
        return func(*args, **(kwargs or {}))


def count(module: Callable[..., Any], *inputs: Any, what: str = "") -> int:
    """FLOPs of one call of a module, for the whole batch in its inputs.

    Args:
        module: what is called, or a function.
        inputs: of the call.
        what: how an error calls it; its class by default.

    Raises:
        UncountedOperatorError: names the operator.
    """
    with (
        torch.no_grad(),
        _step_by_step(),
        Seen() as seen,
        FlopCounterMode(display=False, custom_mapping=BEYOND) as mode,
    ):
        module(*inputs)
    counted = set(mode.flop_registry)
    if unknown := sorted(str(each) for each in seen.operators if not _known(each, counted)):
        raise UncountedOperatorError(
            f"{what or type(module).__name__} uses {', '.join(unknown)}, whose cost is not known; choose another"
            " backbone or method, or write its layer with matrix products"
        )
    return mode.get_total_flops() // 2  # torch counts a multiplication and an addition


def _known(operator: Any, counted: set[Any]) -> bool:
    """Whether an operator is counted, or free: torch marks those that are element-wise."""
    if getattr(operator, "overloadpacket", operator) in counted:
        return True
    if getattr(operator, "namespace", "") not in ("aten", "prim"):
        return False
    name = operator.overloadpacket.__name__
    return torch.Tag.pointwise in operator.tags or bool(FREE.match(name)) or not COSTLY.search(name)


@contextmanager
def _step_by_step() -> Iterator[None]:
    """Inside the block torch runs attention by its parts, which are counted, never as one operator of its own."""
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


@torch.no_grad()
def states(backbone: Backbone, blank: State) -> list[State]:
    """The state after each stage for two blank samples."""
    doubled = tuple(torch.cat([part, part]) for part in parts(blank))
    return [state for _, _, state in _walk(backbone, doubled if isinstance(blank, tuple) else doubled[0])]


@torch.no_grad()
def stage_costs(backbone: Backbone, blanks: Blanks) -> list[int]:
    """FLOPs of each stage for one sample, the mean over the inputs' sizes."""

    def of(inputs: State) -> list[int]:
        return [count(stage, before) for stage, before, _ in _walk(backbone, inputs)]

    return _mean(counted(of, blanks), blanks)


def _mean(found: list[list[int]], blanks: Blanks) -> list[int]:
    """Each column's mean over the inputs' sizes, in whole FLOPs."""
    return [
        round(sum(blank.share * value for blank, value in zip(blanks, column, strict=True)))
        for column in zip(*found, strict=True)
    ]


def _walk(backbone: Backbone, inputs: State) -> Iterator[tuple[nn.Module, State, State]]:
    """(stage, state before, state after) in order, in evaluation mode, which is undone at the end."""
    state = inputs
    with in_mode(backbone, training=False):
        for stage in backbone.stages:
            after = stage(state)
            yield stage, state, after
            state = after


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
        computed, learned = self._passed(groups, exits, answered)
        return computed + 2 * learned

    def lesson(self, groups: tuple[str, ...], exits: tuple[int, ...]) -> int:
        """FLOPs of one sample of a batch from which a weight network learns [O]: two training passes, before a step and
        after it, and twice what learns to differentiate the first one's gradient.

        torch's own second derivative of a convolution takes twice as much.
        """
        computed, learned = self._passed(groups, exits, answered=False)
        return 2 * (computed + 2 * learned) + 2 * learned

    def _passed(self, groups: tuple[str, ...], exits: tuple[int, ...], answered: bool) -> tuple[int, int]:
        """FLOPs of a forward pass, and of the part of it that learns."""
        heads = sum(self.heads[k - 1] for k in exits if k < len(self.blocks))
        answers = answered * sum(self.answers[k - 1] for k in exits)
        backbone = self.up_to(exits) + (len(self.blocks) in exits) * self.heads[-1]
        learned = ("backbone" in groups) * backbone + ("heads" in groups) * heads + ("extras" in groups) * answers
        return backbone + heads + answers, learned

    def up_to(self, exits: tuple[int, ...]) -> int:
        """FLOPs of the stages up to the last of these exits, without any head."""
        return sum(self.stages[: self.blocks[exits[-1] - 1]])


@torch.no_grad()
def count_network(network: MultiExit, blanks: Blanks) -> Costs:
    """Costs of a network for one sample, the mean over the inputs' sizes."""
    means = _mean(counted(partial(_count, network), blanks), blanks)
    n_stages, n_exits = len(network.backbone.stages), network.n_exits
    heads = means[n_stages : n_stages + n_exits]
    return Costs(network.blocks, means[:n_stages], heads, means[n_stages + n_exits :])


def _count(network: MultiExit, inputs: State) -> list[int]:
    """FLOPs of every stage, then of every exit's own outputs, then of what its answer adds."""
    stages, heads, answers = [], [], []
    memory: Memory = ()
    training = network.training
    network.eval()
    for block, (stage, before, after) in enumerate(_walk(network.backbone, inputs), start=1):
        stages.append(count(stage, before))
        if block in network.blocks:
            exit_ = network.blocks.index(block) + 1
            tapped = network.read(exit_, after)
            heads.append(count(partial(network.exit, exit_), tapped, memory, what=f"exit {exit_}"))
            outputs, memory = network.exit(exit_, tapped, memory)
            answers.append(count(partial(network.answer, exit_), outputs, memory, what=f"the answer of exit {exit_}"))
    network.train(training)
    return stages + heads + answers
