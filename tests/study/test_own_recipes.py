"""A regime may have recipes of its own."""

import json

import pytest

from manyexits.artefacts.card.pseudocode import pseudocode
from manyexits.study import resolve
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError


@pytest.fixture
def own(raw):
    """The small study with `joint` a second time, for twice the epochs."""
    raw["recipes"]["twice"] = {"extends": "quick", "epochs": 4, "origin": {"epochs": "O"}}
    raw["regimes"]["longer"] = ["all"]
    raw["experiments"]["small"]["regimes"] = ["disjoint", "joint", "longer", "mixed"]
    raw["experiments"]["small"]["recipes"]["longer"] = "twice"
    return raw


def epochs(raw, regime, stage="train", **names):
    names = names or {"experiment": "small", "regime": regime, "seed": 1}
    return [told["recipe"]["epochs"] for told in load(raw).job(stage, **names).settings["phases"]]


def test_a_regime_is_trained_by_its_own_recipe_and_the_others_by_theirs(own):
    assert {regime: epochs(own, regime) for regime in own["experiments"]["small"]["regimes"]} == {
        "disjoint": [2],
        "joint": [2],
        "longer": [4],
        "mixed": [2],
    }


def test_a_regime_may_have_a_recipe_of_its_own_for_one_phase(own):
    own["experiments"]["small"]["recipes"]["mixed"] = {"backbone": "twice"}
    plan = load(own)
    assert epochs(own, "mixed") == [2]
    assert plan.runs.pretrained("small", "mixed")["recipe"] == "twice"
    assert plan.runs.pretrained("small", "disjoint")["recipe"] == "quick"
    assert {job.names["recipe"] for job in plan.of("pretrain")} == {"quick", "twice"}
    start = plan.job("train", experiment="small", regime="mixed", seed=1).settings["start"]
    names = {"dataset": "digits", "backbone": "tiny", "recipe": "twice", "seed": 1}
    assert start == plan.job("pretrain", **names).whose


def test_an_overlay_adds_to_the_recipes_of_a_regime(own):
    own["experiments"]["small"]["recipes"]["mixed"] = {"backbone": "twice"}
    merged = resolve.merge(own, {"experiments": {"small": {"recipes": {"mixed": {"all": "twice"}}}}})
    assert epochs(merged, "mixed") == [4]
    assert load(merged).runs.pretrained("small", "mixed")["recipe"] == "twice"


def test_the_card_tells_them_apart(own):
    text = pseudocode(json.loads(load(own).settings("card")))
    assert "R[backbone] = R[heads] = R[joint, all] = R[mixed, all] = quick: " in text
    assert "R[longer, all] = twice: " in text


@pytest.mark.parametrize(
    ("recipes", "said"),
    [
        ({"loger": "twice"}, "experiments.small.recipes: there is no 'loger'; valid names: longer"),
        ({"longer": "twise"}, "experiments.small.recipes.longer.backbone: there is no 'twise'; valid names: twice"),
        ({"longer": {"al": "twice"}}, "experiments.small.recipes.longer: there is no 'al'; valid names: all"),
        ({"all": {"heads": "twice"}}, "experiments.small.recipes.all: a phase has one recipe; write its name"),
        ({"longer": {"all": {"all": "twice"}}}, "experiments.small.recipes.longer.all"),
        ({"longer": 4}, "experiments.small.recipes.longer"),
    ],
)
def test_what_is_no_recipe_of_a_regime_is_refused(own, recipes, said):
    own["experiments"]["small"]["recipes"] |= recipes
    with pytest.raises(StudyError) as refused:
        load(own)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_phase_in_one_job_with_another_precision_is_refused(own):
    own["recipes"]["half"] = {"extends": "quick", "precision": "bf16", "origin": {"precision": "O"}}
    own["regimes"]["longer"] = ["all", "heads"]
    own["experiments"]["small"]["recipes"]["longer"] = {"heads": "half"}
    with pytest.raises(StudyError, match="the phases of regime longer run in one job; give them equal 'precision'"):
        load(own)


def test_a_regime_with_the_name_of_a_phase_is_refused(own):
    own["regimes"]["heads"] = ["all", "heads"]
    with pytest.raises(StudyError, match=r"regimes\.heads: a phase has this name; name the regime otherwise"):
        load(own)
