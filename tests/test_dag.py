"""The DAG: what a fresh clone resolves, and what asks for which resources."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import copy_checkout

from manyexits.wiring import GUARD, Wiring


def stats(output: str) -> dict[str, int]:
    """The table of jobs that Snakemake prints."""
    table = output.split("Job stats:")[-1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


# -- a fresh clone ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """Only what git knows."""
    return copy_checkout(tmp_path_factory.mktemp("clone"))


def dry_run(clone: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "-n", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_of_the_paper_resolves(clone):
    jobs = stats(dry_run(clone, "--profile", "slurm", "results/figures/fig3.pdf"))
    counts = {"count_backbone": 1, "count_flops": 1}  # before the first training
    made = {"prepare": 1, "pretrain": 4, "train_with_snapshots": 12, "analyse": 5, "figure": 1}
    assert jobs == counts | made


def test_an_experiment_is_a_target_that_trains_and_analyses_it(clone):
    jobs = stats(dry_run(clone, "--profile", "slurm", "cifar100-resnet34"))
    assert jobs.pop("analyse") == 4 + 1 + 4  # mode connectivity and gradient dominance, by seed, and across seeds
    assert jobs.pop("analyse_answers") == 4 + 4 + 4 + 5  # easy and hard, rank, information, similarity
    runs = ("train_with_snapshots", "predict", "calibrate", "evaluate", "represent")
    assert jobs == dict.fromkeys(runs, 12) | {
        "prepare": 1,
        "count_backbone": 1,
        "count_flops": 1,
        "pretrain": 4,
        "compare": 1,
    }


CONFIGURATIONS = {"plan": [], "demo": ["--configfile", "workflow/overlays/demo.yaml"]}


@pytest.fixture(scope="module")
def everything(clone, plan, demo) -> dict[str, dict[str, int]]:
    """Configuration -> jobs of `all`, and of every table and figure by its name and by its files."""
    suffixes = {"tables": ("csv", "md", "tex", "html"), "figures": ("pdf", "png", "svg")}
    found = {}
    for which, stated in (("plan", plan), ("demo", demo)):
        targets = ["all", "tables", "figures"]
        for name, kinds in stated.runs.artefacts.items():
            files = [f"{stated.study.output}/{kind}/{name}.{suffix}" for kind in kinds for suffix in suffixes[kind]]
            targets += [name, *files]
        found[which] = stats(dry_run(clone, *targets, *CONFIGURATIONS[which]))
    return found


def test_all_trains_every_experiment_once(everything, plan):
    jobs = everything["plan"]
    runs = [run for name in plan.runs.shown for run in plan.runs.of(name)]
    assert jobs["train"] + jobs["train_with_snapshots"] == jobs["evaluate"] == len(runs)
    assert jobs["train_with_snapshots"] == 4 * 3 * 4  # experiments, regimes, seeds; variants keep none
    assert jobs["represent"] == 7 * 3 * 4  # once for rank, information and similarity
    # twelve backbones on their datasets, and four lengths of phase 1; regimes, methods and placements share it
    assert jobs["pretrain"] == (12 + 4) * 4
    assert jobs["prepare"] == 7
    assert jobs["weights"] == 2
    assert jobs["card"] == 1


@pytest.mark.parametrize("variant", ["ztw", "pbee"])
def test_what_no_artefact_draws_is_built_by_its_name_and_shares_phase_1(clone, variant):
    jobs = stats(dry_run(clone, f"results/runs/cifar100-resnet34.{variant}/mixed/s1/rows.csv"))
    steps = ("prepare", "count_backbone", "count_flops", "pretrain", "train", "predict", "calibrate", "evaluate")
    assert jobs == dict.fromkeys(steps, 1)


@pytest.mark.parametrize("which", CONFIGURATIONS)
def test_every_artefact_resolves_by_its_name_and_by_its_files(everything, which, request):
    stated, jobs = request.getfixturevalue(which).study, everything[which]
    assert (jobs["table"], jobs["figure"]) == (len(stated.tables), len(stated.figures))


def test_the_card_is_one_job_of_all_and_a_target_by_its_name_and_files(everything, clone, demo):
    files = [f"{demo.study.output}/card.{suffix}" for suffix in ("md", "html")]
    assert everything["demo"]["card"] == 1
    assert stats(dry_run(clone, "card", *files, *CONFIGURATIONS["demo"]))["card"] == 1


def test_the_card_reads_every_shown_run_and_nothing_that_is_only_named(raw):
    from manyexits.study.plan import load

    raw["experiments"]["small"]["vary"] = {"placement": ["first"]}  # swept, but drawn by nothing
    plan = load(raw)
    runs = {f"runs/small/{r}/s{s}/run.json" for r in ("disjoint", "joint", "mixed") for s in (1, 2)}
    phase_1 = {f"backbones/digits/tiny/quick/s{s}/run.json" for s in (1, 2)}
    analyses = {f"analyses/mode_connectivity/small/{unit}.json" for unit in ("s1", "s2", "seeds")}
    small = {f"{plan.study.data}/digits/{file}.json" for file in ("manifest", "splits")}
    rows = {file.replace("run.json", "rows.csv") for file in runs}
    records = {plan.below(file) for file in plan.job("card").reads["records"]}
    assert records == {"costs/small.json", "comparisons/small.csv"} | runs | rows | phase_1 | analyses | small


def test_a_named_target_builds_the_table_and_figure_of_that_name(clone):
    assert stats(dry_run(clone, "fig3"))["figure"] == 1
    assert "figure" not in stats(dry_run(clone, "table1"))


@pytest.mark.parametrize("profile", ["slurm", "workflow/profiles/workstation", "workflow/profiles/ci"])
def test_every_profile_resolves(clone, profile):
    dry_run(clone, "--profile", profile, *CONFIGURATIONS["demo"])  # every rule, of few jobs


def test_a_mistake_in_the_configuration_is_one_sentence_and_nothing_runs(clone):
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "sedes=1"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode != 0
    assert "sedes: unknown key; valid keys: seeds" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_mistyped_target_ends_the_call(clone):
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--", "fig4"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode != 0
    assert "there is no target 'fig4'; valid names: fig3" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ("fig4", "fig3"),
        ("tabel1", "table1"),
        ("crad", "card"),
        ("tabels", "tables"),
        ("results/figure/fig3.pdf", "results/figures/fig3.pdf"),
        ("result/tables/table1.csv", "results/tables/table1.csv"),
        ("fig3.pdf", "results/figures/fig3.pdf"),
    ],
)
def test_a_mistyped_target_gets_the_nearest_names(wired, rules, target, nearest):
    with pytest.raises(ValueError, match=f"^there is no target '{target}'; valid names: {nearest}"):
        wired.check_targets([target], rules)
    wired.check_targets([nearest], rules)


@pytest.fixture(scope="module")
def rules() -> list[SimpleNamespace]:
    """What a target's check asks of Snakemake's rules."""
    return [
        SimpleNamespace(
            name=name,
            has_wildcards=lambda: False,
            is_producer=re.compile(r"results/(figures|tables)/\w+[.]\w+").fullmatch,
        )
        for name in ("all", "tables", "card", "fig3", "table1")
    ]


@pytest.fixture
def wired(root, monkeypatch) -> Wiring:
    """The study of the checkout."""
    monkeypatch.chdir(root)
    return Wiring(yaml.safe_load(Path("config.yaml").read_text()))


def test_a_file_is_a_target_however_it_is_written(clone):
    assert stats(dry_run(clone, "./results//figures/fig3.pdf"))["figure"] == 1


# -- resources --------------------------------------------------------------------------------------------------------

SHOW_RESOURCES = """
import json, sys
from snakemake import cli, jobs

