"""The study as data: typed models of config.yaml, each field with its meaning and unit right under it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from manyexits.study import components
from manyexits.study.fields import (
    Channels,
    Component,
    Distinct,
    Name,
    Positive,
    Protocol,
    RegimePhase,
    Strict,
    check_options,
)
from manyexits.study.recipe import StatedRecipe
from manyexits.study.refusals import StudyError, known, with_key
from manyexits.study.regimes import OWN_PHASES, PHASES

CRITERIA = {"classification": ["confidence", "entropy"], "regression": ["agreement"]}
"""Task -> exit rules of an experiment that states none; tables print the first."""
METRICS = {"classification": "accuracy", "regression": "spearman"}
"""Task -> what tables print."""


class DatasetEntry(Component):
    """Where images and labels come from. The entry's name is also the folder of the prepared arrays."""

    source: str
    """File name in src/manyexits/data/readers."""
    classes: Positive | None = None
    """Number of classes that the data must have; exactly one of `classes` and `scores` is stated."""
    scores: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest score that the data may have, for regression."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training part that is set aside for early stopping and thresholds, stratified by class [C]."""
    split_seed: int = 42
    """Seed of that split [C]."""
    mean: Channels | None = None
    """Means of red, green and blue, in [0, 1]; null: the training split's. Pretrained weights expect their own."""
    std: Channels | None = None
    """Standard deviations of the channels, in [0, 1]; null: the training split's."""

    @model_validator(mode="after")
    def _options(self) -> "DatasetEntry":
        check_options(self, "readers", self.source)
        return self

    @model_validator(mode="after")
    def _one_task(self) -> "DatasetEntry":
        if (self.classes is None) == (self.scores is None):
            raise ValueError("a dataset has either 'classes', for classification, or 'scores', for regression")
        if self.scores is not None and not self.scores[0] < self.scores[1]:
            raise ValueError(f"'scores' {self.scores} must rise: the lowest and the highest score")
        return self

    @property
    def task(self) -> dict[str, Any]:
        """What its labels are, as every stage is told: `classes` or `scores`."""
        return {"classes": self.classes} if self.scores is None else {"scores": self.scores}

    def told(self, name: str) -> dict[str, Any]:
        """As `prepare` is told; what its labels are not is left out."""
        unstated = "scores" if self.scores is None else "classes"
        return {"dataset": name, **self.model_dump(exclude={unstated})}

    @property
    def task_name(self) -> str:
        """classification or regression."""
        return "classification" if self.scores is None else "regression"


class WeightsEntry(Strict):
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


class BackboneEntry(Component):
    """A network cut into stages."""

    family: str
    """File name in src/manyexits/models/backbones."""
    weights: Name | None = None
    """Entry of `weights` that phase 1, or a regime without one, starts from; null: from scratch."""
    classifier: Literal["new", "kept"] | None = None
    """Whether the layer that gives the logits is drawn anew or taken from the weights; stated exactly with them."""

    @model_validator(mode="after")
    def _options(self) -> "BackboneEntry":
        check_options(self, "backbones", self.family)
        if (self.weights is None) != (self.classifier is None):
            raise ValueError("'weights' and 'classifier' (new or kept) go together; state both or none")
        return self

    @property
    def n_blocks(self) -> int | None:
        """Number of blocks, where the options tell it: blocks per group, layers per block, or their number itself."""
        groups, layers = self.options.get("groups"), self.options.get("layers")
        return sum(groups) if groups else len(layers) if layers else self.options.get("n_blocks")


class MethodEntry(Component):
    """Heads, loss, and how logits become answers."""

    kind: str
    """File name in src/manyexits/models/methods."""

    @model_validator(mode="after")
    def _options(self) -> "MethodEntry":
        check_options(self, "methods", self.kind)
        return self

    @model_validator(mode="after")
    def _constants(self) -> "MethodEntry":
        """What its file says without being imported is what the study can read."""
        criterion, phases = self.criterion, self.phases
        if not (isinstance(phases, tuple) and set(phases) <= set(OWN_PHASES)):
            raise ValueError(f"{self._file}: PHASES must be a tuple of {', '.join(OWN_PHASES)}, as in ('ensemble',)")
        known = components.names("criteria")
        if not (
            isinstance(criterion, dict) and set(criterion) <= set(CRITERIA) and set(criterion.values()) <= set(known)
        ):
            raise ValueError(
                f"{self._file}: CRITERION must map tasks ({', '.join(CRITERIA)}) to criteria ({', '.join(known)})"
            )
        return self

    @property
    def _file(self) -> str:
        return components.file("methods", self.kind)

    @property
    def phases(self) -> tuple[str, ...]:
        """What it appends to every regime."""
        return components.constant("methods", self.kind, "PHASES", ())

    @property
    def criterion(self) -> dict[str, str]:
        """Task -> the exit rule that tables print for it, where it has one of its own."""
        return components.constant("methods", self.kind, "CRITERION", {})


