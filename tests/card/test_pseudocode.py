"""Regimes as pseudocode, against what a person would write."""

import copy
import json
import re

import pytest
import yaml
from conftest import SMALL

from manyexits import study
from manyexits.card.pseudocode import exits, pseudocode, regime
from manyexits.regimes import GROUPS, learning_exits


def settings(**changes) -> dict:
    return json.loads(study.load(copy.deepcopy(yaml.safe_load(SMALL)) | changes).settings("card"))


def test_a_regime_of_three_phases_as_a_person_would_write_it():
    expected = """\
ALTERNATING(seed)    (regime alternating: backbone, then all, then heads)
    θ ← initial weights of {backbone, heads, extras}, the same in every regime: START(seed)
    θ ← PHASE(θ, learn = {backbone}, freeze = {heads, extras}, E = {K}, R[backbone])
    θ ← PHASE(θ, learn = {backbone, heads, extras}, freeze = ∅, E = {1, …, K}, R[all])
    θ ← PHASE(θ, learn = {heads, extras}, freeze = {backbone}, E = {1, …, K−1}, R[heads])
    return θ
"""
    assert regime("alternating", ["backbone", "all", "heads"]) == expected


def test_a_new_regime_changes_the_pseudocode():
    before = settings()
    regimes = {"joint": ["all"], "new": ["backbone", "all", "heads"]}
    experiment = {"dataset": "digits", "backbone": "tiny", "regimes": ["joint", "new"]}
    experiment["recipes"] = dict.fromkeys(("backbone", "all", "heads"), "quick")
    after = settings(regimes=regimes, experiments={"small": experiment}, analyses={}, figures={})
    assert regime("new", regimes["new"]) in pseudocode(after)
    assert "NEW(seed)" not in pseudocode(before)
    assert "DISJOINT(seed)" not in pseudocode(after)


def test_the_recipes_in_force_fill_the_stopping_rule():
    raw = yaml.safe_load(SMALL)
    raw["recipes"]["quick"] |= {"patience": 7, "clip": 1.0, "origin": raw["recipes"]["quick"]["origin"] | {"clip": "C"}}
    text = pseudocode(settings(recipes=raw["recipes"]))
    (line,) = re.findall(r"^    (R.+\n        .+)\n", text, re.MULTILINE)  # one recipe for all, too long for one line
    values = "batch 64, clip 1, epochs 2, lr 0.005, optimizer adamw, patience 7, schedule cosine"
    assert " ".join(line.split()) == f"R[backbone] = R[heads] = R[all] = quick: {values}"
    assert "while epoch < R.epochs and epoch − best_epoch < R.patience" in text


@pytest.mark.parametrize("phase", GROUPS)
@pytest.mark.parametrize("n_exits", [4, 7])
def test_symbols_stand_for_the_exits_that_learn(phase, n_exits):
    symbols = exits(phase).strip("{}").replace("K−1", str(n_exits - 1)).replace("K", str(n_exits)).split(", …, ")
    assert tuple(range(int(symbols[0]), int(symbols[-1]) + 1)) == learning_exits(phase, n_exits)


def test_the_rendered_rule_decides_as_the_one_that_trains():
    """The while and if of the pseudocode, by hand, on scores that improve, tie and fall."""
    from manyexits.stopping import Stopping

    scores = [[0.1, 0.5], [0.1, 0.4], [0.2, 0.5], [0.2, 0.5], [0.2, 0.3], [0.9, 0.9]]
    limit, patience = 6, 2
    best, best_epoch, epoch = [float("-inf")] * 2, 0, 0
    rule = Stopping(patience, limit, [0, 1])
    while epoch < limit and epoch - best_epoch < patience:
        assert not rule.over(epoch)
        a = scores[epoch]
        epoch += 1
        if any(a[k] > best[k] for k in (0, 1)):
            best, best_epoch = [max(a[k], best[k]) for k in (0, 1)], epoch
        rule.update(epoch, a)
    assert rule.over(epoch)
    assert (epoch, rule.best_epoch) == (5, best_epoch) == (5, 3)
