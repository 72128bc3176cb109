"""Merging, inheritance, sweeps, and what each stage is told."""

import json

import pytest

from manyexits.files.digests import digest
from manyexits.study import resolve
from manyexits.study.plan import data_root, load
from manyexits.study.refusals import StudyError


def test_overlays_merge_deeply_and_replace_lists():
    merged = resolve.merge({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "e": 2})
    assert merged == {"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}


def test_a_key_set_to_null_is_removed(raw):
    raw["experiments"]["gone"] = None
    raw["recipes"]["quick"]["clip"] = None
    plan = load(raw)
    assert list(plan.runs.experiments) == ["small"]
    assert plan.study.recipes["quick"].clip is None


def test_numbers_are_equal_however_they_are_written(raw):
    told = load(raw).settings("train", experiment="small", regime="joint", seed=1)
    raw["recipes"]["quick"] |= {"lr": "5e-3", "batch": "64"}  # YAML reads 5e-3 as text
    assert load(raw).settings("train", experiment="small", regime="joint", seed="1") == told


def test_an_entry_inherits_and_its_own_values_bring_their_own_marks(raw):
    raw["recipes"]["quick"]["origin"]["lr"] = "P E.1"
    raw["recipes"]["slow"] = {"extends": "quick", "lr": 1e-4, "origin": {"lr": "O"}}
    slow = load(raw).study.recipes["slow"]
    assert (slow.lr, slow.batch) == (1e-4, 64)
    assert slow.origin["lr"] == "O"
    assert slow.origin["batch"] == "O"


def test_extends_does_not_inherit_the_sweeps(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["first"]}
    raw["backbones"]["tiny2"] = dict(raw["backbones"]["tiny"], width=8)
    raw["experiments"]["other"] = {"extends": "small", "backbone": "tiny2"}
    assert list(load(raw).runs.experiments) == ["small", "small.first", "other"]


def test_a_sweep_expands_into_named_variants(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["first"]}
    expansion = load(raw).runs.experiments["small.first"]
    assert (expansion.base, expansion.sweep, expansion.variant) == ("small", "placement", "first")
    assert expansion.experiment.placement == "first"


def test_variants_may_have_fewer_seeds_than_their_base(raw):
    raw["experiments"]["small"] |= {"vary": {"placement": ["first"]}, "vary_seeds": [2]}
    runs = load(raw).runs
    assert (runs.seeds("small"), runs.seeds("small.first")) == ([1, 2], [2])
    raw["backbones"]["tiny2"] = dict(raw["backbones"]["tiny"], width=8)
    raw["experiments"]["other"] = {"extends": "small", "backbone": "tiny2", "vary": {"placement": ["first"]}}
    assert load(raw).runs.seeds("other.first") == [1, 2]  # sweeps are not inherited, nor are their seeds


def test_an_expansion_that_equals_its_base_is_the_base(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["sdn", "first"]}
    assert list(load(raw).runs.experiments) == ["small", "small.first"]


def test_values_of_all_sweeps_of_a_base_are_unique(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["first", "first"]}
    with pytest.raises(StudyError, match="'first' appears twice among the sweeps of small"):
        load(raw)


def test_a_sweep_over_an_unknown_key_is_refused(raw):
    raw["experiments"]["small"]["vary"] = {"placment": ["first"]}
    with pytest.raises(StudyError, match=r"there is no 'placment'; valid names: placement"):
        load(raw)


def test_a_sweep_over_an_unknown_value_is_refused(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["frist"]}
    with pytest.raises(StudyError, match=r"there is no 'frist'; valid names: first"):
        load(raw)


@pytest.mark.parametrize("which", ["plan", "demo"])
def test_no_two_names_stand_for_one_training(which, request):
    plan = request.getfixturevalue(which)
    runs = [run for name in plan.runs.experiments for run in plan.runs.of(name)]
    told = [plan.settings("train", **run) for run in runs]
    assert len(set(told)) == len(runs) > 0


def told(plan, stage, **names):
    return json.loads(plan.settings(stage, **names))


RUN = {"experiment": "small", "regime": "disjoint", "seed": 1}


def test_training_knows_no_budget_and_calibration_no_learning_rate(small_plan):
    def whose(stage, **names):
        return digest({key: value for key, value in told(small_plan, stage, **names).items() if key != "version"})

    assert "budget" not in small_plan.settings("train", **RUN)
    assert told(small_plan, "calibrate", **RUN) == {
        "budgets": [0.5, 1.0],
        "criteria": ["confidence", "entropy"],
        "protocols": ["paper", "shared", "geometric"],
        "made_from": {"costs": whose("count_flops", experiment="small"), "predictions": whose("predict", **RUN)},
        "task": {"classes": 10},
        "version": 2,
    }


def test_training_knows_neither_resources_nor_marks(small_plan):
    recipe = told(small_plan, "train", **RUN)["phases"][0]["recipe"]
    assert not {"minutes", "memory_gib", "threads", "origin"} & set(recipe)


def test_the_first_phase_belongs_to_pretrain(small_plan):
    phases = [phase["phase"] for phase in told(small_plan, "train", **RUN)["phases"]]
    assert phases == ["heads"]
    assert small_plan.runs.pretrained("small", "disjoint") == {
        "dataset": "digits",
        "backbone": "tiny",
        "recipe": "quick",
    }
    assert small_plan.runs.pretrained("small", "disjoint") == small_plan.runs.pretrained("small", "mixed")
    assert small_plan.runs.pretrained("small", "joint") is None


def test_joint_and_mixed_differ_by_where_they_start(small_plan):
    joint, mixed = (told(small_plan, "train", **RUN | {"regime": regime}) for regime in ("joint", "mixed"))
    assert joint.pop("start") == "scratch"
    assert mixed.pop("start") != "scratch"
    assert joint == mixed


def test_a_table_reads_the_rows_of_what_it_draws_and_nothing_else(small_plan):
    expected = {f"runs/small/{r}/s{s}/rows.csv" for r in ("disjoint", "joint", "mixed") for s in (1, 2)}
    read = small_plan.job("table", name="table1").reads["rows"]
    assert {small_plan.below(file) for file in read} == expected


def test_an_analysis_across_seeds_needs_two(raw):
    assert load(raw).runs.units("mode_connectivity", "small") == ["s1", "s2", "seeds"]
    raw["seeds"] = [1]
    assert load(raw).runs.units("mode_connectivity", "small") == ["s1"]


def test_the_study_of_the_paper_holds_its_experiments(plan):
    assert plan.runs.seeds("cifar100-resnet34") == [1, 2, 3, 4]
    assert {e.base for e in plan.runs.experiments.values()} == {
        "cifar100-msdnet",
        "cifar100-resnet34",
        "cifar100-resnet34-regimes",
        "cifar100-resnet34-scaled",
        "cifar100-resnet34-schedule",
        "cifar100-resnet20",
        "cifar100-vit_t",
        "cifar100-vit_b",
        "tinyimagenet-resnet50",
        "imagenet-vit_t",
        "imagenet-vit_s",
        "imagenette-resnet50",
        "imagenette-vit_t",
        "newsgroups-bert",
        "stsb-bert",
    }
    assert plan.runs.experiments["tinyimagenet-resnet50.authors"].experiment.placement == "authors"


def test_config_yaml_stays_short(root):
    assert len((root / "config.yaml").read_text().splitlines()) < 500


def test_null_in_an_entry_that_extends_another_removes_what_it_would_inherit(raw):
    raw["recipes"]["quick"] |= {"clip": 1.0, "origin": raw["recipes"]["quick"]["origin"] | {"clip": "C"}}
    raw["recipes"]["free"] = {"extends": "quick", "clip": None}
    raw["experiments"]["small"]["seeds"] = [7]
    raw["backbones"]["tiny2"] = dict(raw["backbones"]["tiny"], width=8)
    raw["experiments"]["other"] = {"extends": "small", "backbone": "tiny2", "seeds": None}
    plan = load(raw)
    assert plan.study.recipes["free"].clip is None
    assert "clip" not in plan.study.recipes["free"].origin
    assert (plan.runs.seeds("small"), plan.runs.seeds("other")) == ([7], [1, 2])


def test_an_overlay_that_removes_a_value_removes_its_mark(raw):
    raw["recipes"]["quick"] |= {"clip": None, "origin": raw["recipes"]["quick"]["origin"] | {"clip": "C"}}
    assert "clip" not in load(raw).study.recipes["quick"].origin


def test_a_value_stated_anew_never_keeps_the_mark_of_the_one_before(raw):
    raw["recipes"]["quick"]["origin"]["lr"] = "P E.1"
    raw["recipes"]["slow"] = {"extends": "quick", "lr": 1e-4}
    with pytest.raises(StudyError, match=r"recipes\.slow: 'origin' lacks a mark .* for lr"):
        load(raw)


def test_a_value_changed_by_an_overlay_is_ours_unless_it_says_otherwise(raw):
    raw["recipes"]["quick"]["origin"] |= {"lr": "P E.1", "batch": "P E.1", "epochs": "P E.1"}
    overlay = {"recipes": {"quick": {"lr": 1e-4, "epochs": 9, "origin": {"epochs": "C"}}}}
    marks = load(resolve.merge(raw, overlay), raw).study.recipes["quick"].origin
    assert (marks["lr"], marks["epochs"], marks["batch"]) == ("O", "C", "P E.1")


def test_two_names_for_one_training_are_refused(raw):
    raw["experiments"]["again"] = {"extends": "small"}
    with pytest.raises(StudyError, match="small/disjoint and again/disjoint are one training under two names"):
        load(raw)


@pytest.mark.parametrize(
    ("stage", "names", "valid"),
    [
        ("train", {"experiment": "smal", "regime": "joint", "seed": 1}, "small"),
        ("train", {"experiment": "small", "regime": "jiont", "seed": 1}, "joint, "),
        ("pretrain", {"dataset": "digit", "backbone": "tiny", "recipe": "quick", "seed": 1}, "digits"),
        ("pretrain", {"dataset": "digits", "backbone": "tin", "recipe": "quick", "seed": 1}, "tiny"),
        ("pretrain", {"dataset": "digits", "backbone": "tiny", "recipe": "quik", "seed": 1}, "quick"),
        ("prepare", {"dataset": "digit"}, "digits"),
    ],
)
def test_a_file_of_something_unknown_lists_the_valid_names(small_plan, stage, names, valid):
    with pytest.raises(StudyError, match=f"there is no '.*'; valid names: {valid}"):
        small_plan.settings(stage, **names)


def test_a_home_folder_is_understood(raw, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("MANYEXITS_DATA_ROOT", raising=False)
    raw["data_root"] = "~/data"
    assert str(data_root(load(raw).study)) == "/home/someone/data"
    monkeypatch.setenv("MANYEXITS_DATA_ROOT", "~/elsewhere")
    assert str(data_root(load(raw).study)) == "/home/someone/elsewhere"
