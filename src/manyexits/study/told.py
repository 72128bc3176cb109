"""What the verbs of the pipeline are told: settings as canonical JSON, checked before any work begins.

The workflow's own are right by construction; what a person types may not be.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from manyexits.study import components
from manyexits.study.entries import BackboneEntry, DatasetEntry, MethodEntry, WeightsEntry
from manyexits.study.fields import Distinct, Positive, Protocol, Seed
from manyexits.study.recipe import Recipe
from manyexits.study.refusals import StudyError, explain
from manyexits.study.regimes import PHASES

Share = Annotated[float, Field(gt=0, lt=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class StageSettings(BaseModel):
    """Settings of one stage. Keys that belong to the record alone are let through."""

    version: Positive = 1
    versions: dict[str, Positive] = {}
    """Component -> its VERSION, where that is not 1."""
    made_from: dict[str, Digest | list[Digest]] = {}
    """Name of an input -> digest of the settings that its file must have been made by."""


class LabelSettings(BaseModel):
    """Either classes or scores."""

    classes: Positive | None = None
    scores: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one(self) -> "LabelSettings":
        if (self.classes is None) == (self.scores is None):
            raise ValueError("there must be either 'classes' or 'scores'")
        return self


class PlacementSettings(BaseModel):
    """A placement, for the backbone at hand."""

    model_config = ConfigDict(extra="forbid")
    shares: Annotated[list[Share], Field(min_length=1)] | None = None
    after: Annotated[list[Positive], Field(min_length=1)] | None = None
    every: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> "PlacementSettings":
        if sum(each is not None for each in (self.shares, self.after, self.every)) != 1:
            raise ValueError("a placement has exactly one of 'shares', 'after' and 'every'")
        return self


class NetworkSettings(LabelSettings):
    """What a network is built from; without a placement it has no heads."""

    backbone: BackboneEntry
    method: MethodEntry | None = None
    placement: PlacementSettings | None = None

    @model_validator(mode="after")
    def _heads(self) -> "NetworkSettings":
        if self.placement is not None and self.method is None:
            raise ValueError("a network with a placement has a 'method', too")
        return self


class PhaseSettings(BaseModel):
    """A phase and its recipe."""

    phase: str
    recipe: Recipe

    @field_validator("phase")
    @classmethod
    def _known(cls, phase: str) -> str:
        if phase not in PHASES:
            raise ValueError(f"there is no phase {phase!r}; valid names: {components.nearest(phase, list(PHASES))}")
        return phase


class StartSettings(WeightsEntry):
    """Pretrained weights that a training starts from."""

    weights: str
    classifier: Literal["new", "kept"]


class PrepareSettings(StageSettings):
    """Beside these the keys of a dataset's entry."""

    model_config = ConfigDict(extra="allow")
    dataset: str

    @model_validator(mode="after")
    def _entry(self) -> "PrepareSettings":
        DatasetEntry.model_validate(self.__pydantic_extra__)
        return self


class WeightsSettings(StageSettings, WeightsEntry):
    """Pretrained weights."""

    weights: str


class TrainingSettings(StageSettings):
    """`pretrain` and `train`."""

    network: NetworkSettings
    phases: Annotated[list[PhaseSettings], Field(min_length=1)]
    seed: Seed
    start: Digest | Literal["scratch"] = "scratch"
    weights: StartSettings | None = None


class OfNetworkSettings(StageSettings):
    """`predict`, `count_flops` and `count_backbone`."""

    network: NetworkSettings
    one_a_pass: list[tuple[str, str]] = []
    """Phases and recipes with one sample per device and pass."""


class CalibrateSettings(StageSettings):
    """Thresholds."""

    protocols: Distinct[Protocol]
    criteria: Distinct[str]
    budgets: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    task: LabelSettings


class EvaluateSettings(StageSettings):
    """Rows."""

    identity: dict[str, str | int]
    task: LabelSettings


class RunSettings(BaseModel):
    """One of the runs that an analysis compares."""

    regime: str
    seed: int


class AnalyseSettings(StageSettings):
    """One analysis of one experiment."""

    analysis: str
    identity: dict[str, str]
    network: NetworkSettings
    options: dict[str, Any]
    runs: Annotated[list[RunSettings], Field(min_length=1)]

    @field_validator("identity")
    @classmethod
    def _named(cls, identity: dict[str, str]) -> dict[str, str]:
        if lacking := {"experiment", "variant"} - set(identity):
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return identity

    @model_validator(mode="after")
    def _options(self) -> "AnalyseSettings":
        components.options("analysis", self.analysis).model_validate(self.options)
        return self


class DrawnSettings(BaseModel):
    """An experiment that an artefact draws."""

    model_config = ConfigDict(extra="allow")
    experiment: str
    variant: str
    dataset: str
    backbone: str
    method: str


class ArtefactSettings(StageSettings):
    """A table or figure."""

    source: Digest | None = None
    """Digest of the component's file."""
    name: str
    experiments: Annotated[list[DrawnSettings], Field(min_length=1)]
    regimes: Distinct[str]
    protocols: Distinct[Protocol] = ["paper", "shared", "geometric"]
    options: dict[str, Any]


class CardSettings(StageSettings):
    """The card reads more of each than is checked here."""

    experiments: list[dict[str, Any]]
    regimes: dict[str, list[str]]
    trainings: list[dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    budgets: list[float]
    protocols: list[str]
    stages: dict[str, int]
    analyses: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, Any]]


TOLD: dict[str, type[StageSettings]] = {
    "prepare": PrepareSettings,
    "weights": WeightsSettings,
    "pretrain": TrainingSettings,
    "train": TrainingSettings,
    "predict": OfNetworkSettings,
    "count_backbone": OfNetworkSettings,
    "count_flops": OfNetworkSettings,
    "calibrate": CalibrateSettings,
    "evaluate": EvaluateSettings,
    "analyse": AnalyseSettings,
    "table": ArtefactSettings,
    "figure": ArtefactSettings,
    "card": CardSettings,
}
"""Stage -> its settings."""


def check(stage: str, settings: Any) -> None:
    """Refuse settings that a stage cannot work with.

    Raises:
        StudyError: names the key.
    """
    try:
        TOLD[stage].model_validate(settings)
    except ValidationError as error:
        raise StudyError(explain(error, None, "settings")) from error
