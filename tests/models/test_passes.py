"""A network that cannot be trained on so many samples a pass is refused before anything is trained."""

import contextlib

import pytest
import torch
from test_matrix import FAMILIES, METHODS, blank, network_settings

from manyexits.batches.views import blank_images
from manyexits.models import build, passes

SMALL = {
    "backbone": {"family": "resnet", "groups": [1, 1, 1], "width": 4},
    "classes": 3,
    "method": {"kind": "sdn"},
    "placement": {"every": 1},
}
"""Its last maps are a quarter of the images."""


def network(pixels, **changed):
    return build.network(SMALL | changed, blank_images(pixels, pixels), seed=1)


def trains(made, pixels, samples) -> bool:
    """Whether a training step can be made, tried."""
    with contextlib.suppress(ValueError):  # torch's "Expected more than 1 value per channel"
        torch.stack(made.train()(torch.randn(samples, 3, pixels, pixels))).sum().backward()
        return True
    return False


@pytest.mark.parametrize("samples", [1, 2, 64])
@pytest.mark.parametrize("pixels", [4, 5, 8])
def test_exactly_those_that_cannot_be_trained_are_refused(pixels, samples):
    blank = blank_images(pixels, pixels)
    if trains(network(pixels), pixels, samples):
        passes.check(network(pixels), blank, samples, "recipes.pets")
        return
    assert (pixels, samples) == (4, 1)
    sentence = (
        r"^recipes.pets: with one sample per device and pass the network cannot be trained, since a BatchNorm in it"
        r" meets a single value per channel; set recipes.pets.per_device_batch, and recipes.pets.batch where"
        r" that is smaller, to 2 or more, or prepare the dataset at a larger size$"
    )
    with pytest.raises(ValueError, match=sentence):
        passes.check(network(pixels), blank, samples, "recipes.pets")


def test_a_frozen_backbone_needs_no_second_sample():
    made = network(4)
    made.freeze(("backbone",))
    passes.check(made, blank_images(4, 4), 1, "recipes.pets")
    made.freeze(())
    with pytest.raises(ValueError, match="with one sample per device"):
        passes.check(made, blank_images(4, 4), 1, "recipes.pets")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_every_network_of_the_matrix_is_tried_without_a_trace(method, family):
    made = build.network(network_settings(method, family), blank(family), seed=1)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    made.backbone.eval()
    modes, state = [module.training for module in made.modules()], torch.get_rng_state()
    for samples in (1, 2):
        passes.check(made, blank(family), samples, "recipes.quick")
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert [module.training for module in made.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_what_never_trains_is_not_called_a_matter_of_samples(monkeypatch):
    made = network(4)
    made.backbone.stages[2] = torch.nn.Sequential(made.backbone.stages[2], torch.nn.InstanceNorm2d(16))
    for samples in (1, 8):
        with pytest.raises(
            ValueError, match=r"recipes.pets: the network does not run in training mode \(.+\); choose an"
        ):
            passes.check(made, blank_images(4, 4), samples, "recipes.pets")
