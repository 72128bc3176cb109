"""What is wrong in a configuration is said in one sentence that names the key and the remedy."""

import json

import pytest

from manyexits.study import resolve
from manyexits.study.plan import load
from manyexits.study.recipe import Recipe
from manyexits.study.refusals import StudyError


def refused(raw) -> str:
    with pytest.raises(StudyError) as caught:
        load(raw)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unknown_key_is_refused_with_the_nearest_first(raw):
    raw["sedes"] = [1]
    assert refused(raw).startswith("sedes: unknown key; valid keys: seeds, ")


@pytest.mark.parametrize(
    ("section", "entry", "key", "nearest"),
    [
        ("recipes", "quick", "learning_rate", "mixing_rate"),
        ("experiments", "small", "datset", "dataset"),
        ("backbones", "tiny", "blok", "block"),
        ("datasets", "digits", "pixel", "pixels"),
        ("methods", "sdn", "deph", "depth"),
        ("placements", "sdn", "share", "shares"),
        ("figures", "fig3", "colour", "colours"),
    ],
)
def test_an_unknown_key_inside_an_entry_is_named_with_its_place(raw, section, entry, key, nearest):
    raw[section][entry][key] = 1
    message = refused(raw)
    assert message.startswith(f"{section}.{entry}")
    assert key in message
    assert "valid keys: " in message
    if key != "learning_rate":
        assert message.split("valid keys: ")[1].split(",")[0] == nearest


@pytest.mark.parametrize("name", ["\x1b[0m", "a\nb", "\u202e"])
def test_what_a_terminal_would_act_upon_is_escaped_wherever_it_stands(raw, name):
    for vary, table in (({name: ["first"]}, None), ({"placement": ["first"]}, name)):
        raw["experiments"]["small"]["vary"] = vary
        raw["tables"] = {"table1": {"experiments": ["small"], "sweep": table}} if table else {}
        assert refused(raw).isprintable()


@pytest.mark.parametrize("key", ["dataset", "backbone", "method", "placement"])
def test_an_unknown_name_lists_the_valid_ones(raw, key):
    raw["experiments"]["small"][key] = "nothing"
    assert refused(raw).startswith(f"experiments.small.{key}: there is no 'nothing'; valid names: ")


def test_names_are_listed_nearest_first(raw):
    raw["experiments"]["small"]["regimes"] = ["jiont"]
    assert "valid names: joint, " in refused(raw)


def test_an_unknown_component_is_refused(raw):
    raw["backbones"]["tiny"]["family"] = "resnets"
    assert "there is no 'resnets' among the backbones; valid names: resnet" in refused(raw)


def test_an_option_of_the_wrong_type_is_refused(raw):
    raw["backbones"]["tiny"]["width"] = "wide"
    assert refused(raw).startswith("backbones.tiny.width: ")


def test_a_missing_recipe_for_a_phase_is_named(raw):
    del raw["experiments"]["small"]["recipes"]["heads"]
    assert "regime disjoint needs a recipe for the phase heads" in refused(raw)


def test_a_loop_of_extends_is_refused(raw):
    raw["recipes"]["quick"]["extends"] = "slow"
    raw["recipes"]["slow"] = {"extends": "quick"}
    assert "a loop, quick -> slow -> quick" in refused(raw)


def test_an_entry_that_extends_itself_is_a_loop(raw):
    raw["recipes"]["quick"]["extends"] = "quick"
    assert "a loop, quick -> quick" in refused(raw)


def test_extending_an_unknown_entry_is_refused(raw):
    raw["experiments"]["other"] = {"extends": "smal"}
    assert refused(raw).startswith("experiments.other.extends: there is no 'smal'; valid names: small")


@pytest.mark.parametrize("section", ["recipes", "experiments"])
@pytest.mark.parametrize("parent", [["quick"], {"a": 1}, 1, True, "", 1.5, [[]]])
def test_what_is_extended_is_a_name(raw, section, parent):
    raw[section]["new"] = {"extends": parent}
    assert refused(raw).startswith(f"{section}.new.extends: there is no {parent!r}; valid names: ")


