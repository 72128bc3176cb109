"""Every run of a study: sweeps expanded, and what each stage of each run has to know."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from manyexits import components
from manyexits.config import Backbone, Experiment, Study
from manyexits.digests import canonical, digest
from manyexits.recipe import Recipe
from manyexits.refusals import StudyError, explain, known
from manyexits.resolve import remarked, resolve

VERSIONS = {
    "prepare": 2,
    "weights": 1,
    "pretrain": 1,
    "train": 1,
    "predict": 1,
    "count_flops": 1,
    "calibrate": 1,
    "evaluate": 1,
    "analyse": 2,
    "table": 1,
    "figure": 1,
    "card": 1,
}
"""Stage -> version, bumped by hand when the numbers that it makes change; this reruns it everywhere."""

BACKBONE = "backbones/{dataset}/{backbone}/{recipe}/s{seed}"
RUN = "runs/{experiment}/{regime}/s{seed}"
ANALYSIS = "analyses/{analysis}/{experiment}/{unit}"
RESERVED = {*VERSIONS, "all", "tables", "figures"}
"""Names of rules, forbidden for artefacts."""


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


class Plan:
    """All runs of a study. It reads no file but the components' sources, and fails before any job starts."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.experiments: dict[str, Expansion] = {}
        for name, experiment in study.experiments.items():
            for expansion in self._expand(name, experiment):
                self.experiments[expansion.name] = expansion
        self._check_unique()
        for name, kinds in self.artefacts.items():
            if name in RESERVED:
                raise StudyError(f"{name} is the name of a rule; give the table or figure another one")
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

    def _check_unique(self) -> None:
        """Refuse two names for one training."""
        names: dict[str, str] = {}
        for experiment in self.experiments:
            entry = self.experiment(experiment)
            for regime in entry.regimes:
                name = f"{experiment}/{regime}"
                first = names.setdefault(canonical([entry.dataset, self._train(experiment, regime, 0)]), name)
                if first != name:
                    raise StudyError(f"{first} and {name} are one training under two names; remove one of them")

    # -- what is run --------------------------------------------------------------------------------------------------

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

    # -- what a stage has to know -------------------------------------------------------------------------------------

    def settings(self, stage: str, **names: Any) -> str:
        """Canonical JSON of exactly the settings that a stage reads, with the stage's version."""
        return canonical(getattr(self, f"_{stage}")(**names) | {"version": VERSIONS[stage]})

    def _prepare(self, dataset: str) -> dict[str, Any]:
        known("dataset", dataset, list(self.study.datasets))
        return {"dataset": dataset, **self.study.datasets[dataset].model_dump()}

    def _weights(self, weights: str) -> dict[str, Any]:
        known("weights", weights, list(self.study.weights))
        return {"weights": weights, **self.study.weights[weights].model_dump()}

    def _backbone(self, name: str) -> dict[str, Any]:
        return self.study.backbones[name].model_dump(exclude={"weights", "classifier"})

    def _initial(self, **names: Any) -> dict[str, Any]:
        """What a training has to know of the pretrained weights that it starts from; nothing where there are none."""
        backbone = self.from_weights(**names)
        if backbone is None:
            return {}
        return {"weights": self._weights(str(backbone.weights)) | {"classifier": backbone.classifier}}

    def _network(self, experiment: str) -> dict[str, Any]:
        entry = self.experiment(experiment)
        placement, total = self.study.placements[entry.placement], self.study.backbones[entry.backbone].n_blocks
        where = {"shares": placement.shares} if placement.blocks is None else {"blocks": placement.blocks[total or 0]}
        return {
            "classes": self.study.datasets[entry.dataset].classes,
            "backbone": self._backbone(entry.backbone),
            "method": self.study.methods[entry.method].model_dump(),
            "placement": where,
        }

    def _phase(self, phase: str, recipe: str) -> dict[str, Any]:
        return {"phase": phase, "recipe": self.study.recipes[recipe].science()}

    def _pretrain(self, dataset: str, backbone: str, recipe: str, seed: Any) -> dict[str, Any]:
        known("dataset", dataset, list(self.study.datasets))
        known("backbone", backbone, list(self.study.backbones))
        known("recipe", recipe, list(self.study.recipes))
        network = {"classes": self.study.datasets[dataset].classes, "backbone": self._backbone(backbone)}
        phases, initial = [self._phase("backbone", recipe)], self._initial(backbone=backbone)
        return {"network": network, "phases": phases, "seed": int(seed), **initial}

    def _train(self, experiment: str, regime: str, seed: Any) -> dict[str, Any]:
        known(f"regime of {experiment}", regime, self.experiment(experiment).regimes)
        recipes = self.experiment(experiment).recipes
        phases = [self._phase(phase, recipes[phase]) for phase in self.study.later_phases(regime)]
        phase_1 = self.pretrained(experiment, regime)
        start = "scratch" if phase_1 is None else digest(self._pretrain(**phase_1, seed=seed))
        network, initial = self._network(experiment), self._initial(experiment=experiment, regime=regime)
        return {"network": network, "start": start, "phases": phases, "seed": int(seed), **initial}

    def _predict(self, experiment: str, **_: Any) -> dict[str, Any]:
        return {"network": self._network(experiment)}

    _count_flops = _predict

    def _calibrate(self, experiment: str, **_: Any) -> dict[str, Any]:
        criteria = self.experiment(experiment).criteria
        return {"protocols": self.study.protocols, "criteria": criteria, "budgets": self.study.budgets}

    def _evaluate(self, experiment: str, regime: str, seed: Any) -> dict[str, Any]:
        return {"identity": self.identity(experiment) | {"regime": regime, "seed": int(seed)}}

    def identity(self, experiment: str) -> dict[str, Any]:
        """The first columns of a run's rows."""
        expansion = self.experiments[experiment]
        entry = expansion.experiment
        names = {"dataset": entry.dataset, "backbone": entry.backbone, "method": entry.method}
        return {"experiment": expansion.base, "variant": expansion.variant, **names}

    def _analyse(self, analysis: str, experiment: str, unit: str) -> dict[str, Any]:
        return {
            "analysis": analysis,
            "identity": self.identity(experiment),
            "network": self._network(experiment),
            "options": self.study.analyses[analysis],
            "runs": [{"regime": regime, "seed": seed} for regime, seed in self.compared(analysis, experiment, unit)],
        }

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

    def _artefact(self, kind: str, name: str) -> dict[str, Any]:
        artefact = getattr(self.study, kind)[name]
        drawn = [self.identity(expansion) for expansion in self.drawn(kind, name)]
        regimes = list(dict.fromkeys(r for e in self.drawn(kind, name) for r in self.experiments[e].experiment.regimes))
        return {"name": name, "experiments": drawn, "regimes": regimes, "options": artefact.options}

    def _table(self, name: str) -> dict[str, Any]:
        return self._artefact("tables", name)

    def _figure(self, name: str) -> dict[str, Any]:
        return self._artefact("figures", name)

    def _card(self) -> dict[str, Any]:
        experiments = []
        for name in self.shown:
            entry = self.experiment(name)
            told = entry.model_dump(exclude={"vary", "seeds"})
            told |= self._initial(backbone=entry.backbone)
            experiments.append(told | {"name": name, "seeds": self.seeds(name), "network": self._network(name)})
        regimes = dict.fromkeys(regime for told in experiments for regime in told["regimes"])
        recipes = dict.fromkeys(recipe for told in experiments for recipe in told["recipes"].values())
        datasets = dict.fromkeys(told["dataset"] for told in experiments)
        return {
            "experiments": experiments,
            "regimes": {name: self.study.regimes[name] for name in regimes},
            "recipes": {
                name: {"values": self.study.recipes[name].science(), "origin": self.study.recipes[name].origin}
                for name in recipes
            },
            "budgets": self.study.budgets,
            "protocols": self.study.protocols,
            "stages": {stage: VERSIONS[stage] for stage in ("pretrain", "train")},
            "analyses": {
                f"{ANALYSIS.format(**names)}.json": json.loads(self.settings("analyse", **names))
                for names in self._analysed()
            },
            "datasets": {name: self._prepare(dataset=name) for name in datasets},
        }

    @property
    def shown(self) -> list[str]:
        """Expanded experiments that some table or figure draws, in the order of the study."""
        drawn = {
            name for artefact, kinds in self.artefacts.items() for kind in kinds for name in self.drawn(kind, artefact)
        }
        return [name for name in self.experiments if name in drawn]

    # -- files and resources ------------------------------------------------------------------------------------------

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
        return [f"{ANALYSIS.format(**names)}.json" for names in self._analysed()]

    def _analysed(self) -> list[dict[str, str]]:
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

    @cached_property
    def digest(self) -> str:
        """Digest of the whole study: equal for two processes exactly when they resolve the same one."""
        return digest(self.study.model_dump())


def load(raw: dict[str, Any], base: dict[str, Any] | None = None) -> Plan:
    """The plan of a merged configuration (what Snakemake's `config` holds).

    Args:
        raw: base and overlays, merged.
        base: config.yaml alone. What an overlay changed in a recipe without a mark of its own is ours, O.
    """
    return Plan(resolve(raw if base is None else remarked(raw, base)))


def data_root(study: Study) -> Path:
    """Folder of the publishers' files: MANYEXITS_DATA_ROOT, or the study's `data_root`."""
    return Path(os.environ.get("MANYEXITS_DATA_ROOT") or study.data_root).expanduser()
