"""What lies on disk, as the card looks at it: records, manifests, splits, costs. What is missing becomes None."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from manyexits.artefacts.card import shapes
from manyexits.files.provenance import sha256
from manyexits.study.recorded import current

PLACES = ("path", "hub_id", "hub_form")
"""Settings of a dataset that say where its raw files lie."""
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+).*\n +--hash=sha256:", re.MULTILINE)
"""A package of the lock with its version and at least one hash."""


@dataclass(frozen=True)
class Recorded:
    """Something that ran, and its record."""

    name: str
    file: str
    """Path of its record below the output folder."""
    record: dict[str, Any] | None
    """Content of that file; None where it is missing or damaged."""
    altered: tuple[str, ...]
    """Files beside it that are not, or no longer, those whose checksums it tells."""
    dataset: str


@dataclass(frozen=True)
class Trained(Recorded):
    """A training that the study consists of."""

    experiment: str
    """Empty for phase 1, which experiments share."""
    regime: str
    seed: int
    network: dict[str, Any]
    """Network in force."""
    weights: dict[str, Any] | None
    """Pretrained weights that it starts from; None for one that does not."""
    recipes: list[tuple[str, str]]
    """(phase, recipe) that this job trains."""
    shared: list[str]
    """Phases before them that another job has trained."""
    stage: str
    """`pretrain` or `train`."""

    @property
    def phases(self) -> list[dict[str, Any]]:
        """Recorded phases, the shared one included."""
        return (self.record or {}).get("phases") or []

    @property
    def own_phases(self) -> list[dict[str, Any]]:
        """Recorded phases that this job itself has trained."""
        return self.phases[len(self.shared) :]


AnyRecorded = TypeVar("AnyRecorded", bound=Recorded)


@dataclass(frozen=True)
class RecordedData:
    """A prepared dataset's small files; None where one is missing or damaged."""

    manifest: dict[str, Any] | None
    splits: dict[str, Any] | None
    manifest_sha256: str
    splits_sha256: str


@dataclass(frozen=True)
class Facts:
    """All that the card is made from."""

    settings: dict[str, Any]
    runs: list[Trained]
    """Runs of the experiments, without phase 1."""
    backbones: list[Trained]
    """Phase 1, each once."""
    analyses: list[Recorded]
    numbers: list[Recorded]
    """What was evaluated and compared."""
    datasets: dict[str, RecordedData]
    data_link: str | None
    """Folder of prepared data relative to the card; None where only an absolute path would tell it."""
    costs: dict[str, dict[str, Any] | None]
    pins: dict[str, str]
    """Package -> version of the environment lock."""
    lock_sha256: str
    citation: dict[str, Any] | None

    @property
    def trainings(self) -> list[Trained]:
        """Every job that trained: phase 1, then the rest."""
        return [*self.backbones, *self.runs]

    @property
    def jobs(self) -> list[Recorded]:
        """Every job that reads images and leaves a record."""
        return [*self.trainings, *self.analyses]


def read(settings: dict[str, Any], folder: Path, data: Path, checkout: Path) -> Facts:
    """Read what a study has left on disk."""
    trainings = [
        _run(entry, seed, settings["experiments"], folder) for entry in settings["trainings"] for seed in entry["seeds"]
    ]
    lock = checkout / "envs/requirements.txt"
    pins = PIN.findall(lock.read_text(encoding="utf-8", errors="replace")) if lock.is_file() else []
    datasets = dict.fromkeys(told["dataset"] for told in settings["experiments"])
    return Facts(
        settings=settings,
        runs=[run for run in trainings if run.stage == "train"],
        backbones=[run for run in trainings if run.stage == "pretrain"],
        analyses=[
            Recorded(file.removesuffix(".json"), file, *_record(folder / file), told["identity"]["dataset"])
            for file, told in settings["analyses"].items()
        ],
        numbers=[
            *(_evaluated(run, folder) for run in trainings if run.stage == "train"),
            *(
                Recorded(file.removesuffix(".json"), file, *_record(folder / file), "")
                for file in settings.get("comparisons", ())
            ),
        ],
        datasets={name: _prepared(data / name) for name in datasets},
        data_link=_relative(data, folder),
        costs={
            told["name"]: _content(folder / f"costs/{told['name']}.json", shapes.CostsShape)
            for told in settings["experiments"]
        },
        pins=dict(pins),
        lock_sha256=sha256(lock) if lock.is_file() else "",
        citation=_content(checkout / "CITATION.cff", shapes.CitationShape),
    )


def _run(entry: dict[str, Any], seed: int, experiments: list[dict[str, Any]], folder: Path) -> Trained:
    """A training, with the network and weights of the experiments that it belongs to."""
    first = entry["stage"] == "pretrain"
    of = next(
        told
        for told in experiments
        if (told["name"] == entry["experiment"])
        or (first and (told["dataset"], told["backbone"]) == (entry["dataset"], entry["backbone"]))
    )
    network = {key: value for key, value in of["network"].items() if not first or key not in ("method", "placement")}
    place = f"{entry['place']}/s{seed}"
    record, altered = _record(folder / place / "run.json")
    return Trained(
        name=place.removeprefix("runs/"),
        file=f"{place}/run.json",
        experiment=entry["experiment"],
        regime=entry["regime"],
        seed=seed,
        dataset=entry["dataset"],
        network=network,
        weights=None if entry["shared"] else of.get("weights"),
        recipes=[(phase, recipe) for phase, recipe in entry["phases"]],
        shared=entry["shared"],
        stage=entry["stage"],
        record=record,
        altered=altered,
    )


