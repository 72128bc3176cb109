"""Chains of timm as stage lists equal the originals on the same weights, and what is no chain is refused."""

import itertools
import json
import re

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vision_transformer import VisionTransformer

from manyexits.batches.views import blank_images
from manyexits.exits.policies import Policy, exit_index
from manyexits.models import build as built
from manyexits.models.backbones.timm import build
from manyexits.models.cost import count_network

MODELS = {
    "vit_tiny_patch16_224": ({"pixels": 32}, {"img_size": 32}, 12),
    "vit_small_patch16_224": ({"pixels": 32}, {"img_size": 32}, 12),
    "vit_base_patch16_224": ({"pixels": 32}, {"img_size": 32}, 12),
    "deit_tiny_distilled_patch16_224": ({"pixels": 32, "patch": 8}, {"img_size": 32, "patch_size": 8}, 12),
    "vit_medium_patch16_reg4_gap_256": ({"pixels": 32}, {"img_size": 32}, 12),
    "mixer_s32_224": ({"pixels": 64}, {"img_size": 64}, 8),
    "convnext_atto": ({}, {}, 12),
    "efficientnet_b0": ({}, {}, 16),
    "resnet18": ({}, {}, 8),
    "resnetv2_50": ({}, {}, 16),
    "vgg11_bn": ({}, {}, 8),
    "swin_tiny_patch4_window7_224": ({"pixels": 64}, {"img_size": 64}, 12),
    "mambaout_femto": ({}, {}, 18),
    "regnety_002": ({}, {}, 13),
    "densenet121": ({}, {}, 7),
}
"""Name -> our options, the same as timm's, number of blocks."""


