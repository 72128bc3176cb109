"""Every pixel can change what a backbone says, or the network is refused."""

import copy

import pytest
import torch
from test_matrix import FAMILIES, PIXELS, network_settings, reads
from torch import nn

from manyexits.batches.views import blank_images
from manyexits.models import build, reach
from manyexits.models.backbones import Backbone

VIT = {"family": "timm", "name": "vit_tiny_patch16_224"}


def backbone(**told):
    return build.backbone({"classes": 5, "backbone": told}, seed=1)


@torch.no_grad()
def changed(backbone, images):
    """Pixels that change an output when they alone are other ones, tried one by one; weights away from zero."""
    torch.manual_seed(0)
    backbone = copy.deepcopy(backbone).double().eval()
    for parameter in backbone.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    height, width = images.shape[2:]
    found = torch.zeros(height, width, dtype=torch.bool)
    for image in images.double():
        others = image.repeat(height * width, 1, 1, 1)
        for place in range(height * width):
            others[place, :, place // width, place % width] += 3
        found |= ((backbone(others) - backbone(image[None])).abs() > 1e-12).any(1).reshape(height, width)
    return found


@pytest.mark.parametrize("family", [family for family in FAMILIES if reads(family) == "images"])
def test_every_pixel_changes_the_outputs_of_every_backbone_of_the_matrix(family):
    network = build.network(network_settings("sdn", family), blank_images(PIXELS, PIXELS), seed=1)
    assert changed(network.backbone, torch.randn(3, 3, PIXELS, PIXELS)).all()
    assert reach.reached(network.backbone, torch.zeros(1, 3, PIXELS, PIXELS)).all()


@pytest.mark.parametrize(
    ("told", "pixels"),
    [
        ({"family": "resnet", "groups": [1, 1], "width": 1}, 9),
        ({"family": "resnet", "groups": [1, 1, 1, 1], "stem": "imagenet", "width": 2}, 33),
        ({"family": "msdnet", "layers": [1], "scales": 1}, 8),
        ({"family": "msdnet", "layers": [1, 1], "scales": 3}, 17),
        ({"family": "msdnet", "layers": [1, 1], "scales": 3}, 32),
        (VIT | {"pixels": 32}, 32),
        ({"family": "timm", "name": "convnext_atto"}, 36),
        ({"family": "timm", "name": "test_resnet"}, 45),
    ],
)
def test_networks_that_read_every_pixel_are_taken_at_odd_sizes_and_small_widths(told, pixels):
    reach.check(backbone(**told), blank_images(pixels, pixels)[0].inputs, told["family"])


def test_gradients_find_what_trying_each_pixel_finds():
    class Strided(nn.Module):
        def forward(self, images):
            return images[:, :, 1::2, :6].relu()

    made = Backbone([Strided()], nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 6, 2)), output_layers="")
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(reach.reached(made, images), changed(made, images))
    with pytest.raises(ValueError, match=r"^40 of an image's 8 x 8 pixels reach no output .*in row 1, column 1\); set"):
        reach.check(made, images, "own")


def test_a_checked_backbone_stays_as_it_was():
    made = backbone(family="resnet", groups=[1, 1], width=4)
    made.stages[0].eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    modes, state = [module.training for module in made.modules()], torch.get_rng_state()
    reach.check(made, torch.zeros(1, 3, 8, 8), "resnet")
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert [module.training for module in made.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in made.parameters())


class Cropped(nn.Module):
    """A stage that leaves out what its patches do not cover."""

    def __init__(self, patch):
        super().__init__()
        self.patches = nn.Conv2d(3, 4, patch, patch)

    def forward(self, images):
        return self.patches(images)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns", "lost"), [(10, 10, 8, 8, 36), (8, 11, 8, 8, 24), (9, 8, 8, 8, 8)]
)
def test_lost_edges_are_named_with_a_size_that_is_read_as_a_whole(monkeypatch, height, width, rows, columns, lost):
    last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    made = Backbone([Cropped(4), nn.Identity()], last, output_layers="")
    monkeypatch.setattr(build, "backbone", lambda settings, seed: made)
    told = {"classes": 3, "backbone": {"family": "own"}, "method": {"kind": "sdn"}, "placement": {"every": 1}}
    sentence = (
        f"^{lost} of an image's {width} x {height} pixels reach no output of the backbone own \\(beyond the first"
        f" {rows} rows and {columns} columns\\); set the dataset's size to {columns} x {rows}, or choose"
        " another backbone$"
    )
    with pytest.raises(ValueError, match=sentence):
        build.network(told, blank_images(height, width), seed=1)
    build.network(told, blank_images(rows, columns), seed=1)


@pytest.mark.parametrize("stated", [{"pixels": 64}, {"pixels": 64, "patch": 12}, {"pixels": 100}])
def test_a_patch_must_divide_the_images_whoever_states_it(stated):
    with pytest.raises(ValueError, match=rf"images of {stated['pixels']} pixels cannot be cut into patches of 1\d"):
        backbone(family="timm", name="vit_small_patch14_dinov2", **stated)
