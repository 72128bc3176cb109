"""The nine variables of the reproducibility card: what the paper was rated [P], and what this study can show."""

import hashlib
import re
from functools import partial
from typing import Any

import numpy as np

from manyexits.artefacts.card.blocks import Answer, Link
from manyexits.artefacts.card.records import (
    Facts,
    Recorded,
    contradictions,
    grouped,
    hardware,
    names,
    reprepared,
    together,
)
from manyexits.study.recorded import made_with

RETRAIN = "remove what these jobs made and run `snakemake all` again"
THRESHOLDS = "thresholds.json"
TOLD = ("torch", "torchvision", "timm", "numpy", "accelerate", "safetensors", "scikit-learn")
"""Packages that every record has told from the first version on."""
SPENT = ("epochs", "samples_of_phase", "flops_of_phase", "time_s", "device_seconds")
"""What every record has to say about every phase."""


def answers(facts: Facts) -> list[Answer]:
    """All nine, in the order of the paper's rating."""
    asked = (research, affiliation, regimes, code, datasets, splits, machines, software, setup)
    return [ask(facts) for ask in asked]


def research(facts: Facts) -> Answer:
    """Whether experiments were made: every training of the study has a record, and every number that is shown is the
    one that was written beside its record."""
    of = f"{number(len(facts.runs), 'run')} of {number(len(facts.settings['experiments']), 'experiment')}"
    detail = f"experimental, {of}; with phase 1, which runs share, {number(len(facts.trainings), 'training')}"
    return Answer("Research Type", "Experimental", detail, [Link("runs", "#runs")], unrecorded(facts) + unproven(facts))


def affiliation(facts: Facts) -> Answer:
    """Who stands for this study, as CITATION.cff says."""
    said = [author["affiliation"] for author in (facts.citation or {}).get("authors") or [] if "affiliation" in author]
    detail = f"{authors(facts)}, {', '.join(dict.fromkeys(said)) or 'independent: CITATION.cff names no institution'}"
    problems = [] if authors(facts) else ["CITATION.cff names no authors; add them to the checkout's"]
    return Answer("Researcher Affiliation", "Collaboration", detail, [Link("authors", "#code")], problems)


def regimes(facts: Facts) -> Answer:
    """Whether the pseudocode that is rendered is what the runs did."""
    problems = unrecorded(facts)
    did = {run.name: [str(phase.get("phase")) for phase in run.phases] for run in facts.trainings}
    should = {run.name: [*run.shared, *(phase for phase, _ in run.recipes)] for run in facts.trainings}
    other = (
        (f"phases {', '.join(did[run.name]) or 'none'}, where the regime now has {', '.join(should[run.name])}", run)
        for run in facts.trainings
        if run.record is not None and did[run.name] != should[run.name]
    )
    problems += [f"{which}: {told}; {RETRAIN}" for told, which in together(other)]
    detail = f"rendered from the regimes in force: {', '.join(facts.settings['regimes'])}"
    paper = "No (phases only as equations)"
    return Answer("Pseudocode", paper, detail, [Link("pseudocode", "#pseudocode")], problems)


def code(facts: Facts) -> Answer:
    """Whether the source of every run is a commit without changes, and others are told where to find it."""
    problems = unrecorded(facts)
    if missing := [job for job in facts.analyses if job.record is None]:
        problems.append(f"no readable record lies beside the rows of {names(missing)}; make them with `snakemake all`")
    recorded = [(job, job.record) for job in facts.jobs if job.record is not None]
    outside = [job for job, record in recorded if not record.get("commit")]
    changed = [job for job, record in recorded if record.get("commit") and record.get("changed") is not False]
    if outside:
        problems.append(
            f"{names(outside)} ran outside of a git checkout, so no commit tells their source;"
            " clone the repository, remove what they made and run `snakemake all` there"
        )
    if changed:
        problems.append(
            f"{names(changed)} ran from a checkout with changes that no commit holds;"
            " commit them, remove what these jobs made and run `snakemake all` again"
        )
    if not (facts.citation or {}).get("repository-code"):
        problems.append(
            "CITATION.cff names no repository-code, the public address at which others find these commits; add it"
        )
    commits = list(grouped(facts.jobs, lambda record: record.get("commit")))
    detail = f"commit {commits[0][:12]}" if len(commits) == 1 else f"{len(commits)} commits"
    return Answer("Open Source Code", "Yes", detail, [Link("commits", "#code")], problems)