LARGE = ("vit_base_patch16_224", "vgg11_bn")
"""Of the order of 100 million parameters."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in MODELS]
)
def pair(request):
    """A model of timm with weights that are nowhere zero, the same as our stages, and images."""
    ours, theirs, blocks = MODELS[request.param]
    torch.manual_seed(0)
    original = timm.create_model(request.param, num_classes=7, **theirs)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    chain = build(7, name=request.param, n_blocks=blocks, **ours)
    chain.load_state_dict({chain.original[key]: value for key, value in original.state_dict().items()})
    pixels = ours.get("pixels", 64)
    return original, chain, torch.randn(3, 3, pixels, pixels)


def run(chain, images) -> list[torch.Tensor]:
    """The state after each stage."""
    states = [images]
    for stage in chain.stages:
        states.append(stage(states[-1]))
    return states[1:]


@torch.no_grad()
def test_equals_the_model_on_the_same_weights(pair):
    original, chain, images = pair
    found, expected = chain.eval()(images), original.eval()(images)
    assert found.shape == (3, 7)
    assert expected.abs().max() > 1e-3  # else anything would be equal
    assert (found - expected).abs().max() <= 1e-5


def test_learns_as_the_model_does(pair):
    original, chain, images = pair
    for model in (original, chain):  # without what timm draws at random in training mode
        for module in model.modules():
            if isinstance(module, timm.layers.DropPath):
                module.drop_prob = 0.0
        model.train()
    answers = []
    for model in (original, chain):
        answer = model(images)
        answer.square().sum().backward()
        answers.append(answer)
    assert torch.allclose(*answers, atol=1e-5)
    ours = dict(chain.named_parameters())
    for name, parameter in original.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(ours[chain.original[name]].grad, parameter.grad, rtol=1e-3, atol=1e-4), name


@torch.no_grad()
def test_states_and_taps_are_the_model_s_intermediates(pair):
    original, chain, images = pair
    states = run(chain.eval(), images)
    original.eval()
    if isinstance(original, timm.models.VGG):  # timm gives maps before they are pooled
        cuts = [4, 8, 11, 15, 18, 22, 25, 29]
        assert all(torch.equal(state, original.features[:cut](images)) for state, cut in zip(states, cuts, strict=True))
        return
    if states[-1].dim() == 4:  # timm gives the last map of each resolution, the stem's included
        found = original.forward_intermediates(images, intermediates_only=True)[-3:]
        ends = [s for s, after in itertools.pairwise([*states, images]) if s.shape[2:] != after.shape[2:]][-3:]
        assert all(torch.equal(chain.tap(state), maps) for state, maps in zip(ends, found, strict=True))
        return
    prefixed = {"return_prefix_tokens": True} if chain.prefix else {}
    found = original.forward_intermediates(images, intermediates_only=True, norm=False, output_fmt="NLC", **prefixed)
    for state, intermediate in zip(states, found, strict=True):
        patches, prefix = intermediate if prefixed else (intermediate, state[:, :0])
        assert torch.equal(state, torch.cat([prefix, patches], dim=1))
        assert torch.equal(chain.tap(state), prefix[:, 0] if chain.class_token else patches.mean(1))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mixer_s32_224", "resnet18"])
def test_checking_leaves_the_initial_weights_as_timm_draws_them(name):
    ours, theirs, _ = MODELS[name]
    torch.manual_seed(5)
    original = timm.create_model(name, num_classes=7, **theirs)
    torch.manual_seed(5)
    chain = build(7, name=name, **ours)
    weights = chain.state_dict()
    assert len(weights) == len(original.state_dict())
    assert all(torch.equal(weights[chain.original[key]], value) for key, value in original.state_dict().items())
    assert all(module.training for module in chain.modules())


# -- options ----------------------------------------------------------------------------------------------------------


def rates(model: nn.Module) -> tuple[int, list[float]]:
    """Number of dropouts with rate .05 between layers, and the rates on attention weights."""
    between = sum(isinstance(module, nn.Dropout) and module.p == 0.05 for module in model.modules())
    attention = [m.dropout for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    attention += [m.attn_drop.p for m in model.modules() if hasattr(m, "attn_drop")]
    return between, attention


@pytest.mark.parametrize(("name", "layers"), [("vit_tiny_patch16_224", ["head"]), ("convnext_atto", ["head.fc"])])
def test_the_layer_that_gives_the_outputs_starts_as_it_is_told(name, layers):
    told = {"family": "timm", "name": name} | ({"pixels": 32, "patch": 8} if "vit" in name else {})

    def weights(**options):
        network = built.network({"classes": 5, "backbone": told | options}, blank_images(32, 32), seed=1)
        return {key: network.backbone.state_dict()[ours] for key, ours in network.backbone.original.items()}

    drawn, zeros, own = weights(), weights(output_layer="zeros"), weights(output_layer="torch")
    started = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert {key for key in drawn if not torch.equal(drawn[key], zeros[key])} <= started
    assert {key for key in drawn if not torch.equal(drawn[key], own[key])} == started
    for layer in layers:
        assert not zeros[f"{layer}.weight"].any()
        assert not zeros[f"{layer}.bias"].any()
        bound = own[f"{layer}.weight"].shape[1] ** -0.5
        assert 0.9 * bound < own[f"{layer}.weight"].abs().max() <= bound  # uniform, as nn.Linear's


def test_dropout_is_where_torchvision_has_it():
    theirs = VisionTransformer(32, 16, 12, 3, 192, 768, dropout=0.05, attention_dropout=0.1)
    ours = build(10, name="vit_tiny_patch16_224", pixels=32, dropout=0.05, attention_dropout=0.1)
    assert rates(ours) == rates(theirs) == (1 + 12 * 3, [0.1] * 12)
    plain = build(10, name="vit_tiny_patch16_224", pixels=32)
    assert rates(plain) == (0, [0.0] * 12)


def test_stochastic_depth_rises_to_its_rate():
    chain = build(10, name="vit_tiny_patch16_224", pixels=32, drop_path=0.11)
    found = [module.drop_prob for module in chain.modules() if isinstance(module, timm.layers.DropPath)]
    assert found[::2] == pytest.approx([0.01 * block for block in range(1, 12)])  # two in each block but the first


def test_small_images_get_small_patches():
    chain = build(100, name="vit_tiny_patch16_224", pixels=32, patch=4)
    assert run(chain, torch.zeros(1, 3, 32, 32))[0].shape == (1, 65, 192)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "efficientnet_b0", "patch": 4}, "timm's efficientnet_b0 cannot be built with patch 4 .*patch_size"),
        ({"name": "resnet18", "dropout": 0.1}, "timm's resnet18 cannot be built with dropout 0.1 .*pos_drop_rate"),
        ({"name": "vit_tiny_patch16_224", "pixels": 32, "n_blocks": 8}, "has 12 blocks, not 8; correct n_blocks"),
        ({"name": "vit_tiny_patch16_224", "pixels": 32, "patch": 5}, "32 pixels cannot be cut into patches of 5"),
        ({"name": "vit_tiny_patch16"}, "timm has no 'vit_tiny_patch16'; nearest names: .*vit_tiny_patch16_224, "),
        ({"name": "resnet18.a1_in1k"}, "timm has no 'resnet18.a1_in1k'; nearest names: resnet18, "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        build(10, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crossvit_tiny_240", "its parts do not run alone"),
        ("hrnet_w18_small", "it has none of these"),
        ("inception_v3", "it has none of these"),
        ("selecsls42", r"(after block 1 its state is neither maps nor tokens|its parts do not run alone .*Type-check)"),
        ("eva02_tiny_patch14_224", "run one after the other, its blocks give another answer"),
        ("cait_xxs24_224", "run one after the other, its blocks give another answer"),
        ("xcit_nano_12_p8_224", "its parts do not run alone .*missing 2 required positional arguments"),
    ],
)
def test_a_model_that_is_no_chain_is_refused_with_the_reason(name, why):
    with pytest.raises(ValueError, match=f"timm's {name} is no chain kept in .*: {why}") as caught:
        build(10, name=name)
    assert "\n" not in str(caught.value)


# -- as a multi-exit network ------------------------------------------------------------------------------------------

SETTINGS = {
    "backbone": {"family": "timm", "name": "vit_tiny_patch16_224", "pixels": 32},
    "method": {"kind": "sdn"},
    "classes": 5,
    "placement": {"after": [2, 6]},
}


@pytest.fixture(scope="module")
def network():
    return built.network(SETTINGS, blank_images(32, 32), seed=3).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_heads_read_the_class_token_and_the_last_exit_is_the_model(network, images):
    states = run(network.backbone, images)
    logits = network(images)
    for k, block in enumerate([2, 6]):
        (linear,) = network.heads[str(block)]
        assert torch.allclose(logits[k], states[block - 1][:, 0] @ linear.weight.T + linear.bias, atol=1e-5)
    assert torch.equal(logits[2], network.backbone(images))


@torch.no_grad()
def test_early_exit_inference_stops_tokens_where_the_policy_says(network, images):
    logits = torch.stack(network(images), dim=1).numpy()
    confidence = torch.softmax(torch.from_numpy(logits), -1).amax(-1).numpy()
    threshold = float(np.median(confidence[:, :2]))
    answers, left_at = network.forward_until(images, Policy("confidence", (threshold, threshold)))
    assert left_at.tolist() == exit_index(confidence, np.array([threshold, threshold])).tolist()
    assert len(set(left_at.tolist())) > 1
    for sample, exit_ in enumerate(left_at):
        assert np.allclose(answers[sample].numpy(), logits[sample, exit_ - 1], atol=1e-5)


@pytest.mark.parametrize("frozen", [("backbone",), ("heads", "extras")])
def test_a_frozen_group_stays_as_it_is(images, frozen):
    told = SETTINGS | {"backbone": SETTINGS["backbone"] | {"dropout": 0.1, "drop_path": 0.1}}
    network = built.network(told, blank_images(32, 32), seed=3)
    network.freeze(frozen)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    features = [network.features(images, (1, 2)) for _ in range(2)]
    if "backbone" in frozen:  # no dropout either
        assert all(torch.equal(*pair) for pair in zip(*features, strict=True))
    torch.stack(network(images)).square().mean().backward()
    optimizer.step()
    changed = {n.split(".")[0] for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {"backbone", "heads"} - set(frozen)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="takes images of 32 x 32 pixels, but the dataset's are 64 x 48"):
        built.network(SETTINGS, blank_images(48, 64), seed=0)


def test_every_backbone_of_the_study_has_the_number_of_blocks_that_it_states(plan):
    recipe = next(iter(plan.study.recipes))
    for name, entry in plan.study.backbones.items():
        told = json.loads(plan.settings("pretrain", dataset="cifar100", backbone=name, recipe=recipe, seed=1))
        assert len(built.backbone(told["network"], seed=1).stages) == entry.n_blocks


# -- the size that a model runs at ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"pixels": 256}])
def test_a_model_that_cannot_run_on_small_images_is_tried_at_its_own_size(options):
    assert len(build(7, name="halonet26t", **options).stages) == 8


def told(name, **options):
    return SETTINGS | {"backbone": {"family": "timm", "name": name, **options}, "placement": {"every": 3}}


def test_images_on_which_a_model_does_not_run_are_refused_with_a_size_that_it_has():
    with pytest.raises(
        ValueError,
        match=r"^timm's halonet26t does not run on images of 64 x 64 pixels \(.+\); .* such as 256 x 256, or",
    ):
        built.network(told("halonet26t"), blank_images(64, 64), seed=0)


def test_a_chain_is_compared_with_its_model_at_the_size_that_it_runs_at(monkeypatch):
    """A model may take another way on larger images than on those that it is tried on."""
    plain = timm.models.ResNet.forward_features

    def other(self, x):
        return plain(self, x) * (2 if x.shape[-1] > 64 else 1)

    monkeypatch.setattr(timm.models.ResNet, "forward_features", other)
    built.network(told("test_resnet"), blank_images(64, 64), seed=0)
    with pytest.raises(
        ValueError, match=r"test_resnet is no chain .*: run one after the other, its blocks give another"
    ):
        built.network(told("test_resnet"), blank_images(96, 80), seed=0)


def test_an_error_that_says_nothing_is_named_by_its_kind(monkeypatch):
    def fail(self, x):
        raise AssertionError

    monkeypatch.setattr(timm.models.ResNet, "forward_features", fail)
    with pytest.raises(
        ValueError, match=r"not run on images of 64 x 64 or 160 x 160 pixels \(AssertionError\); choose"
    ):
        build(7, name="test_resnet")


def test_a_comparison_at_another_size_leaves_weights_modes_and_generator_alone():
    network = built.network(told("test_resnet"), blank_images(48, 80), seed=0)
    same = built.network(told("test_resnet"), blank_images(64, 64), seed=0)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    before = torch.get_rng_state()
    built.network(told("test_resnet"), blank_images(48, 80), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


# -- every module of timm ---------------------------------------------------------------------------------------------

REFUSED = {
    "it has none of these": "coat deepseek_vit dla gemma4_vit hrnet inception_resnet_v2 inception_v3 nasnet nest pit"
    " pnasnet qwen3_vit visformer volo xception",
    "its parts do not run alone": "crossvit efficientvim mobilenetv5 mvitv2 tnt twins vision_transformer_sam xcit",
    "its state is neither maps nor tokens|Type-check": "selecsls",
    "its blocks give another answer": "cait convit eva",
}
"""Reason -> modules whose models are no chains."""
SMALLEST = ("test_", "xxs", "atto", "femto", "pico", "nano", "tiny")
"""How timm calls small models, the smallest first."""


def smallest(module: str) -> str:
    """A small model of a module, by its name."""

    def rank(name: str) -> tuple[int, int, str]:
        return next((place for place, part in enumerate(SMALLEST) if part in name), len(SMALLEST)), len(name), name

    return min(timm.list_models(module=module), key=rank)


@pytest.mark.slow
def test_one_model_of_each_module_is_a_backbone_or_refused_with_a_reason(capsys):
    modules = [module for module in sorted(timm.list_modules()) if timm.list_models(module=module)]
    expected = {module: reason for reason, names in REFUSED.items() for module in names.split()}
    refused = {}
    for module in modules:
        name = smallest(module)
        pixels = timm.get_pretrained_cfg(name).input_size[-1]
        samples = blank_images(pixels, pixels)
        try:
            made = built.network({"classes": 7, "backbone": {"family": "timm", "name": name}}, samples, seed=0)
        except ValueError as error:
            refused[module] = str(error)
            continue
        original = timm.create_model(name, num_classes=7).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            original(samples[0].inputs)
        if module != "sequencer":  # torch's counter knows no recurrent layers
            assert count_network(made, samples).backbone == counter.get_total_flops() // 2, name
    with capsys.disabled():
        print(f"\n{len(refused)} of {len(modules)} modules of timm are refused:", *refused.values(), sep="\n")
    assert set(refused) == set(expected)
    for module, sentence in refused.items():
        assert re.fullmatch(
            rf"timm's \S+ is no chain kept in .*: .*({expected[module]}).*; choose another .*", sentence
        )
