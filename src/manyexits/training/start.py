"""Where a training starts: at phase 1's weights and what it has spent, at pretrained weights, or from scratch."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from manyexits.files import made, reading, rows
from manyexits.files.digests import whose
from manyexits.files.provenance import sha256
from manyexits.models import weights
from manyexits.models.network import MultiExit, load_weights
from manyexits.study.recorded import current
from manyexits.training.history import Progress

Settings = dict[str, Any]


class Manifest(BaseModel):
    """What is read of a prepared dataset's manifest.json."""

    settings: Settings


class PhaseRecord(BaseModel):
    """A phase that has ended, as `history.record` tells of it."""

    model_config = ConfigDict(extra="allow")
    phase: str
    samples: Annotated[int, Field(ge=0)]
    flops: Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """What is read of phase 1's run.json."""

    settings: Settings
    phases: Annotated[list[PhaseRecord], Field(min_length=1)]
    outputs_sha256: dict[str, str] = {}


def check_data(data: Path, expected: str | None) -> None:
    """Refuse a dataset that was prepared by other settings than those asked for.

    Raises:
        ValueError: names the manifest.
    """
    path = data / "manifest.json"
    settings = reading.json_as(path, Manifest).settings
    made.by_settings(path, made.Made(settings=whose(settings), inputs={}), expected)


def from_phase_1(folder: Path, settings: Settings, network: MultiExit, gained: str) -> Progress:
    """Load the weights of phase 1, and tell what it has spent; its history under the number that its exit has now.

    Raises:
        ValueError: when a file is damaged, or phase 1 is not the one that the settings mean.
    """
    record, history = reading.json_as(folder / "run.json", Record), folder / "history.csv"
    model = folder / "model.safetensors"
    by = load_weights(model, network.backbone)
    if by is None:  # an earlier version wrote it, and the record alone says whose it is
        by = made.Made(settings=whose(current(record.settings)), inputs={})
    made.by_settings(model, by, settings.get("start"))
    if record.outputs_sha256.get("history.csv", sha256(history)) != sha256(history):
        raise ValueError(f"{history} is not the one that {folder / 'run.json'} tells of; train phase 1 again")
    phases = [phase.model_dump() for phase in record.phases]
    told = [row | {"exit": network.n_exits} for row in _history(history, gained)]
    return Progress(samples=phases[-1]["samples"], flops=phases[-1]["flops"], phases=phases, history=told)


def from_weights(path: Path, settings: Settings, network: MultiExit) -> None:
    """Load pretrained weights into the backbone.

    Raises:
        ValueError: when they are damaged, do not fit, or are not those that the settings mean.
    """
    told = {key: value for key, value in settings["weights"].items() if key != "classifier"}
    if told["configuration"]:
        about = reading.json_as(path.with_name("manifest.json"), weights.About)
        weights.check(about, network.backbone, f"{told['configuration']} of weights.{told['weights']}")
    by = weights.load(path, network.backbone, settings["weights"]["classifier"])
    made.by_settings(path, by, whose(told))


def _history(path: Path, gained: str) -> list[dict[str, Any]]:
    whole = ("epoch", "samples", "flops", "exit")
    found = reading.rows(path, (*rows.HISTORY, gained))
    with reading.reading(path, "history of a training"):
        return [
            {
                key: value if key == "phase" else None if value == "" else int(value) if key in whole else float(value)
                for key, value in row.items()
            }
            for row in found
        ]
