"""Records of finished runs, small and clean enough to be committed; tables, figures and card rebuild from them."""

import re
import shutil
import socket
from pathlib import Path

from manyexits.files import reading
from manyexits.study.plan import Plan

KEPT_RUN = ("run.json", "history.csv", "thresholds.json", "rows.csv", "rows.json", "answers.safetensors")
KEPT_PHASE_1 = ("run.json", "history.csv")
"""What is kept of a training; weights and predictions are not."""
LARGEST = 50_000_000
"""Bytes of the largest file that is taken: ImageNet's splits have 14 MB, and hosts of repositories refuse 100 MB."""
ABSOLUTE = re.compile(r"(?<![\w.:/)])(/[\w.-]+){2,}|(?<![\w-])[A-Za-z]:\\")
"""A path from the root of a machine, of two folders or more."""


def gather(plan: Plan, into: Path) -> tuple[list[str], list[str]]:
    """Copy what a study's tables, figures and card are made from, or nothing at all.

    Returns:
        Folders of trainings that were taken, and of those that are not finished.

    Raises:
        ValueError: for a file that is too large or no text, or names a host, a user or an absolute path.
    """
    output, data = Path(plan.study.output), Path(plan.study.data)
    finished: list[str] = []
    unfinished: list[str] = []
    single = [Path(job.record) for job in plan.of("count_flops")]
    single += [Path(file) for job in plan.of("guarantee", "compare", "analyse") for file in job.writes]
    for job in plan.of("pretrain", "train"):
        record = Path(job.record)
        kept = [record.with_name(name) for name in (KEPT_RUN if job.stage == "train" else KEPT_PHASE_1)]
        complete = all(each.exists() for each in kept)
        (finished if complete else unfinished).append(plan.below(str(record.parent)))
        single += kept if complete else []
    small = [Path(file) for job in plan.of("prepare") for file in job.writes if file.endswith(".json")]
    wanted = {path: into / path.relative_to(output) for path in single}
    wanted |= {path: into / "data" / path.relative_to(data) for path in small}
    there = {source: target for source, target in wanted.items() if source.exists()}
    for source in there:
        check(source)
    for source, target in there.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return finished, unfinished


def check(path: Path) -> None:
    """Refuse a file that must not be committed.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"{path} has {size:,} bytes, more than the {LARGEST:,} that are committed; leave its run out")
    # of arrays what they are and what made them is text; the numbers cannot name anything
    text = str(reading.tensors(path, "numpy")[1]) if path.suffix == ".safetensors" else reading.text(path)
    name = socket.gethostname()
    host = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) if name in text else None  # a search is slow
    # users are not looked for by their names, which may be any word; they stand in paths, and before @
    user = re.search(r"[\w.-]+@[\w-]+(\.[\w-]+)*", text) if "@" in text else None
    for what, match in {
        "the name of this host": host,
        "a user's name": user,
        "an absolute path": ABSOLUTE.search(text),
    }.items():
        if match:
            raise ValueError(
                f"{path} holds {what}, {match[0]!r}; records are committed without: change what config.yaml calls so"
                " (name files relative to data_root) and make it again"
            )
