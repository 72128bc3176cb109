"""A multi-exit network gives the backbone's answers, stops where it is told to, and freezes what it is told to."""

import numpy as np
import pytest
import torch
from conftest import NOBODY

from manyexits.batches.views import blank_images
from manyexits.exits import criteria
from manyexits.exits.policies import Policy, exit_index
from manyexits.exits.task import Task
from manyexits.models.build import network as build
from manyexits.models.build import place
from manyexits.models.network import load_weights, save_weights

SETTINGS = {
    "backbone": {"family": "resnet", "groups": [1, 2, 1], "width": 4},
    "method": {"kind": "sdn", "depth": 0},
    "classes": 5,
    "placement": {"after": [1, 2]},
}
SHAPE = blank_images(8, 8)


@pytest.fixture
def network():
    return build(SETTINGS, SHAPE, seed=3).eval()


@pytest.fixture
def images():
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_last_exit_is_the_backbone(network, images):
    assert torch.equal(network(images)[-1], network.backbone(images))


def test_only_the_exits_asked_for_are_computed(network, images):
    everything = network(images)
    ran = []
    for block, stage in enumerate(network.backbone.stages, start=1):
        stage.register_forward_hook(lambda *_, block=block: ran.append(block))
    some = network(images, exits=(1, 2))
    assert ran == [1, 2]
    assert len(some) == 2
    assert torch.equal(some[1], everything[1])


def test_known_features_give_the_same_logits(network, images):
    features = network.features(images, (1, 2))
    for ours, expected in zip(network.fold(features, (1, 2), True)[0], network(images, (1, 2)), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("criterion", ["confidence", "entropy", "patience"])
@pytest.mark.parametrize("batch", [1, 7])
def test_early_exit_inference_stops_each_sample_where_its_policy_says(network, images, criterion, batch):
    images = images[:batch]
    logits = torch.stack(network(images), dim=1).detach().numpy()
    (scan,) = criteria.named(criterion, Task("classification", 5), 3)
    certain = criteria.certainties(scan, np.stack([scan.keep(logits[:, k]) for k in range(3)], axis=1))
    threshold = float(np.median(certain[:, :2]))
    policy = Policy(criterion, (scan.sign * threshold, scan.sign * threshold))
    answers, left_at = network.forward_until(images, policy)
    expected = exit_index(certain, np.array([threshold, threshold]))
    assert left_at.tolist() == expected.tolist()
    for sample, exit_ in enumerate(expected):
        assert np.allclose(answers[sample].numpy(), logits[sample, exit_ - 1], atol=1e-5)


def test_stages_behind_the_last_undecided_sample_never_run(network, images):
    ran = []
    network.backbone.stages[-1].register_forward_hook(lambda *_: ran.append(1))
    _, left_at = network.forward_until(images, Policy("confidence", (0.0, 0.0)))
    assert left_at.tolist() == [1] * 7
    assert not ran


def test_nobody_leaves_early_at_threshold_one(network, images):
    answers, left_at = network.forward_until(images, Policy("confidence", (1.0, 1.0)))
    assert left_at.tolist() == [3] * 7
    assert torch.allclose(answers, network.backbone(images), atol=1e-6)


def test_a_seed_gives_every_regime_the_same_start():
    first, again, other = (build(SETTINGS, SHAPE, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.classifier.2.weight"], other["backbone.classifier.2.weight"])


def test_a_head_starts_alike_whatever_heads_stand_beside_it():
    alone = build(SETTINGS | {"placement": {"after": [2]}}, SHAPE, seed=3)
    beside = build(SETTINGS, SHAPE, seed=3)
    for name, value in alone.heads["2"].state_dict().items():
        assert torch.equal(value, beside.heads["2"].state_dict()[name])


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build(SETTINGS, SHAPE, seed=3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("frozen", [("backbone",), ("heads", "extras"), ()])
def test_a_frozen_group_never_changes_and_stays_frozen_when_training_mode_is_set_again(network, images, frozen):
    network.freeze(frozen)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.1)
    for _ in range(2):
        network.train()
        torch.stack(network(images)).pow(2).mean().backward()
        optimizer.step()
        network.eval()
    changed = {
        name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"backbone", "heads"} - set(frozen)


def test_a_frozen_backbone_runs_without_autograd(network, images):
    network.freeze(("backbone",))
    assert all(not features.requires_grad for features in network.features(images, (1, 2)))


def test_placement_takes_the_nearest_block_and_the_earlier_of_two():
    costs = [10, 10, 10, 10]  # reached after blocks 1 to 3: 25, 50, 75 %
    assert place({"shares": [0.375]}, lambda: costs, 4) == [1]
    assert place({"shares": [0.4, 0.45, 0.7]}, lambda: costs, 4) == [2, 3]
    assert place({"shares": [0.99]}, lambda: costs, 4) == [3]
    assert place({"every": 2}, list, 5) == [2, 4]
    assert place({"every": 1}, list, 2) == [1]


@pytest.mark.parametrize("placement", [{"shares": [0.5]}, {"every": 1}, {"after": []}])
def test_a_placement_that_leaves_one_exit_is_refused(placement):
    with pytest.raises(ValueError, match="puts no head on the backbone's 1 blocks, which leaves one exit"):
        place(placement, lambda: [10], 1)


@pytest.mark.parametrize("block", [0, 4, 5])
def test_a_block_that_does_not_exist_is_refused(block):
    with pytest.raises(ValueError, match=f"no place for a head after block {block}; valid blocks: 1 to 3"):
        place({"after": [block]}, list, 4)


def test_weights_survive_a_round_trip(network, tmp_path):
    save_weights(tmp_path / "model.safetensors", network, NOBODY)
    other = build(SETTINGS, SHAPE, seed=9)
    load_weights(tmp_path / "model.safetensors", other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


def test_damaged_weights_are_refused(network, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model.safetensors is no safetensors file"):
        load_weights(tmp_path / "model.safetensors", network)


@pytest.mark.parametrize("change", [{"classes": 6}, {"placement": {"after": [1]}}])
def test_weights_of_another_network_are_refused(network, tmp_path, change):
    save_weights(tmp_path / "model.safetensors", network, NOBODY)
    with pytest.raises(ValueError, match=r"belong to another network: .* do not fit"):
        load_weights(tmp_path / "model.safetensors", build(SETTINGS | change, SHAPE, seed=3))
