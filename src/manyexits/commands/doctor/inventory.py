"""What a study needs, and what of it is here: datasets, weights, trainings, disk, and each table and figure by them."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from manyexits.commands.doctor import DATA, Finding, Gpu, Report, Target, environment, networks
from manyexits.data import checkpoints, prepare
from manyexits.data.archives import locate
from manyexits.files import reading
from manyexits.study import components
from manyexits.study.entries import DatasetEntry
from manyexits.study.job import Job
from manyexits.study.plan import Plan, data_root, read
from manyexits.study.recorded import made_with

TOKENS = 1024
"""Tokens of a sample, where its reader does not tell; each id takes four bytes."""
INDEXED = 100
"""Bytes that an index takes for each photograph: its path, size, label and place in the split."""
MODEL = 10**8
"""Bytes of one training's outputs, roughly ResNet-50's weights."""
CHECKPOINTS = 8
"""Times the outputs: two generations of the weights, the best ones so far, and two moments of the optimiser."""
ESTIMATE = (
    f"prepared images take pixels² x 3 bytes each, texts 4 bytes a token, a training's outputs {MODEL / 1e9:g} GB, and"
    f" {MODEL * CHECKPOINTS / 1e9:g} GB more while it runs"
)


@dataclass(frozen=True)
class Supply:
    """A dataset or pretrained weights: whether a workflow could use them, and the room that preparing them takes."""

    finding: Finding
    to_prepare: int = 0
    """Bytes."""


def examine(overlays: list[Path], sections: dict[str, list[Finding]], cards: list[Gpu]) -> Report:
    """Ask the study what it needs.

    Args:
        overlays: files that add to config.yaml.
        sections: what was found before.
        cards: the GPUs of this machine.

    Raises:
        ValueError: for a configuration that is not valid.
    """
    plan = read(overlays)
    root = data_root(plan.study)
    entries = [plan.runs.experiment(name) for name in plan.runs.shown]
    datasets = {name: dataset(plan, name, root) for name in dict.fromkeys(entry.dataset for entry in entries)}
    named = (plan.study.backbones[entry.backbone].weights for entry in entries)
    pretrained = {name: weights(plan, name, root) for name in dict.fromkeys(named) if name}
    jobs = plan.of("pretrain", "train")
    done: set[str] = set()
    for job in jobs:  # phase 1 stands before the trainings that start from it
        start = next((file for file in job.reads.get("backbone", ()) if file.endswith("run.json")), None)
        if _made_with(Path(job.record), job.settings) and (start is None or start in done):
            done.add(job.record)
    here = {
        "dataset": {name: supply.finding for name, supply in datasets.items()},
        "weights": {name: supply.finding for name, supply in pretrained.items()},
        "backbone": networks.examine(plan),
    }
    targets = [target(plan, job, here, done, len(cards)) for job in plan.of("table", "figure")]
    memory = max((recipe.memory_gib for job in jobs for recipe in job.recipes), default=0)
    asked = max((devices(job) for job in jobs), default=1)
    supplies = [*datasets.values(), *pretrained.values()]
    to_train = len(jobs) - len(done)
    needs = {
        plan.study.data: sum(supply.to_prepare for supply in supplies),
        plan.study.output: MODEL * to_train,
        f"{plan.study.output}/.checkpoints": MODEL * CHECKPOINTS * min(to_train, max(1, len(cards))),
    }
    found = {
        "Devices": environment.devices(cards, memory, asked, plan.study.device),
        "Backbones": list(here["backbone"].values()),
        DATA: [*_folders(plan, root), *(supply.finding for supply in supplies)],
        "Disk": disk(needs),
    }
    return Report(sections | found, targets)


# -- datasets and weights ---------------------------------------------------------------------------------------------


def _folders(plan: Plan, root: Path) -> list[Finding]:
    """Where data are looked for, and whether the hub may be asked."""
    origin = "MANYEXITS_DATA_ROOT" if os.environ.get("MANYEXITS_DATA_ROOT") else "data_root of the configuration"
    there = "" if root.is_dir() else "; it does not exist"
    hub = "may be asked for what is missing (hub: true)" if plan.study.hub else "is not asked (hub: false)"
    return [
        Finding("note" if there else "ok", "folder", f"{root}, from {origin}{there}"),
        Finding("ok", "hub", f"{hub}; doctor itself never asks it"),
    ]


def dataset(plan: Plan, name: str, root: Path) -> Supply:
    """One dataset of the study."""
    entry = plan.study.datasets[name]
    module, options = components.module("readers", entry.source), entry.options
    job, folder = plan.job("prepare", dataset=name), Path(plan.study.data) / name
    if _made_with(Path(job.record), job.settings):
        return Supply(Finding("ok", name, f"prepared in {folder}"))
    samples = _samples(entry, module.SAMPLES or 0)
    if entry.texts:
        size = 4 * samples * int(components.constant("readers", entry.source, "TOKENS", TOKENS))
    else:
        pixels = options.get("pixels") or module.SIDE
        size = samples * (INDEXED if options.get("store") == "index" else 3 * pixels**2)
    places = module.places(options["path"]) if "path" in options else module.places()
    if not places:
        return Supply(Finding("ok", name, f"from {module.HOME}"), size)
    whole = getattr(module, "fetched", lambda **_: True)(**options)  # of some options the hub's copy knows nothing
    hub = options.get("hub_id") if plan.study.hub and whole else None
    source = f"{module.HOME}, {module.SIZE}"
    look = partial(prepare.look, job.settings)
    return Supply(_supplied(name, root, places, source, f"{hub}, {module.SIZE}" if hub else None, look), size)


def _samples(entry: DatasetEntry, whole: int) -> int:
    """Of a dataset, or of the part of it that an entry asks for; null stands for all of a part."""
    per_class, sample = entry.options.get("per_class"), entry.options.get("sample")
    asked = [(entry.classes or 1) * n if n else n for n in per_class] if per_class else sample or [None]
    return whole if None in asked else sum(asked)


def weights(plan: Plan, name: str, root: Path) -> Supply:
    """Pretrained weights of the study."""
    entry = plan.study.weights[name]
    job = plan.job("weights", weights=name)
    folder = Path(job.record).parent
    if _made_with(Path(job.record), job.settings):
        return Supply(Finding("ok", name, f"prepared in {folder}"))
    hub = entry.hub if plan.study.hub else None
    places = checkpoints.looked_for(entry.model_dump(), entry.file, root)
    return Supply(_supplied(name, root, places, entry.home, hub, None), MODEL)


def _supplied(
    name: str,
    root: Path,
    places: tuple[str, ...],
    source: str,
    hub: str | None,
    look: Callable[[Path], None] | None,
) -> Finding:
    """Whether the publisher's files are where they are looked for, and can be read as far as `look` looks."""
    looked = " or ".join(str(root / place) for place in places)
    try:
        found = locate(root, places)
        if found is not None and look is not None:
            look(found)
    except ValueError as error:
        return Finding("missing", name, str(error))
    except OSError as error:
        return Finding("missing", name, f"{looked} cannot be looked at ({error.strerror}); correct its permissions")
    if found is not None:
        return Finding("ok", name, f"found: {found}, not yet prepared")
    if hub:
        return Finding("note", name, f"not here; will be fetched through the hub ({hub}), or put {looked} there")
    return Finding("missing", name, f"looked for {looked}; get it from {source}")


