"""What a job of the workflow is: the versions of the stages, where files lie, and what is known of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from manyexits.files.digests import whose
from manyexits.study.recipe import StatedRecipe

VERSIONS = {
    "prepare": 2,
    "weights": 1,
    "count_backbone": 1,
    "count_flops": 1,
    "pretrain": 1,
    "train": 1,
    "predict": 2,
    "represent": 1,
    "calibrate": 2,
    "evaluate": 3,
    "guarantee": 1,
    "compare": 1,
    "analyse": 2,
    "table": 1,
    "figure": 1,
    "card": 1,
}
"""Stage -> version, bumped by hand when the numbers that it makes change; this reruns it everywhere."""

BACKBONE = "backbones/{dataset}/{backbone}/{recipe}/s{seed}"
RUN = "runs/{experiment}/{regime}/s{seed}"
COUNTED = "costs/backbones/{dataset}/{backbone}"
COMPARISON = "comparisons/{experiment}"
ANALYSIS = "analyses/{analysis}/{experiment}/{unit}"
TRAINED = ("model.safetensors", "history.csv", "run.json")
"""What a training leaves, in the order in which the others read it."""
SNAPSHOTS = "snapshots.safetensors"
"""What it leaves behind these where its experiment asks for some."""
SUFFIXES = {"table": ("csv", "md", "tex", "html"), "figure": ("pdf", "png", "svg")}

Settings = dict[str, Any]
Reads = dict[str, str | list[str]]


@dataclass(frozen=True)
class Job:
    """One thing that a workflow runs."""

    stage: str
    """Its rule and verb."""
    names: dict[str, Any]
    """The wildcards of its rule."""
    settings: Settings
    """All that its result may depend on, beside the files that it reads; with the stage's version."""
    reads: Reads
    """Name of an input of the rule -> file or files."""
    writes: tuple[str, ...]
    recipes: tuple[StatedRecipe, ...] = ()
    """Of the phases that it trains, or whose networks it compares: what it asks of a cluster."""

    @cached_property
    def whose(self) -> str:
        """Digest by which its files are known."""
        return whose(self.settings)

    @property
    def record(self) -> str:
        """The one of its files that tells what made it: run.json of a training, a json beside an analysis' rows."""
        return next(file for file in self.writes if file.endswith(".json"))


@dataclass(frozen=True)
class Draft:
    """A job as its stage's own function makes it."""

    settings: Settings
    reads: Reads
    writes: Iterable[str]
    recipes: tuple[StatedRecipe, ...] = ()
