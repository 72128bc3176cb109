"""Time of a backbone as a list of stages beside the original network on the same weights: the stages cost nothing.

    python benchmarks/stages.py

Forward is evaluation without autograd; forward and backward is one training step's, without the optimiser. Both
networks take turns on the same batch, the order changing from round to round, on one thread. The CPU time of the
fastest round counts, since whatever else the machine does only slows. The target is a ratio of at most 1.03.
"""

import time
from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet34

from manyexits import provenance
from manyexits.backbones import Backbone, resnet
from manyexits.backbones import timm as chains

BATCH, PIXELS, CLASSES, ROUNDS = 16, 64, 100, 25


def networks() -> dict[str, tuple[nn.Module, Backbone]]:
    """Name -> original network, and the stages with its weights."""
    pairs = {
        "torchvision's ResNet-34": (
            resnet34(num_classes=CLASSES),
            resnet.build(CLASSES, blocks=[3, 4, 6, 3], stem="imagenet"),
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


def fastest(call: Callable[[nn.Module, Tensor], None], pair: tuple[nn.Module, ...], images: Tensor) -> list[float]:
    """CPU seconds of the fastest round of each network."""
    times: list[list[float]] = [[], []]
    for number in range(ROUNDS + 2):
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.process_time()
            call(pair[which], images)
            times[which].append(time.process_time() - start)
    return [min(seconds[2:]) for seconds in times]  # the first two rounds warm up


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
            theirs, ours = fastest(call, (original, stages), images)
            what = call.__name__.replace("_", " ")
            print(f"{name}, {what}: {1000 * theirs:.1f} ms, stages {1000 * ours:.1f} ms; ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
