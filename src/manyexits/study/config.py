"""The study as data: typed models of config.yaml, each field with its meaning and unit right under it."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from manyexits.study import components
from manyexits.study.fields import (
    Channels,
    Component,
    Criterion,
    Distinct,
    Name,
    Phase,
    Positive,
    Protocol,
    Strict,
    check_options,
)
from manyexits.study.recipe import Recipe
from manyexits.study.refusals import StudyError, known, with_key


class Dataset(Component):
    """Where images and labels come from. The entry's name is also the folder of the prepared arrays."""

    source: str
    """File name in src/manyexits/data/readers."""
    classes: Positive
    """Number of classes that the data must have."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training part that is set aside for early stopping and thresholds, stratified by class [C]."""
    split_seed: int = 42
    """Seed of that split [C]."""
    mean: Channels | None = None
    """Means of red, green and blue, in [0, 1]; null: the training split's. Pretrained weights expect their own."""
    std: Channels | None = None
    """Standard deviations of the channels, in [0, 1]; null: the training split's."""

    @model_validator(mode="after")
    def _options(self) -> "Dataset":
        check_options(self, "readers", self.source)
        return self


class Weights(Strict):
    """Pretrained weights as their publisher ships them: a plain state dict of torchvision or timm."""

    file: Annotated[str, Field(pattern=r"\.(pth|pt|bin|safetensors)$")]
    """File below data_root, or in the hub's repository."""
    hub: str | None = None
    """Id of a repository of the Hugging Face hub, where `file` is fetched if data_root has none; null: never."""
    home: str
    """Where a person gets the file."""
    licence: str
    """Licence of the weights."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """SHA-256 of the file, or its first digits, at least 8; null: not compared."""


class Backbone(Component):
    """A network cut into stages."""

    family: str
    """File name in src/manyexits/models/backbones."""
    weights: Name | None = None
    """Entry of `weights` that phase 1, or a regime without one, starts from; null: from scratch."""
    classifier: Literal["new", "kept"] | None = None
    """Whether the layer that gives the logits is drawn anew or taken from the weights; stated exactly with them."""

    @model_validator(mode="after")
    def _options(self) -> "Backbone":
        check_options(self, "backbones", self.family)
        if (self.weights is None) != (self.classifier is None):
            raise ValueError("'weights' and 'classifier' (new or kept) go together; state both or none")
        return self

    @property
    def n_blocks(self) -> int | None:
        """Number of blocks, where the options tell it."""
        blocks = self.options.get("blocks")
        return sum(blocks) if blocks else self.options.get("n_blocks")


class Method(Component):
    """Heads, loss, and how logits become answers."""

    kind: str
    """File name in src/manyexits/models/methods."""

    @model_validator(mode="after")
    def _options(self) -> "Method":
        check_options(self, "methods", self.kind)
        return self


class Placement(Strict):
    """After which blocks the heads sit; exactly one of the two keys."""

    shares: list[Annotated[float, Field(gt=0, lt=1)]] | None = None
    """Shares of the stages' cost; each head goes after the block nearest to its share (SDN's rule)."""
    blocks: dict[int, list[Positive]] | None = None
    """Number of blocks of the backbone -> blocks with a head, counted from 1."""

    @model_validator(mode="after")
    def _one(self) -> "Placement":
        if (self.shares is None) == (self.blocks is None):
            raise ValueError("a placement has either 'shares' or 'blocks'")
        for total, blocks in (self.blocks or {}).items():
            if blocks != sorted(set(blocks)):
                raise ValueError(f"the blocks {blocks} must rise")
            if blocks and blocks[-1] >= total:
                raise ValueError(
                    f"there is no place for a head after block {blocks[-1]} of {total}; valid blocks: 1 to {total - 1}"
                )
        return self


class Experiment(Strict):
    """One backbone on one dataset with one method, trained under every regime and seed."""

    dataset: Name
    """Entry of `datasets`."""
    backbone: Name
    """Entry of `backbones`."""
    method: Name = "sdn"
    """Entry of `methods`."""
    placement: Name = "sdn"
    """Entry of `placements`."""
    recipes: dict[Phase, Name]
    """Phase -> entry of `recipes`."""
    regimes: Distinct[Name] = ["disjoint", "joint", "mixed"]
    """Entries of `regimes`."""
    criteria: Distinct[Criterion] = ["confidence", "entropy"]
    """Exit rules that are calibrated and evaluated."""
    seeds: Distinct[Annotated[int, Field(ge=0)]] | None = None
    """Seeds; null: those of the study."""
    vary: dict[str, list[Any]] = {}
    """Key of this mapping -> values; each value makes a further experiment `{base}.{value}`."""


class Artefact(Component):
    """A table or figure: the experiments that it draws, and its own options."""

    experiments: Distinct[str]
    """Base experiments, in the order of rows or panels."""
    sweep: str | None = None
    """Key of the experiments' `vary` whose variants are drawn too."""


