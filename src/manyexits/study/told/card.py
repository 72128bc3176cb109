"""What the card is told: all that a study's records are compared with. Its parts refer to one another by their names,
and these are checked, too."""

from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from manyexits.study.components import Numbers
from manyexits.study.entries import MethodEntry
from manyexits.study.fields import Seed
from manyexits.study.told.parts import NetworkSettings, Phase, PlacementSettings, StageSettings, StartSettings

Seeds = Annotated[list[Seed], Field(min_length=1)]
Mark = Annotated[str, Field(min_length=1)]
Compared = Annotated[str, Field(pattern=r"^comparisons/.+\.json$")]
File = Annotated[str, Field(pattern=r"^.+/.+/.+\.json$")]


class MultiExitSettings(NetworkSettings):
    """A network with heads."""

    method: MethodEntry
    placement: PlacementSettings


class ShownSettings(Numbers):
    """An experiment as the card lists it."""

    name: str
    dataset: str
    backbone: str
    method: str
    placement: str
    regimes: list[str]
    seeds: Seeds
    recipes: dict[str, dict[Phase, str]]
    """Regime -> phase -> recipe."""
    criteria: list[str]
    protocols: list[str]
    network: MultiExitSettings
    weights: StartSettings | None = None


class TrainedSettings(Numbers):
    """Trainings that differ in their seed alone."""

    stage: Literal["pretrain", "train"]
    place: str
    experiment: str
    regime: str
    dataset: str
    backbone: str
    phases: list[tuple[Phase, str]]
    shared: list[Phase]
    seeds: Seeds


class MarkedSettings(Numbers):
    """A recipe, and where its values come from."""

    values: dict[str, Any]
    origin: dict[str, Mark]


class OfDatasetSettings(Numbers):
    """Whose rows an analysis makes."""

    dataset: str


class AnalysedSettings(Numbers):
    """An analysis."""

    analysis: str
    identity: OfDatasetSettings
    options: dict[str, Any]


class HomeSettings(Numbers):
    """Where others get a dataset."""

    licence: str | None = None
    home: str | None = None
    releases: list[str] = Field(default_factory=list)
    """SHA-256 of its publisher's files; empty: not known."""


class CardSettings(StageSettings):
    """All of it."""

    experiments: list[ShownSettings]
    regimes: dict[str, list[Phase]]
    trainings: list[TrainedSettings]
    recipes: dict[str, MarkedSettings]
    marked: list[tuple[str, str, str, str, Mark]] = Field(default_factory=list)
    """Section, entry, key, value and mark of what else says where it comes from."""
    budgets: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    stages: dict[Literal["pretrain", "train"], int]
    analyses: dict[File, AnalysedSettings]
    comparisons: list[Compared] = Field(default_factory=list)
    datasets: dict[str, dict[str, Any]]
    homes: dict[str, HomeSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> "CardSettings":
        shown = {each.name: each for each in self.experiments}
        pairs = {(each.dataset, each.backbone) for each in self.experiments}
        named: list[tuple[str, Any, Container[Any]]] = []
        named += [("regime", name, self.regimes) for each in self.experiments for name in each.regimes]
        of_phases = [named for each in self.experiments for named in each.recipes.values()]
        named += [("recipe", name, self.recipes) for each in of_phases for name in each.values()]
        named += [("recipe", name, self.recipes) for each in self.trainings for _, name in each.phases]
        named += [("dataset", each.dataset, self.datasets) for each in self.experiments]
        named += [("dataset", each.identity.dataset, self.datasets) for each in self.analyses.values()]
        named += [("stage", each.stage, self.stages) for each in self.trainings]
        named += [("experiment", each.experiment, shown) for each in self.trainings if each.stage == "train"]
        named += [
            ("backbone", (each.dataset, each.backbone), pairs) for each in self.trainings if each.stage == "pretrain"
        ]
        named += [
            ("phase", phase, each.recipes.get(name, ()))
            for each in self.experiments
            for name in each.regimes
            for phase in self.regimes.get(name, ())
        ]
        if unknown := next(((what, name) for what, name, known in named if name not in known), None):
            raise ValueError(f"there is no {unknown[0]} {unknown[1]!r}")
        return self
