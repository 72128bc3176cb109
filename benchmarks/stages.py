"""Time of a backbone as a list of stages beside the original network on the same weights: the stages cost nothing.

    python benchmarks/stages.py

Forward is evaluation without autograd; forward and backward is one training step's, without the optimiser. Both
networks take turns on the same batch, the order changing from round to round, on one thread. The ratio is that of CPU
times within a round, of which the median counts: what else the machine does lasts longer than a round and meets both.
The target is a ratio of at most 1.03.
"""

import time
from collections.abc import Callable

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet34

from manyexits.files import provenance
from manyexits.models.backbones import Backbone, resnet
from manyexits.models.backbones import timm as chains

BATCH, PIXELS, CLASSES, ROUNDS = 16, 64, 100, 50


def networks() -> dict[str, tuple[nn.Module, Backbone]]:
    """Name -> original network, and the stages with its weights."""
    pairs = {
        "torchvision's ResNet-34": (
            resnet34(num_classes=CLASSES),
            resnet.build(CLASSES, groups=[3, 4, 6, 3], stem="imagenet"),
        ),
        "timm's ViT-T, patch 8": (
            timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, img_size=PIXELS, patch_size=8),
            chains.build(CLASSES, name="vit_tiny_patch16_224", pixels=PIXELS, patch=8),
        ),
    }
    for original, stages in pairs.values():
        stages.load_state_dict({stages.original[name]: value for name, value in original.state_dict().items()})
    return pairs


@torch.no_grad()
def forward(network: nn.Module, images: Tensor) -> None:
    network.eval()(images)


def forward_and_backward(network: nn.Module, images: Tensor) -> None:
    network.train()(images).square().mean().backward()


def interleaved(call: Callable[[nn.Module, Tensor], None], pair: tuple[nn.Module, ...], images: Tensor) -> np.ndarray:
    """CPU seconds of each network in each round (rounds, 2)."""
    times = np.zeros((ROUNDS + 2, 2))
    for number in range(ROUNDS + 2):
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.process_time()
            call(pair[which], images)
            times[number, which] = time.process_time() - start
    return times[2:]  # the first two rounds warm up


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores, one thread", end="; ")
    print(", ".join(f"{name} {versions[name]}" for name in ("torch", "torchvision", "timm")))
    print(f"n = {ROUNDS} rounds of {BATCH} images of {PIXELS} px")
    images = torch.randn(BATCH, 3, PIXELS, PIXELS)
    for name, (original, stages) in networks().items():
        same = torch.allclose(original.eval()(images), stages.eval()(images), atol=1e-5)
        assert same, f"the stages of {name} give another answer"
        for call in (forward, forward_and_backward):
            times = interleaved(call, (original, stages), images)
            theirs, ours = 1000 * np.median(times, axis=0)
            low, ratio, high = np.quantile(times[:, 1] / times[:, 0], [0.25, 0.5, 0.75])
            what = call.__name__.replace("_", " ")
            print(f"{name}, {what}: {theirs:.1f} ms, stages {ours:.1f} ms", end="; ")
            print(f"ratio in a round {ratio:.3f} (half of the rounds: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