def datasets(facts: Facts) -> Answer:
    """Whether every dataset's source, licence and checksums are known."""
    problems = []
    for name, prepared in facts.datasets.items():
        lacking = _lacking(prepared.manifest, "source", "licence", "files_sha256")
        if lacking:
            problems.append(f"manifest.json of {name} {lacking}; prepare it with `snakemake all`")
        elif other := reprepared(prepared, facts.settings["datasets"][name]):
            problems.append(
                f"{name} was prepared with another {', '.join(other)} than is in force now;"
                " prepare it again with `snakemake all`"
            )
        home = facts.settings.get("homes", {}).get(name, {})
        archive = re.search(r"^(.*), sha256 ([0-9a-f]{64})$", str((prepared.manifest or {}).get("source")))
        if archive and home.get("releases") and archive[2] not in home["releases"]:
            problems.append(
                f"{name} was prepared from {archive[1]}, which is none of the archives that its publisher offers;"
                f" prepare it from one of those, or state the home and licence of that file in datasets.{name} of"
                " config.yaml"
            )
        if unstated := [key for key in ("licence", "home") if not home.get(key)]:
            problems.append(
                f"{name} is not known to be open; where others can get it, state its {' and '.join(unstated)} in"
                f" datasets.{name} of config.yaml"
            )
    problems += [] if facts.datasets else ["no experiment is drawn; name one in a table or figure of config.yaml"]
    links = [Link("datasets", "#datasets"), *_files(facts, "manifest.json")]
    return Answer("Open Datasets", "Yes", ", ".join(facts.datasets), links, problems)


def splits(facts: Facts) -> Answer:
    """Whether the splits are on record, are what their checksums say, and are those of the runs."""
    problems = unrecorded(facts)
    for name, prepared in facts.datasets.items():
        if lacking := _lacking(prepared.splits, "rule", "seed", "train", "validation"):
            problems.append(f"splits.json of {name} {lacking}; remove the dataset's folder and prepare it again")
        elif prepared.manifest is None:
            problems.append(f"manifest.json of {name} is missing or damaged; remove the folder and prepare it again")
        elif wrong := [part for part in ("train", "validation") if not _intact(prepared.splits, part)]:
            problems.append(
                f"splits.json of {name}: the {' and '.join(wrong)} indices are not those of their checksum;"
                " remove the dataset's folder and prepare it again"
            )
        elif (prepared.manifest.get("files_sha256") or {}).get("splits.json") != prepared.splits_sha256:
            problems.append(
                f"splits.json of {name} is not the one of its manifest; remove the folder and prepare again"
            )
    other = (
        (f"made from another manifest of {job.dataset}", job)
        for job in facts.jobs
        if job.record is not None
        and (job.record.get("inputs_sha256") or {}).get("manifest") != facts.datasets[job.dataset].manifest_sha256
    )
    problems += [f"{which}: {told}; {RETRAIN}" for told, which in together(other)]
    links = [Link("splits", "#splits"), *_files(facts, "splits.json")]
    paper = "No (a dedicated early-stopping set, not specified)"
    return Answer("Dataset Splits", paper, "index lists with checksums, rule and seed", links, problems)


def machines(facts: Facts) -> Answer:
    """Whether every record names its hardware and the time that it took."""
    problems = unrecorded(facts)
    if nameless := [job for job in facts.jobs if job.record is not None and hardware(job.record) is None]:
        problems.append(f"the record of {names(nameless)} does not name the hardware; {RETRAIN}")
    problems += unspent(facts)
    kinds = grouped(facts.jobs, hardware)
    spent = sum(phase.get("device_seconds") or 0 for run in facts.trainings for phase in run.own_phases)
    others = f" and {len(kinds) - 1} other" if len(kinds) > 1 else ""
    detail = f"{next(iter(kinds), '')}{others}; {spent:,.0f} device-seconds"
    paper = "Yes (4 A100, effective batch 2048: E.5)"
    links = [Link("hardware", "#hardware"), Link("times", "#runs")]
    return Answer("Hardware Specification", paper, detail, links, problems)


def software(facts: Facts) -> Answer:
    """Whether the environment is locked and every record tells its versions."""
    problems = unrecorded(facts)
    if not facts.pins:
        problems.append("envs/requirements.txt is missing or pins nothing with a hash; make it with `make lock`")
    jobs = [job for job in (*facts.jobs, *facts.numbers) if job.record is not None]
    lacking = ((", ".join(_untold(job.record or {})), job) for job in jobs)
    problems += [
        f"the record of {which} does not tell the versions of {told}; {RETRAIN}"
        for told, which in together(lacking)
        if told
    ]
    other = ((", ".join(_unlike(job.record or {}, facts.pins)), job) for job in jobs)
    problems += [
        f"{which}: ran with {told}, which the lock does not pin; make it anew with `make lock`, or {RETRAIN}"
        for told, which in together(other)
        if told
    ]
    detail = f"{len(facts.pins)} packages pinned with hashes, which the runs had"
    paper = "No (AdamW, cosine annealing and torchvision weights named, no versions)"
    return Answer("Software Dependencies", paper, detail, [Link("versions and lock", "#software")], problems)


