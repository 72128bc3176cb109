"""The DAG: what a fresh clone resolves, what asks for which resources, and what a change of configuration reruns."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import SMALL

from manyexits import study

ROOT = Path(__file__).parent.parent


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Snakemake with this checkout's rules in a folder of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=os.environ | environment)


def stats(output: str) -> dict[str, int]:
    """The table of jobs that Snakemake prints."""
    table = output.split("Job stats:")[-1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


# -- a fresh clone ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """Only what git knows."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def dry_run(clone: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "-n", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_of_the_paper_resolves(clone):
    jobs = stats(dry_run(clone, "--profile", "slurm", "results/figures/fig3.pdf"))
    assert jobs == {"prepare": 1, "pretrain": 4, "train": 12, "analyse": 5, "figure": 1}


def test_all_trains_every_experiment_once(clone, plan):
    jobs = stats(dry_run(clone))
    runs = [run for name in plan.experiments for run in plan.runs(name)]
    assert jobs["train"] == jobs["evaluate"] == len(runs)
    assert jobs["pretrain"] == 3 * 4  # three experiments, four seeds; regimes and placements share phase 1
    assert jobs["prepare"] == 2


CONFIGURATIONS = {"plan": [], "demo": ["--configfile", "workflow/overlays/demo.yaml"]}


@pytest.mark.parametrize("which", CONFIGURATIONS)
def test_every_artefact_resolves_by_its_name_and_by_its_files(clone, which, request):
    study_plan = request.getfixturevalue(which)
    targets = ["all", "tables", "figures"]
    for name, kinds in study_plan.artefacts.items():
        suffixes = {"tables": ("csv", "md", "tex"), "figures": ("pdf", "png", "svg")}
        targets += [name, *(f"{study_plan.study.output}/{kind}/{name}.{s}" for kind in kinds for s in suffixes[kind])]
    output = dry_run(clone, *targets, *CONFIGURATIONS[which])
    assert (stats(output)["table"], stats(output)["figure"]) == (2, 2)


def test_a_named_target_builds_the_table_and_figure_of_that_name(clone):
    assert stats(dry_run(clone, "fig3"))["figure"] == 1
    assert "figure" not in stats(dry_run(clone, "table1"))


@pytest.mark.parametrize("profile", ["slurm", "workflow/profiles/workstation", "workflow/profiles/ci"])
def test_every_profile_resolves(clone, profile):
    dry_run(clone, "--profile", profile)


def test_a_mistake_in_the_configuration_is_one_sentence_and_nothing_runs(clone):
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "sedes=1"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode != 0
    assert "sedes: unknown key; valid keys: seeds" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


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
    found = resources(clone, "all")
    kept = ("gpu", "gpu_model", "runtime", "mem_mb")
    shown = {rule: {key: told[key] for key in kept if key in told} for rule, told in found.items()}
    for rule in ("pretrain", "train"):
        assert shown[rule]["gpu"] == 1
        assert shown[rule]["gpu_model"] == "a100"
        assert (shown[rule]["runtime"], shown[rule]["mem_mb"]) in [(720, 16 * 1024), (2880, 32 * 1024)]
    assert shown["calibrate"] == {"runtime": 30, "mem_mb": 4000}
    for rule in ("prepare", "count_flops", "calibrate", "evaluate"):
        assert not {"gpu", "gpu_model"} & set(shown[rule])


def test_a_recipe_with_four_devices_asks_for_four_a100(clone, tmp_path):
    recipe = {"devices": 4, "origin": {"devices": "P E.5"}}
    overlay = tmp_path / "four.yaml"
    overlay.write_text(yaml.safe_dump({"recipes": {"cifar100-resnet": recipe}}))
    found = resources(clone, "results/figures/fig3.pdf", "--configfile", str(overlay))
    assert (found["train"]["gpu"], found["train"]["gpu_model"]) == (4, "a100")
    assert (found["pretrain"]["gpu"], found["analyse"]["gpu"]) == (4, 1)


# -- what a change reruns ---------------------------------------------------------------------------------------------