@pytest.mark.parametrize("section", ["recipes", "experiments"])
@pytest.mark.parametrize("entry", [1, "text", [1], True, ["extends"]])
def test_an_entry_is_a_mapping(raw, section, entry):
    raw[section]["new"] = entry
    assert refused(raw).startswith(f"{section}.new must be a mapping of keys")
    raw[section]["other"] = {"extends": "new"}
    assert f"{section}.new must be a mapping of keys" in refused(raw)


@pytest.mark.parametrize("name", [1, 1.5, True, None])
@pytest.mark.parametrize(
    "section", ["datasets", "backbones", "methods", "placements", "recipes", "regimes", "experiments"]
)
def test_a_name_is_text_everywhere(raw, section, name):
    raw[section][name] = next(iter(raw[section].values()))
    assert refused(raw) == f"{section}.{name}: a name is text (got {name!r}); write it in quotes, or rename it"


def test_a_chain_of_extends_that_never_ends_is_refused(raw):
    raw["recipes"] |= {f"r{n}": {"extends": f"r{n + 1}"} for n in range(3000)} | {"r3000": {"extends": "quick"}}
    assert "entries extend one another over more than 30 links" in refused(raw)


@pytest.mark.parametrize("origin", ["O", "P E.1"])
def test_one_mark_is_that_of_all_values(raw, origin):
    raw["recipes"]["quick"]["origin"] = origin
    raw["recipes"]["new"] = {"extends": "quick", "lr": 1e-4, "origin": {"lr": "L"}}
    recipes = load(raw).study.recipes
    assert recipes["quick"].origin == dict.fromkeys(["optimizer", "lr", "batch", "epochs", "patience"], origin)
    assert recipes["new"].origin == recipes["quick"].origin | {"lr": "L"}


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize("origin", [["O"], 1, True, "mine", "", {"lr": ["O"]}, {"lr": 1}, {1: "O"}])
def test_what_is_no_mark_is_refused(raw, origin, base):
    before = {"recipes": {"quick": raw["recipes"]["quick"]}} if base else None
    raw = raw | {"recipes": {"quick": raw["recipes"]["quick"] | {"origin": origin}}}
    with pytest.raises(StudyError, match=r"^recipes\.quick") as caught:
        load(raw, before)
    assert "\n" not in str(caught.value)


def test_an_overlay_takes_back_the_mark_of_what_it_changes(raw):
    """A single mark counts as one of each value, in the base as well as in the overlay."""
    base = {"recipes": {"quick": raw["recipes"]["quick"] | {"origin": "P"}}}
    merged = resolve.merge(raw | base, {"recipes": {"quick": {"lr": 0.1}}})
    assert load(merged, base).study.recipes["quick"].origin == {
        "optimizer": "P", "lr": "O", "batch": "P", "epochs": "P", "patience": "P"
    }  # fmt: skip


@pytest.mark.parametrize(("batch", "devices", "per_device"), [(130, 4, None), (128, 1, 48), (2, 4, None)])
def test_a_batch_that_the_devices_cannot_divide_is_refused(raw, batch, devices, per_device):
    raw["recipes"]["quick"] |= {"batch": batch, "devices": devices, "per_device_batch": per_device}
    raw["recipes"]["quick"]["origin"] |= {"devices": "O"} | ({"per_device_batch": "O"} if per_device else {})
    assert f"batch {batch} cannot be divided by {devices} devices" in refused(raw)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"momentum": 0.9}, "'momentum' belongs to sgd, and the optimizer is adamw; remove it"),
        ({"lr_min": 1e-6, "schedule": "constant"}, "'lr_min' is the end of a cosine, and the schedule is constant"),
        ({"lr_min": 1}, "'lr_min' 1 is larger than 'lr' 0.005; lower it"),
        ({"trivial_first": True}, "'trivial_first' is how 'trivial_augment' works, which is off; remove it"),
        (
            {"trivial_interpolation": "bicubic"},
            "'trivial_interpolation' is how 'trivial_augment' works, which is off; remove it",
        ),
        (
            {"trivial_augment": True, "trivial_first": True, "resized_crop": 0.5},
            "'resized_crop' comes before all else, and 'trivial_first' would, too; remove it",
        ),
    ],
)
def test_a_setting_of_a_recipe_that_has_no_effect_is_refused(raw, stated, told):
    raw["recipes"]["quick"] |= stated
    raw["recipes"]["quick"]["origin"] |= dict.fromkeys(stated, "O")
    assert told in refused(raw)