def _evaluated(run: Trained, folder: Path) -> Recorded:
    """The evaluation of a run, whose record tells of the thresholds, too."""
    file = run.file.replace("run.json", "rows.json")
    record, altered = _record(folder / file)
    thresholds = (folder / file).with_name("thresholds.json")
    if record is not None and not _is(thresholds, (record.get("inputs_sha256") or {}).get("thresholds")):
        altered += (thresholds.name,)
    return Recorded(run.name, file, record, altered, run.dataset)


def _record(path: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """A record, and those of the files beside it that are not what it tells."""
    record = _content(path, shapes.RecordShape)
    told = ((record or {}).get("outputs_sha256") or {}).items()
    return record, tuple(name for name, expected in told if not _is(path.with_name(Path(name).name), expected))


def _is(path: Path, expected: str | None) -> bool:
    """Whether a file is there and has a checksum."""
    return path.is_file() and sha256(path) == expected


def _prepared(folder: Path) -> RecordedData:
    manifest, splits = folder / "manifest.json", folder / "splits.json"
    sums = (sha256(path) if path.is_file() else "" for path in (manifest, splits))
    return RecordedData(_content(manifest, shapes.ManifestShape), _content(splits, shapes.SplitsShape), *sums)


def _content(path: Path, shape: type[shapes.Shape]) -> dict[str, Any] | None:
    """JSON or YAML of a shape; None for a file that is missing or holds something else, which the card reports."""
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        shape.model_validate(content)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return dict(content)


def _relative(path: Path, start: Path) -> str | None:
    """A path as seen from a folder, where both are relative to one place: else it would name folders of a machine."""
    if path.is_absolute() or start.is_absolute():
        return None
    common = 0
    while common < min(len(path.parts), len(start.parts)) and path.parts[common] == start.parts[common]:
        common += 1
    return "/".join([".."] * (len(start.parts) - common) + list(path.parts[common:]))


def names(jobs: Iterable[Recorded]) -> str:
    """Some names of jobs, and how many more there are."""
    found = [job.name for job in jobs]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def together(said: Iterable[tuple[str, Recorded]]) -> list[tuple[str, str]]:
    """(what is said, names of the jobs of which it is said), each saying once."""
    found: dict[str, list[Recorded]] = {}
    for text, job in said:
        found.setdefault(text, []).append(job)
    return [(text, names(jobs)) for text, jobs in found.items()]


def grouped(jobs: Iterable[AnyRecorded], value: Callable[[dict[str, Any]], str | None]) -> dict[str, list[AnyRecorded]]:
    """Jobs by what their records say; records that do not say it are left out."""
    found: dict[str, list[AnyRecorded]] = {}
    for job in jobs:
        said = None if job.record is None else value(job.record)
        if said is not None:
            found.setdefault(said, []).append(job)
    return found


def hardware(record: dict[str, Any]) -> str | None:
    """Processor, memory and accelerators as one phrase; None if the record does not name them all."""
    told = record.get("hardware") or {}
    if not {"cpu", "cores", "memory_gib", "devices"} <= set(told):
        return None
    devices = ", ".join(f"{told['devices'].count(name)} × {name}" for name in dict.fromkeys(told["devices"]))
    return f"{devices or 'no accelerator'}; {told['cpu']}, {told['cores']} cores, {told['memory_gib']:g} GiB"


def reprepared(prepared: RecordedData, settings: dict[str, Any]) -> list[str]:
    """Settings of a prepared dataset that are not those in force.

    A setting that a manifest does not know agrees: an older version had only its default. Where the raw files lay and
    which version prepared them is left out, since the manifest tells by checksums what was read and what became of it.
    """
    recorded = (prepared.manifest or {}).get("settings") or {}
    keys = [key for key in recorded | settings if key not in ("version", *PLACES)]
    return [key for key in keys if recorded.get(key, settings.get(key)) != settings.get(key)]


def contradictions(run: Trained, settings: dict[str, Any]) -> list[str]:
    """Values of a record that are not those in force.

    A value that a record does not know, since a later version added it, agrees as long as nothing but its default is in
    force.
    """
    recorded, recipes = current((run.record or {}).get("settings") or {}), settings["recipes"]
    found = []
    if recorded.get("version") != settings["stages"][run.stage]:
        found.append(f"version of {run.stage}")
    if recorded.get("network") != run.network:
        found.append("network")
    if recorded.get("weights") != run.weights:
        found.append("weights")
    phases = recorded.get("phases") or []
    if [phase.get("phase") for phase in phases] != [phase for phase, _ in run.recipes]:
        found.append("phases")
    for told, (phase, name) in zip(phases, run.recipes, strict=False):
        values, old = recipes[name]["values"], told.get("recipe") or {}
        stated = [field for field in values if field in old or field in recipes[name]["origin"]]
        found += [f"{phase}.{field}" for field in stated if old.get(field) != values[field] or field not in old]
        found += [f"{phase}.{field}" for field in old if field not in values]
    return found
