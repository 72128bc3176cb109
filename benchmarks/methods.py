"""Time of a training step: exits beside their own stages and heads, and every method beside the plain one.

    python benchmarks/methods.py                 ResNet-20, batch 64, images of 32 px
    python benchmarks/methods.py --rounds 5      fewer rounds

A step is what training does: forward, loss, backward and optimiser, for L2W with the step of its weight network. `bare`
runs the same stages and heads in a plain loop, averages their losses and takes the same optimiser step. All take turns
on one thread, the order changing from round to round; the ratio is that of CPU times within a round, whose median
counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from manyexits.batches.views import Views, blanks
from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.raw import Raw, RawPart
from manyexits.files import provenance
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.study.recipe import Recipe
from manyexits.training.accelerator import accelerator_of
from manyexits.training.phase import Phase, Told

BATCH, PIXELS, CLASSES = 64, 32, 100
BACKBONE = {"family": "resnet", "groups": [3, 3, 3], "width": 16}
SHARES = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]
METHODS = {name: {"kind": name} for name in ("sdn", "ztw", "pbee", "gpf", "l2w")}
METHODS["gradient_equilibrium"] = {"kind": "sdn", "cure": "gradient_equilibrium"}
RECIPE = Recipe(optimizer="sgd", lr=1e-3, batch=BATCH, epochs=1, patience=1)


def images(folder: Path) -> dataset.Prepared:
    """Ten images of noise for each class."""
    generator = np.random.default_rng(0)

    def part(n: int) -> RawPart:
        pixels = generator.integers(0, 256, (n, PIXELS, PIXELS, 3), dtype=np.uint8)
        return RawPart(pixels, np.arange(n, dtype=np.int64) % CLASSES)

    raw = Raw(part(10 * CLASSES), part(CLASSES), [str(label) for label in range(CLASSES)], "noise", "none")
    prepare.write(raw, {"dataset": "noise", "classes": CLASSES, "validation": 0.2, "split_seed": 1}, folder)
    return dataset.read(folder, 0)


def phase_of(method: dict[str, str], views: Views) -> Phase:
    """Joint training of a new network."""
    network = {"classes": CLASSES, "backbone": BACKBONE, "method": method, "placement": {"shares": SHARES}}
    made = build.network(network, blanks(views.data), seed=1)
    costs = count_network(made, blanks(views.data))
    return Phase(made.train(), costs, Told("all", RECIPE), (1, 0), views, accelerator_of(RECIPE, "cpu", {}))


def bare(phase: Phase) -> Callable[[int], None]:
    """The plain method's stages and heads in a loop of their own."""
    network, (turn,) = phase.network, phase.turns
    parts = [slices[0] for slices in phase.feed.epoch(1, 0)]

    def step(number: int) -> None:
        part = parts[number % len(parts)]
        state, losses = part.inputs, []
        for block, stage in enumerate(network.backbone.stages, start=1):
            state = stage(state)
            if str(block) in network.heads:
                losses.append(functional.cross_entropy(network.heads[str(block)](state), part.targets))
        losses.append(functional.cross_entropy(network.backbone.classifier(state), part.targets))
        torch.stack(losses).mean().backward()
        turn.optimizer.step()
        turn.optimizer.zero_grad()

    return step


def ours(phase: Phase) -> Callable[[int], None]:
    """A step of training."""
    batches = list(phase.feed.epoch(1, 0))
    return lambda number: phase.step(batches[number % len(batches)], 1, number % len(batches))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores, one thread; torch {versions['torch']}")
    with tempfile.TemporaryDirectory() as folder:
        views = Views(images(Path(folder)), torch.device("cpu"))
        steps = {name: ours(phase_of(method, views)) for name, method in METHODS.items()}
        steps["bare"] = bare(phase_of(METHODS["sdn"], views))
        print(f"n = {rounds} rounds of one step of {BATCH} images of {PIXELS} px, {len(SHARES) + 1} exits")
        times = np.zeros((rounds + 2, len(steps)))
        for number in range(len(times)):
            order = list(enumerate(steps.values()))
            for which, step in order if number % 2 else order[::-1]:
                start = time.process_time()
                step(number)
                times[number, which] = time.process_time() - start
    shown = dict(zip(steps, times[2:].T, strict=True))  # the first two rounds warm up
    for name, own in shown.items():
        other = "bare" if name == "sdn" else "sdn"
        if name != "bare":
            low, ratio, high = np.quantile(own / shown[other], [0.25, 0.5, 0.75])
            print(f"{name}: {1000 * np.median(own):.0f} ms, against {other}", end=" ")
            print(f"{ratio:.3f} (half of the rounds: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