class Placement(Strict):
    """After which blocks the heads sit; exactly one of the keys."""

    shares: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)] | None = None
    """Shares of the stages' cost; each head goes after the block nearest to its share (SDN's rule)."""
    after: dict[int, Annotated[list[Positive], Field(min_length=1)]] | None = None
    """Number of blocks of the backbone -> blocks with a head behind them, counted from 1."""
    every: Positive | None = None
    """A head after every so many blocks, but the last."""

    @model_validator(mode="after")
    def _one(self) -> "Placement":
        if sum(each is not None for each in (self.shares, self.after, self.every)) != 1:
            raise ValueError("a placement has exactly one of 'shares', 'after' and 'every'")
        for total, blocks in (self.after or {}).items():
            if blocks != sorted(set(blocks)):
                raise ValueError(f"the blocks {blocks} must rise")
            if blocks[-1] >= total:
                raise ValueError(
                    f"there is no place for a head after block {blocks[-1]} of {total}; valid blocks: 1 to {total - 1}"
                )
        return self

    def told(self, n_blocks: int | None) -> dict[str, Any]:
        """As a network is told, for a backbone of so many blocks."""
        if self.after is not None:
            assert n_blocks is not None, "checked with the experiment"
            return {"after": self.after[n_blocks]}
        return {"shares": self.shares} if self.every is None else {"every": self.every}


def _of_all_phases(given: Any) -> Any:
    """Recipes by phase: a single name is the recipe of all."""
    return dict.fromkeys(PHASES, given) if isinstance(given, str) else given


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
    recipes: Annotated[dict[str, Name], BeforeValidator(_of_all_phases, json_schema_input_type=dict[str, Name] | Name)]
    """Phase -> entry of `recipes`; a single name is the recipe of all phases."""
    regimes: Distinct[Name] = ["disjoint", "joint", "mixed"]
    """Entries of `regimes`."""
    criteria: Distinct[Name] | None = None
    """Exit rules that are calibrated and evaluated (file names in src/manyexits/exits/criteria); null: confidence and
    entropy, or agreement for regression."""
    seeds: Distinct[Annotated[int, Field(ge=0)]] | None = None
    """Seeds; null: those of the study."""
    vary: dict[str, list[Any]] = {}
    """Key of this mapping -> values; each value makes a further experiment `{base}.{value}`."""
    vary_seeds: Distinct[Annotated[int, Field(ge=0)]] | None = None
    """Seeds of these further experiments; null: the base's."""


ALL = "all"
"""In place of a list of experiments: every one of the study, in its order."""


def _listed(given: Any) -> Any:
    """The experiments of an artefact, as a list."""
    if isinstance(given, str) and given != ALL:
        raise ValueError(f"list experiments, as in [{given}], or write {ALL}")
    return [ALL] if given == ALL else given