def _made_with(record: Path, settings: dict[str, Any]) -> bool:
    """Whether a manifest.json or run.json is there and says that it was made with these settings."""
    try:
        return made_with(reading.json_as(record, dict).get("settings"), settings)
    except ValueError:
        return False  # absent or damaged: it vouches for nothing


# -- trainings and what is drawn from them ----------------------------------------------------------------------------


def devices(job: Job) -> int:
    """GPUs that a training asks for."""
    return max(recipe.devices for recipe in job.recipes)


def target(plan: Plan, job: Job, here: dict[str, dict[str, Finding]], done: set[str], n_gpus: int) -> Target:
    """One table or figure. What was evaluated already, by the settings in force, needs neither data nor trainings.

    Args:
        plan: of the study.
        job: of the table or figure.
        here: dataset, weights or backbone -> name -> what was found.
        done: records of the trainings whose outputs are there, made with the settings of today.
        n_gpus: of this machine.
    """
    kind, name = f"{job.stage}s", job.names["name"]
    drawn = plan.runs.drawn(kind, name)
    absent = [Path(file) for file in job.reads["rows"] if not Path(file).exists()]
    mine = {experiment: plan.trainings([experiment]) for experiment in drawn}
    to_train = {}
    for experiment, jobs in mine.items():
        unread = any(experiment in file.parts for file in absent)
        lost = [each for each in jobs if each.record not in done or (unread and not Path(each.writes[0]).exists())]
        if unread or lost:
            to_train[experiment] = lost
    pending, waiting = list(to_train), {each.record: each for jobs in to_train.values() for each in jobs}
    entries = [plan.runs.experiment(experiment) for experiment in pending]
    started = (plan.study.backbones[entry.backbone].weights for entry in entries if waiting)
    lacks = [
        _absent("dataset", here, (entry.dataset for entry in entries)),
        _absent("weights", here, (name for name in started if name)),
        _absent("backbone", here, (entry.backbone for entry in entries if waiting)),
    ]
    asking = [each for each in waiting.values() if devices(each) > max(1, n_gpus)]
    if asking and not environment.slurm():
        most, seen = max(map(devices, asking)), f"{n_gpus} {'is' if n_gpus == 1 else 'are'} here"
        experiments = [name for name, jobs in to_train.items() if any(each in jobs for each in asking)]
        lacks.append(f"trainings of {', '.join(experiments)} ask for {most} GPUs, {seen}")
    minutes = sum(recipe.minutes for each in waiting.values() for recipe in each.recipes)
    total = len({each.record for jobs in mine.values() for each in jobs})
    return Target(kind, name, total - len(waiting), total, minutes / 60, tuple(phrase for phrase in lacks if phrase))