@pytest.mark.parametrize("later", ["trivial_first", "trivial_interpolation"])
def test_a_setting_that_came_later_is_told_only_where_it_is_not_what_was_done_before(raw, later):
    def told():
        return load(raw).job("train", experiment="small", regime="joint", seed=1).settings["phases"][0]["recipe"]

    before = told()
    assert later not in before
    raw["recipes"]["quick"] |= {"trivial_augment": True, later: Recipe.model_fields[later].default}
    raw["recipes"]["quick"]["origin"] |= {"trivial_augment": "O", later: "O"}
    assert told() == before | {"trivial_augment": True}
    raw["recipes"]["quick"][later] = other = {"trivial_first": True, "trivial_interpolation": "bicubic"}[later]
    assert told() == before | {"trivial_augment": True, later: other}


@pytest.mark.parametrize("budget", [0, -0.5])
def test_a_budget_that_is_not_above_zero_is_refused(raw, budget):
    raw["budgets"] = [0.5, budget]
    assert "is no budget" in refused(raw)
    assert str(budget) in refused(raw)


@pytest.mark.parametrize("blocks", [[2], [1, 2], [3]])
def test_a_head_after_a_block_that_does_not_exist_is_refused(raw, blocks):
    raw["placements"]["first"] = {"after": {2: blocks}}
    assert f"no place for a head after block {blocks[-1]} of 2; valid blocks: 1 to 1" in refused(raw)


def test_a_head_before_the_first_block_is_refused(raw):
    raw["placements"]["first"] = {"after": {2: [0]}}
    assert refused(raw).startswith("placements.first.after.2.0: ")


def test_a_placement_without_an_entry_for_the_backbone_is_refused(raw):
    raw["placements"]["first"] = {"after": {16: [5]}}
    raw["experiments"]["small"]["placement"] = "first"
    assert "'first' has no entry for the 2 blocks of 'tiny'; it has 16" in refused(raw)


@pytest.mark.parametrize("both", [{}, {"shares": [0.5], "after": {2: [1]}}, {"every": 1, "shares": [0.5]}])
def test_a_placement_has_exactly_one_rule(raw, both):
    raw["placements"]["first"] = both
    assert "exactly one of 'shares', 'after' and 'every'" in refused(raw)


def test_a_stated_field_without_an_origin_mark_is_refused(raw):
    raw["recipes"]["quick"]["clip"] = 1.0
    assert "'origin' lacks a mark (P, C, L or O) for clip" in refused(raw)


def test_a_mark_without_its_field_is_refused(raw):
    raw["recipes"]["quick"]["origin"]["clip"] = "P"
    assert "'origin' marks clip, which the recipe does not state" in refused(raw)


def test_a_mark_that_is_no_mark_is_refused(raw):
    raw["recipes"]["quick"]["origin"]["lr"] = "mine"
    assert refused(raw).startswith("recipes.quick.origin.lr: ")


def test_an_artefact_with_the_name_of_a_rule_is_refused(raw):
    raw["tables"]["train"] = {"experiments": ["small"]}
    assert "train" in refused(raw)


def test_an_artefact_that_draws_an_unknown_experiment_is_refused(raw):
    raw["tables"]["table1"]["experiments"] = ["smal"]
    assert refused(raw).startswith("tables.table1.experiments: there is no 'smal'; valid names: small")


def test_an_artefact_of_an_analysis_that_is_not_configured_is_refused(raw):
    del raw["analyses"]["mode_connectivity"]
    assert "mode_connectivity" in refused(raw)


@pytest.mark.parametrize(("field", "value"), [("devices", 2), ("precision", "bf16")])
def test_phases_of_one_job_need_equal_devices_and_precision(raw, field, value):
    raw["recipes"]["wide"] = {"extends": "quick", field: value, "origin": {field: "O"}}
    raw["regimes"]["twice"] = ["backbone", "all", "heads"]
    raw["experiments"]["small"] |= {"regimes": ["twice"]}
    raw["experiments"]["small"]["recipes"]["all"] = "wide"
    assert f"the phases of regime twice run in one job; give them equal {field!r}" in refused(raw)


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1")
    with pytest.raises(StudyError, match="must hold a mapping"):
        resolve.read([tmp_path / "a.yaml"])


