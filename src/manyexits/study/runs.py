"""The runs that a study consists of: sweeps expanded, names, and the files that stages leave below its output."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from manyexits.study import components
from manyexits.study.config import Backbone, Experiment, Study
from manyexits.study.recipe import Recipe
from manyexits.study.refusals import StudyError, explain, known

BACKBONE = "backbones/{dataset}/{backbone}/{recipe}/s{seed}"
RUN = "runs/{experiment}/{regime}/s{seed}"
ANALYSIS = "analyses/{analysis}/{experiment}/{unit}"


@dataclass(frozen=True)
class Expansion:
    """An experiment as it is run: a base, or one value of one of its sweeps."""

    name: str
    base: str
    sweep: str
    """Key of `vary` that made it; empty for the base."""
    variant: str
    """Value of that key; empty for the base."""
    experiment: Experiment


class Runs:
    """All runs of a study. It reads no file but the components' sources, and fails before any job starts."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.experiments: dict[str, Expansion] = {}
        for name, experiment in study.experiments.items():
            for expansion in self._expand(name, experiment):
                self.experiments[expansion.name] = expansion
        for name, kinds in self.artefacts.items():
            for kind in kinds:
                self.read_by(kind, name)  # refuses what cannot be read

    def _expand(self, name: str, experiment: Experiment) -> Iterable[Expansion]:
        yield Expansion(name, name, "", "", experiment)
        taken: set[str] = set()
        for key, values in experiment.vary.items():
            where = f"experiments.{name}.vary.{key}"
            known(where, key, ["dataset", "backbone", "method", "placement"])
            for value in values:
                if str(value) in taken:
                    raise StudyError(
                        f"{where}: {value!r} appears twice among the sweeps of {name}; name each value once"
                    )
                taken.add(str(value))
                stated = experiment.model_dump() | {key: value, "vary": {}}
                try:
                    changed = Experiment.model_validate(stated)
                    self.study.check_names(f"experiments.{name}.{value}", changed)
                except ValidationError as error:
                    raise StudyError(explain(error, Experiment, where)) from error
                if stated | {"vary": {}} != experiment.model_dump() | {"vary": {}}:  # else it is the base
                    yield Expansion(f"{name}.{value}", name, key, str(value), changed)

    @property
    def artefacts(self) -> dict[str, list[str]]:
        """Name of a table or figure -> the kinds that it exists as."""
        both = {
            name: [kind for kind in ("tables", "figures") if name in getattr(self.study, kind)] for name in self._names
        }
        return dict(sorted(both.items()))

    @property
    def _names(self) -> set[str]:
        return {*self.study.tables, *self.study.figures}

    def experiment(self, name: str) -> Experiment:
        """An expanded experiment by its name.

        Raises:
            StudyError: lists the valid names.
        """
        known("experiment", name, list(self.experiments))
        return self.experiments[name].experiment

    def seeds(self, experiment: str) -> list[int]:
        """Seeds of an expanded experiment."""
        own = self.experiment(experiment).seeds
        return self.study.seeds if own is None else own

    def runs(self, experiment: str) -> Iterable[tuple[str, str, int]]:
        """(experiment, regime, seed) of all trainings of an expanded experiment."""
        for regime in self.experiment(experiment).regimes:
            for seed in self.seeds(experiment):
                yield experiment, regime, seed

    def drawn(self, kind: str, name: str) -> list[str]:
        """Expanded experiments that a table or figure draws, in its order."""
        artefact = getattr(self.study, kind)[name]
        return [
            expansion.name
            for base in artefact.experiments
            for expansion in self.experiments.values()
            if expansion.base == base and expansion.sweep in ("", artefact.sweep)
        ]

    def pretrained(self, experiment: str, regime: str) -> dict[str, str] | None:
        """Names that tell where phase 1 of a regime lies, or None for a regime without one."""
        entry = self.experiment(experiment)
        known(f"regime of {experiment}", regime, entry.regimes)
        if self.study.regimes[regime][0] != "backbone":
            return None
        return {"dataset": entry.dataset, "backbone": entry.backbone, "recipe": entry.recipes["backbone"]}

    def from_weights(self, **names: Any) -> Backbone | None:
        """The backbone of a training that starts from pretrained weights (phase 1, or a regime without it), or None."""
        if "experiment" in names:
            if self.pretrained(names["experiment"], names["regime"]):
                return None
            names["backbone"] = self.experiment(names["experiment"]).backbone
        known("backbone", names["backbone"], list(self.study.backbones))
        backbone = self.study.backbones[names["backbone"]]
        return backbone if backbone.weights else None

    def identity(self, experiment: str) -> dict[str, Any]:
        """The first columns of a run's rows."""
        expansion = self.experiments[experiment]
        entry = expansion.experiment
        names = {"dataset": entry.dataset, "backbone": entry.backbone, "method": entry.method}
        return {"experiment": expansion.base, "variant": expansion.variant, **names}

    # -- analyses, tables and figures ---------------------------------------------------------------------------------

    def compared(self, analysis: str, experiment: str, unit: str) -> list[tuple[str, int]]:
        """(regime, seed) of the runs that one job of an analysis reads: one seed's regimes, or pairs of seeds."""
        if unit == "seeds":
            regime = self.study.analyses[analysis]["control"]
            return [(regime, seed) for seed in self.seeds(experiment)]
        return [(regime, int(unit.removeprefix("s"))) for regime in self.experiment(experiment).regimes]

    def units(self, analysis: str, experiment: str) -> list[str]:
        """The jobs of an analysis of one experiment: one for each seed, and one across seeds where there are two."""
        seeds = self.seeds(experiment)
        paired = components.constant("analysis", analysis, "PAIRS", False) and len(seeds) > 1
        pairs = paired and self.study.analyses[analysis]["control"] in self.experiment(experiment).regimes
        return [f"s{seed}" for seed in seeds] + (["seeds"] if pairs else [])

    @property
    def shown(self) -> list[str]:
        """Expanded experiments that some table or figure draws, in the order of the study."""
        drawn = {
            name for artefact, kinds in self.artefacts.items() for kind in kinds for name in self.drawn(kind, artefact)
        }
        return [name for name in self.experiments if name in drawn]

    # -- files --------------------------------------------------------------------------------------------------------

    def read_by(self, kind: str, name: str) -> list[str]:
        """Files, below the output folder, that a table or figure draws."""
        what = components.constant(kind, name, "READS", None)
        if what == "rows":
            runs = (run for experiment in self.drawn(kind, name) for run in self.runs(experiment))
            return [f"{RUN.format(experiment=e, regime=r, seed=s)}/rows.csv" for e, r, s in runs]
        known(f"{kind}.{name}: READS", str(what), ["rows", *self.study.analyses])
        jobs = ((experiment, unit) for experiment in self.drawn(kind, name) for unit in self.units(what, experiment))
        return [f"{ANALYSIS.format(analysis=what, experiment=e, unit=unit)}.csv" for e, unit in jobs]

    def recorded(self) -> list[str]:
        """Files, below the output folder, that tell how every shown experiment was trained and analysed, and what it
        costs."""
        files = {f"costs/{experiment}.json": None for experiment in self.shown}
        for experiment, regime, seed in (run for name in self.shown for run in self.runs(name)):
            if phase_1 := self.pretrained(experiment, regime):
                files[f"{BACKBONE.format(**phase_1, seed=seed)}/run.json"] = None
            files[f"{RUN.format(experiment=experiment, regime=regime, seed=seed)}/run.json"] = None
        return [*files, *self.analysed()]

    def analysed(self) -> list[str]:
        """Records, below the output folder, of every analysis that is drawn; its rows lie beside each, in a csv."""
        return [f"{ANALYSIS.format(**names)}.json" for names in self.analysed_jobs()]

    def analysed_jobs(self) -> list[dict[str, str]]:
        """Analysis, experiment and unit of every job whose rows some table or figure draws."""
        drawn = [
            (what, experiment, unit)
            for name, kinds in self.artefacts.items()
            for kind in kinds
            if (what := components.constant(kind, name, "READS", None)) in self.study.analyses
            for experiment in self.drawn(kind, name)
            for unit in self.units(what, experiment)
        ]
        return [dict(zip(("analysis", "experiment", "unit"), each, strict=True)) for each in dict.fromkeys(drawn)]

    def recipes(self, experiment: str, regime: str) -> list[Recipe]:
        """Recipes of the phases that `train` runs."""
        named = self.experiment(experiment).recipes
        return [self.study.recipes[named[phase]] for phase in self.study.later_phases(regime)]
