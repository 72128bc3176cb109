"""However the files or settings that a verb is given are spoiled, it works, or refuses in one sentence and writes
nothing."""

import contextlib
import copy
import csv
import io
import json
import math
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import SMALL
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from verbs import all_jobs, run

from manyexits import cli
from manyexits.files.digests import canonical
from manyexits.study.job import VERSIONS, Job
from manyexits.study.plan import Plan, load

STUDY = yaml.safe_load(SMALL) | {
    "seeds": [1],
    "tracker": "none",
    # few images and little to compute, so that what is not refused is soon over
    "datasets": {"digits": {"source": "digits", "classes": 10, "pixels": 8, "test": 0.85}},
    "analyses": {
        "mode_connectivity": {"grid": 2, "line": 2, "n_probe": 8, "n_batchnorm": 8, "n_test": 8},
        "similarity": {},
    },
    "representations": {"n": 40, "n_similarity": 10, "components": 4},
    "tables": {name: {"experiments": ["small"]} for name in ("table1", "comparisons", "guarantees", "similarity")},
}
JOBS = {
    "count_backbone": {"dataset": "digits", "backbone": "tiny"},
    "count_flops": {"experiment": "small"},
    "pretrain": {"dataset": "digits", "backbone": "tiny", "recipe": "quick", "seed": 1},
    "train": {"experiment": "small", "regime": "mixed", "seed": 1},
    "predict": {"experiment": "small", "regime": "joint", "seed": 1},
    "represent": {"experiment": "small", "regime": "joint", "seed": 1},
    "calibrate": {"experiment": "small", "regime": "joint", "seed": 1},
    "evaluate": {"experiment": "small", "regime": "joint", "seed": 1},
    "guarantee": {"experiment": "small", "regime": "joint", "seed": 1},
    "compare": {"experiment": "small"},
    "analyse": {"analysis": "mode_connectivity", "experiment": "small", "unit": "s1"},
    "table": {"name": "table1"},
    "card": {},
}
"""Verb -> one of its jobs. What `prepare` and `weights` read, and what figures draw, is spoiled beside their tests."""
PEOPLES = {"doctor": [], "report": [], "gather": ["--into", "kept"]}
"""Verbs that look at a whole study, and their arguments."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The study's plan."""
    return load(copy.deepcopy(STUDY))