def _absent(what: str, here: dict[str, dict[str, Finding]], names: Iterable[str]) -> str:
    """Those of the named ones that are missing, as one phrase; empty where none are."""
    absent = [name for name in dict.fromkeys(names) if here[what][name].state == "missing"]
    return f"{what} {', '.join(absent)}" if absent else ""


# -- disk -------------------------------------------------------------------------------------------------------------


def disk(needs: dict[str, int]) -> list[Finding]:
    """Free space on each file system against what the folders on it will roughly need.

    Args:
        needs: folder -> bytes.
    """
    by_device: dict[int, list[str]] = {}
    for folder in needs:
        by_device.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    found = []
    for folders in by_device.values():
        free = shutil.disk_usage(_existing(folders[0])).free
        needed = sum(needs[folder] for folder in folders)
        says = f"{size(free)} free, about {size(needed)} needed"
        if free < needed:
            says += "; make room, or set output and data in the configuration to folders on another disk"
        listed = [folder for folder in folders if str(Path(folder).parent) not in folders]
        found.append(Finding("missing" if free < needed else "ok", ", ".join(listed), says))
    return [*found, Finding("ok", "estimate", ESTIMATE)]


def _existing(folder: str) -> Path:
    """The folder, or the nearest one above it that exists."""
    path = Path(folder).absolute()
    return next(above for above in (path, *path.parents) if above.exists())


def size(n: float) -> str:
    """Bytes as a person says them."""
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:,.1f} GB" if n < 100 else f"{n:,.0f} GB"
