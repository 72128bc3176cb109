"""Shares of gradients: a network whose derivatives are written out by hand, and torch's own backward passes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NETWORK
from torch import nn
from torch.nn import functional

from manyexits.analysis.gradient_dominance import COLUMNS, analyse, in_force, products, shares, weights_of
from manyexits.batches.views import Views, blanks
from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.raw import Raw, RawPart
from manyexits.models import build
from manyexits.models.backbones import Backbone
from manyexits.models.methods import Method
from manyexits.models.network import MultiExit
from manyexits.models.snapshots import Moment, Trail, taken

CPU = torch.device("cpu")
ALL, HEADS, ENSEMBLE = (Moment(0, phase, 1) for phase in ("all", "heads", "ensemble"))
COSTS = (0.5, 1.0)


class Mean(nn.Module):
    """An image's mean, times a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0]]))

    def forward(self, images):
        return functional.linear(images.mean((1, 2, 3))[:, None], self.weight)


def line(weight):
    """A number times a weight."""
    made = nn.Linear(1, 1, bias=False)
    made.weight.data.fill_(weight)
    return made


@pytest.fixture
def toy():
    """a = 2, then an exit c = .5; b = -1, then the last exit d = 3."""
    method = Method(head=lambda k, n_exits, tap: nn.Identity())
    return MultiExit(Backbone([Mean(), line(-1.0)], line(3.0), "none"), {1: line(0.5)}, method)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Twelve images with a score."""
    folder = tmp_path_factory.mktemp("scores")
    drawn = np.random.default_rng(0)
    parts = [RawPart(drawn.integers(0, 255, (n, 4, 4, 3), dtype=np.uint8), drawn.uniform(0, 5, n)) for n in (15, 6)]
    told = {"dataset": "made", "scores": [0, 5], "validation": 0.2, "split_seed": 42}
    prepare.write(Raw(*parts, [], "made", "none"), told, folder)
    return dataset.read(folder)


def by_hand(x, y, weights):
    """Shares from the chain rule: L1 = (c a x - y)^2, L2 = (d b a x - y)^2, means over the batch."""
    a, b, c, d = 2.0, -1.0, 0.5, 3.0
    first = weights[0] * np.mean(2 * (c * a * x - y) * c * x)
    second = weights[1] * np.mean(2 * (d * b * a * x - y) * d * b * x)
    return first, second


def test_shares_of_a_network_solved_by_hand(toy, scores):
    views = Views(scores, CPU)
    (part,) = views.whole(scores.train)
    x, y = part.inputs.mean((1, 2, 3)).double().numpy(), part.targets.double().numpy()
    first, second = by_hand(x, y, (0.5, 0.5))
    rows = shares(toy, *products(toy, views, scores.train, 100, ALL, COSTS))
    found = {(row["stage"], row.get("exit"), row["metric"]): row["value"] for row in rows}
    whole = first + second
    assert found[1, 1, "projection_share"] == pytest.approx(first / whole, rel=1e-5)
    assert found[1, 2, "projection_share"] == pytest.approx(second / whole, rel=1e-5)
    assert found[1, 1, "norm_share"] == pytest.approx(abs(first) / (abs(first) + abs(second)), rel=1e-5)
    assert found[1, 1, "cosine"] == pytest.approx(np.sign(first * whole), rel=1e-5)
    assert found[1, None, "dominant_exit"] == (1 if first / whole > second / whole else 2)
    # only the last exit is behind the second stage
    assert found[2, 2, "projection_share"] == found[2, 2, "norm_share"] == pytest.approx(1)
    assert (2, 1, "projection_share") not in found
    assert {row["weight"] for row in rows if "weight" in row} == {0.5}


def test_over_batches_it_is_a_ratio_of_sums(toy, scores):
    views = Views(scores, CPU)
    firsts, wholes, along, powers = [], [], 0.0, 0.0
    for part in views.whole(scores.train, size=4):
        x, y = part.inputs.mean((1, 2, 3)).double().numpy(), part.targets.double().numpy()
        first, second = by_hand(x, y, (0.5, 0.5))
        along += first * (first + second)
        powers += (first + second) ** 2
        firsts.append(abs(first))
        wholes.append(abs(first) + abs(second))
    rows = shares(toy, *products(toy, views, scores.train, 4, ALL, COSTS))
    found = {(row["stage"], row.get("exit"), row["metric"]): row["value"] for row in rows}
    assert len(firsts) == 3
    assert found[1, 1, "projection_share"] == pytest.approx(along / powers, rel=1e-5)
    assert found[1, 1, "norm_share"] == pytest.approx(sum(firsts) / sum(wholes), rel=1e-5)


def test_exits_without_a_loss_in_the_phase_have_no_share(toy, scores):
    rows = shares(toy, *products(toy, Views(scores, CPU), scores.train, 100, HEADS, COSTS))
    assert {(row["stage"], row["exit"]) for row in rows if "exit" in row} == {(1, 1)}
    assert [row["value"] for row in rows if row["metric"] == "projection_share"] == [pytest.approx(1)]
    assert shares(toy, *products(toy, Views(scores, CPU), scores.train, 100, ENSEMBLE, COSTS)) == []


def test_phases_in_turns_have_the_weights_of_each(toy, scores):
    turns = Moment(0, "backbone+heads", 1)
    *_, weights = products(toy, Views(scores, CPU), scores.train, 100, turns, COSTS)
    assert weights.tolist() == [1, 1]


def test_no_gradient_is_said(toy, scores):
    toy.backbone.stages[0].weight.data.fill_(0.0)
    toy.backbone.stages[1].weight.data.fill_(0.0)
    toy.heads["1"].weight.data.fill_(0.0)
    rows = shares(toy, *products(toy, Views(scores, CPU), scores.train, 100, ALL, COSTS))
    assert {row["note"] for row in rows} == {"no gradient"}
    assert all(row["value"] is None for row in rows)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_are_said(toy, scores, value):
    toy.backbone.stages[0].weight.data.fill_(value)
    rows = shares(toy, *products(toy, Views(scores, CPU), scores.train, 100, ALL, COSTS))
    assert {row["note"] for row in rows} == {"gradients that are no finite numbers"}
    assert all(row["value"] is None for row in rows)


# -- a network with BatchNorm -----------------------------------------------------------------------------------------


@pytest.fixture
def network(prepared):
    """A small ResNet with an exit, and views of the made images."""
    data = dataset.read(prepared)
    return build.network(NETWORK, blanks(data), seed=3), Views(data, CPU)


def plainly(model, views, split, size):
    """Projection shares of stage 1 by backward passes of torch's own."""
    model.train()
    parameters = [p for name, p in model.backbone.stages[0].named_parameters() if "norm" not in name and p.dim() == 4]
    along, power = np.zeros(2), 0.0
    for part in views.whole(split, size=size):
        gradients = []
        for exit_ in (0, 1):
            model.zero_grad()
            logits = model(part.inputs)[exit_]
            (0.5 * functional.cross_entropy(logits, part.targets)).backward()
            gradients.append(torch.cat([p.grad.flatten().double() for p in parameters]))
        whole = gradients[0] + gradients[1]
        along += [float(each @ whole) for each in gradients]
        power += float(whole @ whole)
    return along / power


