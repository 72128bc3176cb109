"""A study's plan: its runs, and what each stage of each run has to know."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from manyexits.files.digests import canonical, digest
from manyexits.study.config import Study
from manyexits.study.refusals import StudyError, known
from manyexits.study.resolve import remarked, resolve
from manyexits.study.runs import ANALYSIS, Runs

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

RESERVED = {*VERSIONS, "all", "tables", "figures"}
"""Names of rules, forbidden for artefacts."""


class Plan(Runs):
    """The runs of a study, and the settings of every stage."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._check_unique()
        if taken := next((name for name in self.artefacts if name in RESERVED), None):
            raise StudyError(f"{taken} is the name of a rule; give the table or figure another one")

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

    def _analyse(self, analysis: str, experiment: str, unit: str) -> dict[str, Any]:
        return {
            "analysis": analysis,
            "identity": self.identity(experiment),
            "network": self._network(experiment),
            "options": self.study.analyses[analysis],
            "runs": [{"regime": regime, "seed": seed} for regime, seed in self.compared(analysis, experiment, unit)],
        }

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
                for names in self.analysed_jobs()
            },
            "datasets": {name: self._prepare(dataset=name) for name in datasets},
        }

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
