"""What a study needs, and what of it is here: datasets, weights, trainings, disk, and each table and figure by them."""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manyexits.commands.doctor import DATA, Finding, Gpu, Report, Target, environment
from manyexits.data.archives import locate
from manyexits.study import resolve
from manyexits.study.config import Recipe
from manyexits.study.plan import Plan, data_root, load
from manyexits.study.runs import BACKBONE, RUN

INDEXED = 100
"""Bytes that an index takes for each photograph: its path, size, label and place in the split."""
MODEL = 10**8
"""Bytes of one training's outputs, roughly ResNet-50's weights."""
CHECKPOINTS = 8
"""Times the outputs: two generations of the weights, the best ones so far, and two moments of the optimiser."""
ESTIMATE = (
    f"prepared images take pixels² x 3 bytes each, a training's outputs {MODEL / 1e9:g} GB, and"
    f" {MODEL * CHECKPOINTS / 1e9:g} GB more while it runs"
)


@dataclass(frozen=True)
class Supply:
    """A dataset or pretrained weights: whether a workflow could use them, and the room that preparing them takes."""

    finding: Finding
    to_prepare: int = 0
    """Bytes."""

    @property
    def absent(self) -> bool:
        """Whether what needs it cannot be built."""
        return self.finding.state == "missing"


@dataclass(frozen=True)
class Training:
    """One job of `pretrain` or `train`."""

    experiments: tuple[str, ...]
    """Expanded experiments that need it: they may share a phase 1."""
    recipes: tuple[Recipe, ...]
    done: bool
    """Whether its outputs are there, made with the settings of today."""

    @property
    def devices(self) -> int:
        """GPUs that it asks for."""
        return max(recipe.devices for recipe in self.recipes)