def test_shares_are_those_of_plain_backward_passes(network):
    model, views = network
    expected = plainly(build.network(NETWORK, blanks(views.data), seed=3), views, views.data.train, 48)
    rows = shares(model, *products(model, views, views.data.train, 48, ALL, COSTS))
    found = [row["value"] for row in rows if row["metric"] == "projection_share" and row["stage"] == 1]
    assert found == pytest.approx(list(expected), rel=1e-3)
    assert sum(found) == pytest.approx(1)


def test_weights_of_a_stage_are_all_but_those_of_its_norms(network):
    model, _ = network
    names = {id(p): name for name, p in model.backbone.named_parameters()}
    own = {names[id(p)] for stage in weights_of(model) for p in stage}
    assert all(p.dim() == 4 for p in model.backbone.parameters() if names[id(p)] in own)
    left = [p for p in model.backbone.stages.parameters() if names[id(p)] not in own]
    assert {p.dim() for p in left} == {1}  # scale and shift


def test_nothing_of_the_network_changes(network):
    model, views = network
    before = taken(model)
    products(model, views, views.data.train, 48, ALL, COSTS)
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert model.training  # as it was built


@pytest.mark.parametrize(
    ("method", "epoch", "expected"),
    [
        ({"kind": "sdn", "depth": 0}, 1, [1 / 2, 1 / 2]),
        ({"kind": "sdn", "depth": 0, "cure": "linear_weights"}, 1, [1 / 3, 2 / 3]),
        ({"kind": "sdn", "depth": 0, "cure": "gradient_equilibrium"}, 1, [1, 1]),
        ({"kind": "sdn", "depth": 0, "cure": "loss_scaling"}, 0, [0.01 + 0.5 / 100, 1]),
        ({"kind": "sdn", "depth": 0, "cure": "loss_scaling"}, 10, [0.01 + 10 * 0.5 / 100, 1]),
        ({"kind": "pbee"}, 1, [1 / 3, 2 / 3]),
    ],
)
def test_weights_in_force_are_those_of_the_method_at_that_epoch(prepared, method, epoch, expected):
    data = dataset.read(prepared)
    model = build.network(NETWORK | {"method": method}, blanks(data), seed=1)
    assert in_force(model, (), (1, 2), epoch, COSTS).tolist() == pytest.approx(expected)


def test_rows_of_a_run_tell_every_moment(network):
    model, views = network
    states = {moment: taken(model) for moment in (Moment(0, "all", 0), Moment(0, "all", 2), Moment(1, "heads", 1))}
    trail = Trail(model, states, Path("none"), COSTS)
    rows = analyse([("joint", 4, trail)], views.data, n_probe=100, batch=48)
    assert {key for row in rows for key in row} == set(COLUMNS)
    assert {(row["place"], row["phase"], row["epoch"]) for row in rows} == {
        (0, "all", 0),
        (0, "all", 2),
        (1, "heads", 1),
    }
    assert {row["n"] for row in rows} == {96}
    assert {(row["seed"], row["regime"]) for row in rows} == {(4, "joint")}
    dominant = [row["value"] for row in rows if row["metric"] == "dominant_exit" and row["phase"] == "all"]
    assert set(dominant) <= {1, 2}


def test_weights_of_another_network_are_refused(network):
    model, views = network
    trail = Trail(model, {Moment(0, "all", 0): {"x": torch.zeros(1)}}, Path("some"), COSTS)
    with pytest.raises(ValueError, match=r"the weights some belong to another network: .*train it again"):
        analyse([("joint", 4, trail)], views.data)
