"""Input and resource functions of the rules: wildcards in, paths and numbers out.

They live here and not in the rules, so that rules are declarations only and the functions can be tested.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from snakemake.io import ancient

from manyexits.artefacts import captions
from manyexits.files.digests import canonical
from manyexits.study import resolve
from manyexits.study.components import nearest
from manyexits.study.job import ANALYSIS, BACKBONE, RUN, SUFFIXES, Job
from manyexits.study.plan import data_root, load

GUARD = "MANYEXITS_STUDY"
NEAREST = 5
"""Targets that are told when there is none of a name."""
ARGUMENT = 100_000
"""Bytes that an argument of a command may safely have: Linux ends at 131,072."""


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
        self.tracking = f"{self.output}/.{self.tracker}"
        self.device = self.plan.study.device

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

    def check_targets(self, asked: Iterable[str], rules: Iterable[Any]) -> None:
        """Refuse what no rule is called and no rule makes; Snakemake tells of no other name, or passes it over.

        Args:
            asked: names of rules, and files.
            rules: of the workflow.

        Raises:
            ValueError: with the nearest names.
        """
        by_name = {rule.name: rule for rule in rules}
        for target in asked:
            path = os.path.normpath(target)
            if target in by_name or Path(path).exists() or any(rule.is_producer(path) for rule in by_name.values()):
                continue
            valid = [name for name, rule in by_name.items() if not rule.has_wildcards()]
            if os.sep in target or Path(target).suffix:
                valid = [file for job in self.plan.of("table", "figure", "card") for file in job.writes]
            raise ValueError(f"there is no target {target!r}; valid names: {nearest(target, valid, NEAREST)}")

    def job(self, stage: str, wildcards: Any) -> Job:
        """The job of a rule."""
        return self.plan.job(stage, **dict(wildcards.items()))

    # -- inputs -------------------------------------------------------------------------------------------------------

    def reads(self, stage: str) -> Callable[[Any], dict[str, Any]]:
        """Inputs of a rule by their names.

        A prepared dataset is told apart by its manifest, which holds the checksums of the rest and is compared by its
        content: prepared again to the same bytes, it retrains nothing. Nor does a count of what is trained.
        """
        aged = {"arrays", "splits"} | ({"costs"} if stage in ("pretrain", "train") else set())

        def named(wildcards: Any) -> dict[str, Any]:
            found = dict(self.job(stage, wildcards).reads)
            found |= {name: ancient(found[name]) for name in aged & set(found)}
            if found.get("weights"):
                model, manifest = list(found["weights"])
                found["weights"] = [ancient(model), manifest]
            return found

        return named

    def files(self, kind: str, name: str) -> list[str]:
        """Files of a table or figure."""
        return [f"{self.output}/{kind}/{name}.{suffix}" for suffix in SUFFIXES[kind.removesuffix("s")]]

    def artefact(self, name: str) -> list[str]:
        """Files of everything that has this name."""
        return [file for kind in self.plan.runs.artefacts[name] for file in self.files(kind, name)]

    def experiment(self, name: str) -> list[str]:
        """Rows of an experiment's runs, and of all that is analysed of it."""
        jobs = [job for job in self.plan.of("evaluate", "compare", "analyse") if job.names["experiment"] == name]
        return [job.writes[0] for job in jobs]

    def analyses_of(self, *what: str) -> str:
        """The analyses that read models, or what else, as a constraint of a wildcard."""
        return "|".join(name for name in self.plan.study.analyses if self.plan.runs.analysed(name) in what) or "(?!)"

    def with_snapshots(self) -> str:
        """The experiments whose trainings keep snapshots, as a constraint of a wildcard."""
        names = [re.escape(name) for name in self.plan.runs.experiments if self.plan.runs.experiment(name).snapshots]
        return "|".join(names) or "(?!)"

    # -- the report ---------------------------------------------------------------------------------------------------

    def labels(self, checkout: Path, kind: str) -> Callable[[Any], dict[str, str]]:
        """How the report lists a table or figure: one label, since of two its page makes a switch that breaks it."""

        def labelled(wildcards: Any) -> dict[str, str]:
            title = captions.title(checkout, self.plan, kind, wildcards.name)
            return {kind.removesuffix("s"): f"{wildcards.name}: {title}"}

        return labelled

    def caption(self, checkout: Path, rule: str, name: str) -> str:
        """What the report says about a table or figure, by the rule that makes it."""
        return captions.caption(checkout, self.plan, f"{rule}s", name)

    # -- params: `settings` is all that a result may depend on --------------------------------------------------------

    def settings(self, stage: str) -> Callable[[Any], str]:
        """Canonical JSON of what a stage reads."""
        return lambda wildcards: canonical(self.job(stage, wildcards).settings)

    def short(self, stage: str) -> Callable[[Any], str]:
        """The same where it fits an argument of a command; else `-`, and the verb reads standard input."""
        told = self.settings(stage)
        return lambda wildcards: told(wildcards) if len(told(wildcards).encode()) <= ARGUMENT else "-"

    def long(self, stage: str) -> Callable[[Any], str]:
        """The same for standard input; null where it fits an argument."""
        told, short = self.settings(stage), self.short(stage)
        return lambda wildcards: told(wildcards) if short(wildcards) == "-" else "null"

    @staticmethod
    def folder(key: str) -> Callable[[Any, Any, Any], str]:
        """The folder of a named input or output."""
        return lambda wildcards, input, output: str(Path(dict(output.items()).get(key) or input[key]).parent)

    def start(self, wildcards: Any, input: Any) -> list[str]:
        """The option that tells a training where phase 1, or pretrained weights, lie."""
        if input.get("backbone"):
            return ["--backbone", str(Path(input.backbone[0]).parent)]
        return ["--weights", str(input.weights[0])] if input.weights else []

    def run_name(self, wildcards: Any, output: Any) -> str:
        """What a tracker calls a training: its folder below the output."""
        return Path(output.model).parent.relative_to(self.output).as_posix()

    def prepared_by(self, stage: str) -> Callable[[Any], str]:
        """Digest of the settings that the dataset of a training must have been prepared by."""
        return lambda wildcards: self.plan.prepared_by(self.job(stage, wildcards))

    # -- resources ----------------------------------------------------------------------------------------------------

    def most(self, stage: str, field: str) -> Callable[[Any], int]:
        """Largest value of a resource among a job's recipes; a prediction asks for what its training does."""
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


def asked_of(is_main_process: bool) -> list[str]:
    """Targets on the command line of `snakemake`, which reads them for itself only after the Snakefile."""
    program = Path(sys.argv[0])
    if not is_main_process or "snakemake" not in (program.name, program.parent.name):
        return []
    from snakemake.cli import get_argument_parser

    return list(get_argument_parser().parse_known_args(sys.argv[1:])[0].targets or ())