class Artefact(Component):
    """A table or figure: the experiments that it draws, and its own options."""

    experiments: Annotated[Distinct[str], BeforeValidator(_listed, json_schema_input_type=list[str] | Literal["all"])]
    """Base experiments, in the order of rows or panels; all: every one of the study, in its order."""
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
    datasets: dict[Name, DatasetEntry] = {}
    weights: dict[Name, WeightsEntry] = {}
    backbones: dict[Name, BackboneEntry] = {}
    methods: dict[Name, MethodEntry] = {}
    placements: dict[Name, Placement] = {}
    recipes: dict[Name, StatedRecipe] = {}
    regimes: dict[Name, Annotated[list[RegimePhase], Field(min_length=1)]] = {}
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
        for name in components.names("criteria"):
            components.constant("criteria", name, "TASKS", ())  # predictions keep what every criterion reads
        for name, given in self.analyses.items():
            known("analyses", name, components.names("analysis"))
            options = with_key(f"analyses.{name}", components.options("analysis", name).model_validate, given)
            self.analyses[name] = options.model_dump()
            if components.constant("analysis", name, "PAIRS", False) and "control" not in self.analyses[name]:
                raise StudyError(f"{components.file('analysis', name)}: PAIRS needs an option `control` of analyse")
            if "control" in self.analyses[name]:
                known(f"analyses.{name}.control", self.analyses[name]["control"], list(self.regimes))
        for kind, artefacts in (("tables", self.tables), ("figures", self.figures)):
            for name, artefact in artefacts.items():
                self._check_artefact(kind, name, artefact)
        for name, experiment in self.experiments.items():
            self.check_experiment(f"experiments.{name}", experiment)
        return self

    def _check_artefact(self, kind: str, name: str, artefact: Artefact) -> None:
        with_key(f"{kind}.{name}", check_options, artefact, kind, name)
        if artefact.experiments == [ALL]:
            artefact.experiments = list(self.experiments)
        for experiment in artefact.experiments:
            known(f"{kind}.{name}.experiments", experiment, list(self.experiments))
        if artefact.sweep is not None:
            sweeps = [key for experiment in artefact.experiments for key in self.experiments[experiment].vary]
            known(f"{kind}.{name}.sweep", artefact.sweep, list(dict.fromkeys(sweeps)))

    def check_experiment(self, key: str, experiment: Experiment) -> None:
        """Refuse an experiment that names what the study does not hold, or whose parts do not fit."""
        known(f"{key}.dataset", experiment.dataset, list(self.datasets))
        known(f"{key}.backbone", experiment.backbone, list(self.backbones))
        known(f"{key}.method", experiment.method, list(self.methods))
        known(f"{key}.placement", experiment.placement, list(self.placements))
        for phase, recipe in experiment.recipes.items():
            known(f"{key}.recipes", phase, list(PHASES))
            known(f"{key}.recipes.{phase}", recipe, list(self.recipes))
        for regime in experiment.regimes:
            known(f"{key}.regimes", regime, list(self.regimes))
            self._check_phases(key, regime, experiment)
        self._check_placement(key, experiment)
        self._check_task(key, experiment)

    def _check_phases(self, key: str, regime: str, experiment: Experiment) -> None:
        later = self.later_phases(regime, experiment)
        for phase in (*self.regimes[regime], *later):
            if phase not in experiment.recipes:
                raise StudyError(f"{key}.recipes: regime {regime} needs a recipe for the phase {phase}")
        if not self.regimes[regime][1:] and self.regimes[regime][0] == "backbone":
            raise StudyError(f"{key}.regimes: {regime} trains the backbone alone, as `pretrain` does; add a phase")
        recipes = [self.recipes[experiment.recipes[phase]] for phase in later]
        for field in ("devices", "precision"):
            if len({getattr(recipe, field) for recipe in recipes}) > 1:
                raise StudyError(
                    f"{key}.recipes: the phases of regime {regime} run in one job; give them equal {field!r}"
                )

    def _check_placement(self, key: str, experiment: Experiment) -> None:
        name, placement = experiment.placement, self.placements[experiment.placement]
        total = self.backbones[experiment.backbone].n_blocks
        if placement.after is not None and total is None:
            raise StudyError(
                f"{key}.placement: {name!r} goes by the number of blocks, which {experiment.backbone!r}"
                " does not state; give the backbone its n_blocks"
            )
        if placement.after is not None and total not in placement.after:
            raise StudyError(
                f"{key}.placement: {name!r} has no entry for the {total} blocks of"
                f" {experiment.backbone!r}; it has {', '.join(map(str, placement.after))}"
            )
        if total is not None and (total == 1 or (placement.every or 1) >= total):
            raise StudyError(
                f"{key}.placement: {name!r} puts no head on the {total} blocks of {experiment.backbone!r}, which leaves"
                " one exit; choose a larger backbone or another placement"
            )

    def _check_task(self, key: str, experiment: Experiment) -> None:
        task, method = self.datasets[experiment.dataset].task_name, self.methods[experiment.method].kind
        if task not in components.constant("methods", method, "TASKS", [task]):
            raise StudyError(f"{key}.method: {experiment.method!r} is not defined for {task}; choose another method")
        for phase, recipe in experiment.recipes.items():
            if task == "regression" and self.recipes[recipe].label_smoothing:
                raise StudyError(
                    f"{key}.recipes.{phase}: label_smoothing of {recipe!r} spreads targets over classes, and"
                    f" {experiment.dataset!r} has scores; choose another recipe"
                )
        for name in self.criteria(experiment):
            known(f"{key}.criteria", name, components.names("criteria"))
            if task not in components.constant("criteria", name, "TASKS", [task]):
                raise StudyError(f"{key}.criteria: {name!r} is not defined for {task}; choose others")
        own = self.criterion(experiment)
        if own not in self.criteria(experiment):
            raise StudyError(f"{key}.criteria: the method {experiment.method!r} leaves by {own}; add it")

    def criteria(self, experiment: Experiment) -> list[str]:
        """Exit rules of an experiment."""
        task = self.datasets[experiment.dataset].task_name
        return experiment.criteria or CRITERIA[task]

    def criterion(self, experiment: Experiment) -> str:
        """The exit rule that tables print for an experiment: its method's own, or the first of its task."""
        own = self.methods[experiment.method].criterion
        return own.get(self.datasets[experiment.dataset].task_name) or self.criteria(experiment)[0]

    def later_phases(self, regime: str, experiment: Experiment) -> list[str]:
        """The phases that `train` runs: all but a first phase that trains the backbone alone, which `pretrain` runs;
        then those of the method."""
        phases: list[str] = [*self.regimes[regime]]
        own = self.methods[experiment.method].phases
        return [*(phases[1:] if phases[0] == "backbone" else phases), *own]