def test_a_file_that_is_no_yaml_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1,\nb: {")
    with pytest.raises(StudyError, match=r"no valid YAML") as caught:
        resolve.read([tmp_path / "a.yaml"])
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"b\.yaml: No such file"):
        resolve.read([tmp_path / "b.yaml"])


@pytest.mark.parametrize("key", ["seeds", "budgets", "protocols"])
def test_lists_of_the_study_are_neither_empty_nor_hold_a_value_twice(raw, key):
    raw[key] = []
    assert refused(raw).startswith(f"{key}: this list must not be empty")
    raw[key] = ["paper", "paper"] if key == "protocols" else [1, 1]
    assert "appears twice; name each value once" in refused(raw)


def test_an_infinite_budget_is_refused(raw):
    raw["budgets"] = [float("inf")]
    assert "is no budget" in refused(raw)


@pytest.mark.parametrize("phases", [["backbone"], ["backbone", "backbone"]])
def test_a_regime_that_trains_no_head_is_refused(raw, phases):
    raw["regimes"]["alone"] = phases
    raw["experiments"]["small"]["regimes"] = ["alone"]
    assert "experiments.small.regimes: alone trains no head" in refused(raw)


def test_a_regime_that_trains_no_backbone_needs_one_that_is_trained(raw):
    raw["regimes"]["late"] = ["heads"]
    raw["experiments"]["small"] |= {"regimes": ["joint", "late"]}
    assert "experiments.small.regimes: late trains no backbone" in refused(raw)
    raw["weights"] = {"w": {"file": "w.pth", "home": "here", "licence": "none"}}
    raw["backbones"]["tiny"] |= {"weights": "w", "classifier": "new"}
    assert "last exit would be that of the random start" in refused(raw)
    raw["backbones"]["tiny"]["classifier"] = "kept"
    assert load(raw)


def test_a_dataset_does_not_take_the_folder_of_the_weights(raw):
    raw["datasets"]["weights"] = raw["datasets"]["digits"]
    assert refused(raw).startswith("datasets.weights: ")


def test_names_are_no_longer_than_files_can_bear(raw):
    raw["experiments"]["x" * 101] = raw["experiments"]["small"]
    assert refused(raw).startswith(f"experiments.{'x' * 101}: ")


def test_a_sweep_that_is_not_there_is_refused(raw):
    raw["experiments"]["small"]["vary"] = {"placement": ["first"]}
    raw["tables"]["table1"]["sweep"] = "placment"
    assert refused(raw) == "tables.table1.sweep: there is no 'placment'; valid names: placement"


def test_a_sweep_of_experiments_that_vary_nothing_is_refused(raw):
    for experiment in raw["experiments"].values():
        experiment.pop("vary", None)
    raw["tables"]["table1"]["sweep"] = "placement"
    assert refused(raw) == "tables.table1.sweep: none of its experiments varies anything; write null"


@pytest.mark.parametrize(
    ("analysis", "options", "message"),
    [
        ("mode_conectivity", {}, "analyses: there is no 'mode_conectivity'; valid names: mode_connectivity"),
        ("mode_connectivity", {"grd": 3}, "analyses.mode_connectivity"),
        ("mode_connectivity", {"grid": 1}, "analyses.mode_connectivity.grid: "),
    ],
)
def test_analyses_are_checked(raw, analysis, options, message):
    raw["analyses"][analysis] = options
    assert refused(raw).startswith(message)


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_an_artefact_by_the_name_of_an_experiment_is_refused(raw, kind):
    raw[kind]["small"] = {"kind": {"tables": "table1", "figures": "fig3"}[kind], "experiments": ["small"]}
    assert refused(raw).startswith(f"{kind}.small: an experiment has this name, and both are targets")


@pytest.mark.parametrize("change", [{"groups": []}, {"groups": [3, 0]}, {"width": 0}])
def test_impossible_networks_are_refused(raw, change):
    raw["backbones"]["tiny"] |= change
    assert refused(raw).startswith("backbones.tiny.")


def as_scores(raw):
    """The small study with a regression."""
    raw["datasets"]["digits"] = {"source": "digits", "scores": [0, 9]}
    raw["analyses"], raw["figures"] = {}, {}
    return raw


