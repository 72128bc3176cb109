"""ResNets as stage lists equal the originals on the same weights."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from manyexits.models.backbones.resnet import build

TORCHVISION = {
    "resnet18": {"groups": [2, 2, 2, 2], "block": "basic"},
    "resnet34": {"groups": [3, 4, 6, 3], "block": "basic"},
    "resnet50": {"groups": [3, 4, 6, 3], "block": "bottleneck"},
}


def small_stem(original: nn.Module) -> nn.Module:
    """What everyone does to a torchvision ResNet for small images."""
    original.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    original.maxpool = nn.Identity()
    return original


@pytest.mark.parametrize("stem", ["3x3", "imagenet"])
@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("training", [False, True])
def test_equals_torchvision_on_the_same_weights(name, stem, training):
    torch.manual_seed(0)
    original = getattr(resnet, name)(num_classes=7)
    original = original if stem == "imagenet" else small_stem(original)
    ours = build(7, stem=stem, **TORCHVISION[name])
    ours.load_state_dict({ours.original[key]: value for key, value in original.state_dict().items()})
    images = torch.randn(2, 3, 64 if stem == "imagenet" else 16, 64 if stem == "imagenet" else 16)
    assert torch.equal(ours.train(training)(images), original.train(training)(images))


def test_has_one_stage_for_each_block():
    assert len(build(10, groups=[3, 4, 6, 3]).stages) == 16
    assert len(build(10, groups=[1]).stages) == 1


class OriginalResNet20(nn.Module):
    """ResNet-20 for CIFAR written from He et al., section 4.2, with projections (option B), block by block."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.w = weights

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        names = (f"{name}.{part}" for part in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, scale, shift = (self.w[full][:, None, None] for full in names)
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.conv2d(x, self.w["stages.0.0.0.weight"], padding=1)
        x = self.norm(x, "stages.0.0.1").relu()
        for stage in range(9):
            name = f"stages.{stage}" + (".1" if stage == 0 else "")
            halves = stage in (3, 6)
            y = nn.functional.conv2d(x, self.w[f"{name}.conv1.weight"], stride=2 if halves else 1, padding=1)
            y = self.norm(y, f"{name}.bn1").relu()
            y = self.norm(nn.functional.conv2d(y, self.w[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if halves:
                x = nn.functional.conv2d(x, self.w[f"{name}.downsample.0.weight"], stride=2)
                x = self.norm(x, f"{name}.downsample.1")
            x = (y + x).relu()
        return x.mean((2, 3)) @ self.w["classifier.2.weight"].T + self.w["classifier.2.bias"]


def test_resnet20_equals_the_paper_of_the_original():
    torch.manual_seed(0)
    ours = build(10, groups=[3, 3, 3], width=16).eval()
    for name, buffer in ours.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(ours(images), OriginalResNet20(ours.state_dict())(images), atol=1e-4)


def test_resnet20_has_the_parameters_of_the_original():
    ours = build(10, groups=[3, 3, 3], width=16)
    assert sum(parameter.numel() for parameter in ours.parameters()) == 272_474  # 0.27 M in He et al., table 6


def test_convolutions_start_as_he_s_by_fan_out_or_as_pytorch_s_own():
    torch.manual_seed(0)
    by_fan_out, own = build(10, groups=[2, 2]), build(10, groups=[2, 2], initialisation="torch")
    for ours in (by_fan_out, own):
        convolutions = [module for module in ours.modules() if isinstance(module, nn.Conv2d)]
        assert len(convolutions) == 10
        for each in convolutions:
            inside, outside = (each.kernel_size[0] ** 2 * n for n in (each.in_channels, each.out_channels))
            spread = (2 / outside) ** 0.5 if ours is by_fan_out else (1 / (3 * inside)) ** 0.5
            assert each.weight.std().item() == pytest.approx(spread, rel=0.1)
            assert ours is by_fan_out or each.weight.abs().max() <= inside**-0.5