class Study(Strict):
    """All of config.yaml after overlays are merged, nulls removed and `extends` resolved."""

    output: str = "results"
    """Folder of everything that is made, except prepared data."""
    data: str = "data"
    """Folder of prepared data; scales share it."""
    data_root: str = "datasets"
    """Folder of the publishers' files; the environment variable MANYEXITS_DATA_ROOT wins over it."""
    hub: bool = True
    """Whether datasets that are not below data_root are fetched from the datasets hub."""
    tracker: str = "tensorboard"
    """Where curves of trainings go: a tracker of accelerate by its name, or none."""
    seeds: Distinct[Annotated[int, Field(ge=0)]]
    """Seeds of every experiment that states none."""
    budgets: Distinct[float]
    """Budgets as fractions of the backbone's cost; Max (no limit) is always added."""
    protocols: Distinct[Protocol] = ["paper", "shared", "geometric"]
    """Ways to choose thresholds."""
    datasets: dict[Name, Dataset] = {}
    weights: dict[Name, Weights] = {}
    backbones: dict[Name, Backbone] = {}
    methods: dict[Name, Method] = {}
    placements: dict[Name, Placement] = {}
    recipes: dict[Name, Recipe] = {}
    regimes: dict[Name, Annotated[list[Phase], Field(min_length=1)]] = {}
    """Regime -> its phases in order."""
    experiments: dict[Name, Experiment] = {}
    analyses: dict[Name, dict[str, Any]] = {}
    """Analysis (file name in src/manyexits/analysis) -> its options."""
    tables: dict[Name, Artefact] = {}
    figures: dict[Name, Artefact] = {}

    @model_validator(mode="after")
    def _checked(self) -> "Study":
        for budget in self.budgets:
            if not 0 < budget < float("inf"):
                raise ValueError(
                    f"budgets: {budget} is no budget; a budget is a fraction of the backbone's cost above 0"
                )
        for name, backbone in self.backbones.items():
            if backbone.weights is not None:
                known(f"backbones.{name}.weights", backbone.weights, list(self.weights))
        for name, given in self.analyses.items():
            known("analyses", name, components.names("analysis"))
            options = with_key(f"analyses.{name}", components.options("analysis", name).model_validate, given)
            self.analyses[name] = options.model_dump()
            if "control" in self.analyses[name]:
                known(f"analyses.{name}.control", self.analyses[name]["control"], list(self.regimes))
        for kind in ("tables", "figures"):
            for name, artefact in getattr(self, kind).items():
                with_key(f"{kind}.{name}", check_options, artefact, kind, name)
                for experiment in artefact.experiments:
                    known(f"{kind}.{name}.experiments", experiment, list(self.experiments))
                if artefact.sweep is not None:
                    sweeps = [key for experiment in artefact.experiments for key in self.experiments[experiment].vary]
                    known(f"{kind}.{name}.sweep", artefact.sweep, list(dict.fromkeys(sweeps)))
        for name, experiment in self.experiments.items():
            self.check_names(f"experiments.{name}", experiment)
        return self

    def check_names(self, key: str, experiment: Experiment) -> None:
        """Refuse an experiment that names what the study does not hold, or whose parts do not fit."""
        known(f"{key}.dataset", experiment.dataset, list(self.datasets))
        known(f"{key}.backbone", experiment.backbone, list(self.backbones))
        known(f"{key}.method", experiment.method, list(self.methods))
        known(f"{key}.placement", experiment.placement, list(self.placements))
        for phase, recipe in experiment.recipes.items():
            known(f"{key}.recipes.{phase}", recipe, list(self.recipes))
        for regime in experiment.regimes:
            known(f"{key}.regimes", regime, list(self.regimes))
            for phase in self.regimes[regime]:
                if phase not in experiment.recipes:
                    raise StudyError(f"{key}.recipes: regime {regime} needs a recipe for the phase {phase}")
            if not self.later_phases(regime):
                raise StudyError(f"{key}.regimes: {regime} trains the backbone alone, as `pretrain` does; add a phase")
            recipes = [self.recipes[experiment.recipes[phase]] for phase in self.later_phases(regime)]
            for field in ("devices", "precision"):
                if len({getattr(recipe, field) for recipe in recipes}) > 1:
                    raise StudyError(
                        f"{key}.recipes: the phases of regime {regime} run in one job; give them equal {field!r}"
                    )
        blocks, total = self.placements[experiment.placement].blocks, self.backbones[experiment.backbone].n_blocks
        if blocks is not None and total is None:
            raise StudyError(
                f"{key}.placement: {experiment.placement!r} goes by the number of blocks, which {experiment.backbone!r}"
                " does not state; give the backbone its n_blocks"
            )
        if blocks is not None and total not in blocks:
            raise StudyError(
                f"{key}.placement: {experiment.placement!r} has no entry for the {total} blocks of"
                f" {experiment.backbone!r}; it has {', '.join(map(str, blocks))}"
            )

    def later_phases(self, regime: str) -> list[Phase]:
        """The phases that `train` runs: all but a first phase that trains the backbone alone, which `pretrain` runs."""
        phases = self.regimes[regime]
        return phases[1:] if phases[0] == "backbone" else phases
