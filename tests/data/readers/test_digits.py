"""The embedded digits against scikit-learn and torchvision."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torchvision.transforms.v2 import functional as vision

from manyexits.data.readers import digits

NOWHERE = Path("nowhere")


def by_content(images, labels):
    """Images and labels in an order that depends on the content alone."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def both_parts(raw):
    return (
        np.concatenate([raw.train.images, raw.test.images]),
        np.concatenate([raw.train.labels, raw.test.labels]),
    )


def test_every_digit_of_scikit_learn_is_there_once_with_its_label():
    published = load_digits()
    grey = np.floor(published.images * 255 / 16 + 0.5).astype(np.uint8)  # sixteen levels to 256
    expected = by_content(np.repeat(grey[..., None], 3, axis=-1), published.target)
    assert by_content(*both_parts(digits.load(NOWHERE, False, pixels=8))) == expected


def test_enlarged_digits_are_those_of_torchvisions_bicubic_resize():
    small, large = (digits.load(NOWHERE, False, pixels=pixels) for pixels in (8, 16))
    grey = torch.from_numpy(small.train.images).permute(0, 3, 1, 2)
    expected = vision.resize(grey, [16, 16], vision.InterpolationMode.BICUBIC, antialias=True)
    found = torch.from_numpy(large.train.images).permute(0, 3, 1, 2)
    assert found.shape == (len(grey), 3, 16, 16)
    assert (found.int() - expected.int()).abs().max() <= 1


def test_a_quarter_of_every_class_is_held_out():
    raw = digits.load(NOWHERE, False)
    counts = np.bincount(load_digits().target)
    assert len(raw.test.labels) == 450
    assert np.abs(np.bincount(raw.test.labels) - counts / 4).max() < 1
    assert (np.bincount(raw.test.labels) + np.bincount(raw.train.labels) == counts).all()


def test_another_share_can_be_held_out():
    assert len(digits.load(NOWHERE, False, test=0.1).test.labels) == 180


def test_two_readings_are_equal_and_need_no_file():
    first, second = (digits.load(NOWHERE, hub, pixels=12) for hub in (False, True))
    assert np.array_equal(first.train.images, second.train.images)
    assert np.array_equal(first.test.labels, second.test.labels)
    assert first.class_names == [str(number) for number in range(10)]