def test_a_dataset_of_scores_is_a_regression_read_under_agreement(raw):
    plan = load(as_scores(raw))
    assert plan.study.criteria(plan.runs.experiment("small")) == ["agreement"]
    told = plan.job("train", experiment="small", regime="joint", seed=1).settings["network"]
    assert told["scores"] == [0, 9]
    assert "classes" not in told
    told = plan.job("table", name="table1").settings["experiments"][0]
    assert (told["criterion"], told["metric"]) == ("agreement", "spearman")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"source": "digits"}, "either 'classes', for classification, or 'scores', for regression"),
        ({"source": "digits", "classes": 10, "scores": [0, 9]}, "either 'classes', for classification, or 'scores'"),
        ({"source": "digits", "scores": [9, 0]}, "must rise"),
        ({"source": "digits", "scores": [0, float("inf")]}, "datasets.digits.scores.1: "),
    ],
)
def test_labels_are_classes_or_scores(raw, entry, sentence):
    raw["datasets"]["digits"] = entry
    assert sentence in refused(raw)


@pytest.mark.parametrize("criterion", ["confidence", "entropy", "patience"])
def test_a_criterion_that_is_not_defined_for_a_task_is_refused(raw, criterion):
    as_scores(raw)["experiments"]["small"]["criteria"] = [criterion]
    assert f"experiments.small.criteria: '{criterion}' is not defined for regression" in refused(raw)


def test_label_smoothing_of_scores_is_refused(raw):
    as_scores(raw)["recipes"]["quick"] |= {"label_smoothing": 0.1}
    raw["recipes"]["quick"]["origin"]["label_smoothing"] = "O"
    assert "experiments.small.recipes.backbone: label_smoothing of 'quick' spreads targets over classes" in refused(raw)


def test_the_method_that_leaves_by_a_criterion_asks_for_it(raw):
    raw["methods"]["pbee"] = {"kind": "pbee"}
    raw["experiments"]["small"]["method"] = "pbee"
    assert refused(raw) == "experiments.small.criteria: the method 'pbee' leaves by patience; add it"


def test_a_method_with_a_phase_of_its_own_asks_for_its_recipe(raw):
    raw["methods"]["ztw"] = {"kind": "ztw"}
    raw["experiments"]["small"]["method"] = "ztw"
    assert "regime disjoint needs a recipe for the phase ensemble" in refused(raw)
    raw["experiments"]["small"]["recipes"] = "quick"  # one for all, that of the method too
    phases = load(raw).job("train", experiment="small", regime="disjoint", seed=1).settings["phases"]
    assert [told["phase"] for told in phases] == ["heads", "ensemble"]


def test_a_recipe_for_a_phase_that_does_not_exist_is_refused(raw):
    raw["experiments"]["small"]["recipes"]["haeds"] = "quick"
    assert "experiments.small.recipes: there is no 'haeds'; valid names: heads" in refused(raw)


@pytest.mark.parametrize("placement", [{"every": 2}, {"every": 5}])
def test_a_placement_that_leaves_one_exit_is_refused(raw, placement):
    raw["placements"]["first"] = placement
    raw["experiments"]["small"]["placement"] = "first"
    assert "'first' puts no head on the 2 blocks of 'tiny', which leaves one exit" in refused(raw)


def test_a_backbone_of_one_block_is_refused(raw):
    raw["backbones"]["tiny"]["groups"] = [1]
    assert "puts no head on the 1 blocks of 'tiny'" in refused(raw)


def test_all_experiments_are_drawn_in_their_order(raw):
    raw["backbones"]["tiny2"] = dict(raw["backbones"]["tiny"], width=8)
    raw["experiments"]["other"] = {"extends": "small", "backbone": "tiny2"}
    raw["tables"]["table1"]["experiments"] = "all"
    assert load(raw).runs.drawn("tables", "table1") == ["small", "other"]


@pytest.mark.parametrize("given", ["al", "small"])
def test_an_artefact_lists_experiments_or_says_all(raw, given):
    raw["tables"]["table1"]["experiments"] = given
    assert refused(raw) == f"tables.table1.experiments: list experiments, as in [{given}], or write all"


