"""Alternations: phases that take the steps in turns, against a plain loop with one optimiser for each."""

import pytest
import torch
from conftest import RECIPE, settings_of
from torch.nn import functional

from manyexits.artefacts.card.pseudocode import regime as told_regime
from manyexits.batches.feed import Feed
from manyexits.batches.views import Views, blanks
from manyexits.data import prepared as dataset
from manyexits.models import build
from manyexits.study import regimes
from manyexits.study.recipe import Recipe
from manyexits.training.train import Interrupted

CONSTANT = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "constant", "epochs": 2, "patience": 2}


def test_an_alternation_is_the_plain_loop_of_its_phases(fitted, prepared):
    settings = settings_of("backbone+heads", **CONSTANT)
    model, progress = fitted(settings)

    data = dataset.read(prepared)
    network = build.network(settings["network"], blanks(data), seed=1)
    recipe = Recipe.model_validate(RECIPE | CONSTANT)
    feed = Feed(Views(data, torch.device("cpu")), recipe, (1, regimes.number("backbone+heads"), 0))
    groups = {name: list(network.get_submodule(name).parameters()) for name in ("backbone", "heads")}
    optimizers = {name: torch.optim.SGD(group, lr=0.05, momentum=0.9) for name, group in groups.items()}
    losses, number = {1: [], 2: []}, 0
    for epoch in (1, 2):
        for (part,) in feed.epoch(epoch):
            turn, exit_ = (("backbone", 2), ("heads", 1))[number % 2]
            network.train()
            network.get_submodule({"backbone": "heads", "heads": "backbone"}[turn]).eval()
            outputs = network(part.inputs)[exit_ - 1]
            loss = functional.cross_entropy(outputs, part.targets)
            network.zero_grad()
            loss.backward()
            optimizers[turn].step()
            losses[exit_].append((epoch, loss.item()))
            number += 1
    assert number == 12
    for name, value in network.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    for row in progress.history:
        own = [loss for epoch, loss in losses[row["exit"]] if epoch == row["epoch"]]
        assert row["train_loss"] == pytest.approx(sum(own) / len(own), rel=1e-4)


def test_an_odd_number_of_steps_goes_on_with_whose_turn_it_is(fitted):
    # five batches of 28 an epoch: the first takes three steps in one epoch and two in the next
    _, progress = fitted(settings_of("backbone+heads", **CONSTANT | {"batch": 28}))
    flops = [row["flops"] for row in progress.history if row["exit"] == 1]
    _, first = fitted(settings_of("backbone", **CONSTANT | {"batch": 28, "epochs": 1}), checkpoints="backbone")
    _, second = fitted(
        settings_of("heads", **CONSTANT | {"batch": 28, "epochs": 1, "crop_padding": 1}), checkpoints="heads"
    )
    one, other = first.flops / 5, second.flops / 5
    assert flops == [3 * one + 2 * other, 5 * one + 5 * other]


@pytest.mark.parametrize("phase", ["backbone+heads", "backbone+all", "heads+all"])
def test_an_alternation_goes_on_to_the_same_bits(fitted, monkeypatch, phase):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 1)
    settings = settings_of(phase, **CONSTANT | {"optimizer": "adamw", "momentum": 0.0})
    whole, expected = fitted(settings, checkpoints="whole")
    while True:
        try:
            model, progress = fitted(settings, checkpoints="stopped", stop=lambda: True)
            break
        except Interrupted:
            continue
    assert progress.history == expected.history
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_batch_for_each_is_needed(fitted):
    with pytest.raises(ValueError, match="has 1 batch of 144, fewer than phases that take turns"):
        fitted(settings_of("backbone+heads", **CONSTANT | {"batch": 144}))


def test_its_draws_are_those_of_no_other_phase():
    phases = [*regimes.PHASES, "backbone+heads", "heads+backbone", "backbone+all", "all+heads", "backbone+heads+all"]
    assert len({regimes.number(phase) for phase in phases}) == len(phases)


@pytest.mark.parametrize(
    ("phase", "groups", "exits"),
    [
        ("backbone+heads", ("backbone", "heads", "extras"), (1, 2, 3)),
        ("backbone+all", ("backbone", "heads", "extras"), (1, 2, 3)),
        ("backbone", ("backbone",), (3,)),
        ("heads", ("heads", "extras"), (1, 2)),
    ],
)
def test_groups_and_exits_are_those_of_all_its_phases(phase, groups, exits):
    assert regimes.groups(phase) == groups
    assert regimes.frozen(phase) == set(regimes.GROUPS) - set(groups)
    assert regimes.learning_exits(phase, 3) == exits


@pytest.mark.parametrize(
    ("phase", "why"),
    [
        ("heads+heads", "the phases of an alternation differ"),
        ("backbone+head", "there is no phase 'head'"),
        ("backbone+ensemble", "there is no phase 'ensemble'"),
        ("+heads", "there is no phase ''"),
    ],
)
def test_what_is_no_alternation_is_refused(phase, why):
    with pytest.raises(ValueError, match=why):
        regimes.check(phase)


def test_the_card_tells_whose_turn_it_is():
    said = told_regime("alternating", ["backbone+heads"])
    assert "in turns: learn = {backbone}, freeze = {heads, extras}, E = {K} | learn = {heads, extras}" in said
    assert "R[backbone+heads]" in said