@pytest.fixture(scope="module")
def finished(plan, tmp_path_factory) -> Path:
    """A folder in which every verb has done its work."""
    folder = tmp_path_factory.mktemp("finished")
    with contextlib.chdir(folder):
        all_jobs(plan, but={"figure"})
        shutil.rmtree("checkpoints")
        Path("config.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


VALUES = st.sampled_from(
    [None, True, -1, 0, 1, 2.5, 1e300, math.nan, math.inf, "", "x", "é", "\x1b[0m", [], {}, [0], {"x": 1}]
)


def spoiled_json(content, draw):
    """JSON, one value of it removed, changed, or put beside another name."""
    content = copy.deepcopy(content)
    at = content
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return content
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or draw(st.integers(0, 3)) == 0:
            break
        at = at[key]
    how = draw(st.sampled_from(["value", "value", "no key", "new key"]))
    if how == "no key":
        del at[key]
    elif how == "new key" and isinstance(at, dict):
        at[draw(st.sampled_from(["x", "budget", "seed", "version"]))] = draw(VALUES)
    else:
        at[key] = draw(VALUES)
    return content


def spoil(path: Path, others: list[Path], draw) -> None:
    """Change, cut, replace or remove one file."""
    how = draw(st.sampled_from(["json", "json", "bytes", "cut", "other", "gone", "folder"]))
    content = path.read_bytes()
    if how == "json" and path.suffix == ".json":
        path.write_text(json.dumps(spoiled_json(json.loads(content), draw)))
    elif how in ("json", "bytes"):
        start = draw(st.integers(0, len(content)))
        path.write_bytes(content[:start] + draw(st.binary(max_size=8)) + content[start + draw(st.integers(0, 20)) :])
    elif how == "cut":
        path.write_bytes(content[: draw(st.integers(0, len(content)))])
    elif how == "other":
        path.write_bytes(draw(st.sampled_from(others)).read_bytes())
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()


def inputs(job: Job) -> list[Path]:
    """Files that a job reads."""
    named = [file for given_ in job.reads.values() for file in ([given_] if isinstance(given_, str) else given_)]
    paths = [path for name in named for path in ([Path(name)] if Path(name).is_file() else Path(name).iterdir())]
    return sorted(set(paths))


def judge(job: Job, data) -> None:
    """One of a job's files or its settings is spoiled; the study around it stands in the working folder."""
    draw, files, told = data.draw, inputs(job), canonical(job.settings)
    path = None if not files or draw(st.integers(0, 3)) == 0 else draw(st.sampled_from(files))
    with undone(path):
        if path is None:
            told = json.dumps(spoiled_json(job.settings, draw))
        else:
            spoil(path, sorted(each for each in Path().rglob("*") if each.is_file()), draw)
        code, said = run(job, told, "made")
        *before, last = said.splitlines() or [""]
        event(f"exit code {code}")
        assert code in (0, 2)
        if code:
            assert last.startswith(f"manyexits {job.stage}: "), said
            assert all(line.isprintable() for line in (*before, last))
            assert not [path for path in Path().glob("made*") if path.is_file() or any(path.iterdir())]
        else:
            sound(job)


@contextlib.contextmanager
def undone(path: Path | None = None):
    """Afterwards the working folder holds no further files than before, and this one as it was."""
    there = set(Path().rglob("*"))
    content = path.read_bytes() if path else b""
    try:
        yield
    finally:
        for new in sorted(set(Path().rglob("*")) - there, reverse=True):  # what is in a folder before the folder
            new.rmdir() if new.is_dir() else new.unlink()
        if path:
            if path.is_dir():
                path.rmdir()
            path.write_bytes(content)


def sound(job: Job) -> None:
    """What was made holds numbers that can be."""
    if job.stage == "evaluate":
        for row in csv.DictReader(Path("made").read_text().splitlines()):
            if row["value"] and not row["unit"]:
                assert 0 <= float(row["value"]) <= 1, row
            assert all(math.isfinite(float(row[name])) for name in ("value", "cost") if row[name]), row
    elif job.stage in ("calibrate", "count_backbone", "count_flops"):
        json.loads(Path("made").read_text())


def judge_whole(verb: str, data) -> None:
    """What a verb says of the study in the working folder, of which one file is spoiled."""
    files = sorted(path for path in Path().rglob("*") if path.is_file())
    path = data.draw(st.sampled_from([file for file in files if file.name != "config.yaml"]))
    said, told = io.StringIO(), io.StringIO()
    with undone(path):
        spoil(path, files, data.draw)
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
            code = cli.main([verb, *PEOPLES[verb]])
    event(f"exit code {code}")
    assert code in (0, 1, 2)
    assert all(line.isprintable() for line in (said.getvalue() + told.getvalue()).splitlines())
    assert bool(said.getvalue()) == (code == 2)


def judge_often(verb, plan, finished, folder, times, **more):
    times //= 20 if verb == "report" else 1  # it starts Snakemake
    how = settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck), **more)
    with contextlib.chdir(shutil.copytree(finished, folder / "study")):
        if verb in PEOPLES:
            how(given(data=st.data())(lambda data: judge_whole(verb, data)))()
        else:
            job = plan.job(verb, **JOBS[verb])
            how(given(data=st.data())(lambda data: judge(job, data)))()


def test_every_verb_is_tried():
    elsewhere = {"prepare", "weights", "figure"}
    assert set(JOBS) | elsewhere == set(VERSIONS)


@pytest.mark.parametrize("verb", [*JOBS, *PEOPLES])
def test_spoiled_files_and_settings_are_refused_in_one_sentence_or_work(verb, plan, finished, tmp_path):
    judge_often(verb, plan, finished, tmp_path, 200, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [*JOBS, *PEOPLES])
def test_files_and_settings_spoiled_many_times(verb, plan, finished, tmp_path):
    judge_often(verb, plan, finished, tmp_path, 2000)
