"""The settings of each stage but the card."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from manyexits.study import components
from manyexits.study.components import Numbers
from manyexits.study.entries import DatasetEntry, WeightsEntry
from manyexits.study.fields import Distinct, Open, Positive, Protocol, Seed, Several
from manyexits.study.told.parts import (
    Digest,
    LabelSettings,
    NetworkSettings,
    OfFileSettings,
    OfFilesSettings,
    PhaseSettings,
    StageSettings,
    StartSettings,
    Stated,
)


class TokenizerSettings(Numbers):
    """Where the tokenizer of an entry of `weights` lies."""

    model_config = ConfigDict(extra="forbid")
    name: str
    file: str
    folder: str | None
    package: str | None
    hub: str | None
    home: str


class PrepareSettings(StageSettings):
    """Beside these the keys of a dataset's entry."""

    model_config = ConfigDict(extra="allow")
    dataset: str
    tokenizer: TokenizerSettings | None = None

    @model_validator(mode="after")
    def _entry(self) -> "PrepareSettings":
        named = {"tokenizer": self.tokenizer.name} if self.tokenizer else {}
        DatasetEntry.model_validate({**(self.__pydantic_extra__ or {}), **named})
        return self


class WeightsSettings(StageSettings, WeightsEntry):
    """Pretrained weights."""

    weights: str


class TrainingSettings(StageSettings, Stated):
    """`pretrain` and `train`."""

    network: NetworkSettings
    phases: Annotated[list[PhaseSettings], Field(min_length=1)]
    seed: Seed
    start: Digest | Literal["scratch"] = "scratch"
    weights: StartSettings | None = None
    snapshots: Distinct[Annotated[int, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _fit(self) -> "TrainingSettings":
        for phase in self.phases:
            if self.network.method and (unfit := self.network.method.unfit(phase.recipe)):
                raise ValueError(f"phase {phase.phase}: {unfit}")
        return self


class OfNetworkSettings(OfFileSettings):
    """`predict`, `count_flops` and `count_backbone`."""

    network: NetworkSettings
    one_a_pass: list[tuple[str, str]] = Field(default_factory=list)
    """Phases and recipes with one sample per device and pass."""


class KeptSettings(Numbers):
    """How much of the activations is read and kept."""

    model_config = ConfigDict(extra="forbid")
    n: Several
    columns: Positive
    components: Positive
    n_similarity: Several


class RepresentSettings(OfFileSettings):
    """Of the activations of a trained network."""

    network: NetworkSettings
    kept: KeptSettings


class CalibrateSettings(OfFileSettings):
    """Thresholds."""

    protocols: Distinct[Protocol]
    criteria: Distinct[str]
    budgets: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    task: LabelSettings


class IdentitySettings(Numbers):
    """Which run rows are of: all that `rows.IDENTITY` names."""

    model_config = ConfigDict(extra="forbid")
    experiment: str
    variant: str
    dataset: str
    backbone: str
    method: str
    regime: str
    seed: Seed


class EvaluateSettings(OfFileSettings):
    """Rows."""

    identity: IdentitySettings
    task: LabelSettings


class GuaranteeSettings(OfFileSettings):
    """Thresholds with a guarantee."""

    identity: IdentitySettings
    task: LabelSettings
    criterion: str
    tolerated: Distinct[Open]
    delta: Open


class RunSettings(Numbers):
    """One of the runs that an analysis compares."""

    regime: str
    seed: int


class ComparedSettings(OfFilesSettings):
    """Of a stage that reads several runs of one experiment."""

    identity: dict[str, str]
    runs: Annotated[list[RunSettings], Field(min_length=1)]

    @field_validator("identity")
    @classmethod
    def _named(cls, identity: dict[str, str]) -> dict[str, str]:
        if lacking := {"experiment", "variant"} - set(identity):
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return identity

    @field_validator("runs")
    @classmethod
    def _once(cls, runs: list[RunSettings]) -> list[RunSettings]:
        names = [f"{run.regime}/s{run.seed}" for run in runs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} is named twice")
        return runs


class CompareSettings(ComparedSettings):
    """Differences between the regimes of one experiment."""

    task: LabelSettings


class AnalyseSettings(ComparedSettings):
    """One analysis of one experiment."""

    analysis: str
    network: NetworkSettings
    options: dict[str, Any]

    @model_validator(mode="after")
    def _options(self) -> "AnalyseSettings":
        components.options("analysis", self.analysis).model_validate(self.options)
        return self


class DrawnSettings(Numbers):
    """An experiment that an artefact draws."""

    model_config = ConfigDict(extra="allow")
    experiment: str
    variant: str
    dataset: str
    backbone: str
    method: str
    criterion: str
    metric: Literal["accuracy", "spearman"]
    published: dict[str, str] = Field(default_factory=dict)
    """Regime -> digest of all that makes a run one of the paper's."""
    schedule: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Regime -> epochs of its phases 1, and of all phases in which the backbone learns."""


class DrawnRunSettings(Numbers):
    """A run whose history an artefact draws."""

    experiment: str
    variant: str
    regime: str
    seed: Seed


class ArtefactSettings(OfFilesSettings):
    """A table or figure."""

    kind: ClassVar[str]
    """Whose options these are."""
    source: Digest | None = None
    """Digest of the component's file."""
    name: str
    experiments: Annotated[list[DrawnSettings], Field(min_length=1)]
    regimes: Distinct[str]
    protocols: Distinct[Protocol] = Field(default=["paper", "shared", "geometric"])
    options: dict[str, Any]
    runs: list[DrawnRunSettings] = Field(default_factory=list)
    """Whose histories are read, in the order of the files."""

    @model_validator(mode="after")
    def _taken(self) -> "ArtefactSettings":
        components.options(self.kind, self.name).model_validate(self.options)
        return self


class TableSettings(ArtefactSettings):
    """A table."""

    kind = "tables"
    beside: list[str] = Field(default_factory=list)
    """Kinds of the files that it reads beside its rows, in their order."""


class FigureSettings(ArtefactSettings):
    """A figure."""

    kind = "figures"
    plain: list[str] = Field(default_factory=list)
    """Regimes whose last exit is the plain backbone."""
