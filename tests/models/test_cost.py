"""Costs equal the reference values, and nothing that costs is counted as nothing."""

import pytest
import torch
from torch import nn

from manyexits.batches.views import blank_images
from manyexits.models.build import network as build
from manyexits.models.cost import Costs, UncountedOperatorError, count, count_network

SDN_METHOD = {"kind": "sdn", "depth": 0}
RESNET34 = {"family": "resnet", "groups": [3, 4, 6, 3]}
RESNET50 = RESNET34 | {"block": "bottleneck"}
RESNET20 = {"family": "resnet", "groups": [3, 3, 3], "width": 16}
VIT_TINY = {"family": "timm", "name": "vit_tiny_patch16_224"}
SHARES = {"shares": [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]}
AUTHORS = {"after": [5, 7, 9, 11, 13, 15]}


def costs(backbone, classes, pixels, placement) -> Costs:
    settings = {"backbone": backbone, "classes": classes, "method": SDN_METHOD, "placement": placement}
    return count_network(build(settings, blank_images(pixels, pixels), seed=0), blank_images(pixels, pixels))


def rounded(values, base):
    return [round(value / base, 4) for value in values]


def test_resnet34_on_cifar():
    found = costs(RESNET34, 100, 32, AUTHORS)
    assert found.backbone == 1_159_448_576
    assert rounded(found.exits, found.backbone) == [0.3128, 0.4432, 0.5593, 0.6899, 0.8205, 0.9370, 1.0021]
    stages = [sum(found.stages[:block]) for block in AUTHORS["after"]]
    assert rounded(stages, found.backbone) == [0.3126, 0.4429, 0.5586, 0.6889, 0.8191, 0.9348]


def test_resnet50_on_tiny_imagenet():
    found = costs(RESNET50, 200, 64, AUTHORS)
    assert found.backbone == 5_191_647_232
    assert rounded(found.exits, found.backbone) == [0.3184, 0.4286, 0.5778, 0.6884, 0.7989, 0.9488, 1.0038]


def test_vit_tiny_on_imagenet():
    found = costs(VIT_TINY, 1000, 224, SHARES)
    assert found.backbone == 1_253_683_200
    # by hand: 196 patches of 16 x 16 x 3 values; then 197 tokens of width 192 through blocks of 12 d^2 a token and
    # two products of 197^2 d
    patches, block = 196 * 768 * 192, 197 * 12 * 192**2 + 2 * 197**2 * 192
    assert found.stages == [patches + block, *[block] * 11]
    assert found.heads == [192 * 1000] * 7
    reached = [sum(found.stages[:block]) / found.backbone for block in found.blocks[:-1]]
    assert [round(share, 3) for share in reached] == [0.186, 0.267, 0.43, 0.593, 0.756, 0.918]


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("convnext_atto", 64),
        ("convnextv2_atto", 64),
        ("efficientnet_b0", 64),
        ("mobilenetv3_small_050", 64),
        ("seresnet50", 64),
        ("nfnet_f0", 64),
        ("mixer_s32_224", 224),
        ("resmlp_12_224", 224),
        ("hiera_tiny_224", 224),
        ("levit_128s", 224),
    ],
)
def test_the_operators_of_other_chains_are_known(name, pixels):
    settings = {"backbone": {"family": "timm", "name": name}, "classes": 10}
    found = count_network(build(settings, blank_images(pixels, pixels), seed=0), blank_images(pixels, pixels))
    assert all(cost > 0 for cost in found.stages)


@pytest.mark.parametrize(
    ("backbone", "classes", "pixels", "blocks", "shares"),
    [
        (RESNET34, 100, 32, [2, 5, 7, 10, 12, 14], [0.132, 0.313, 0.443, 0.624, 0.754, 0.870]),
        (RESNET50, 200, 64, [3, 5, 7, 9, 12, 14], [0.169, 0.318, 0.428, 0.577, 0.741, 0.890]),
        (RESNET20, 100, 32, [1, 3, 4, 5, 7, 8], None),
        (VIT_TINY, 1000, 224, [2, 3, 5, 7, 9, 11], None),
    ],
)
def test_heads_are_placed_by_the_stages_cost(backbone, classes, pixels, blocks, shares):
    found = costs(backbone, classes, pixels, SHARES)
    assert found.blocks[:-1] == blocks
    if shares:
        reached = [sum(found.stages[:block]) / sum(found.stages) for block in blocks]
        assert [round(share, 3) for share in reached] == shares


def test_cost_of_an_exit_adds_stages_and_all_heads_passed():
    found = Costs(blocks=[1, 3], stages=[10, 20, 30], heads=[1, 2], answers=[0, 0])
    assert found.exits == [11, 63]
    assert found.backbone == 62


def test_training_costs_three_passes_of_what_learns_and_one_of_what_does_not():
    found = Costs(blocks=[1, 2, 4], stages=[10, 20, 30, 40], heads=[1, 2, 3], answers=[4, 5, 0])
    assert found.training(("backbone",), (3,)) == 3 * (100 + 3)
    assert found.training(("backbone", "heads", "extras"), (1, 2, 3)) == 3 * (100 + 1 + 2 + 3)
    assert found.training(("heads", "extras"), (1, 2)) == 30 + 3 * (1 + 2)  # nothing beyond the last learning head
    assert found.training(("extras",), (1, 2), answered=True) == 30 + (1 + 2) + 3 * (4 + 5)


def test_an_exit_that_is_passed_costs_its_answer_too():
    found = Costs(blocks=[1, 3], stages=[10, 20, 30], heads=[1, 2], answers=[4, 0])
    assert found.exits == [15, 67]
    assert found.backbone == 62


def test_a_network_without_heads_costs_its_backbone():
    settings = {"backbone": RESNET20, "classes": 10}
    found = count_network(build(settings, blank_images(8, 8), seed=0), blank_images(8, 8))
    assert found.blocks == [9]
    assert found.exits == [found.backbone]


def test_a_linear_layer_costs_its_weights():
    assert count(nn.Linear(3, 5), torch.zeros(1, 3)) == 15
    assert count(nn.Linear(3, 5), torch.zeros(4, 3)) == 60


def test_a_convolution_costs_its_kernel_at_every_output():
    assert count(nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=True), torch.zeros(1, 2, 8, 8)) == 2 * 3 * 9 * 16


def test_norms_pooling_and_activations_cost_nothing():
    free = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.AvgPool2d(2), nn.Softmax(1))
    assert count(free.eval(), torch.zeros(1, 2, 8, 8)) == 0


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_attention_costs_two_products():
    tokens, width = 5, 8
    assert count(Attention(), torch.zeros(1, 2, tokens, width // 2)) == 2 * tokens**2 * width


class Uncounted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(x).real


def test_an_operator_without_a_handler_is_an_error():
    with pytest.raises(UncountedOperatorError, match=r"Uncounted uses aten::fft_fft.* whose cost is not known"):
        count(Uncounted(), torch.zeros(1, 8))
