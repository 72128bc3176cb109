"""What a change of the configuration reruns, on a small study that has run to its end."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import SMALL
from test_dag import stats
from verbs import all_jobs

from manyexits import cli
from manyexits.files.digests import canonical
from manyexits.study import resolve
from manyexits.study.plan import load

ROOT = Path(__file__).parent.parent


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Snakemake with this checkout's rules in a folder of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=os.environ | environment)


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
    """A small study whose jobs have run to the end, as Snakemake knows it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "config.yaml").write_text(yaml.safe_dump(STUDY))
    with contextlib.chdir(folder):
        all_jobs(load(STUDY))
    done = snakemake(folder, "-c2", "all", "--touch", "--forceall")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rerun(finished: Path, tmp_path: Path, overlay: dict) -> dict[str, int]:
    """Jobs that a change of the configuration reruns."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(resolve.merge(STUDY, overlay)))
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


def test_rows_of_another_recipe_make_no_table(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    job = load(STUDY).job("table", name="table1")
    told = canonical(job.settings)
    files = list(job.reads["rows"])
    place = files.index("results/runs/small/joint/s1/rows.csv")
    slower = Path("results/runs/other/joint/s1/rows.csv").read_text()
    (tmp_path / "rows.csv").write_text(slower.replace("other,", "small,"))
    foreign = [*files[:place], str(tmp_path / "rows.csv"), *files[place + 1 :]]
    output = str(tmp_path / "table1.csv")
    beside = ["--comparisons", *job.reads["comparisons"], "--output", output]
    assert cli.main(["table", "--settings", told, "--inputs", *foreign, *beside]) == 2
    assert "rows.csv was made by other settings" in capsys.readouterr().err
    assert not Path(output).exists()
    assert cli.main(["table", "--settings", told, "--inputs", *files, "--output", output]) == 2
    assert "made_from.comparisons names 1 files, but 0 are given" in capsys.readouterr().err
    assert not cli.main(["table", "--settings", told, "--inputs", *files, *beside])
    assert Path(output).read_text() == Path("results/tables/table1.csv").read_text()


UNRELATED = {
    "a new experiment that nothing draws": {"experiments": {"third": {"extends": "small", "placement": "first"}}},
    "another folder of raw data": {"data_root": "elsewhere", "hub": False},
    "another tracker": {"tracker": "none"},
    "more time and memory": {"recipes": {"quick": {"minutes": 5, "memory_gib": 3, "threads": 1}}},
    "a number written otherwise": {"recipes": {"quick": {"lr": "0.005"}}},
}


@pytest.mark.parametrize("what", UNRELATED)
def test_an_unrelated_edit_reruns_nothing(finished, tmp_path, what):
    assert rerun(finished, tmp_path, UNRELATED[what]) == {}


def test_an_origin_mark_changes_the_card_alone(finished, tmp_path):
    assert rerun(finished, tmp_path, {"recipes": {"quick": {"origin": {"lr": "P E.1"}}}}) == {"card": 1}


def test_a_new_budget_reruns_calibration_and_what_follows(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"budgets": [0.5, 0.75, 1.0]})
    assert changed == {"calibrate": 4, "evaluate": 4, "compare": 1, "table": 1, "figure": 1, "card": 1}


def test_a_changed_recipe_reruns_exactly_its_runs(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"recipes": {"slow": {"lr": 2e-3}}})
    assert changed == {"train": 1, "predict": 1, "calibrate": 1, "evaluate": 1, "table": 1, "figure": 1, "card": 1}


def test_a_changed_colour_reruns_only_its_figure(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"figures": {"budget_curves": {"colours": {"mixed": "#222222"}}}})
    assert changed == {"figure": 1}


def test_a_finer_grid_reruns_only_its_analysis_and_what_it_draws(finished, tmp_path):
    changed = rerun(finished, tmp_path, {"analyses": {"mode_connectivity": {"grid": 4}}})
    assert changed == {"analyse": 1, "table": 1, "figure": 1, "card": 1}


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
