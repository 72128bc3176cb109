"""What do batches of like lengths save, and features that are kept? Epochs of BERT on 20-Newsgroups.

    MANYEXITS_DATA_ROOT=... python benchmarks/texts.py

480 of the publisher's training messages (of its archive below the data root), whole, cut to 512 tokens; a BERT of four
layers, 64 wide, with an exit behind each, phase `all`, batch 16. The same batches, once padded to their longest text
and once to 512 tokens: what they cost, and how far apart their losses are, for which dropout is drawn in another shape.
Then phase `heads`: an epoch on features that were kept, against one of phase `all`. One process, one thread, in turns;
the median of the rounds counts.
"""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from manyexits.batches.views import Views, blanks
from manyexits.data import prepare, prepared
from manyexits.data.texts import Padded, Texts
from manyexits.files import provenance
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.study.recipe import Recipe
from manyexits.training.phase import Phase, Told

N, LENGTH, BATCH, ROUNDS = 534, 512, 16, 3
TOLD: dict[str, Any] = {
    "dataset": "newsgroups",
    "source": "newsgroups",
    "classes": 20,
    "scores": None,
    "validation": 0.1,
    "split_seed": 42,
    "vocabulary": 8192,
    "sample": [N, 100],
}
NETWORK: dict[str, Any] = {
    "classes": 20,
    "backbone": {
        "family": "bert",
        "n_blocks": 4,
        "width": 64,
        "heads": 2,
        "inner": 256,
        "vocabulary": 8192,
        "length": LENGTH,
        "positions": LENGTH,
    },
    "method": {"kind": "sdn", "depth": 0},
    "placement": {"every": 1},
}
STATED: dict[str, Any] = {"optimizer": "adamw", "lr": 5e-4, "batch": BATCH, "epochs": 1, "patience": 1}


@dataclass(frozen=True)
class Whole(Texts):
    """Texts that are all padded to the most that they may have."""

    def take(self, positions: Any) -> Any:
        """As Texts has it, then padded further."""
        batch, labels = super().take(positions)
        room = [(0, 0), (0, self.most - batch.ids.shape[1])]
        ids = np.pad(batch.ids, room, constant_values=self.tokens.frame.pad)
        return Padded(ids, np.pad(batch.segments, room), np.pad(batch.mask, room)), labels


def phase_of(folder: Path, name: str, kind: type[Texts]) -> Phase:
    """The network in a phase."""
    data, accelerator = prepared.read(folder, network=NETWORK), Accelerator(cpu=True)
    data = replace(data, train=kind(**vars_of(data.train)))
    model = build.network(NETWORK, blanks(data), 1)
    told, views = Told(name, Recipe.model_validate(STATED)), Views(data, accelerator.device)
    return Phase(model, count_network(model, blanks(data)), told, (1, 0), views, accelerator)


def vars_of(texts: Any) -> dict[str, Any]:
    """The fields of a split."""
    return {name: getattr(texts, name) for name in ("tokens", "labels", "indices", "most")}


def run(phase: Phase, epoch: int) -> float:
    """Seconds of an epoch's steps."""
    phase.sums.zero_()  # of the losses; a training does so when it has told of an epoch
    begin = time.perf_counter()
    for step, slices in enumerate(phase.feed.epoch(epoch)):
        phase.step(slices, epoch, step)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, one thread", end="; ")
    print(", ".join(f"{name} {versions[name]}" for name in ("torch", "numpy")))
    root = Path(os.environ.get("MANYEXITS_DATA_ROOT", "datasets"))
    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare.prepare(TOLD, root, False, Path(folder))
        except ValueError as error:  # the only benchmark that needs a publisher's files
            print(f"not measured: {error}")
            return
        ways = {
            "padded to the longest": phase_of(Path(folder), "all", Texts),
            "padded to the maximum": phase_of(Path(folder), "all", Whole),
            "heads on kept features": phase_of(Path(folder), "heads", Texts),
        }
        lengths = ways["padded to the longest"].feed.split.lengths
        print(f"{len(lengths)} texts, {lengths.mean():.0f} tokens on average, cut to {LENGTH}; batches of {BATCH}")
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        losses: dict[str, list[float]] = {}
        for epoch in range(1, ROUNDS + 1):
            for way, phase in ways.items():
                seconds[way].append(run(phase, epoch))
                losses[way] = phase.train_losses(epoch)
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    for way, value in medians.items():
        told = ", ".join(f"{loss:.4f}" for loss in losses[way] if loss is not None)
        print(f"  {way}: {value:.2f} s an epoch, median of {ROUNDS}; loss by exit in the last: {told}")
    longest, maximum, kept = medians.values()
    print(f"like lengths: ratio={longest / maximum:.2f}; kept features: ratio={kept / longest:.3f}")


if __name__ == "__main__":
    main()
