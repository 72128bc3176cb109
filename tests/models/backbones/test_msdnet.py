"""An MSDNet has the published costs and channels, and computes what a naive network with its weights does."""

import math

import pytest
import torch
from conftest import NOBODY
from torch.nn import functional

from manyexits.batches.views import blank_images
from manyexits.models.backbones import msdnet
from manyexits.models.build import network as build
from manyexits.models.cost import count_network
from manyexits.models.network import load_weights, save_weights

VARIANTS = {"lin_grow": [1, 2, 3, 4, 5], "even": [4, 2, 2, 2, 2, 2, 2]}
SMALL = {"family": "msdnet", "layers": [1, 2, 3], "width": 4, "growth": 2, "head": 6}
SHAPE = blank_images(20, 20)


def settings(**backbone) -> dict:
    return {"backbone": SMALL | backbone, "classes": 5, "method": {"kind": "sdn"}, "placement": {"every": 1}}


def published(variant: str):
    told = settings() | {"backbone": {"family": "msdnet", "layers": VARIANTS[variant]}, "classes": 100}
    return build(told, blank_images(32, 32), seed=0)


# -- what was published -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "millions", "backbone", "fractions", "parameters"),
    [
        (
            "lin_grow",
            [6.793, 14.209, 27.279, 41.374, 58.088],
            45_945_344,
            [0.1478, 0.3093, 0.5937, 0.9005, 1.2643],
            2_078_924,
        ),
        (
            "even",
            [14.967, 25.259, 36.781, 45.972, 56.934, 66.529, 75.488],
            51_891_712,
            [0.2884, 0.4868, 0.7088, 0.8859, 1.0972, 1.2821, 1.4547],
            3_067_960,
        ),
    ],
)
def test_costs_and_parameters_are_the_published_ones(variant, millions, backbone, fractions, parameters):
    network = published(variant)
    found = count_network(network, blank_images(32, 32))
    assert [round(cost / 1e6, 3) for cost in found.exits] == millions
    assert found.backbone == backbone
    assert [round(cost / backbone, 4) for cost in found.exits] == fractions
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("variant", "n", "kept"),
    [
        ("lin_grow", [22, 34, 26, 50, 52], [3] * 5 + [2] * 5 + [1] * 5),
        ("even", [40, 52, 35, 47, 59, 38, 50], [3] * 6 + [2] * 6 + [1] * 4),
    ],
)
def test_channels_at_the_exits_and_scales_of_the_layers_are_the_published_ones(variant, n, kept):
    network = published(variant).eval()
    numbers = []
    for module in network.modules():
        if isinstance(module, msdnet.Layer):
            module.register_forward_hook(lambda _, __, maps: numbers.append(len(maps)))
    state, channels = torch.zeros(1, 3, 32, 32), []
    for stage in network.backbone.stages:
        state = stage(state)
        assert isinstance(state, tuple)
        scales = range(4 - len(state), 4)  # 1 is the finest
        channels.append({map_.shape[1] / 2 ** (scale - 1) for scale, map_ in zip(scales, state, strict=True)})
        assert [map_.shape[2:] for map_ in state] == [(64 // 2**scale, 64 // 2**scale) for scale in scales]
        assert network.backbone.tap(state) is state[-1]
    assert channels == [{each} for each in n]
    assert numbers == kept


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_exit_reads_a_single_place_of_128_channels(variant):
    network = published(variant).eval()
    exits = tuple(range(1, network.n_exits))
    bodies = [head[:-1] for head in network.heads.values()]
    for body, features in zip(bodies, network.features(torch.zeros(2, 3, 32, 32), exits), strict=True):
        assert body(features).shape == (2, 128)


# -- against a naive network ------------------------------------------------------------------------------------------


class Naive:
    """DEFINITIONS of the network word by word: a map for each scale 1, 2, 3 in a dictionary, layers from 1 to L."""

    def __init__(self, weights: dict, training: bool, scales: int, layers: list[int], width: int, growth: int) -> None:
        self.weights = {name: value.clone() for name, value in weights.items()}
        self.training, self.scales, self.layers = training, scales, layers
        self.width, self.growth = width, growth

    def convolve(self, x, name, size, stride, c_out):
        """Convolution without bias, BatchNorm, ReLU."""
        weight = self.weights[f"{name}.0.weight"]
        assert weight.shape == (c_out, x.shape[1], size, size)
        assert f"{name}.0.bias" not in self.weights
        x = functional.conv2d(x, weight, stride=stride, padding={3: 1, 1: 0}[size])
        mean, var, gamma, beta = (
            self.weights[f"{name}.1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu(functional.batch_norm(x, mean, var, gamma, beta, training=self.training))

    def bottleneck(self, x, name, b, stride, c_out):
        narrow = self.convolve(x, f"{name}.0", 1, 1, min(x.shape[1], b * c_out))
        return self.convolve(narrow, f"{name}.1", 3, stride, c_out)

    def head(self, x, body, last, hidden):
        x = self.convolve(x, f"{body}.0", 3, 2, hidden)
        x = self.convolve(x, f"{body}.1", 3, 2, hidden)
        x = functional.avg_pool2d(x, 2).flatten(1)
        return x @ self.weights[f"{last}.weight"].T + self.weights[f"{last}.bias"]

    def outputs(self, images, hidden):
        """Logits of every exit."""
        g = {1: 1, 2: 2, 3: 4}
        every, total, n = self.scales, sum(self.layers), self.width
        interval = math.ceil(total / self.scales)
        exits = {sum(self.layers[: index + 1]): index for index in range(len(self.layers))}
        maps, found, block, place = {}, [], 0, 1
        for s in range(1, every + 1):
            finer = images if s == 1 else maps[s - 1]
            maps[s] = self.convolve(finer, f"backbone.stages.0.0.scales.{s - 1}", 3, 1 if s == 1 else 2, n * g[s])
        for layer in range(1, total + 1):
            here = f"backbone.stages.{block}.{place}"
            kept = list(range(1 + (layer - 1) // interval, every + 1))  # every - (layer - 1) // interval of them
            new, numbers = {}, {"own": 0, "finer": 0}
            for s in kept:
                joined = [maps[s]]
                c_out = self.growth * g[s] // (2 if s - 1 in maps else 1)
                if s - 1 in maps:
                    joined.append(self.bottleneck(maps[s - 1], f"{here}.finer.{numbers['finer']}", g[s - 1], 2, c_out))
                    numbers["finer"] += 1
                joined.append(self.bottleneck(maps[s], f"{here}.own.{numbers['own']}", g[s], 1, c_out))
                numbers["own"] += 1
                new[s] = torch.cat(joined, dim=1)
            n, place = n + self.growth, place + 1
            if len(kept) < len(maps):
                n //= 2
                for number, s in enumerate(kept):
                    name = f"backbone.stages.{block}.{place}.scales.{number}"
                    new[s] = self.convolve(new[s], name, 1, 1, n * g[s])
                place += 1
            maps = new
            if layer in exits:
                block, place = block + 1, 0
                last = block == len(self.layers)
                body = "backbone.classifier.1" if last else f"heads.{block}"
                linear = "backbone.classifier.2" if last else f"heads.{block}.4"
                found.append(self.head(maps[every], body, linear, hidden))
        return found


def drawn(told, side):
    """A network in double precision whose norms are not those of the start."""
    network = build(told, blank_images(side, side), seed=1).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.dim() == 1 and value.is_floating_point():
                value += torch.rand(value.shape, generator=generator, dtype=torch.float64)
    return network, torch.randn(3, 3, side, side, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("scales", "layers", "side"),
    [
        (3, [1, 2, 3], 20),
        (3, [2, 1, 1, 3], 29),
        (3, [1, 1], 17),
        (2, [1, 1, 2], 10),
        (2, [3, 2], 13),
        (1, [1, 2], 5),
        (1, [1, 1], 8),
    ],
)
def test_the_network_computes_what_a_naive_one_does(training, scales, layers, side):
    network, images = drawn(settings(scales=scales, layers=layers), side)
    network.train(training)
    naive = Naive(network.state_dict(), training, scales, layers, SMALL["width"], SMALL["growth"])
    expected = naive.outputs(images, SMALL["head"])
    for ours, theirs in zip(network(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for name, value in network.state_dict().items():  # running statistics, too
        if "num_batches" not in name:
            torch.testing.assert_close(value, naive.weights[name], rtol=1e-9, atol=1e-9)


# -- as a backbone ----------------------------------------------------------------------------------------------------


def test_the_last_exit_is_the_backbone():
    network, images = drawn(settings(), 20)
    network.eval()
    assert torch.equal(network(images)[-1], network.backbone(images))
    assert torch.equal(network(images, exits=(3,))[0], network.backbone(images))


def test_the_state_is_a_tuple_with_the_finest_scale_first_and_exits_read_the_coarsest():
    network, images = drawn(settings(), 20)
    state = images
    sides = []
    for stage in network.backbone.stages:
        state = stage(state)
        assert isinstance(state, tuple)
        assert network.backbone.tap(state) is state[-1]
        sides.append([map_.shape[2] for map_ in state])
    assert sides == [[20, 10, 5], [10, 5], [5]]  # two layers for each number of scales


def test_the_classifier_reads_the_coarsest_scale_of_a_state_with_several():
    # so few layers that the finest scale alone is dropped
    network, images = drawn(settings(layers=[1, 1]), 20)
    network.eval()
    state = network.reach(2, network.reach(1, images))
    assert len(state) == 2
    expected = network.backbone.classifier(state)
    assert torch.equal(network.backbone.classifier((torch.full_like(state[0], 9.0), state[1])), expected)
    assert not torch.equal(network.backbone.classifier((state[0], state[1] + 1)), expected)


def test_a_single_layer_drops_no_scale():
    built = msdnet.build(3, layers=[1], width=2, growth=2, head=4).eval()
    (stage,) = built.stages
    assert [map_.shape[1] for map_ in stage(torch.zeros(1, 3, 20, 20))] == [4, 8, 16]
    assert built(torch.zeros(1, 3, 20, 20)).shape == (1, 3)


def test_samples_do_not_depend_on_those_beside_them():
    network, images = drawn(settings(), 20)
    network.eval()
    for whole, alone in zip(network(images), network(images[1:2]), strict=True):
        torch.testing.assert_close(whole[1:2], alone, rtol=1e-9, atol=1e-9)


def test_the_norms_of_a_new_network_have_seen_nothing():
    network = build(settings(), SHAPE, seed=0)
    for name, value in network.state_dict().items():
        if "running_var" in name:
            assert (value == 1).all(), name
        if "running_mean" in name or "num_batches" in name:
            assert (value == 0).all(), name


def test_weights_survive_a_round_trip(tmp_path):
    network, images = drawn(settings(), 20)
    save_weights(tmp_path / "model.safetensors", network, NOBODY)
    other = build(settings(), SHAPE, seed=9).double()
    load_weights(tmp_path / "model.safetensors", other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    for ours, theirs in zip(network.eval()(images), other.eval()(images), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("change", [{"growth": 4}, {"scales": 2}, {"layers": [1, 2, 2]}, {"head": 7}])
def test_weights_of_another_msdnet_are_refused(tmp_path, change):
    save_weights(tmp_path / "model.safetensors", build(settings(), SHAPE, seed=0), NOBODY)
    side = 10 if "scales" in change else 20
    with pytest.raises(ValueError, match=r"belong to another network: .* do not fit"):
        load_weights(tmp_path / "model.safetensors", build(settings(**change), blank_images(side, side), seed=0))


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("growth", [1, 7])
def test_a_growth_that_cannot_be_halved_is_refused(growth):
    with pytest.raises(ValueError, match=f"^'growth' {growth} cannot be halved between two scales; choose an even"):
        build(settings(growth=growth), SHAPE, seed=0)


@pytest.mark.parametrize(("scales", "low", "high"), [(1, 5, 8), (2, 9, 16), (3, 17, 32)])
def test_images_are_taken_exactly_where_a_head_reads_every_place_of_its_map(scales, low, high):
    told = settings(scales=scales)
    backbone = build(told, blank_images(low, high), seed=0).backbone.eval()
    for side in range(3, 60):
        blank, taken = torch.zeros(1, 3, side, low), low <= side <= high
        state = blank
        for stage in backbone.stages:
            state = stage(state)
        maps = torch.randn(64, *state[-1].shape[1:]).requires_grad_()
        try:
            backbone.classifier((maps,)).sum().backward()
            reads_all = bool(maps.grad.ne(0).any(1).any(0).all())
        except RuntimeError:
            reads_all = False
        assert reads_all == taken, side
        if taken:
            backbone.check(blank)
        else:
            with pytest.raises(ValueError, match=f"of {scales} scales takes images of {low} to {high} pixels"):
                backbone.check(blank)


@pytest.mark.parametrize(("height", "width"), [(16, 20), (20, 16), (49, 20), (20, 224)])
def test_images_of_another_size_are_refused_in_a_sentence_when_a_network_is_built(height, width):
    sentence = (
        f"^an MSDNet of 3 scales takes images of 17 to 32 pixels, but the dataset's are {width} x {height}; choose"
        " other 'scales', or prepare the dataset at another size$"
    )
    with pytest.raises(ValueError, match=sentence):
        build(settings(), blank_images(height, width), seed=0)


def test_a_single_block_is_refused_where_exits_are_asked_for():
    with pytest.raises(ValueError, match="puts no head on the backbone's 1 blocks, which leaves one exit"):
        build(settings(layers=[3]), SHAPE, seed=0)
    without = settings(layers=[3])
    del without["placement"]
    assert build(without, SHAPE, seed=0).n_exits == 1


@pytest.mark.parametrize("kind", ["sdn", "pbee", "ztw"])
@pytest.mark.parametrize("told", [{"depth": 1}, {"hidden": 8}])
def test_other_heads_than_its_own_are_refused(kind, told):
    with pytest.raises(
        ValueError, match=r"^the backbone has heads of its own; remove 'depth' and 'hidden' from the method$"
    ):
        build(settings() | {"method": {"kind": kind} | told}, SHAPE, seed=0)
