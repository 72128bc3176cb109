"""What cannot become a network is refused in one sentence when it is made."""

import pytest
import torch
from torch import nn

from manyexits.batches.views import blank_images
from manyexits.models import build
from manyexits.models.backbones import Backbone
from manyexits.models.methods import Method
from manyexits.study import components

SETTINGS = {
    "classes": 3,
    "backbone": {"family": "resnet", "groups": [1, 1], "width": 4},
    "method": {"kind": "sdn"},
    "placement": {"every": 1},
}
SAMPLES = blank_images(8, 8)


class Beside(nn.Module):
    """A stage whose state has a second part."""

    def __init__(self, second):
        super().__init__()
        self.second = second

    def forward(self, state):
        maps = state[0] if isinstance(state, tuple) else state
        return maps, self.second(maps)


class Firsts(Backbone):
    def tap(self, state):
        return state[0]


class Last(nn.Module):
    def forward(self, state):
        return state[0].mean((2, 3))


def component(monkeypatch, kind, build_):
    """Let every component of a kind be built by a function."""
    real = components.module

    def module(asked, name):
        return type("Module", (), {"build": staticmethod(build_)}) if asked == kind else real(asked, name)

    monkeypatch.setattr(components, "module", module)


@pytest.mark.parametrize(
    ("second", "shape"),
    [(lambda maps: torch.zeros(3), r"\(3,\)"), (lambda maps: torch.tensor(1.0), r"\(\)"),
     (lambda maps: maps.flatten(0, 1), r"\(6, 8, 8\)")],
)  # fmt: skip
def test_a_state_whose_parts_differ_in_batch_is_refused(monkeypatch, second, shape):
    component(
        monkeypatch,
        "backbones",
        lambda outputs, **_: Firsts([Beside(second), Beside(second)], Last(), output_layers=""),
    )
    with pytest.raises(
        ValueError, match=rf"part 2 of the state after block 1 of the backbone resnet has the shape {shape}"
    ):
        build.network(SETTINGS, SAMPLES, seed=1)


def test_a_memory_whose_parts_differ_in_batch_is_refused(monkeypatch):
    def exit(heads, extras, k, tapped, memory):
        return heads[k](tapped), (torch.zeros(3),)

    component(
        monkeypatch,
        "methods",
        lambda outputs, **_: Method(
            head=lambda k, n_exits, tap: nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs)), exit=exit
        ),
    )
    with pytest.raises(ValueError, match=r"part 1 of the memory behind exit 1 of the method sdn has the shape \(3,\)"):
        build.network(SETTINGS, SAMPLES, seed=1)


@pytest.mark.parametrize("kind", ["backbones", "methods"])
def test_a_component_that_returns_something_else_is_named(monkeypatch, kind):
    component(monkeypatch, kind, lambda outputs, **_: None)
    with pytest.raises(ValueError, match=rf"src/manyexits/models/{kind}/\w+\.py: build must return a .*, not None"):
        build.network(SETTINGS, SAMPLES, seed=1)


def test_an_empty_batch_is_answered_by_nobody():
    network = build.network(SETTINGS, SAMPLES, seed=1).eval()
    from manyexits.exits.policies import Policy

    answers, left_at = network.forward_until(torch.zeros(0, 3, 8, 8), Policy("confidence", (0.5,)))
    assert (answers.shape, left_at.tolist()) == ((0, 3), [])


def test_a_network_in_the_making_leaves_no_trace_of_its_checks():
    network = build.network(SETTINGS | {"method": {"kind": "ztw"}}, SAMPLES, seed=1)
    assert network.training
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.num_batches_tracked == 0 and norm.running_var.eq(1).all() for norm in norms)
