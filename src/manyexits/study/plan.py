"""A study's plan: its runs, its jobs, and the digest that tells one study from another."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from manyexits.files.digests import canonical, digest
from manyexits.study import drawable, resolve
from manyexits.study.config import Study
from manyexits.study.job import VERSIONS, Job
from manyexits.study.jobs import Jobs
from manyexits.study.places import place
from manyexits.study.refusals import StudyError, with_key
from manyexits.study.runs import Runs

CONFIG = Path("config.yaml")
RESERVED = {*VERSIONS, "all", "tables", "figures"}
"""Names of rules, forbidden for artefacts."""


class Plan:
    """A study with all that follows from it. Made before any job starts, it refuses what cannot be run."""

    def __init__(self, study: Study) -> None:
        self.study, self.runs = study, Runs(study)
        self._jobs = Jobs(study, self.runs)
        for name, kinds in self.runs.artefacts.items():
            if name in RESERVED:
                raise StudyError(f"{name} is the name of a rule; give the table or figure another one")
            for kind in kinds:
                drawable.check(self.runs, kind, name)
        self._check_unique()

    def _check_unique(self) -> None:
        """Refuse two names for one training."""
        names: dict[str, str] = {}
        for experiment in self.runs.experiments:
            entry = self.runs.experiment(experiment)
            for regime in entry.regimes:
                name = f"{experiment}/{regime}"
                settings = self.job("train", experiment=experiment, regime=regime, seed=0).settings
                first = names.setdefault(canonical([entry.dataset, settings]), name)
                if first != name:
                    raise StudyError(f"{first} and {name} are one training under two names; remove one of them")

    def job(self, stage: str, **names: Any) -> Job:
        """A job by its stage and the wildcards of its rule, whether anything needs it or not.

        Raises:
            StudyError: when it is of something that the study does not hold.
        """
        return self._jobs.job(stage, **names)

    def prepared_by(self, training: Job) -> str:
        """Digest of the settings that a training's dataset is prepared by."""
        names = training.names
        dataset = names["dataset"] if "dataset" in names else self.runs.experiment(names["experiment"]).dataset
        return self.job("prepare", dataset=dataset).whose

    def settings(self, stage: str, **names: Any) -> str:
        """Canonical JSON of exactly the settings that a stage reads, with the stage's version."""
        return canonical(self.job(stage, **names).settings)

    @cached_property
    def jobs(self) -> list[Job]:
        """Every job that `all` needs, each once, in the order of the stages."""
        return list(self._jobs.all())

    def of(self, *stages: str) -> list[Job]:
        """The jobs of some stages that `all` needs."""
        return [job for job in self.jobs if job.stage in stages]

    def trainings(self, experiments: list[str]) -> list[Job]:
        """Every training of some expanded experiments, phase 1 first."""
        return self._jobs.trainings(experiments)

    def below(self, file: str) -> str:
        """A file of the output by its path below it."""
        return file.removeprefix(f"{self.study.output}/")

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
    return Plan(resolve.resolve(raw if base is None else resolve.remarked(raw, base)))


def read(overlays: list[Path]) -> Plan:
    """The plan of config.yaml in the current folder and overlays, as `snakemake --configfile` reads them.

    Raises:
        StudyError: for a file that cannot be read, or a study that is not valid.
    """
    return load(resolve.read([CONFIG, *overlays]), resolve.read([CONFIG]))


def data_root(study: Study) -> Path:
    """Folder of the publishers' files: MANYEXITS_DATA_ROOT, or the study's `data_root`."""
    given = os.environ.get("MANYEXITS_DATA_ROOT")
    return Path(with_key("MANYEXITS_DATA_ROOT", place, given) if given else study.data_root)
