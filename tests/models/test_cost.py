"""Costs equal the reference values, and nothing that costs is counted as nothing."""

import math
import warnings

import numpy as np
import pytest
import torch
from test_matrix import FAMILIES, METHODS, PIXELS, build_network, reads
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision import ops

from manyexits.batches.views import blank_images, blank_texts
from manyexits.models.build import network as build
from manyexits.models.cost import COSTLY, FREE, Costs, UncountedOperatorError, count, count_network

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore uses torch.jit, which torch has deprecated
    from fvcore.nn import FlopCountAnalysis

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


def test_no_free_operator_costs_anything():
    functional = nn.functional
    x, square = torch.randn(2, 4, 8, 8), torch.randn(8, 8)
    free = {
        "norms": lambda: (functional.instance_norm(x), functional.normalize(x), functional.rms_norm(x, (8,)), x.norm()),
        "lengths": lambda: (torch.linalg.vector_norm(x, dim=1), torch.linalg.cross(x[..., :3], x[..., :3])),
        "statistics": lambda: (torch.var_mean(x, 1), torch.std(x), x.cumsum(1), x.cummax(1), x.amax(1), x.prod(1)),
        "pooling": lambda: (
            functional.lp_pool2d(x, 2, 2),
            functional.max_pool2d(x, 3),
            functional.adaptive_avg_pool2d(x, 3),
        ),
        "element-wise": lambda: (
            functional.mish(x),
            torch.lgamma(x),
            x.erf(),
            x.remainder(2),
            torch.lerp(x, x, 0.5),
            x.rsqrt(),
        ),
        "views": lambda: (
            x.unfold(2, 2, 2),
            x.roll(1),
            x.flip(1),
            functional.pixel_shuffle(x, 2),
            functional.unfold(x, 3),
        ),
        "scaling": lambda: [
            functional.interpolate(x, scale_factor=2, mode=mode) for mode in ("nearest", "bilinear", "bicubic", "area")
        ],
        "sizes": lambda: (
            functional.pad(x, (1, 1, 1, 1), "reflect"),
            functional.grid_sample(x, torch.zeros(2, 3, 3, 2), align_corners=False),
        ),
        "order": lambda: (
            x.sort(1),
            x.topk(2, 1),
            x.argmax(1),
            torch.where(x > 0, x, -x),
            square.tril(),
            x.gather(1, x.argsort(1)),
        ),
        "windows": lambda: (torch.hamming_window(8), torch.hann_window(8), torch.fft.fftfreq(8)),
    }
    assert {name: count(function) for name, function in free.items()} == dict.fromkeys(free, 0)


def test_every_operator_that_multiplies_and_adds_is_counted():
    n, k, m, b = 3, 5, 7, 2
    left, right, batch, other = torch.randn(n, k), torch.randn(k, m), torch.randn(b, n, k), torch.randn(b, k, m)
    vector, whole = torch.randn(k), torch.zeros(n, m)
    functional = nn.functional
    cases = {
        "mm": (lambda: left @ right, n * k * m),
        "bmm": (lambda: batch @ other, b * n * k * m),
        "matmul of four dimensions": (lambda: torch.randn(b, 4, n, k) @ right, b * 4 * n * k * m),
        "einsum": (lambda: torch.einsum("bnk,bkm->bnm", batch, other), b * n * k * m),
        "tensordot": (lambda: torch.tensordot(batch, other, ((0, 2), (0, 1))), n * m * b * k),
        "inner": (lambda: torch.inner(left, torch.randn(m, k)), n * k * m),
        "multi_dot": (lambda: torch.linalg.multi_dot([left, right, torch.randn(m, 1)]), k * m + n * k),
        "addmm": (lambda: torch.addmm(whole, left, right), n * k * m),
        "addmm_": (lambda: torch.zeros(n, m).addmm_(left, right), n * k * m),
        "baddbmm": (lambda: torch.baddbmm(whole, batch, other), b * n * k * m),
        "baddbmm_": (lambda: torch.zeros(b, n, m).baddbmm_(batch, other), b * n * k * m),
        "addbmm": (lambda: torch.addbmm(whole, batch, other), b * n * k * m),
        "mv": (lambda: left @ vector, n * k),
        "addmv": (lambda: torch.addmv(torch.zeros(n), left, vector), n * k),
        "dot": (lambda: vector @ vector, k),
        "vdot": (lambda: torch.vdot(vector, vector), k),
        "linear": (lambda: functional.linear(batch, right.T, torch.zeros(m)), b * n * k * m),
        "conv1d": (lambda: functional.conv1d(torch.randn(b, 4, 9), torch.randn(6, 2, 3), groups=2), b * 6 * 7 * 2 * 3),
        "conv3d": (lambda: functional.conv3d(torch.randn(1, 2, 4, 4, 4), torch.randn(3, 2, 3, 3, 3)), 3 * 8 * 2 * 27),
        "depthwise": (lambda: functional.conv2d(torch.randn(1, 4, 5, 5), torch.randn(4, 1, 3, 3), groups=4), 4 * 9 * 9),
        "transposed": (
            lambda: functional.conv_transpose2d(torch.randn(1, 2, 4, 4), torch.randn(2, 3, 2, 2)),
            16 * 2 * 3 * 4,
        ),
        "attention": (
            lambda: functional.scaled_dot_product_attention(*[torch.randn(1, 2, 5, 4)] * 3),
            2 * 2 * 5 * 5 * 4,
        ),
        "attention to fewer": (
            lambda: functional.scaled_dot_product_attention(torch.randn(1, 2, 5, 4), *[torch.randn(1, 2, 3, 4)] * 2),
            2 * 2 * 5 * 3 * 4,
        ),
    }
    assert {name: count(function) for name, (function, _) in cases.items()} == {
        name: cost for name, (_, cost) in cases.items()
    }


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_costs_its_matrices_at_every_step(kind, gates):
    assert count(kind(5, 7, bidirectional=True).eval(), torch.zeros(6, 2, 5)) == 2 * 6 * 2 * gates * 7 * (5 + 7)