def examine(configuration: list[Path], sections: dict[str, list[Finding]], cards: list[Gpu]) -> Report:
    """Ask the study what it needs.

    Args:
        configuration: config.yaml and overlays.
        sections: what was found before.
        cards: the GPUs of this machine.

    Raises:
        ValueError: for a configuration that is not valid.
    """
    plan = load(resolve.read(configuration), resolve.read(configuration[:1]))
    root = data_root(plan.study)
    entries = [expansion.experiment for expansion in plan.experiments.values()]
    datasets = {name: dataset(plan, name, root) for name in dict.fromkeys(entry.dataset for entry in entries)}
    named = (plan.study.backbones[entry.backbone].weights for entry in entries)
    pretrained = {name: weights(plan, name, root) for name in dict.fromkeys(named) if name}
    jobs = list(trainings(plan).values())
    targets = [
        target(plan, kind, name, datasets, pretrained, jobs, len(cards))
        for name, kinds in plan.artefacts.items()
        for kind in kinds
    ]
    memory = max((recipe.memory_gib for job in jobs for recipe in job.recipes), default=0)
    asked = max((job.devices for job in jobs), default=1)
    supplies = [supply.finding for supply in (*datasets.values(), *pretrained.values())]
    to_prepare = sum(supply.to_prepare for supply in (*datasets.values(), *pretrained.values()))
    to_train = sum(not job.done for job in jobs)
    needs = {
        plan.study.data: to_prepare,
        plan.study.output: MODEL * to_train,
        f"{plan.study.output}/.checkpoints": MODEL * CHECKPOINTS * min(to_train, max(1, len(cards))),
    }
    found = {
        "Devices": environment.devices(cards, memory, asked),
        DATA: [*_folders(plan, root), *supplies],
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
    module, options = importlib.import_module(f"manyexits.data.readers.{entry.source}"), entry.options
    folder = Path(plan.study.data) / name
    if _made_with(folder / "manifest.json", plan.settings("prepare", dataset=name)):
        return Supply(Finding("ok", name, f"prepared in {folder}"))
    images = entry.classes * sum(options["per_class"]) if "per_class" in options else module.IMAGES or 0
    pixels = options.get("pixels") or module.SIDE
    size = images * (INDEXED if options.get("store") == "index" else 3 * pixels**2)
    places = module.places(options["path"]) if "path" in options else module.places()
    if not places:
        return Supply(Finding("ok", name, f"from {module.HOME}"), size)
    hub = options.get("hub_id") if plan.study.hub and "per_class" not in options else None
    lacking = getattr(module, "lacking", None)
    source = f"{module.HOME}, {module.SIZE}"
    return Supply(_supplied(name, root, places, source, f"{hub}, {module.SIZE}" if hub else None, lacking), size)


def weights(plan: Plan, name: str, root: Path) -> Supply:
    """Pretrained weights of the study."""
    entry = plan.study.weights[name]
    folder = Path(plan.study.data) / "weights" / name
    if _made_with(folder / "manifest.json", plan.settings("weights", weights=name)):
        return Supply(Finding("ok", name, f"prepared in {folder}"))
    hub = entry.hub if plan.study.hub else None
    return Supply(_supplied(name, root, (entry.file,), entry.home, hub, None), MODEL)


def _supplied(
    name: str,
    root: Path,
    places: tuple[str, ...],
    source: str,
    hub: str | None,
    lacking: Callable[[Path], str | None] | None,
) -> Finding:
    """Whether the publisher's files are where they are looked for."""
    looked = " or ".join(str(root / place) for place in places)
    try:
        found = locate(root, places)
        if found is not None and lacking is not None and (reason := lacking(found)):
            return Finding("missing", name, reason)
    except OSError as error:
        return Finding("missing", name, f"{looked} cannot be looked at ({error.strerror}); correct its permissions")
    if found is not None:
        return Finding("ok", name, f"found: {found}, not yet prepared")
    if hub:
        return Finding("note", name, f"not here; will be fetched through the hub ({hub}), or put {looked} there")
    return Finding("missing", name, f"looked for {looked}; get it from {source}")


def _made_with(record: Path, settings: str) -> bool:
    """Whether a manifest.json or run.json is there and says that it was made with these settings."""
    try:
        return json.loads(record.read_text(encoding="utf-8"))["settings"] == json.loads(settings)
    except (OSError, ValueError, LookupError, TypeError):
        return False  # absent or damaged: it vouches for nothing


# -- trainings and what is drawn from them ----------------------------------------------------------------------------


def trainings(plan: Plan) -> dict[str, Training]:
    """Folder below the output -> training."""
    found: dict[str, Training] = {}

    def add(experiment: str, folder: str, stage: str, names: dict[str, Any], recipes: tuple[Recipe, ...]) -> None:
        record = Path(plan.study.output) / folder / "run.json"
        before = found[folder].experiments if folder in found else ()
        done = found[folder].done if folder in found else _made_with(record, plan.settings(stage, **names))
        found[folder] = Training((*before, experiment), recipes, done)

    for experiment, regime, seed in (run for name in plan.experiments for run in plan.runs(name)):
        if phase_1 := plan.pretrained(experiment, regime):
            names = {**phase_1, "seed": seed}
            add(experiment, BACKBONE.format(**names), "pretrain", names, (plan.study.recipes[phase_1["recipe"]],))
        names = {"experiment": experiment, "regime": regime, "seed": seed}
        add(experiment, RUN.format(**names), "train", names, tuple(plan.recipes(experiment, regime)))
    return found


def target(
    plan: Plan,
    kind: str,
    name: str,
    datasets: dict[str, Supply],
    pretrained: dict[str, Supply],
    jobs: list[Training],
    n_gpus: int,
) -> Target:
    """One table or figure. What was evaluated already needs neither data nor trainings."""
    output, drawn = Path(plan.study.output), plan.drawn(kind, name)
    absent = [Path(file) for file in plan.read_by(kind, name) if not (output / file).exists()]
    pending = [experiment for experiment in drawn if any(experiment in file.parts for file in absent)]
    mine = [job for job in jobs if set(job.experiments) & set(drawn)]
    to_train = [job for job in mine if not job.done and set(job.experiments) & set(pending)]
    entries = [plan.experiment(experiment) for experiment in pending]
    started = (plan.study.backbones[entry.backbone].weights for entry in entries if to_train)
    lacks = [
        _absent("dataset", datasets, (entry.dataset for entry in entries)),
        _absent("weights", pretrained, (name for name in started if name)),
    ]
    asking = [job for job in to_train if job.devices > max(1, n_gpus)]
    if asking and not environment.slurm():
        most, here = max(job.devices for job in asking), f"{n_gpus} {'is' if n_gpus == 1 else 'are'} here"
        experiments = dict.fromkeys(name for job in asking for name in job.experiments if name in pending)
        lacks.append(f"trainings of {', '.join(experiments)} ask for {most} GPUs, {here}")
    minutes = sum(recipe.minutes for job in to_train for recipe in job.recipes)
    done = len(mine) - len(to_train)
    return Target(kind, name, done, len(mine), minutes / 60, tuple(phrase for phrase in lacks if phrase))


def _absent(what: str, supplies: dict[str, Supply], names: Iterable[str]) -> str:
    """Those of the named ones that are not here, as one phrase; empty where all are."""
    absent = [name for name in dict.fromkeys(names) if supplies[name].absent]
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
