"""What the settings of several stages hold."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from manyexits.study.components import Numbers
from manyexits.study.entries import BackboneEntry, MethodEntry, WeightsEntry
from manyexits.study.fields import Positive
from manyexits.study.recipe import Recipe
from manyexits.study.regimes import OWN_PHASES, check

Share = Annotated[float, Field(gt=0, lt=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


def _known(phase: str) -> str:
    return phase if phase in OWN_PHASES else check(phase)


Phase = Annotated[str, AfterValidator(_known)]


class Stated(Numbers):
    """A mapping that leaves out what it does not hold: the stages look for its keys, and a null would be one."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("null is no value for this key; leave it out")
        return value


class StageSettings(Numbers):
    """Settings of one stage. Keys that belong to the record alone are let through."""

    version: Positive = 1
    versions: dict[str, Positive] = Field(default_factory=dict)
    """Component -> its VERSION, where that is not 1."""


class OfFileSettings(StageSettings):
    """Of a stage that reads what others made."""

    made_from: dict[str, Digest] = Field(default_factory=dict)
    """Name of an input -> digest of the settings that its file must have been made by."""


class OfFilesSettings(StageSettings):
    """Of a stage that reads several files of one kind."""

    made_from: dict[str, list[Digest]] = Field(default_factory=dict)
    """Name of an input -> digests of the settings that its files must have been made by, in their order."""


class LabelSettings(Stated):
    """Either classes or scores."""

    classes: Positive | None = None
    scores: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one(self) -> "LabelSettings":
        if (self.classes is None) == (self.scores is None):
            raise ValueError("there must be either 'classes' or 'scores'")
        return self


class PlacementSettings(Stated):
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


class PhaseSettings(Numbers):
    """A phase and its recipe."""

    phase: Phase
    recipe: Recipe


class StartSettings(WeightsEntry):
    """Pretrained weights that a training starts from."""

    weights: str
    classifier: Literal["new", "kept"]
