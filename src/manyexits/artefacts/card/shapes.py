"""What the card takes for a record, manifest, list of splits, count or citation. What a file lacks is reported; what
it holds must be of these types, else it counts as damaged."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Values are taken as they are written: nothing is converted, and there is no infinity."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class SpentShape(Shape):
    """What a phase took."""

    phase: str | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    stopped_early: bool | None = None
    samples_of_phase: float | None = None
    flops_of_phase: float | None = None
    time_s: float | None = None
    device_seconds: float | None = None


class MachineShape(Shape):
    """Hardware."""

    cpu: str = ""
    cores: int = 0
    memory_gib: float = 0
    devices: list[str] = Field(default_factory=list)


class TrainedShape(Shape):
    """A phase with its recipe."""

    recipe: dict[str, Any] | None = None


class ToldShape(Shape):
    """Settings."""

    phases: list[TrainedShape] | None = None


class RecordShape(Shape):
    """run.json, and what lies beside the rows of an analysis."""

    settings: ToldShape | None = None
    phases: list[SpentShape] | None = None
    versions: dict[str, str] | None = None
    hardware: MachineShape | None = None
    inputs_sha256: dict[str, str] | None = None
    outputs_sha256: dict[str, str] | None = None
    commit: str | None = None
    changed: bool | None = None


class ManifestShape(Shape):
    """manifest.json of a prepared dataset."""

    source: str | None = None
    licence: str | None = None
    settings: dict[str, Any] | None = None
    n: dict[str, int] | None = None
    skipped: list[str] | None = None
    passed_over: dict[str, int] | None = None
    in_two_splits: str = ""
    files_sha256: dict[str, str] | None = None


class SplitShape(Shape):
    """One list of indices."""

    n: int | None = None
    sha256: str | None = None
    indices: list[Annotated[int, Field(ge=0, lt=2**63)]] | None = None


class SplitsShape(Shape):
    """splits.json of a prepared dataset."""

    rule: str | None = None
    seed: int | None = None
    train: SplitShape | None = None
    validation: SplitShape | None = None
    sha256_of: str = ""


class ExitShape(Shape):
    """What an answer at an exit costs."""

    after_block: int
    cost: float


class CostsShape(Shape):
    """Costs of an experiment's network."""

    convention: str | None = None
    backbone: Annotated[float, Field(gt=0)] | None = None
    exits: list[ExitShape] | None = None


class CitationShape(Shape):
    """CITATION.cff."""

    authors: list[dict[str, str]] | None = None
    license: str = ""
    repository_code: Annotated[str, Field(alias="repository-code")] = ""