def test_what_no_artefact_draws_is_not_built(raw):
    raw["backbones"]["tiny2"] = dict(raw["backbones"]["tiny"], width=8)
    raw["datasets"]["cifar"] = {"source": "cifar100", "classes": 100}
    raw["experiments"]["other"] = {"extends": "small", "backbone": "tiny2", "dataset": "cifar"}
    plan = load(raw)
    assert plan.runs.shown == ["small"]
    assert {job.names.get("dataset") for job in plan.of("prepare")} == {"digits"}
    assert plan.job("train", experiment="other", regime="joint", seed=1).recipes  # but there by its name


@pytest.mark.parametrize(("stage", "names"), [("table", {"name": "tabel1"}), ("figure", {"name": "table1"})])
def test_an_artefact_that_does_not_exist_lists_those_that_do(raw, stage, names):
    with pytest.raises(StudyError, match=r"there is no '.*'; valid names: "):
        load(raw).job(stage, **names)


def test_an_alternation_has_one_recipe(raw):
    raw["regimes"]["alternating"], raw["figures"] = ["backbone+heads"], {}
    raw["recipes"]["other"] = raw["recipes"]["quick"] | {"lr": 0.1}
    experiment = raw["experiments"]["small"]
    experiment |= {"regimes": ["alternating"], "recipes": {"backbone": "quick", "heads": "other"}}
    said = refused(raw)
    assert "experiments.small.recipes: the phases that take turns in backbone+heads, of regime alternating" in said
    assert "as in {alternating: RECIPE}" in said
    experiment["recipes"]["alternating"] = "other"
    settings = load(raw).settings("train", experiment="small", regime="alternating", seed=1)
    (phase,) = json.loads(settings)["phases"]
    assert (phase["phase"], phase["recipe"]["lr"]) == ("backbone+heads", 0.1)


@pytest.mark.parametrize("phase", ["backbone+backbone", "heads+", "backbone+ensemble"])
def test_what_is_no_alternation_is_refused_with_its_place(raw, phase):
    raw["regimes"]["joint"] = [phase]
    assert "regimes.joint" in refused(raw)


def test_a_method_that_weighs_whole_batches_takes_them_in_one_pass(raw):
    raw["methods"]["l2w"] = {"kind": "l2w"}
    raw["experiments"]["small"]["method"] = "l2w"
    assert load(raw)
    raw["recipes"]["quick"] |= {
        "per_device_batch": 32,
        "origin": raw["recipes"]["quick"]["origin"] | {"per_device_batch": "O"},
    }
    assert (
        "the method l2w weighs a whole batch at once, and here a step takes 2 passes; set per_device_batch to 64"
        in (refused(raw))
    )
    del raw["recipes"]["quick"]["per_device_batch"], raw["recipes"]["quick"]["origin"]["per_device_batch"]
    raw["recipes"]["quick"] |= {"precision": "fp16", "origin": raw["recipes"]["quick"]["origin"] | {"precision": "O"}}
    assert "set precision to bf16" in refused(raw)


def test_a_table_draws_some_values_of_a_sweep(raw):
    raw["methods"] |= {"pbee": {"kind": "pbee"}, "ztw": {"kind": "ztw"}, "gpf": {"kind": "gpf"}}
    experiment = raw["experiments"]["small"]
    experiment |= {
        "criteria": ["confidence", "patience"],
        "vary": {"placement": ["first"], "method": ["pbee", "gpf", "ztw"]},
    }
    table = raw["tables"]["table1"]
    table |= {"sweep": "method", "variants": ["gpf"]}
    recipes = experiment["recipes"] | {"ensemble": "quick"}
    experiment["recipes"] = recipes
    plan = load(raw)
    assert plan.runs.drawn("tables", "table1") == ["small", "small.gpf"]
    assert set(plan.runs.shown) == {"small", "small.gpf"}  # nothing else is built
    table["variants"] = ["gfp"]
    assert refused(raw).startswith("tables.table1.variants: there is no 'gfp'; valid names: gpf, ")
    table["variants"] = ["first"]  # of another sweep
    assert "tables.table1.variants: there is no 'first'" in refused(raw)
    del table["sweep"]
    assert "tables.table1.variants: they are values of a sweep, and none is named" in refused(raw)
