"""The runs that a study consists of: sweeps expanded, names, and which of them an artefact draws."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from manyexits.files.rows import one_protocol
from manyexits.study import components
from manyexits.study.components import shown
from manyexits.study.config import Study
from manyexits.study.entries import Artefact, BackboneEntry, DatasetEntry, Experiment
from manyexits.study.refusals import StudyError, explain, known
from manyexits.study.regimes import frozen

SWEPT = ("dataset", "backbone", "method", "placement")
"""Keys of an experiment that `vary` may name."""


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


def _is_drawn(artefact: Artefact, expansion: Expansion) -> bool:
    """Whether a table or figure draws a variant."""
    return expansion.sweep == artefact.sweep and expansion.variant in (artefact.variants or [expansion.variant])


class Runs:
    """All runs of a study. It reads no file but the components' sources, and fails before any job starts."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.experiments: dict[str, Expansion] = {}
        for name, experiment in study.experiments.items():
            for expansion in self._expand(name, experiment):
                self.experiments[expansion.name] = expansion

    def _expand(self, name: str, experiment: Experiment) -> Iterable[Expansion]:
        yield Expansion(name, name, "", "", experiment)
        taken: set[str] = set()
        for key, values in experiment.vary.items():
            where = f"experiments.{name}.vary.{key}"
            known(where, key, list(SWEPT))
            for value in values:
                if str(value) in taken:
                    raise StudyError(
                        f"{where}: {shown(value)} appears twice among the sweeps of {name}; name each value once"
                    )
                taken.add(str(value))
                stated = experiment.model_dump(exclude={"vary", "vary_seeds"}) | {key: value}
                is_base = stated == experiment.model_dump(exclude={"vary", "vary_seeds"})
                own = {} if experiment.vary_seeds is None else {"seeds": experiment.vary_seeds}
                try:
                    changed = Experiment.model_validate(stated | {"snapshots": None} | own)
                    self.study.check_experiment(f"experiments.{name}.{value}", changed)
                except ValidationError as error:
                    raise StudyError(explain(error, Experiment, f"experiments.{name}.vary")) from error
                if not is_base:
                    yield Expansion(f"{name}.{value}", name, key, str(value), changed)

    # -- one experiment -----------------------------------------------------------------------------------------------

    def experiment(self, name: str) -> Experiment:
        """An expanded experiment by its name.

        Raises:
            StudyError: lists the valid names.
        """
        known("experiment", name, list(self.experiments))
        return self.experiments[name].experiment

    def dataset(self, experiment: str) -> DatasetEntry:
        """The dataset of an expanded experiment."""
        return self.study.datasets[self.experiment(experiment).dataset]

    def seeds(self, experiment: str) -> list[int]:
        """Seeds of an expanded experiment."""
        own = self.experiment(experiment).seeds
        return self.study.seeds if own is None else own

    def of(self, experiment: str) -> Iterable[dict[str, Any]]:
        """Experiment, regime and seed of all trainings of an expanded experiment."""
        for regime in self.experiment(experiment).regimes:
            for seed in self.seeds(experiment):
                yield {"experiment": experiment, "regime": regime, "seed": seed}

    def pretrained(self, experiment: str, regime: str) -> dict[str, str] | None:
        """Names that tell where phase 1 of a regime lies, or None for a regime without one."""
        entry = self.experiment(experiment)
        known(f"regime of {experiment}", regime, entry.regimes)
        if self.study.regimes[regime][0] != "backbone":
            return None
        return {"dataset": entry.dataset, "backbone": entry.backbone, "recipe": entry.recipe_of(regime, "backbone")}

    def from_weights(self, backbone: str) -> BackboneEntry | None:
        """A backbone that starts from pretrained weights, or None."""
        known("backbone", backbone, list(self.study.backbones))
        entry = self.study.backbones[backbone]
        return entry if entry.weights else None

    def identity(self, experiment: str) -> dict[str, Any]:
        """The first columns of a run's rows."""
        expansion = self.experiments[experiment]
        entry = expansion.experiment
        names = {"dataset": entry.dataset, "backbone": entry.backbone, "method": entry.method}
        return {"experiment": expansion.base, "variant": expansion.variant, **names}

    def schedule(self, experiment: str) -> dict[str, tuple[int, int]]:
        """Regime -> epochs of its phases 1, and of all phases in which the backbone learns, by the recipes' limits."""
        entry, found = self.experiment(experiment), {}
        for regime in entry.regimes:
            phases = self.study.regimes[regime]
            took = [(phase, self.study.recipes[entry.recipe_of(regime, phase)].epochs) for phase in phases]
            learning = [(phase, epochs) for phase, epochs in took if "backbone" not in frozen(phase)]
            first = takewhile(lambda each: each[0] == "backbone", learning)
            found[regime] = (sum(epochs for _, epochs in first), sum(epochs for _, epochs in learning))
        return found

    # -- analyses, tables and figures ---------------------------------------------------------------------------------

    def compared(self, analysis: str, experiment: str, unit: str) -> list[tuple[str, int]]:
        """(regime, seed) of the runs that one job of an analysis reads: those of one seed, or of all."""
        known("analyses", analysis, list(self.study.analyses))
        seeds = self.seeds(experiment) if unit == "seeds" else [int(unit.removeprefix("s"))]
        return [(regime, seed) for regime in self.experiment(experiment).regimes for seed in seeds]

    def analysed(self, analysis: str) -> str:
        """What an analysis reads of every run: its `models`, `snapshots`, `representations`, or `answers`."""
        what = str(components.constant("analysis", analysis, "READS", "models"))
        known(f"analyses.{analysis}: READS", what, ["models", "snapshots", "representations", "answers"])
        return what

    def analysis_options(self, analysis: str, experiment: str) -> dict[str, Any]:
        """Options of an analysis. One of answers is told by which thresholds they left, where it does not say that."""
        options = self.study.analyses[analysis]
        if self.analysed(analysis) != "answers":
            return options
        criterion = options.get("criterion") or self.study.criterion(self.experiment(experiment))
        protocol = options.get("protocol") or one_protocol(self.study.protocols_of(self.experiment(experiment)))
        return options | {"criterion": criterion, "protocol": protocol}

    def protocols(self, drawn: list[str]) -> list[str]:
        """Those that all of these experiments have, in the order of the first."""
        of_each = [self.study.protocols_of(self.experiment(experiment)) for experiment in drawn]
        return [protocol for protocol in of_each[0] if all(protocol in each for each in of_each)]

    def has(self, analysis: str, experiment: str) -> bool:
        """Whether an experiment keeps the snapshots that an analysis may read."""
        return self.analysed(analysis) != "snapshots" or bool(self.experiment(experiment).snapshots)

    def beside(self, kind: str, name: str) -> list[tuple[str, str]]:
        """Kind and experiment of what a table reads beside its rows: comparisons of experiments with several regimes,
        and analyses that the study makes for others."""
        made = {
            (what, experiment)
            for artefact, kinds in self.artefacts.items()
            for each in kinds
            if (what := self.read_by(each, artefact)) in self.study.analyses
            for experiment in self.drawn(each, artefact)
        }
        return [
            (what, experiment)
            for what in components.constant(kind, self.component(kind, name), "BESIDE", ())
            for experiment in self.drawn(kind, name)
            if (len(self.experiment(experiment).regimes) > 1 if what == "comparisons" else (what, experiment) in made)
        ]

    def units(self, analysis: str, experiment: str) -> list[str]:
        """The jobs of an analysis of one experiment: one for each seed, and one across seeds where there are two.

        A seed with fewer networks than the analysis needs has none.
        """
        seeds = self.seeds(experiment)
        paired = components.constant("analysis", analysis, "PAIRS", False) and len(seeds) > 1
        enough = len(self.experiment(experiment).regimes) >= components.constant("analysis", analysis, "LEAST", 1)
        return ([f"s{seed}" for seed in seeds] if enough else []) + (["seeds"] if paired else [])

    def artefact(self, kind: str, name: str) -> Artefact:
        """A table or figure by its name.

        Raises:
            StudyError: lists the valid names.
        """
        entries = self.study.tables if kind == "tables" else self.study.figures
        known(kind, name, list(entries))
        return entries[name]

    def component(self, kind: str, name: str) -> str:
        """The file that draws a table or figure, by its name."""
        return self.artefact(kind, name).kind or name

    @cached_property
    def artefacts(self) -> dict[str, list[str]]:
        """Name of a table or figure -> the kinds that it exists as."""
        kinds = {"tables": self.study.tables, "figures": self.study.figures}
        names = sorted({*self.study.tables, *self.study.figures})
        return {name: [kind for kind, entries in kinds.items() if name in entries] for name in names}

    def drawn(self, kind: str, name: str) -> list[str]:
        """Expanded experiments that a table or figure draws, in its order."""
        artefact = self.artefact(kind, name)
        return [
            expansion.name
            for base in artefact.experiments
            for expansion in self.experiments.values()
            if expansion.base == base and (expansion.sweep == "" or _is_drawn(artefact, expansion))
        ]

    def read_by(self, kind: str, name: str) -> str:
        """What a table or figure draws: `rows`, `comparisons`, `guarantees`, `history`, or the
        name of an analysis.

        Raises:
            StudyError: when the study has no such analysis.
        """
        what = components.constant(kind, self.component(kind, name), "READS", None)
        known(
            f"{kind}.{name}: READS", str(what), ["rows", "comparisons", "guarantees", "history", *self.study.analyses]
        )
        return str(what)

    @cached_property
    def shown(self) -> list[str]:
        """Expanded experiments that some table or figure draws, in the order of the study. Nothing else is built."""
        drawn = {
            name for artefact, kinds in self.artefacts.items() for kind in kinds for name in self.drawn(kind, artefact)
        }
        return [name for name in self.experiments if name in drawn]
