"""The study as data: all of config.yaml, and what its parts have to agree on."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from manyexits.study import components
from manyexits.study.entries import (
    ALL,
    CRITERIA,
    Artefact,
    BackboneEntry,
    DatasetEntry,
    Experiment,
    Guarantees,
    MethodEntry,
    Placement,
    Represented,
    WeightsEntry,
)
from manyexits.study.fields import Budget, Distinct, Name, Protocol, RegimePhase, Seed, Strict, check_options
from manyexits.study.places import Folder, Place, Tracker
from manyexits.study.recipe import StatedRecipe
from manyexits.study.refusals import StudyError, known, with_key
from manyexits.study.regimes import PHASES, groups, turns


class Study(Strict):
    """All of config.yaml after overlays are merged, nulls removed and `extends` resolved."""

    output: Folder = "results"
    """Folder of everything that is made, except prepared data."""
    data: Folder = "data"
    """Folder of prepared data; scales share it."""
    data_root: Place = "datasets"
    """Folder of the publishers' files; the environment variable MANYEXITS_DATA_ROOT wins over it."""
    hub: bool = True
    """Whether datasets that are not below data_root are fetched from the datasets hub."""
    tracker: Tracker = "tensorboard"
    """Where curves of trainings go: a tracker of accelerate by its name, or none."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU where one is here, and an error where it cannot be used; cpu: never a GPU."""
    seeds: Distinct[Seed]
    """Seeds of every experiment that states none."""
    budgets: Distinct[Budget]
    """Budgets as fractions of the backbone's cost; Max (no limit) is always added."""
    protocols: Distinct[Protocol] = ["paper", "shared", "geometric"]
    """Ways to choose thresholds."""
    guarantees: Guarantees = Guarantees()
    """Of the table `guarantees`."""
    representations: Represented = Represented()
    """Of the analyses that read activations: numerical_rank, mutual_information and similarity."""
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
        if named_alike := sorted(set(PHASES) & set(self.regimes)):
            raise StudyError(f"regimes.{named_alike[0]}: a phase has this name; name the regime otherwise")
        shown = [f"{100 * budget:g} %" for budget in self.budgets]
        if twice := [each for each in shown if shown.count(each) > 1]:
            raise ValueError(f"budgets: two of them read {twice[0]} in tables; round them")
        if "weights" in self.datasets:
            raise StudyError("datasets.weights: the folder of this name holds pretrained weights; name it otherwise")
        for name, dataset in self.datasets.items():
            if dataset.tokenizer is not None:
                with_one = [each for each, entry in self.weights.items() if entry.tokenizer]
                known(f"datasets.{name}.tokenizer", dataset.tokenizer, with_one)
        for name, backbone in self.backbones.items():
            if backbone.weights is not None:
                known(f"backbones.{name}.weights", backbone.weights, list(self.weights))
        for name in components.names("criteria"):
            components.constant("criteria", name, "TASKS", ())  # predictions keep what every criterion reads
        for name, given in self.analyses.items():
            known("analyses", name, components.names("analysis"))
            options = with_key(f"analyses.{name}", components.options("analysis", name).model_validate, given)
            # what is not set is left out, as of every component
            self.analyses[name] = options.model_dump(exclude_none=True)
        for kind, artefacts in (("tables", self.tables), ("figures", self.figures)):
            for name, artefact in artefacts.items():
                if name in self.experiments:
                    raise StudyError(
                        f"{kind}.{name}: an experiment has this name, and both are targets; name it otherwise"
                    )
                self._check_artefact(kind, name, artefact)
        for name, experiment in self.experiments.items():
            self.check_experiment(f"experiments.{name}", experiment)
        return self

    def _check_artefact(self, kind: str, name: str, artefact: Artefact) -> None:
        with_key(f"{kind}.{name}", check_options, artefact, kind, artefact.kind or name)
        if artefact.experiments == [ALL]:
            artefact.experiments = list(self.experiments)
        for experiment in artefact.experiments:
            known(f"{kind}.{name}.experiments", experiment, list(self.experiments))
        if artefact.sweep is not None:
            sweeps = [key for experiment in artefact.experiments for key in self.experiments[experiment].vary]
            if not sweeps:
                raise StudyError(f"{kind}.{name}.sweep: none of its experiments varies anything; write null")
            known(f"{kind}.{name}.sweep", artefact.sweep, list(dict.fromkeys(sweeps)))
        if artefact.variants is not None:
            self._check_variants(f"{kind}.{name}", artefact)

    def _check_variants(self, key: str, artefact: Artefact) -> None:
        if artefact.sweep is None:
            raise StudyError(
                f"{key}.variants: they are values of a sweep, and none is named; add 'sweep', or remove them"
            )
        swept = [self.experiments[experiment].vary.get(artefact.sweep, []) for experiment in artefact.experiments]
        for variant in artefact.variants or ():
            known(f"{key}.variants", variant, [str(value) for values in swept for value in values])

    def check_experiment(self, key: str, experiment: Experiment) -> None:
        """Refuse an experiment that names what the study does not hold, or whose parts do not fit."""
        known(f"{key}.dataset", experiment.dataset, list(self.datasets))
        known(f"{key}.backbone", experiment.backbone, list(self.backbones))
        known(f"{key}.method", experiment.method, list(self.methods))
        known(f"{key}.placement", experiment.placement, list(self.placements))
        for where, recipe in experiment.recipes.items():
            regime, _, phase = where.rpartition(".")
            if regime:
                known(f"{key}.recipes", regime, [*PHASES, *self.regimes])
            if regime in PHASES:
                raise StudyError(f"{key}.recipes.{regime}: a phase has one recipe; write its name")
            known(f"{key}.recipes.{regime}" if regime else f"{key}.recipes", phase, list(PHASES))
            known(f"{key}.recipes.{where}", recipe, list(self.recipes))
        for regime in experiment.regimes:
            known(f"{key}.regimes", regime, list(self.regimes))
            self._check_phases(key, regime, experiment)
        self._check_placement(key, experiment)
        self._check_form(key, experiment)
        self._check_task(key, experiment)

    def _check_phases(self, key: str, regime: str, experiment: Experiment) -> None:
        later = self.later_phases(regime, experiment)
        for phase in (*self.regimes[regime], *later):
            if len(turns(phase)) > 1 and not experiment.recipe_of(regime, phase):
                raise StudyError(
                    f"{key}.recipes: the phases that take turns in {phase}, of regime {regime}, follow one recipe; name"
                    f" it, as in {{{regime}: RECIPE}}"
                )
            if not experiment.recipe_of(regime, phase):
                raise StudyError(f"{key}.recipes: regime {regime} needs a recipe for the phase {phase}")
        trained = {group for phase in self.regimes[regime] for group in groups(phase)}
        if "heads" not in trained:
            raise StudyError(
                f"{key}.regimes: {regime} trains no head, so that its early exits would be those of the random start;"
                " add the phase heads or all"
            )
        backbone = self.backbones[experiment.backbone]
        if backbone.classifier != "kept" and "backbone" not in trained:
            raise StudyError(
                f"{key}.regimes: {regime} trains no backbone, so that its last exit would be that of the random start;"
                " add the phase backbone or all, or keep the classifier of pretrained weights"
            )
        named = {phase: experiment.recipe_of(regime, phase) for phase in later}
        recipes = [self.recipes[name] for name in named.values()]
        for phase, name in named.items():
            if unfit := self.methods[experiment.method].unfit(self.recipes[name]):
                raise StudyError(f"{key}.recipes: {name!r}, of the phase {phase} of regime {regime}: {unfit}")
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

    def _check_form(self, key: str, experiment: Experiment) -> None:
        dataset, backbone = self.datasets[experiment.dataset], self.backbones[experiment.backbone]
        what, other = ("texts", "images") if dataset.texts else ("images", "texts")
        if bool(dataset.texts) != backbone.texts:
            raise StudyError(
                f"{key}.backbone: {experiment.backbone!r} reads {other}, and {experiment.dataset!r} holds {what}; name"
                " another of them"
            )
        if not dataset.texts:
            return
        has, reads = dataset.vocabulary, backbone.options.get("vocabulary")
        if has is not None and has != reads:
            raise StudyError(
                f"{key}.backbone: {experiment.backbone!r} has a vocabulary of {reads}, and {experiment.dataset!r} one"
                f" of {has}; make them equal"
            )
        if dataset.tokenizer and backbone.weights and dataset.tokenizer != backbone.weights:
            raise StudyError(
                f"{key}.backbone: {experiment.backbone!r} starts from {backbone.weights!r}, and"
                f" {experiment.dataset!r} is cut into the pieces of {dataset.tokenizer!r}; name one of them in both"
            )
        for where, recipe in experiment.recipes.items():
            if odd := self.recipes[recipe].of_images:
                raise StudyError(
                    f"{key}.recipes.{where}: {odd[0]} of {recipe!r} is for images, and {experiment.dataset!r} holds"
                    " texts; choose another recipe"
                )

    def _check_task(self, key: str, experiment: Experiment) -> None:
        task, method = self.datasets[experiment.dataset].task_name, self.methods[experiment.method].kind
        if task not in components.constant("methods", method, "TASKS", [task]):
            raise StudyError(f"{key}.method: {experiment.method!r} is not defined for {task}; choose another method")
        for where, recipe in experiment.recipes.items():
            if task == "regression" and self.recipes[recipe].label_smoothing:
                raise StudyError(
                    f"{key}.recipes.{where}: label_smoothing of {recipe!r} spreads targets over classes, and"
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

    def protocols_of(self, experiment: Experiment) -> list[str]:
        """Ways to choose an experiment's thresholds."""
        return [*(experiment.protocols or self.protocols)]

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
