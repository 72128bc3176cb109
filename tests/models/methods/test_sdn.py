"""The cures of joint training: losses that rise with their exits' cost, linear weights, gradients in equilibrium."""

import pytest
import torch
from conftest import settings_of
from torch import Tensor, nn

from manyexits.artefacts.card.pseudocode import loss as told_loss
from manyexits.batches.state import parts
from manyexits.batches.views import blank_images
from manyexits.models.backbones import Backbone
from manyexits.models.build import network as build
from manyexits.models.methods import Now, pbee, sdn
from manyexits.models.network import MultiExit

MSDNET = {"layers": [1, 1, 1], "width": 4, "growth": 4, "scales": 2, "head": 4}
COSTS = (0.2, 0.5, 1.1)


def now(epoch: int, exits: tuple[int, ...] = (1, 2, 3)) -> Now:
    return Now(epoch, exits, tuple(COSTS[exit_ - 1] for exit_ in exits), 3)


# of three exits with losses 2, 3, 5; the last keeps its weight of 1, whatever it costs
@pytest.mark.parametrize(
    ("epoch", "weights"),
    [
        (1, [0.01 + 0.2 / 100, 0.01 + 0.5 / 100, 1]),
        (50, [0.01 + 0.1, 0.01 + 0.25, 1]),
        (95, [0.2, 0.01 + 0.475, 1]),  # .01 + .95 C_1 = .2: it has arrived
        (100, [0.2, 0.5, 1]),
        (300, [0.2, 0.5, 1]),
    ],
)
def test_scaled_losses_rise_to_the_cost_of_their_exits(epoch, weights):
    losses = torch.tensor([[1.0, 3.0, 4.0], [3.0, 3.0, 6.0]])
    expected = 2 * weights[0] + 3 * weights[1] + 5 * weights[2]
    method = sdn.build(4, cure="loss_scaling")
    assert method.loss(losses, (), now(epoch)).item() == pytest.approx(expected, rel=1e-6)
    heads = method.loss(losses[:, :2], (), now(epoch, (1, 2))).item()
    assert heads == pytest.approx(2 * weights[0] + 3 * weights[1], rel=1e-6)
    assert method.loss(losses[:, 2:], (), now(epoch, (3,))).item() == 5  # phase 1


def test_a_shorter_rise_ends_earlier():
    losses, method = torch.ones(1, 3), sdn.build(4, cure="loss_scaling", rising=10)
    assert method.loss(losses, (), now(10)).item() == pytest.approx(0.2 + 0.5 + 1)
    with pytest.raises(ValueError, match="'rising' is how long"):
        sdn.build(4, rising=10)


@pytest.mark.parametrize("exits", [(1, 2, 3), (1, 2), (3,)])
def test_linear_weights_are_those_of_pbee(exits):
    losses = torch.rand(5, len(exits))
    linear, theirs = sdn.build(4, cure="linear_weights"), pbee.build(4)
    assert linear.loss(losses, (), now(1, exits)) == theirs.loss(losses, (), now(1, exits))


# -- gradient equilibrium ---------------------------------------------------------------------------------------------


class Shifted(nn.Module):
    """A linear stage whose weight's gradient is the gradient of what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


def chain(k: int, cure: str | None) -> MultiExit:
    """K stages, each exit saying what its stage gave."""
    backbone = Backbone([Shifted() for _ in range(k)], nn.Identity(), "classifier")
    return MultiExit(backbone, {block: nn.Identity() for block in range(1, k)}, sdn.build(1, cure=cure))


def stage_gradients(model: MultiExit, exits: tuple[int, ...]) -> list[float | None]:
    outputs, _ = model.fold(model.features(torch.zeros(1, 1), exits), exits, answered=False)
    torch.stack(outputs).sum().backward()
    return [None if stage.shift.grad is None else stage.shift.grad.item() for stage in model.backbone.stages]


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_in_equilibrium_every_stage_gets_the_mean_of_the_gradients_behind_it(k):
    exits = tuple(range(1, k + 1))
    assert stage_gradients(chain(k, "gradient_equilibrium"), exits) == pytest.approx([1.0] * k)
    assert stage_gradients(chain(k, None), exits) == pytest.approx([float(k - i) for i in range(k)])


def test_an_unequal_gradient_weighs_as_one_of_those_behind_the_stage():
    model, exits = chain(3, "gradient_equilibrium"), (1, 2, 3)
    first, second, third = model.fold(model.features(torch.zeros(1, 1), exits), exits, answered=False)[0]
    (3 * first + 5 * second + 10 * third).sum().backward()
    found = [stage.shift.grad.item() for stage in model.backbone.stages]
    assert found == pytest.approx([(3 + 5 + 10) / 3, (5 + 10) / 2, 10])


def test_an_exit_that_learns_alone_is_left_as_it_is():
    model = chain(3, "gradient_equilibrium")
    assert stage_gradients(model, (3,)) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("family", ["resnet", "msdnet"])
def test_what_the_network_says_does_not_change(family):
    size = {"groups": [1, 1, 1], "width": 4} if family == "resnet" else MSDNET
    told = {"backbone": {"family": family, **size}, "classes": 3, "placement": {"every": 1}}
    blank, images = blank_images(16, 16), torch.randn(4, 3, 16, 16)
    plain, balanced = (
        build(told | {"method": {"kind": "sdn"} | cure}, blank, seed=1).eval()
        for cure in ({}, {"cure": "gradient_equilibrium"})
    )
    for ours, theirs in zip(balanced(images), plain(images), strict=True):
        assert torch.equal(ours, theirs)


def test_of_msdnets_scales_the_coarsest_alone_is_scaled():
    settings = {"backbone": {"family": "msdnet"} | MSDNET, "classes": 3}
    backbone = build(settings, blank_images(16, 16), seed=1).backbone
    state = tuple(torch.ones(2, 3, requires_grad=True) for _ in range(3))
    sum(part.sum() for part in parts(backbone.scaled(state, 0.25))).backward()
    assert [part.grad.unique().tolist() for part in state] == [[1.0], [1.0], [0.25]]


def test_heads_learn_the_sum_of_their_losses():
    losses = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert sdn.build(4, cure="gradient_equilibrium").loss(losses, (), now(1, (1, 2))).item() == 5


@pytest.mark.parametrize("cure", ["loss_scaling", "linear_weights", "gradient_equilibrium"])
def test_a_cure_trains_and_the_card_says_what_it_minimises(fitted, cure):
    settings = settings_of("all", epochs=4, patience=4, lr=3e-3)
    settings["network"] |= {"method": {"kind": "sdn", "cure": cure}}
    _, progress = fitted(settings)
    first, *_, last = [row for row in progress.history if row["exit"] == 2]
    assert last["train_loss"] < first["train_loss"]
    said = told_loss("sdn", cure)
    assert said.startswith(f"LOSS (method sdn, {cure}): {getattr(sdn, cure).__doc__.splitlines()[0]}")
    assert said != told_loss("sdn", None)
