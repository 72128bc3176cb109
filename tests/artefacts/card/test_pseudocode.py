"""Regimes as pseudocode, against what a person would write."""

import copy
import json
import re

import hypothesis
import pytest
import yaml
from conftest import SMALL
from hypothesis import given
from hypothesis import strategies as st

from manyexits.artefacts.card.pseudocode import exits, pseudocode, regime
from manyexits.study.plan import load
from manyexits.study.regimes import PHASES, learning_exits
from manyexits.training.stopping import Stopping


def settings(**changes) -> dict:
    return json.loads(load(copy.deepcopy(yaml.safe_load(SMALL)) | changes).settings("card"))


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


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("n_exits", [4, 7])
def test_symbols_stand_for_the_exits_that_learn(phase, n_exits):
    symbols = exits(phase).strip("{}").replace("K−1", str(n_exits - 1)).replace("K", str(n_exits)).split(", …, ")
    assert tuple(range(int(symbols[0]), int(symbols[-1]) + 1)) == learning_exits(phase, n_exits)


CODE = {"−∞": "float('-inf')", "−": "-", "R.": "", "[k] for any k in E": "[k] for k in E"}
"""The rule's symbols -> Python's."""


def rendered(text: str, pattern: str) -> str:
    """An expression of the rendered rule, in Python."""
    (found,) = re.findall(pattern, text, re.MULTILINE)
    for symbol, written in CODE.items():
        found = found.replace(symbol, written)
    return found


@hypothesis.settings(deadline=None)
@given(
    scores=st.lists(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=3, max_size=3), min_size=8, max_size=8),
    learning=st.sets(st.sampled_from(range(3)), min_size=1),
    limit=st.integers(1, 8),
    patience=st.integers(1, 8),
)
def test_the_rendered_rule_decides_as_the_one_that_trains(scores, learning, limit, patience):
    """The pseudocode's own while and if, executed, on scores that improve, tie and fall."""
    text = pseudocode(settings())
    goes_on = rendered(text, r"^    while (.+)$")
    improves = rendered(text, r"^        if (.+?)    \(")
    best = dict.fromkeys(learning, eval(rendered(text, r"best\[k\] ← (.+) for k in E;  best_epoch ← 0;")))
    now = {"epoch": 0, "best_epoch": 0, "epochs": limit, "patience": patience}
    rule = Stopping(patience, limit, sorted(learning))
    while eval(goes_on, now):
        assert not rule.over(now["epoch"])
        a = scores[now["epoch"]]
        now["epoch"] += 1
        improved = any(eval(f"[{improves}]", {"a": a, "best": best, "E": learning}))
        assert rule.update(now["epoch"], a) == improved
        if improved:
            best = {k: max(a[k], best[k]) for k in learning}
            now["best_epoch"] = now["epoch"]
    assert rule.over(now["epoch"])
    assert rule.best_epoch == now["best_epoch"]
