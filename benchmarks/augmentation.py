"""Images per second of the batched augmentation beside the usual pipeline, which takes image by image through PIL.

    python benchmarks/augmentation.py

Ours: `augment.draw`, `Images.take` and `augment.apply`, normalisation included, in batches of 128. Beside it the same
recipe in torchvision's transforms on PIL images, ToTensor, Normalize, RandomErasing, and `torch.stack`: those of
version 1, which are the faster ones on PIL images, and those of version 2. All take turns in one process, in rounds on
the same random batches; the fastest round counts, since whatever else the machine does only slows.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import v2

from manyexits.batches import augment
from manyexits.data.images import Images
from manyexits.files import provenance
from manyexits.study.recipe import Recipe

BATCH, BATCHES, ROUNDS = 128, 4, 15
MEAN, STD = (0.5, 0.48, 0.44), (0.27, 0.26, 0.28)
PLAIN: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "batch": BATCH, "epochs": 1, "patience": 1}
RECIPES = {
    "CIFAR-100, 32 px: crop with padding 4, flip": (32, Recipe(**PLAIN, crop_padding=4, flip=True)),
    "Tiny ImageNet, 64 px: crop with padding 8, TrivialAugmentWide, erasing .1": (
        64,
        Recipe(**PLAIN, crop_padding=8, trivial_augment=True, erasing=0.1),
    ),
}


def usual(module: Any, recipe: Recipe, size: int) -> Callable[[Image.Image], Tensor]:
    """The recipe as torchvision's transforms of one PIL image, of version 1 or 2."""
    steps = [module.RandomCrop(size, padding=recipe.crop_padding)]
    if recipe.flip:
        steps.append(module.RandomHorizontalFlip())
    if recipe.trivial_augment:
        steps.append(module.TrivialAugmentWide())
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)] if module is v2 else [transforms.ToTensor()]
    steps.append(module.Normalize(MEAN, STD))
    if recipe.erasing:
        steps.append(module.RandomErasing(recipe.erasing))
    return module.Compose(steps)


def rates(size: int, recipe: Recipe) -> dict[str, float]:
    """Images per second of each way."""
    generator = np.random.default_rng(42)
    n = 4096
    pixels = generator.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    images = Images(pixels, np.zeros(n, dtype=np.int64), np.arange(n))
    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def batched(positions: np.ndarray) -> Tensor:
        draws = augment.draw(recipe, generator, BATCH, (size, size))
        raw, _ = images.take(positions)
        return augment.apply(torch.from_numpy(raw), draws, recipe, mean, std)

    def one_by_one(module: Any) -> Callable[[np.ndarray], Tensor]:
        transform = usual(module, recipe, size)
        return lambda positions: torch.stack([transform(Image.fromarray(pixels[index])) for index in positions])

    ways = {"ours": batched, "version 1": one_by_one(transforms), "version 2": one_by_one(v2)}
    for _ in range(100):  # until every table of TrivialAugment is filled, which a training does within its first epoch
        batched(generator.integers(0, n, BATCH))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        positions = generator.integers(0, n, (BATCHES, BATCH))
        for name, way in ways.items():
            start = time.perf_counter()
            for batch in positions:
                assert way(batch).shape == (BATCH, 3, size, size)
            times[name].append(time.perf_counter() - start)
    return {name: BATCHES * BATCH / min(seconds) for name, seconds in times.items()}


def main() -> None:
    default = torch.get_num_threads()
    # freed once, it keeps glibc from giving memory back to the system after each batch, as a training's activations do
    torch.zeros(30 * 2**20, dtype=torch.uint8)
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores", end="; ")
    print(", ".join(f"{name} {versions[name]}" for name in ("torch", "torchvision", "numpy")))
    print(f"n = {ROUNDS} rounds of {BATCHES * BATCH} images, batches of {BATCH}, one process")
    for name, (size, recipe) in RECIPES.items():
        print(name)
        for threads in (1, default):
            torch.set_num_threads(threads)
            rate = rates(size, recipe)
            listed = ", ".join(f"{way} {value:,.0f}" for way, value in rate.items())
            ratio = rate["ours"] / max(rate["version 1"], rate["version 2"])
            print(
                f"  {threads} thread(s){' (default)' if threads == default else ''}: images/s: {listed}; {ratio=:.1f}"
            )


if __name__ == "__main__":
    main()