def show(self, *_, **__):
    print("JOB", json.dumps([self.rule.name, dict(self.resources.items())], default=str))

jobs.Job.log_info = show
cli.main(sys.argv[1:])
"""


def resources(clone: Path, *arguments: str) -> dict[str, dict]:
    """Rule -> resources of one of its jobs under the Slurm profile."""
    command = [sys.executable, "-c", SHOW_RESOURCES, "-n", "--profile", "slurm", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    return dict(json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("JOB "))


def test_trainings_ask_for_the_gpus_minutes_and_memory_of_their_recipes(clone):
    found = resources(clone, "results/runs/cifar100-resnet34/mixed/s1/rows.csv")
    kept = ("gpu", "gpu_model", "runtime", "mem_mb")
    shown = {rule: {key: told[key] for key in kept if key in told} for rule, told in found.items()}
    for rule in ("pretrain", "train_with_snapshots"):
        assert shown[rule] == {"gpu": 1, "gpu_model": "a100", "runtime": 720, "mem_mb": 16 * 1024}
    assert shown["calibrate"] == {"runtime": 30, "mem_mb": 4000}
    for rule in ("prepare", "count_flops", "calibrate", "evaluate"):
        assert not {"gpu", "gpu_model"} & set(shown[rule])


def test_imagenet_asks_for_four_a100(clone):
    found = resources(clone, "results/runs/imagenet-vit_t/joint/s1/model.safetensors")["train"]
    told = {key: found[key] for key in ("gpu", "gpu_model", "runtime", "mem_mb")}
    assert told == {"gpu": 4, "gpu_model": "a100", "runtime": 2880, "mem_mb": 128 * 1024}


def test_a_recipe_with_four_devices_asks_for_four_a100(clone, tmp_path):
    recipe = {"devices": 4, "origin": {"devices": "P E.5"}}
    overlay = tmp_path / "four.yaml"
    recipes = {"cifar100-resnet": recipe, "ensemble-4": {"extends": "ensemble"} | recipe}
    experiments = {"cifar100-resnet34": {"recipes": {"ensemble": "ensemble-4"}}}
    overlay.write_text(yaml.safe_dump({"recipes": recipes, "experiments": experiments}))
    found = resources(clone, "results/figures/fig3.pdf", "--configfile", str(overlay))
    train = found["train_with_snapshots"]
    assert (train["gpu"], train["gpu_model"]) == (4, "a100")
    assert (found["pretrain"]["gpu"], found["analyse"]["gpu"]) == (4, 1)


@pytest.mark.parametrize("name", ["easy_and_hard", "similarity"])
def test_an_analysis_of_answers_or_representations_asks_for_no_gpu(clone, name):
    found = resources(clone, f"results/tables/{name}.csv")["analyse_answers"]
    assert not {"gpu", "gpu_model"} & set(found)
    assert (found["mem_mb"], found["runtime"]) == (8000, 120)


def test_activations_are_read_on_a_gpu(clone):
    found = resources(clone, "results/tables/similarity.csv")["represent"]
    assert (found["gpu"], found["gpu_model"]) == (1, "a100")


def test_a_study_that_changed_under_a_running_workflow_is_refused(raw, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv(GUARD, "")
    Wiring(raw).enter(is_main_process=True)
    Wiring(raw).enter(is_main_process=False)
    with pytest.raises(ValueError, match=r"config\.yaml has changed since this workflow was started; start it again"):
        Wiring(raw | {"budgets": [0.1]}).enter(is_main_process=False)
