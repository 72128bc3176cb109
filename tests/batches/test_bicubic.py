"""Bicubic shears and rotations against torchvision's on PIL images, pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, TrivialAugmentWide

from manyexits.batches import bicubic, trivial

THEIRS = TrivialAugmentWide(interpolation=InterpolationMode.BICUBIC)
SPACE = list(THEIRS._AUGMENTATION_SPACE)
SIGNED_BINS = [sign * size for size in range(1, 32) for sign in (1, -1)]
SHAPES = [(32, 32), (24, 41), (3, 5), (1, 1)]


def images_of(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)


def theirs(image, number, signed_bin):
    """One image as a PIL image under torchvision's transform of that number, magnitude and sign."""
    magnitude = float(THEIRS._AUGMENTATION_SPACE[SPACE[number]][0](31, *image.shape[1:])[abs(signed_bin) - 1])
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    changed = THEIRS._apply_image_or_video_transform(
        picture, SPACE[number], magnitude * np.sign(signed_bin), THEIRS.interpolation, fill=THEIRS._fill
    )
    return torch.from_numpy(np.array(changed)).permute(2, 0, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("operation", ["shear_x", "shear_y", "rotate", "translate_x", "translate_y"])
def test_every_magnitude_and_sign_gives_the_pixels_of_torchvision(operation, shape):
    number = trivial.OPERATIONS.index(operation)
    images = images_of(len(SIGNED_BINS), *shape, seed=number)
    drawn = np.array([[number, signed_bin] for signed_bin in SIGNED_BINS])
    found = trivial.apply(images, drawn, "bicubic")
    expected = torch.stack([theirs(image, *pair) for image, pair in zip(images, drawn.tolist(), strict=True)])
    assert torch.equal(found, expected)


def test_operations_that_move_no_pixel_are_the_same_under_both():
    still = [number for number in range(len(trivial.OPERATIONS)) if not trivial.BETWEEN[number]]
    images = images_of(len(still), 9, 7)
    drawn = np.array([[number, 20] for number in still])
    assert torch.equal(trivial.apply(images, drawn, "bicubic"), trivial.apply(images, drawn))


def test_images_keep_their_places_among_all_operations():
    images = images_of(28, 8, 8)
    drawn = np.array([[number, signed_bin] for signed_bin in (12, -31) for number in range(14)])
    found = trivial.apply(images, drawn, "bicubic")
    alone = [trivial.apply(images[[place]], drawn[[place]], "bicubic") for place in range(28)]
    assert torch.equal(found, torch.cat(alone))
    assert trivial.apply(images[:0], drawn[:0], "bicubic").shape == (0, 3, 8, 8)


def test_a_shift_by_whole_pixels_copies_them_and_leaves_black():
    image = images_of(1, 3, 4)
    moved = bicubic.transform(image, np.array([[1.0, 0, 2, 0, 1, 0]]))
    assert torch.equal(moved[..., :2], image[..., 2:])
    assert not moved[..., 2:].any()
