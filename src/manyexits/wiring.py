"""Input and resource functions of the rules: wildcards in, paths and numbers out.

They live here and not in the rules, so that rules are declarations only and the functions can be tested.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manyexits.artefacts import captions
from manyexits.files.digests import canonical
from manyexits.study import resolve
from manyexits.study.job import ANALYSIS, BACKBONE, RUN, SUFFIXES, Job
from manyexits.study.plan import data_root, load

GUARD = "MANYEXITS_STUDY"


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

    def job(self, stage: str, wildcards: Any) -> Job:
        """The job of a rule."""
        return self.plan.job(stage, **dict(wildcards.items()))

    # -- inputs -------------------------------------------------------------------------------------------------------

    def reads(self, stage: str) -> Callable[[Any], dict[str, Any]]:
        """Inputs of a rule by their names."""
        return lambda wildcards: self.job(stage, wildcards).reads

    def files(self, kind: str, name: str) -> list[str]:
        """Files of a table or figure."""
        return [f"{self.output}/{kind}/{name}.{suffix}" for suffix in SUFFIXES[kind.removesuffix("s")]]

    def artefact(self, name: str) -> list[str]:
        """Files of everything that has this name."""
        return [file for kind in self.plan.runs.artefacts[name] for file in self.files(kind, name)]

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
        return lambda wildcards: canonical(self.job(stage, wildcards).settings)

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

    def most(self, stage: str, field: str) -> Callable[[Any], int]:
        """Largest value of a resource among a training's recipes; a prediction asks for what its training does."""
        return lambda wildcards: max(getattr(recipe, field) for recipe in self.job(stage, wildcards).recipes)

    def memory(self, stage: str) -> Callable[[Any, int], int]:
        """MiB of main memory. Each attempt gets half as much again, up to twice: more than that is no accident."""
        most = self.most(stage, "memory_gib")
        return lambda wildcards, attempt: int(1024 * most(wildcards) * min(2, 1 + 0.5 * (attempt - 1)))

    def minutes(self, stage: str) -> Callable[[Any], int]:
        """Time limit of a training job; constant over attempts, since a training resumes."""
        return lambda wildcards: sum(recipe.minutes for recipe in self.job(stage, wildcards).recipes)

    @staticmethod
    def attempt(wildcards: Any, attempt: int) -> int:
        """Which attempt this is."""
        return attempt