def test_torch_s_own_attention_costs_its_projections_and_two_products():
    n, d = 6, 8
    attention = nn.MultiheadAttention(d, 2, batch_first=True).eval()
    tokens = torch.zeros(1, n, d)
    assert count(attention, tokens, tokens, tokens) == n * 4 * d**2 + 2 * n**2 * d
    layer = nn.TransformerEncoderLayer(d, 2, 16, batch_first=True).eval()
    assert count(layer, tokens) == n * 4 * d**2 + 2 * n**2 * d + 2 * n * d * 16


@pytest.mark.parametrize(
    ("call", "operator"),
    [
        (lambda x: torch.fft.fft(x).real, "aten._fft_r2c.default"),
        (lambda x: torch.cdist(x, x), "aten._cdist_forward|aten._euclidean_dist"),
        (torch.linalg.inv, "aten.linalg_inv_ex"),
        (torch.linalg.svd, "aten._linalg_svd"),
        (torch.linalg.qr, "aten.linalg_qr"),
        (lambda x: nn.functional.bilinear(x, x, torch.randn(3, 8, 8)), "aten._trilinear"),
        (lambda x: ops.deform_conv2d(x[None, None], torch.zeros(1, 18, 6, 6), torch.ones(1, 1, 3, 3)), "torchvision"),
    ],
)
def test_what_costs_and_is_not_counted_is_refused_by_name(call, operator):
    with pytest.raises(UncountedOperatorError, match=rf"it uses .*({operator}).* whose cost is not known") as caught:
        count(call, torch.randn(8, 8), what="it")
    assert "cost.py" not in str(caught.value)


def test_every_operator_that_torch_s_counter_knows_is_one_that_costs():
    names = [each.__name__ for each in flop_registry if hasattr(each, "overloads")]
    assert len(names) > 10
    assert all(COSTLY.search(name) and not FREE.match(name) for name in names)


# -- other counters ---------------------------------------------------------------------------------------------------


def by_torch(call) -> int:
    """torch's counter, which counts a multiply-accumulate as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as mode:
        call()
    return mode.get_total_flops() // 2


def by_fvcore(module, *inputs) -> int:
    """fvcore's, which reads a trace; what it counts for norms and pooling is left out, attention added."""

    def attention(inputs, outputs):
        query, key = (each.type().sizes() for each in inputs[:2])
        return 2 * math.prod(query) * key[-2]

    free = ("batch_norm", "layer_norm", "group_norm", "adaptive_avg_pool2d", "upsample_bilinear2d")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, inputs)
        analysis.set_op_handle(**{f"aten::{name}": lambda inputs, outputs: 0 for name in free})
        analysis.set_op_handle("aten::scaled_dot_product_attention", attention)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(analysis.total())


@pytest.mark.parametrize("family", FAMILIES)
def test_two_other_counters_agree_to_the_unit_on_every_backbone_of_the_matrix(family):
    network = build_network("sdn", family)
    blanks = blank_texts(np.array([9])) if reads(family) == "texts" else blank_images(PIXELS, PIXELS)
    found, inputs = count_network(network, blanks), blanks[0].inputs
    assert found.backbone == by_torch(lambda: network.backbone(inputs)) == by_fvcore(network.backbone, inputs)
    for k, cost in enumerate(found.exits, start=1):
        assert cost == by_torch(lambda k=k: network(inputs, exits=tuple(range(1, k + 1))))


@pytest.mark.parametrize("method", METHODS)
def test_another_counter_agrees_on_every_method(method):
    network = build_network(method, "resnet")
    inputs = blank_images(PIXELS, PIXELS)
    found = count_network(network, inputs)
    for k, cost in enumerate(found.exits, start=1):
        assert cost == by_torch(lambda k=k: network(inputs[0].inputs, exits=tuple(range(1, k + 1))))
