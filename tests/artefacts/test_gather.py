"""Records leave a machine without weights and without its names, and everything rebuilds from them alone."""

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import records
import yaml
from conftest import ROOT, SMALL

from manyexits.artefacts import gather
from manyexits.cli import main
from manyexits.exits import answers
from manyexits.exits.answers import Answers
from manyexits.files import rows
from manyexits.files.made import Made
from manyexits.files.provenance import sha256
from manyexits.study.job import RUN
from manyexits.study.plan import load

STUDY = yaml.safe_load(SMALL) | {
    "analyses": {},
    "tables": {
        "table1": {"experiments": ["small"], "protocols": ["shared"]},
        "comparisons": {"experiments": ["small"]},
    },
    "figures": {"budget_curves": {"experiments": ["small"]}},
}
KEPT = {"run.json", "history.csv", "thresholds.json", "rows.csv", "rows.json", "answers.safetensors"}
BY = Made(settings="0" * 16, inputs={})


def finished(plan, prepared: Path, folder: Path) -> None:
    """A study's output folder as it lies after training, weights included."""
    output, data = folder / plan.study.output, folder / plan.study.data
    records.write(plan, prepared, output, data)
    for run in output.rglob("run.json"):
        (run.parent / "history.csv").write_text("phase,epoch\n")
        (run.parent / "model.safetensors").write_bytes(b"weights")
    for experiment, regime, seed in (tuple(names.values()) for names in plan.runs.of("small")):
        place = output / RUN.format(experiment=experiment, regime=regime, seed=seed)
        (place / "thresholds.json").write_text("{}")
        identity = plan.runs.identity(experiment) | {"regime": regime, "seed": seed}
        rows.write(place / "rows.csv", [identity | row for row in of_a_run(seed)])
        answers.write(place / "answers.safetensors", Answers(np.zeros(3), np.zeros((3, 2)), {}), BY)
    names = dict.fromkeys(("experiment", "variant"), "") | {"experiment": "small", "protocol": "shared"}
    told = {"criterion": "confidence", "metric": "accuracy", "n": 60, "seeds": 2, "first": "joint", "second": "mixed"}
    cell = {"budget": "0.5", "difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.01}
    rows.write(output / "comparisons/small.csv", [names | told | cell], rows.COMPARED)


def of_a_run(seed: int) -> list[dict]:
    common = {"split": "test", "n": 60, "metric": "accuracy", "criterion": "confidence"}
    made = [{"split": "test", "n": 60, "metric": "backbone_cost", "value": 100, "unit": "FLOPs"}]
    made.append({"split": "test", "n": 60, "metric": "accuracy", "exit": 1, "value": 0.5, "cost": 40})
    for budget, value in (("0.5", 0.6), ("1.0", 0.7), ("max", 0.8)):
        made.append(common | {"protocol": "shared", "budget": budget, "value": value + seed / 100, "cost": 45})
    for budget in (0.4, 1.1):
        point = {"protocol": "shared", "budget": budget, "threshold": 0.5, "value": 0.6, "cost": 100 * budget}
        made.append(common | point)
    return made


@pytest.fixture
def trained(tmp_path, monkeypatch, prepared):
    """A finished study in the working folder, with its config.yaml and an overlay."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(STUDY))
    Path("tiny.yaml").write_text("output: results/tiny\n")
    plan = load(STUDY | {"output": "results/tiny"})
    finished(plan, prepared, tmp_path)
    return plan


def files(folder: str) -> set[Path]:
    return {path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()}


def test_records_are_taken_and_weights_are_not(trained, capsys):
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 0
    assert capsys.readouterr().out == "8 of 8 trainings are in docs/tiny\n"
    runs = {Path(f"runs/small/{r}/s{s}/{f}") for r in ("disjoint", "joint", "mixed") for s in (1, 2) for f in KEPT}
    phase_1 = {Path(f"backbones/digits/tiny/quick/s{s}/{f}") for s in (1, 2) for f in ("run.json", "history.csv")}
    rest = {
        Path("costs/small.json"),
        Path("comparisons/small.csv"),
        Path("comparisons/small.json"),
        Path("data/digits/manifest.json"),
        Path("data/digits/splits.json"),
    }
    assert files("docs/tiny") == runs | phase_1 | rest


def test_a_run_that_is_not_finished_stays_behind(trained, capsys):
    Path("results/tiny/runs/small/joint/s2/rows.csv").unlink()
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 0
    assert "7 of 8 trainings are in docs/tiny\nnot finished: runs/small/joint/s2\n" in capsys.readouterr().out
    assert not Path("docs/tiny/runs/small/joint/s2").exists()


PRIVATE = {
    "a host": (f"on {socket.gethostname()}, at night", "the name of this host"),
    "a user": ("copied from me@login.cluster.org", "a user's name, 'me@login.cluster.org'"),
    "a path": ('"source": "/mnt/disk/cifar"', "an absolute path, '/mnt/disk/cifar'"),
    "a path of a sentence": ("from /scratch/me, as ever", "an absolute path"),
    "a drive": ('"C:\\\\data"', "an absolute path"),
}


@pytest.mark.parametrize("what", PRIVATE)
def test_a_record_that_names_a_machine_is_refused_and_nothing_is_taken(trained, what, capsys):
    text, reason = PRIVATE[what]
    Path("results/tiny/runs/small/joint/s2/thresholds.json").write_text(text)
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"manyexits gather: results/tiny/runs/small/joint/s2/thresholds.json holds {reason}")
    assert not Path("docs").exists()


def test_arrays_whose_metadata_name_a_machine_are_refused(trained, capsys):
    place = Path("results/tiny/runs/small/joint/s2/answers.safetensors")
    answers.write(place, Answers(np.zeros(3), np.zeros((3, 2)), {}), Made(settings="/mnt/disk/me", inputs={}))
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 2
    assert f"{place} holds an absolute path, '/mnt/disk/me'" in capsys.readouterr().err
    assert not Path("docs").exists()


@pytest.mark.parametrize(
    "text", ["https://a.org/b/c", "runs/small/s1", "TITAN/RTX 1/2", "3/4 and/or 5", "a / b / c", getpass.getuser()]
)
def test_what_only_looks_like_a_path_is_taken(tmp_path, text):
    """Nor does a user whose name is a word of the study make records private."""
    (tmp_path / "run.json").write_text(f'"{text}"')
    gather.check(tmp_path / "run.json")


def test_a_large_file_is_refused(trained, capsys):
    with Path("results/tiny/runs/small/joint/s2/rows.csv").open("wb") as file:
        file.truncate(50_000_001)
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 2
    assert "rows.csv has 50,000,001 bytes, more than the 50,000,000 that are committed" in capsys.readouterr().err
    assert not Path("docs").exists()


def test_tables_figures_card_and_report_rebuild_from_committed_records_alone(trained, tmp_path):
    assert main(["gather", "--configfile", "tiny.yaml", "--into", "docs/tiny"]) == 0
    for name in ("results", "data"):
        shutil.rmtree(name)
    for name in ("Snakefile", "Makefile", "CITATION.cff", "pyproject.toml"):
        shutil.copy(ROOT / name, name)
    for name in ("workflow", "envs"):
        shutil.copytree(ROOT / name, name)
    Path(".venv").mkdir()
    Path(".venv/.ready").touch()
    before = files("docs/tiny")
    command = ["make", "workstation-tables", "WORKSTATION=tiny.yaml", f"BIN={Path(sys.executable).parent}", "CORES=1"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0, done.stdout + done.stderr
    made = {Path(f"tables/{name}.{suffix}") for name in ("table1", "comparisons") for suffix in ("csv", "md", "tex")}
    made |= {Path(f"figures/budget_curves.{suffix}") for suffix in ("png", "pdf")}
    made |= {Path("card.md"), Path("card.html")}
    assert files("docs/tiny") == before | made
    table = " ".join(Path("docs/tiny/tables/table1.md").read_text().split())
    assert "| small | joint | 61.50 ± 0.71 | 71.50 ± 0.71 | 81.50 ± 0.71 |" in table
    for suffix, pattern in (("md", r"\]\(([^)#]+)\)"), ("html", r'href="([^"#]+)"')):
        text = Path(f"docs/tiny/card.{suffix}").read_text()
        links = re.findall(pattern, text)
        assert len(links) == 8 + 1 + 2
        assert all((Path("docs/tiny") / link).is_file() for link in links)
        assert str(tmp_path) not in text
    report = Path("results/tiny-tables/report.html").read_text()
    assert "small: tiny with sdn on digits; n = 144 training, 36 validation and 60 test images" in report
    assert not re.search(r'(src|href)="https?:', report)  # nothing is fetched when it is opened


def test_texts_of_samples_are_left_behind_and_the_record_tells_of_what_is_taken(trained, tmp_path):
    rows_ = 'seed,sample,made_by\n1,"from me@there.org,\nsee /mnt/disk/me",ab\n'
    place = Path("results/tiny/analyses/easy_and_hard/small/s1.csv")
    place.parent.mkdir(parents=True)
    place.write_text(rows_)
    place.with_suffix(".json").write_text(json.dumps({"inputs_sha256": {}, "outputs_sha256": {"s1.csv": "0" * 64}}))
    study = STUDY | {"analyses": {"easy_and_hard": {"n": 2}}, "output": "results/tiny"}
    plan = load(study | {"tables": {"easy_and_hard": {"experiments": ["small"]}}, "figures": {}})
    gather.gather(plan, tmp_path / "kept")
    kept = tmp_path / "kept/analyses/easy_and_hard/small/s1.csv"
    assert kept.read_text() == "seed,sample,made_by\n1,,ab\n"
    told = json.loads(kept.with_suffix(".json").read_text())
    assert told == {"inputs_sha256": {}, "outputs_sha256": {"s1.csv": sha256(kept)}}
    assert place.read_text() == rows_
