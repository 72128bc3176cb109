"""Weights that a training keeps on its way, for analyses of how it went: of each a file beside the checkpoints, and all
of them one of the run's outputs at its end. A run that was killed and goes on has those of one that never was."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from manyexits.files.made import Made
from manyexits.models import snapshots
from manyexits.models.network import MultiExit
from manyexits.models.snapshots import Moment

NOBODY = Made(settings="0" * 16, inputs={})
"""Whose the files beside the checkpoints are: their folder is of one job alone."""


@dataclass(frozen=True)
class Snapshots:
    """The moments that one job keeps."""

    folder: Path
    epochs: Collection[int]
    """Of every phase: 0 before its first step, else after that epoch."""

    def take(self, network: MultiExit, moment: Moment) -> None:
        """Keep the weights of a moment, if it is one of those."""
        if moment.epoch in self.epochs:
            snapshots.write(self.folder / f"{moment}.safetensors", {moment: snapshots.taken(network)}, NOBODY)

    def join(self, output: Path, by: Made) -> None:
        """Write all that were kept as one file."""
        found = [snapshots.read(path)[0] for path in sorted(self.folder.glob("*.safetensors"))]
        states = {moment: state for each in found for moment, state in each.items()}
        snapshots.write(output, dict(sorted(states.items())), by)
