"""Records of finished runs, small and clean enough to be committed; tables, figures and card rebuild from them."""

import csv
import hashlib
import io
import re
import shutil
import socket
from pathlib import Path

from manyexits.files import atomic, reading
from manyexits.study import components
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
    emptied = _emptied(plan)
    for source in there:
        check(source, emptied.get(source))
    for source, target in there.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if source in emptied:
            atomic.write_text(target, emptied[source])
        else:
            shutil.copyfile(source, target)
    return finished, unfinished


def _emptied(plan: Plan) -> dict[Path, str]:
    """Rows of analyses without the columns that must not be committed, and records that tell of them so."""
    found: dict[Path, str] = {}
    for job in plan.of("analyse"):
        left_out = components.constant("analysis", job.settings["analysis"], "LEFT_OUT", ())
        file, record = Path(job.writes[0]), Path(job.record)
        if left_out and file.exists() and record.exists():
            with reading.reading(file, "file of an analysis"):
                found[file] = without(file.read_text(encoding="utf-8"), left_out)
            told = reading.json_as(record, dict) | {"outputs_sha256": {file.name: digested(found[file])}}
            found[record] = atomic.json_text(told)
    return found


def without(text: str, left_out: tuple[str, ...]) -> str:
    """Rows of a csv, these columns empty."""
    head, *rows = csv.reader(io.StringIO(text))
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if name in left_out else cell for name, cell in zip(head, row, strict=True)] for row in rows)
    return made.getvalue()


def digested(text: str) -> str:
    """SHA-256 of a file that holds a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check(path: Path, text: str | None = None) -> None:
    """Refuse a file that must not be committed.

    Args:
        path: of the file.
        text: what is taken in its place, where it is not what it holds.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"{path} has {size:,} bytes, more than the {LARGEST:,} that are committed; leave its run out")
    # of arrays what they are and what made them is text; the numbers cannot name anything
    if text is None:
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
