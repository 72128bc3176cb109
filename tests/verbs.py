"""Jobs of a study, done in the process of the test as their rules call them."""

import contextlib
import io
from collections.abc import Collection
from pathlib import Path

from conftest import ROOT

from manyexits import cli
from manyexits.files.digests import canonical
from manyexits.study.job import Job
from manyexits.study.plan import Plan

FOLDERS = {"pretrain", "train"}
"""Verbs whose output is a folder."""


def all_jobs(plan: Plan, but: Collection[str] = ()) -> None:
    """Do all jobs of a study in the working folder, but for those of some stages."""
    for job in plan.jobs:
        if job.stage not in but:
            code, said = run(job, canonical(job.settings), place(job))
            assert code == 0, said


def arguments(job: Job) -> list[str]:
    """Of a job's verb, but for its settings, in the folder of the study."""
    read = job.reads
    data = ["--data", "data/digits"]
    start = ["--backbone", str(Path(read["backbone"][0]).parent)] if read.get("backbone") else []
    return {
        "prepare": ["--data-root", "none", "--output", "data/digits"],
        "count_backbone": data,
        "count_flops": data,
        "pretrain": [*data, "--tracker", "none", "--checkpoints", "checkpoints"],
        "train": [*data, "--tracker", "none", "--checkpoints", "checkpoints", *start],
        "predict": [*data, "--weights", read.get("model")],
        "represent": [*data, "--weights", read.get("model")],
        "calibrate": ["--predictions", read.get("predictions"), "--costs", read.get("costs")],
        "evaluate": [
            *(word for name in ("predictions", "thresholds", "costs") for word in (f"--{name}", read.get(name)))
        ],
        "guarantee": ["--predictions", read.get("predictions"), "--costs", read.get("costs")],
        "compare": ["--answers", *read.get("answers", [])],
        "analyse": [*data, "--runs", *read.get("runs", []), "--checkpoints", "checkpoints"],
        "table": [
            *("--inputs", *read.get("rows", [])),
            *("--comparisons", *read.get("comparisons", [])),
            *("--beside", *read.get("beside", [])),
        ],
        "figure": ["--inputs", *read.get("rows", [])],
        "card": ["--folder", "results", "--data", "data", "--checkout", str(ROOT)],
    }[job.stage]


def run(job: Job, told: str, output: str) -> tuple[int, str]:
    """Exit code of a verb, and what it said."""
    out = [] if job.stage == "prepare" else ["--output", output]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = cli.main([job.stage, "--settings", told, *arguments(job), *out])
        except SystemExit as error:  # argparse's: the settings are no JSON
            code = int(str(error.code))
    return code, said.getvalue()


def place(job: Job) -> str:
    """The file or folder that a job writes."""
    return str(Path(job.writes[0]).parent) if job.stage in FOLDERS else job.writes[0]
