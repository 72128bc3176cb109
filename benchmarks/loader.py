"""Is reading ever what an epoch waits for? Images per second of the loader alone, beside those of training.

    python benchmarks/loader.py

A dataset of random bytes in the size of CIFAR-100's training part, prepared at 64 px, and ResNet-20 with its six heads
on it, phase `all`, batch 64, crop and flip. The loader draws, reads and, in the second figure, augments what a step
gets; training is the whole step. All in one process on all cores, in turn; the fastest round counts. The third figure
decodes an index of photographs instead of reading arrays.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from manyexits.batches.views import Views, blanks
from manyexits.data import prepare, prepared
from manyexits.data.images import Request
from manyexits.data.raw import Raw, RawPart
from manyexits.files import provenance
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.study.recipe import Recipe
from manyexits.training.phase import Phase, Told

N, PIXELS, BATCH, ROUNDS = 50_000, 64, 64, 3
NETWORK = {
    "classes": 10,
    "backbone": {"family": "resnet", "groups": [3, 3, 3], "width": 16},
    "method": {"kind": "sdn"},
    "placement": {"shares": [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]},
}
STATED: dict[str, Any] = {"optimizer": "adamw", "lr": 1e-3, "batch": BATCH, "epochs": 1, "patience": 1}
TOLD = {"dataset": "made", "classes": 10, "validation": 0.1, "split_seed": 42}


def made(folder: Path) -> None:
    """A prepared dataset of random bytes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (N, PIXELS, PIXELS, 3), dtype=np.uint8)
    test = RawPart(images[:100], np.arange(100) % 10)
    prepare.write(Raw(RawPart(images, np.arange(N) % 10), test, list("abcdefghij"), "made", "none"), TOLD, folder)


def photographs(root: Path, folder: Path) -> None:
    """The same as an index of 2,000 photographs of 500 x 375 pixels."""
    generator = np.random.default_rng(0)
    for part, n in (("train", 1000), ("val", 10)):
        for number in range(n * 2):
            path = root / part / str(number % 10) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
    told = TOLD | {"source": "folder", "path": str(root), "pixels": PIXELS, "store": "index"}
    prepare.prepare(told, root, False, folder)


def phase_of(folder: Path, workers: int, **recipe: Any) -> Phase:
    """ResNet-20 in its phase `all` on a prepared dataset."""
    data, accelerator = prepared.read(folder, workers), Accelerator(cpu=True)
    model = build.network(NETWORK, blanks(data), 1)
    told, views = Told("all", Recipe.model_validate(STATED | recipe)), Views(data, accelerator.device)
    return Phase(model, count_network(model, blanks(data)), told, (1, 0), views, accelerator)


def rate(work: Callable[[], Iterator[Any]], steps: int) -> float:
    """Images per second over some steps, in the fastest round."""
    seconds = []
    for _ in range(ROUNDS):
        iterator = work()
        next(iterator)
        begin = time.perf_counter()
        for _ in range(steps):
            next(iterator)
        seconds.append(time.perf_counter() - begin)
    return steps * BATCH / min(seconds)


def main() -> None:
    """Measure and print."""
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores", end="; ")
    print(", ".join(f"{name} {versions[name]}" for name in ("torch", "torchvision", "numpy")))
    print(f"{N:,} images of {PIXELS} px, batches of {BATCH}, fastest of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder) / "arrays")
        phase = phase_of(Path(folder) / "arrays", 0, crop_padding=8, flip=True)
        photographs(Path(folder) / "photographs", Path(folder) / "index")
        decoding = phase_of(Path(folder) / "index", hardware["cores"], resized_crop=0.3, flip=True)

        def read(of: Phase) -> Iterator[Any]:
            """The images of an epoch's steps as the feed asks for them."""
            order = np.random.default_rng(0).permutation(len(of.feed.split))
            wanted = (order[begin : begin + BATCH] for begin in range(0, len(order) - BATCH, BATCH))
            boxes = np.tile(np.array([20, 20, 300, 300]), (BATCH, 1)) if of.feed.split.decoded else None
            return of.feed.split.read(Request(chosen, boxes) for chosen in wanted)

        def trained() -> Iterator[Any]:
            for step, slices in enumerate(phase.feed.epoch(1)):
                yield phase.step(slices, 1, step)

        training = rate(trained, 10)
        ways = {
            "reading": rate(lambda: read(phase), 200),
            "reading and augmentation": rate(lambda: phase.feed.epoch(1), 100),
            f"decoding in {hardware['cores']} workers": rate(lambda: read(decoding), 20),
        }
        print(f"training: {training:,.0f} images/s on {torch.get_num_threads()} threads")
        for way, value in ways.items():
            print(f"  {way} alone: {value:,.0f} images/s; ratio={value / training:.1f}")


if __name__ == "__main__":
    main()
