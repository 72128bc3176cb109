"""Input and resource functions of the rules: wildcards in, paths and numbers out.

They live here and not in the rules, so that rules are declarations only and the functions can be tested.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manyexits.artefacts import captions
from manyexits.study import resolve
from manyexits.study.plan import data_root, load
from manyexits.study.recipe import Recipe
from manyexits.study.runs import ANALYSIS, BACKBONE, RUN

GUARD = "MANYEXITS_STUDY"
SUFFIXES = {"tables": ("csv", "md", "tex", "html"), "figures": ("pdf", "png", "svg")}


class Wiring:
    """A plan as the rules see it."""

    def __init__(self, config: dict[str, Any], base: Path | None = None) -> None:
        """Resolve the study of Snakemake's configuration.

        Args:
            config: merged from config.yaml, overlays and the command line.
            base: config.yaml, which tells what the others changed.

        Raises:
            StudyError: when it is not valid.
        """
        self.plan = load(config, None if base is None else resolve.read([base]))
        self.output = self.plan.study.output
        self.data = self.plan.study.data
        self.backbone = f"{self.output}/{BACKBONE}"
        self.run = f"{self.output}/{RUN}"
        self.analysis = f"{self.output}/{ANALYSIS}"
        self.card = [f"{self.output}/card.{suffix}" for suffix in ("md", "html")]
        self.raw = str(data_root(self.plan.study))
        self.hub = "--hub" if self.plan.study.hub else "--no-hub"
        self.tracker = self.plan.study.tracker

    def enter(self, is_main_process: bool) -> None:
        """Prepare the environment of the jobs, and compare the study with the one that the workflow started with.

        Every job on a cluster parses config.yaml again; one that has changed meanwhile must not mix two studies. The
        verbs stand beside the interpreter that runs Snakemake, also where no environment is activated.

        Raises:
            ValueError: when config.yaml has changed since the main process read it.
        """
        if is_main_process:
            os.environ[GUARD] = self.plan.digest
        elif os.environ.get(GUARD, self.plan.digest) != self.plan.digest:
            raise ValueError("config.yaml has changed since this workflow was started; start it again")
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    # -- inputs -------------------------------------------------------------------------------------------------------

    def files(self, kind: str, name: str) -> list[str]:
        """Files of a table or figure."""
        return [f"{self.output}/{kind}/{name}.{suffix}" for suffix in SUFFIXES[kind]]

    def artefact(self, name: str) -> list[str]:
        """Files of everything that has this name."""
        return [file for kind in self.plan.artefacts[name] for file in self.files(kind, name)]

    def drawn_from(self, kind: str) -> Callable[[Any], list[str]]:
        """What a table or figure reads."""
        return lambda wildcards: [f"{self.output}/{file}" for file in self.plan.read_by(kind, wildcards.name)]

    def recorded(self, wildcards: Any) -> list[str]:
        """What the card reads of the runs, their costs and their datasets."""
        datasets = dict.fromkeys(self.plan.experiment(name).dataset for name in self.plan.shown)
        small = [f"{self.data}/{name}/{file}" for name in datasets for file in ("manifest.json", "splits.json")]
        return [*small, *(f"{self.output}/{file}" for file in self.plan.recorded())]

    def prepared(self, wildcards: Any) -> dict[str, str]:
        """A prepared dataset, by its own name or by that of an experiment."""
        experiment = getattr(wildcards, "experiment", None)
        dataset = wildcards.dataset if experiment is None else self.plan.experiment(experiment).dataset
        folder = f"{self.data}/{dataset}"
        return {"manifest": f"{folder}/manifest.json", "splits": f"{folder}/splits.json", "arrays": f"{folder}/arrays"}

    def weights(self, wildcards: Any) -> list[str]:
        """Pretrained weights that a training starts from; none where it starts from phase 1 or from scratch."""
        backbone = self.plan.from_weights(**dict(wildcards.items()))
        if backbone is None:
            return []
        return [f"{self.data}/weights/{backbone.weights}/{file}" for file in ("model.safetensors", "manifest.json")]

    def phase_1(self, wildcards: Any) -> list[str]:
        """Outputs of the phase that `pretrain` ran; none for a regime that starts from scratch."""
        names = self.plan.pretrained(wildcards.experiment, wildcards.regime)
        if names is None:
            return []
        folder = self.backbone.format(**names, seed=wildcards.seed)
        return [f"{folder}/{file}" for file in ("model.safetensors", "history.csv", "run.json")]

    def compared(self, wildcards: Any) -> list[str]:
        """Models that one job of an analysis compares."""
        runs = self.plan.compared(wildcards.analysis, wildcards.experiment, wildcards.unit)
        folders = (self.run.format(experiment=wildcards.experiment, regime=r, seed=s) for r, s in runs)
        return [f"{folder}/model.safetensors" for folder in folders]

    # -- the report ---------------------------------------------------------------------------------------------------

    def labels(self, checkout: Path, kind: str) -> Callable[[Any], dict[str, str]]:
        """How the report lists a table or figure: one label, since of two its page makes a switch that breaks it."""
        what = kind.removesuffix("s")
        return lambda wildcards: {what: f"{wildcards.name}: {captions.title(checkout, kind, wildcards.name)}"}

    def caption(self, checkout: Path, rule: str, name: str) -> str:
        """What the report says about a table or figure, by the rule that makes it."""
        return captions.caption(checkout, self.plan, f"{rule}s", name)

    # -- params: `settings` is all that a result may depend on --------------------------------------------------------

    def settings(self, stage: str) -> Callable[[Any], str]:
        """Canonical JSON of what a stage reads."""
        return lambda wildcards: self.plan.settings(stage, **dict(wildcards.items()))

    @staticmethod
    def folder(key: str) -> Callable[[Any, Any, Any], str]:
        """The folder of a named input or output."""
        return lambda wildcards, input, output: str(Path(dict(output.items()).get(key) or input[key]).parent)

    def start(self, wildcards: Any, input: Any) -> str:
        """The option that tells a training where phase 1, or pretrained weights, lie."""
        if input.get("backbone"):
            return f"--backbone {Path(input.backbone[0]).parent}"
        return f"--weights {input.weights[0]}" if input.weights else ""

    def tracking(self, wildcards: Any, output: Any) -> str:
        """Folder of a training's tracker files: they outlive its outputs."""
        return f"{self.output}/.tensorboard/{Path(output.model).parent.relative_to(self.output)}"

    # -- resources ----------------------------------------------------------------------------------------------------

    def recipes(self, wildcards: Any) -> list[Recipe]:
        """Recipes of a training, by their own name or by that of an experiment and regime."""
        names = dict(wildcards.items())
        if "recipe" in names:
            return [self.plan.study.recipes[names["recipe"]]]
        if "regime" in names:
            return self.plan.recipes(names["experiment"], names["regime"])
        regimes = self.plan.experiment(names["experiment"]).regimes
        return [recipe for regime in regimes for recipe in self.plan.recipes(names["experiment"], regime)]

    def most(self, field: str) -> Callable[[Any], int]:
        """Largest value of a resource among a job's recipes."""
        return lambda wildcards: max(getattr(recipe, field) for recipe in self.recipes(wildcards))

    def memory(self, wildcards: Any, attempt: int) -> int:
        """MiB of main memory. Each attempt gets half as much again, up to twice: more than that is no accident."""
        return int(1024 * self.most("memory_gib")(wildcards) * min(2, 1 + 0.5 * (attempt - 1)))

    def minutes(self, wildcards: Any) -> int:
        """Time limit of a training job; constant over attempts, since a training resumes."""
        return sum(recipe.minutes for recipe in self.recipes(wildcards))

    @staticmethod
    def attempt(wildcards: Any, attempt: int) -> int:
        """Which attempt this is."""
        return attempt