STUDY = yaml.safe_load(SMALL) | {
    "seeds": [1],
    "tables": {"table1": {"experiments": ["small", "other"]}, "mode_connectivity": {"experiments": ["small"]}},
    "figures": {"budget_curves": {"experiments": ["small", "other"]}, "fig3": {"experiments": ["small"]}},
}
STUDY["recipes"] = STUDY["recipes"] | {"slow": {"extends": "quick", "lr": 1e-3, "origin": {"lr": "O"}}}
STUDY["experiments"] = STUDY["experiments"] | {
    "other": {"extends": "small", "recipes": {"all": "slow"}, "regimes": ["joint"]}
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A small study that has run to the end."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "config.yaml").write_text(yaml.safe_dump(STUDY))
    done = snakemake(folder, "-c2", "all", "--show-failed-logs")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rerun(finished: Path, tmp_path: Path, overlay: dict) -> dict[str, int]:
    """Jobs that a change of the configuration reruns."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(study.merge(STUDY, overlay)))
    for name in ("results", "data", ".snakemake"):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(finished / name)
    done = snakemake(tmp_path, "-n", "all", "--nolock")
    assert done.returncode == 0, done.stdout + done.stderr
    if "Nothing to be done" in done.stdout + done.stderr:
        return {}
    jobs = stats(done.stdout + done.stderr)
    del jobs["all"]
    return jobs


def test_a_second_call_has_nothing_to_do(finished):
    done = snakemake(finished, "-c2", "all")
    assert "Nothing to be done" in done.stdout + done.stderr


UNRELATED = {
    "a new experiment that nothing draws": {"experiments": {"third": {"extends": "small", "placement": "first"}}},
    "another folder of raw data": {"data_root": "elsewhere", "hub": False},
    "another tracker": {"tracker": "none"},
    "more time and memory": {"recipes": {"quick": {"minutes": 5, "memory_gib": 3, "threads": 1}}},
    "an origin mark": {"recipes": {"quick": {"origin": {"lr": "P E.1"}}}},
    "a number written otherwise": {"recipes": {"quick": {"lr": "0.005"}}},
}


@pytest.mark.parametrize("what", UNRELATED)
def test_an_unrelated_edit_reruns_nothing(finished, tmp_path, what):
    assert rerun(finished, tmp_path, UNRELATED[what]) == {}


def test_a_new_budget_reruns_calibration_and_what_follows(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"budgets": [0.5, 0.75, 1.0]})
    assert changed == {"calibrate": 4, "evaluate": 4, "table": 1, "figure": 1}


def test_a_changed_recipe_reruns_exactly_its_runs(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"recipes": {"slow": {"lr": 2e-3}}})
    assert changed == {"train": 1, "predict": 1, "calibrate": 1, "evaluate": 1, "table": 1, "figure": 1}


def test_a_changed_colour_reruns_only_its_figure(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"figures": {"budget_curves": {"colours": {"mixed": "#222222"}}}})
    assert changed == {"figure": 1}


def test_a_finer_grid_reruns_only_its_analysis_and_what_it_draws(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"analyses": {"mode_connectivity": {"grid": 4}}})
    assert changed == {"analyse": 1, "table": 1, "figure": 1}


def test_a_new_budget_really_leaves_the_weights_alone(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    models = {path: path.stat().st_mtime_ns for path in copy.rglob("model.safetensors")}
    (copy / "config.yaml").write_text(yaml.safe_dump(STUDY | {"budgets": [0.75]}))
    done = snakemake(copy, "-c2", "table1", "--show-failed-logs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in models} == models
    cells = json.loads((copy / "results/runs/small/joint/s1/thresholds.json").read_text())["cells"]
    assert {cell["budget"] for cell in cells} == {0.75, "max"}
    again = snakemake(copy, "-n", "table1")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_study_that_changed_under_a_running_workflow_is_refused(raw, monkeypatch):
    from manyexits.wiring import GUARD, Wiring

    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv(GUARD, "")
    Wiring(raw).enter(is_main_process=True)
    Wiring(raw).enter(is_main_process=False)
    with pytest.raises(ValueError, match=r"config\.yaml has changed since this workflow was started; start it again"):
        Wiring(raw | {"budgets": [0.1]}).enter(is_main_process=False)
