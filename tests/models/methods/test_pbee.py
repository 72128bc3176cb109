"""PBEE: SDN's heads, losses weighted by the exits' numbers, an exit rule of its own."""

import pytest
import torch
from conftest import settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.batches.views import blank_images
from manyexits.exits import criteria
from manyexits.exits.task import of
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.models.methods import Now, pbee, sdn
from manyexits.study import components
from manyexits.study.regimes import learning_exits

SHAPE = blank_images(8, 8)


def now(phase: str, n_exits: int) -> Now:
    exits = learning_exits(phase, n_exits)
    return Now(1, exits, tuple(exit_ / n_exits for exit_ in exits), n_exits)


@pytest.mark.parametrize(
    ("phase", "n_exits", "weights"),
    [
        ("all", 4, [1 / 10, 2 / 10, 3 / 10, 4 / 10]),
        ("all", 2, [1 / 3, 2 / 3]),
        ("all", 1, [1]),
        ("heads", 4, [1 / 6, 2 / 6, 3 / 6]),
        ("heads", 2, [1]),
        ("backbone", 4, [1]),
        ("backbone", 1, [1]),
    ],
)
def test_an_exit_weighs_its_number_among_those_that_learn(phase, n_exits, weights):
    told = now(phase, n_exits)
    losses = torch.rand(5, len(told.exits), requires_grad=True)
    pbee.build(3).loss(losses, (), told).backward()
    # each of the five samples has a fifth of its exit's weight
    torch.testing.assert_close(losses.grad, torch.tensor(weights).expand(5, -1) / 5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda n: st.lists(st.lists(st.floats(0, 100), min_size=n, max_size=n), min_size=1, max_size=4)
    )
)
def test_the_loss_is_the_weighted_mean(rows):
    n_exits = len(rows[0])
    means = [sum(row[k] for row in rows) / len(rows) for k in range(n_exits)]
    expected = sum((k + 1) * mean for k, mean in enumerate(means)) / sum(range(1, n_exits + 1))
    found = pbee.build(3).loss(torch.tensor(rows), (), now("all", n_exits))
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("phase", ["all", "heads", "backbone"])
@pytest.mark.parametrize("batch", [1, 6])
def test_equal_losses_give_what_the_plain_mean_gives(phase, batch):
    told = now(phase, 4)
    losses = torch.rand(batch, 1, generator=torch.Generator().manual_seed(0)).repeat(1, len(told.exits))
    ours, plain = (method.build(3).loss(losses, (), told).item() for method in (pbee, sdn))
    assert ours == pytest.approx(plain, rel=1e-6)


def network(kind: str):
    told = {"backbone": {"family": "resnet", "groups": [1, 1, 1], "width": 4}, "classes": 3}
    return build.network(told | {"method": {"kind": kind}, "placement": {"every": 1}}, SHAPE, seed=1)


def test_the_network_is_that_of_the_plain_method():
    ours, plain = network("pbee"), network("sdn")
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in ours.state_dict().items())
    assert count_network(ours, SHAPE) == count_network(plain, SHAPE)


def test_a_step_moves_each_head_as_far_as_its_weight_says(fitted):
    moved = {}
    for kind in ("sdn", "pbee"):
        told = settings_of("heads", optimizer="sgd", schedule="constant", batch=144, epochs=1, lr=0.1)
        start, model = network(kind), network(kind)
        fitted(told, model=model, checkpoints=kind)
        moved[kind] = [
            model.heads[block][-1].weight.detach() - start.heads[block][-1].weight.detach() for block in "12"
        ]
    # of two heads the plain mean gives each 1/2, the weights 1/3 and 2/3
    for share, ours, plain in zip((2 / 3, 4 / 3), moved["pbee"], moved["sdn"], strict=True):
        assert plain.abs().max() > 1e-4
        torch.testing.assert_close(ours, share * plain, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(("task", "criterion"), [({"classes": 3}, "patience"), ({"scores": [0, 5]}, "agreement")])
def test_it_leaves_by_patience_or_where_scores_agree(task, criterion):
    own = components.constant("methods", "pbee", "CRITERION", {})
    assert own == pbee.CRITERION
    assert own[of(task).name] == criterion
    assert criterion in criteria.names(of(task))
    assert components.constant("methods", "pbee", "PHASES", ()) == ()