def setup(facts: Facts) -> Answer:
    """Whether the recipes in force are those of the runs, and costs are counted under a stated convention."""
    problems = unrecorded(facts) + unspent(facts)
    recorded = [run for run in facts.trainings if run.record is not None]
    other = ((", ".join(found), run) for run in recorded if (found := contradictions(run, facts.settings)))
    problems += [f"{which}: not what is in force now in {told}; {RETRAIN}" for told, which in together(other)]
    old = [
        job
        for job in facts.analyses
        if job.record and not made_with(job.record.get("settings"), facts.settings["analyses"][job.file])
    ]
    if old:
        problems.append(
            f"{names(old)}: made with other settings than are in force now; make them again with `snakemake all`"
        )
    if other_cells := [job for job in facts.numbers if THRESHOLDS in job.altered]:
        problems.append(f"{names(other_cells)}: not what was evaluated in {THRESHOLDS}; {RETRAIN}")
    for name, costs in facts.costs.items():
        if lacking := _lacking(costs, "convention", "backbone", "exits"):
            problems.append(f"costs/{name}.json {lacking}; remove it and run `snakemake all` again")
    marks = {mark[0] for recipe in facts.settings["recipes"].values() for mark in recipe["origin"].values()}
    recipes = number(len(facts.settings["recipes"]), "recipe")
    detail = f"{recipes}, every value with its origin ({', '.join(sorted(marks | {'O'}))})"
    links = [Link("experiments", "#experiments"), Link("recipes", "#recipes"), Link("FLOPs", "#costs")]
    return Answer("Experiment Setup", "Yes (Appendix E)", detail, links, problems)


def versions(facts: Facts) -> dict[str, dict[str, list[Recorded]]]:
    """Package -> version -> jobs that recorded it."""
    packages = dict.fromkeys(p for job in facts.jobs for p in (job.record or {}).get("versions") or {})

    def of(package: str, record: dict[str, Any]) -> str | None:
        return (record.get("versions") or {}).get(package)

    return {package: grouped(facts.jobs, partial(of, package)) for package in packages}


def _untold(record: dict[str, Any]) -> list[str]:
    """Packages whose versions a record should tell."""
    return [package for package in TOLD if package not in (record.get("versions") or {})]


def _unlike(record: dict[str, Any], pins: dict[str, str]) -> list[str]:
    """Packages of a record whose versions are not those of the lock; a build's own suffix (+cu130) is no other one."""
    found = {package: version.partition("+")[0] for package, version in (record.get("versions") or {}).items()}
    return [f"{package} {version}" for package, version in found.items() if pins.get(package, version) != version]


def unrecorded(facts: Facts) -> list[str]:
    """Trainings without a record."""
    if not facts.runs:
        return ["no experiment is drawn; name one in a table or figure of config.yaml"]
    missing = [run for run in facts.trainings if run.record is None]
    told = f"{len(missing)} of {len(facts.trainings)} trainings have no readable run.json: {names(missing)}"
    return [f"{told}; train them with `snakemake all`"] if missing else []


def unproven(facts: Facts) -> list[str]:
    """Histories, rows and comparisons that are not what their records tell."""
    problems = []
    if silent := [job for job in facts.numbers if job.record is None]:
        problems.append(f"no readable record lies beside the rows of {names(silent)}; make both with `snakemake all`")
    jobs = [job for job in (*facts.jobs, *facts.numbers) if job.record is not None]
    if unsummed := [job for job in jobs if not (job.record or {}).get("outputs_sha256")]:
        problems.append(f"the record of {names(unsummed)} tells no checksum of what it lies beside; {RETRAIN}")
    other = ((", ".join(altered), job) for job in jobs if (altered := [n for n in job.altered if n != THRESHOLDS]))
    return problems + [f"{which}: not what the record tells in {told}; {RETRAIN}" for told, which in together(other)]


def unspent(facts: Facts) -> list[str]:
    """Trainings whose records do not say what each phase took."""
    lacking = (
        (", ".join(key for key in SPENT if any(phase.get(key) is None for phase in run.phases or [{}])), run)
        for run in facts.trainings
        if run.record is not None
    )
    return [f"run.json of {which} lacks {told}; {RETRAIN}" for told, which in together(lacking) if told]


def number(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def authors(facts: Facts) -> str:
    """The authors, as CITATION.cff names them."""
    parts = ("name", "given-names", "family-names")
    listed = (facts.citation or {}).get("authors") or []
    return ", ".join(" ".join(author[part] for part in parts if part in author) for author in listed)


def _lacking(content: dict[str, Any] | None, *keys: str) -> str:
    """What is wrong with a file that should hold these keys; empty if nothing is."""
    if content is None:
        return "is missing or damaged"
    lacking = [key for key in keys if content.get(key) in (None, "", {})]
    return f"lacks {', '.join(lacking)}" if lacking else ""


def _intact(splits: dict[str, Any] | None, part: str) -> bool:
    """Whether the indices of a split have the checksum and the number that stand beside them."""
    told = (splits or {})[part]
    indices = np.array(told.get("indices") or [], dtype="<i8")
    return told.get("n") == len(indices) and told.get("sha256") == hashlib.sha256(indices.tobytes()).hexdigest()


def _files(facts: Facts, file: str) -> list[Link]:
    """Links to a file of every dataset that has it."""
    if facts.data_link is None:
        return []
    there = {
        name: prepared.manifest if file == "manifest.json" else prepared.splits
        for name, prepared in facts.datasets.items()
    }
    return [Link(f"{name}/{file}", f"{facts.data_link}/{name}/{file}") for name, content in there.items() if content]
