"""All jobs of a study: every one with the settings that its result depends on, the files that it reads and writes.

Rules, card, records and doctor all read it here, so that a file's name or a setting is decided once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from manyexits.study import analysed, cards, components, shown
from manyexits.study.config import Study
from manyexits.study.entries import DatasetEntry
from manyexits.study.job import (
    BACKBONE,
    COMPARISON,
    COUNTED,
    RUN,
    SNAPSHOTS,
    TRAINED,
    VERSIONS,
    Draft,
    Job,
    Reads,
    Settings,
)
from manyexits.study.refusals import known
from manyexits.study.runs import Runs


class Jobs:
    """All jobs of a study, by stage and names."""

    def __init__(self, study: Study, runs: Runs) -> None:
        self.study, self.runs = study, runs
        self._known: dict[tuple[Any, ...], Job] = {}
        self._networks: dict[str, Settings] = {}
        self.stages: dict[str, Callable[..., Draft]] = {
            "prepare": self._prepare,
            "weights": self._weights,
            "count_backbone": self._count_backbone,
            "count_flops": self._count_flops,
            "pretrain": self._pretrain,
            "train": self._train,
            "predict": self._predict,
            "represent": lambda **names: analysed.represent(self, **names),
            "calibrate": self._calibrate,
            "evaluate": self._evaluate,
            "guarantee": self._guarantee,
            "compare": self._compare,
            "analyse": lambda **names: analysed.analyse(self, **names),
            "table": lambda name: shown.table(self, name),
            "figure": lambda name: shown.figure(self, name),
            "card": lambda: cards.draft(self),
        }

    def job(self, stage: str, **names: Any) -> Job:
        """One job.

        Raises:
            StudyError: when it is of something that the study does not hold.
        """
        if "seed" in names:
            names["seed"] = int(names["seed"])  # a wildcard is text
        key = (stage, *sorted(names.items()))
        if key not in self._known:
            told = self.stages[stage](**names)
            settings = told.settings | {"version": VERSIONS[stage]}
            self._known[key] = Job(stage, names, settings, told.reads, tuple(told.writes), told.recipes)
        return self._known[key]

    def all(self) -> Iterable[Job]:
        """Every job that the tables, figures and card need, in the order of the stages."""
        entries = [self.runs.experiment(name) for name in self.runs.shown]
        for dataset in dict.fromkeys(entry.dataset for entry in entries):
            yield self.job("prepare", dataset=dataset)
        for weights in dict.fromkeys(self.study.backbones[entry.backbone].weights for entry in entries):
            if weights is not None:
                yield self.job("weights", weights=weights)
        trainings = self.trainings(self.runs.shown)
        pairs = dict.fromkeys(
            (job.names["dataset"], job.names["backbone"]) for job in trainings if job.stage == "pretrain"
        )
        yield from (self.job("count_backbone", dataset=dataset, backbone=backbone) for dataset, backbone in pairs)
        yield from trainings
        for experiment in self.runs.shown:
            yield self.job("count_flops", experiment=experiment)
            for names in self.runs.of(experiment):
                yield from (self.job(stage, **names) for stage in ("predict", "calibrate", "evaluate"))
        yield from self.guarantees()
        yield from self.comparisons()
        yield from analysed.representations(self)
        yield from analysed.analyses(self)
        for name, kinds in self.runs.artefacts.items():
            yield from (self.job(kind.removesuffix("s"), name=name) for kind in kinds)
        yield self.job("card")

    def trainings(self, experiments: Iterable[str]) -> list[Job]:
        """Every training of some expanded experiments; phase 1, which they may share, once and before the others."""
        first, then = {}, []
        for names in (names for experiment in experiments for names in self.runs.of(experiment)):
            if phase_1 := self.runs.pretrained(names["experiment"], names["regime"]):
                job = self.job("pretrain", **phase_1, seed=names["seed"])
                first[job.writes] = job
            then.append(self.job("train", **names))
        return [*first.values(), *then]

    def comparisons(self) -> list[Job]:
        """Every comparison that some table or figure draws."""
        drawn = {
            experiment: None
            for name, kinds in self.runs.artefacts.items()
            for kind in kinds
            for experiment in (
                *shown.compared(self, kind, name),
                *(experiment for what, experiment in self.runs.beside(kind, name) if what == "comparisons"),
            )
        }
        return [self.job("compare", experiment=name) for name in drawn]

    def guarantees(self) -> list[Job]:
        """Every choice of thresholds with a guarantee that some table or figure draws."""
        drawn = {
            experiment: None
            for name, kinds in self.runs.artefacts.items()
            for kind in kinds
            if self.runs.read_by(kind, name) == "guarantees"
            for experiment in self.runs.drawn(kind, name)
        }
        return [self.job("guarantee", **names) for experiment in drawn for names in self.runs.of(experiment)]

    # -- files ---------------------------------------------------------------------------------------------------------

    def made(self, folder: str, *files: str) -> list[str]:
        """Files of a folder below the output."""
        return [f"{self.study.output}/{folder}/{file}" for file in files]

    def data(self, dataset: str) -> Reads:
        """What is read of a prepared dataset."""
        known("dataset", dataset, list(self.study.datasets))
        folder = f"{self.study.data}/{dataset}"
        return {"manifest": f"{folder}/manifest.json", "splits": f"{folder}/splits.json", "arrays": f"{folder}/arrays"}

    def _pretrained_weights(self, backbone: str) -> list[str]:
        entry = self.runs.from_weights(backbone)
        files = ("model.safetensors", "manifest.json")
        return [] if entry is None else [f"{self.study.data}/weights/{entry.weights}/{file}" for file in files]

    # -- step 1 --------------------------------------------------------------------------------------------------------

    def _prepare(self, dataset: str) -> Draft:
        reads = self.data(dataset)
        folder = f"{self.study.data}/{dataset}"
        writes = [str(reads[name]) for name in ("manifest", "splits", "arrays")] + [f"{folder}/SHA256SUMS"]
        entry = self.study.datasets[dataset]
        return Draft(
            entry.told(dataset) | self._tokenizer(entry) | components.versions(readers=[entry.source]), {}, writes
        )

    def _tokenizer(self, entry: DatasetEntry) -> Settings:
        """The tokenizer of a dataset of texts, as `prepare` is told, which reads it as it reads the texts."""
        if entry.tokenizer is None:
            return {}
        of = self.study.weights[entry.tokenizer]
        where = of.model_dump(include={"folder", "package", "hub", "home"})
        return {"tokenizer": {"name": entry.tokenizer, "file": of.tokenizer, **where}}

    def _weights(self, weights: str) -> Draft:
        known("weights", weights, list(self.study.weights))
        folder = f"{self.study.data}/weights/{weights}"
        settings = {"weights": weights, **self.study.weights[weights].model_dump()}
        return Draft(settings, {}, [f"{folder}/model.safetensors", f"{folder}/manifest.json"])

    # -- steps 2 and 3; a count takes seconds, and finds what cannot be built before anything is trained ---------------

    def _count_backbone(self, dataset: str, backbone: str) -> Draft:
        reads = self.data(dataset)
        network = self.study.datasets[dataset].task | {"backbone": self._backbone(backbone)}
        network |= components.versions(backbones=[self.study.backbones[backbone].family])
        place = COUNTED.format(dataset=dataset, backbone=backbone)
        told = {"network": network} | self._one_a_pass(("backbone", name) for name in self._first[dataset, backbone])
        return Draft(told, reads, [f"{self.study.output}/{place}.json"])

    @cached_property
    def _first(self) -> dict[tuple[str, str], dict[str, None]]:
        """Dataset and backbone -> recipes of phase 1, by any experiment."""
        found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for name, expansion in self.runs.experiments.items():
            for regime in expansion.experiment.regimes:
                if phase_1 := self.runs.pretrained(name, regime):
                    found[phase_1["dataset"], phase_1["backbone"]][phase_1["recipe"]] = None
        return found

    def _one_a_pass(self, phases: Iterable[tuple[str, str]]) -> Settings:
        """Phases and recipes with one sample per device and pass, which not every network can be trained with."""
        single = [[phase, recipe] for phase, recipe in phases if self.study.recipes[recipe].per_device == 1]
        return {"one_a_pass": single} if single else {}

    def _count_flops(self, experiment: str) -> Draft:
        reads = self.data(self.runs.experiment(experiment).dataset)
        entry = self.runs.experiment(experiment)
        phases = dict.fromkeys(
            (phase, entry.recipe_of(regime, phase))
            for regime in entry.regimes
            for phase in self.study.later_phases(regime, entry)
        )
        told = {"network": self.network(experiment)} | self._one_a_pass(phases)
        return Draft(told, reads, self.made("costs", f"{experiment}.json"))

    def _pretrain(self, dataset: str, backbone: str, recipe: str, seed: int) -> Draft:
        counted = self.job("count_backbone", dataset=dataset, backbone=backbone)
        reads = self.data(dataset) | {"weights": self._pretrained_weights(backbone), "costs": counted.writes[0]}
        known("recipe", recipe, list(self.study.recipes))
        network = counted.settings["network"]
        phases = [{"phase": "backbone", "recipe": self.study.recipes[recipe].science()}]
        settings = {"network": network, "phases": phases, "seed": seed, **self.initial(backbone)}
        folder = BACKBONE.format(dataset=dataset, backbone=backbone, recipe=recipe, seed=seed)
        return Draft(settings, reads, self.made(folder, *TRAINED), (self.study.recipes[recipe],))

    def _train(self, experiment: str, regime: str, seed: int) -> Draft:
        entry = self.runs.experiment(experiment)
        phase_1, phases = self.runs.pretrained(experiment, regime), self.study.later_phases(regime, entry)
        recipes = tuple(self.study.recipes[entry.recipe_of(regime, phase)] for phase in phases)
        told = [{"phase": phase, "recipe": each.science()} for phase, each in zip(phases, recipes, strict=True)]
        settings = {"network": self.network(experiment), "phases": told, "seed": seed}
        counted = self.job("count_flops", experiment=experiment)
        reads = self.data(entry.dataset) | {"backbone": [], "weights": [], "costs": counted.writes[0]}
        if phase_1 is None:
            settings |= {"start": "scratch"} | self.initial(entry.backbone)
            reads["weights"] = self._pretrained_weights(entry.backbone)
        else:
            first = self.job("pretrain", **phase_1, seed=seed)
            settings["start"] = first.whose
            reads["backbone"] = list(first.writes)
        folder, writes = RUN.format(experiment=experiment, regime=regime, seed=seed), list(TRAINED)
        if entry.snapshots:
            settings["snapshots"] = entry.snapshots
            writes.append(SNAPSHOTS)
        return Draft(settings, reads, self.made(folder, *writes), recipes)

    def network(self, experiment: str) -> Settings:
        """What a network is built from; one mapping for all jobs of an experiment, which nobody changes."""
        if experiment not in self._networks:
            self._networks[experiment] = self._network(experiment)
        return self._networks[experiment]

    def _network(self, experiment: str) -> Settings:
        entry = self.runs.experiment(experiment)
        method = self.study.methods[entry.method]
        family = self.study.backbones[entry.backbone].family
        return self.runs.dataset(experiment).task | {
            "backbone": self._backbone(entry.backbone),
            "method": method.model_dump(),
            "placement": self.study.placements[entry.placement].told(self.study.backbones[entry.backbone].n_blocks),
            **components.versions(backbones=[family], methods=[method.kind]),
        }

    def _backbone(self, name: str) -> Settings:
        known("backbone", name, list(self.study.backbones))
        entry = self.study.backbones[name]
        return entry.model_dump(exclude={"weights", "classifier", "origin"})

    def initial(self, backbone: str) -> Settings:
        """What a training has to know of the pretrained weights that it starts from; nothing where there are none."""
        entry = self.runs.from_weights(backbone)
        if entry is None:
            return {}
        return {"weights": self._weights(str(entry.weights)).settings | {"classifier": entry.classifier}}

    # -- steps 4 to 7 --------------------------------------------------------------------------------------------------

    def _predict(self, experiment: str, regime: str, seed: int) -> Draft:
        folder = RUN.format(experiment=experiment, regime=regime, seed=seed)
        (model,) = self.made(folder, "model.safetensors")
        reads = self.data(self.runs.experiment(experiment).dataset) | {"model": model}
        trained = self.job("train", experiment=experiment, regime=regime, seed=seed)
        settings = {"network": self.network(experiment), "made_from": {"model": trained.whose}}
        settings |= components.versions(criteria=self.study.criteria(self.runs.experiment(experiment)))
        return Draft(settings, reads, self.made(folder, "predictions.safetensors"))

    def _numbers(self, experiment: str, regime: str, seed: int, *reads: str) -> tuple[str, Reads]:
        """Folder of a run, and those of its files that are read, with the costs."""
        folder = RUN.format(experiment=experiment, regime=regime, seed=seed)
        (costs,) = self.made("costs", f"{experiment}.json")
        found: Reads = {"costs": costs}
        return folder, found | {
            file.partition(".")[0]: path for file, path in zip(reads, self.made(folder, *reads), strict=True)
        }

    def _calibrate(self, experiment: str, regime: str, seed: int) -> Draft:
        folder, reads = self._numbers(experiment, regime, seed, "predictions.safetensors")
        entry = self.runs.experiment(experiment)
        criteria, protocols = self.study.criteria(entry), self.study.protocols_of(entry)
        settings = {"protocols": protocols, "criteria": criteria, "budgets": self.study.budgets}
        predicted = self.job("predict", experiment=experiment, regime=regime, seed=seed)
        counted = self.job("count_flops", experiment=experiment)
        settings |= {"task": self.runs.dataset(experiment).task} | components.versions(criteria=criteria)
        settings["made_from"] = {"predictions": predicted.whose, "costs": counted.whose}
        return Draft(settings, reads, self.made(folder, "thresholds.json"))

    def _evaluate(self, experiment: str, regime: str, seed: int) -> Draft:
        folder, reads = self._numbers(experiment, regime, seed, "predictions.safetensors", "thresholds.json")
        identity = self.runs.identity(experiment) | {"regime": regime, "seed": seed}
        calibrated = self.job("calibrate", experiment=experiment, regime=regime, seed=seed)
        settings = {"identity": identity, "task": self.runs.dataset(experiment).task}
        settings["made_from"] = {"thresholds": calibrated.whose}
        return Draft(settings, reads, self.made(folder, "rows.csv", "answers.safetensors", "rows.json"))

    def _guarantee(self, experiment: str, regime: str, seed: int) -> Draft:
        folder, reads = self._numbers(experiment, regime, seed, "predictions.safetensors")
        predicted = self.job("predict", experiment=experiment, regime=regime, seed=seed)
        counted = self.job("count_flops", experiment=experiment)
        settings = {
            "identity": self.runs.identity(experiment) | {"regime": regime, "seed": seed},
            "task": self.runs.dataset(experiment).task,
            "criterion": self.study.criterion(self.runs.experiment(experiment)),
            **self.study.guarantees.model_dump(),
            "made_from": {"predictions": predicted.whose, "costs": counted.whose},
        }
        settings |= components.versions(criteria=[settings["criterion"]])
        return Draft(settings, reads, self.made(folder, "guarantees.csv", "guarantees.json"))

    def _compare(self, experiment: str) -> Draft:
        runs = list(self.runs.of(experiment))
        evaluated = [self.job("evaluate", **names) for names in runs]
        settings = {
            "identity": self.runs.identity(experiment),
            "task": self.runs.dataset(experiment).task,
            "runs": [{key: names[key] for key in ("regime", "seed")} for names in runs],
            "made_from": {"answers": [job.whose for job in evaluated]},
        }
        reads: Reads = {"answers": [job.writes[1] for job in evaluated]}
        place = COMPARISON.format(experiment=experiment)
        return Draft(settings, reads, [f"{self.study.output}/{place}.{suffix}" for suffix in ("csv", "json")])

    # -- steps 8 and 9 -------------------------------------------------------------------------------------------------
