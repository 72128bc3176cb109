"""One photograph: every mode and format becomes RGB, and views are torchvision's."""

import numpy as np
import publishers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from manyexits.data import photographs

COLOURS = np.array([[[255, 0, 0], [0, 128, 0]], [[0, 0, 64], [9, 9, 9]]], dtype=np.uint8)
GREY = np.array([[0, 77], [200, 255]], dtype=np.uint8)


def palette(**more):
    image = Image.new("P", (2, 2))
    image.putpalette([255, 0, 0, 0, 128, 0, 0, 0, 64, 9, 9, 9])
    image.putdata([0, 1, 2, 3])
    image.info |= more
    return image


MODES = {
    "RGB": ("PNG", Image.fromarray(COLOURS), COLOURS),
    "grey": ("PNG", Image.fromarray(GREY), np.stack([GREY] * 3, axis=-1)),
    "16 bit grey": ("PNG", Image.fromarray(GREY.astype(np.uint16) * 257), np.stack([GREY] * 3, axis=-1)),
    "16 bit grey in 32 bit": ("TIFF", Image.fromarray(GREY.astype(np.int32) * 257), np.stack([GREY] * 3, axis=-1)),
    "one bit": ("PNG", Image.fromarray(GREY > 100), np.stack([(GREY > 100) * np.uint8(255)] * 3, axis=-1)),
    "palette": ("PNG", palette(), COLOURS),
    "palette with transparency": ("PNG", palette(transparency=b"\xff\x00\x80\xff"), COLOURS),
    "alpha": ("PNG", Image.fromarray(np.dstack([COLOURS, np.full((2, 2), 200, np.uint8)])), COLOURS),
    "grey and alpha": ("PNG", Image.fromarray(np.dstack([GREY, GREY])), np.stack([GREY] * 3, axis=-1)),
    "CMYK": ("TIFF", Image.fromarray(np.dstack([255 - COLOURS, np.zeros((2, 2), np.uint8)]), "CMYK"), COLOURS),
    "GIF": ("GIF", palette(), COLOURS),
    "BMP": ("BMP", Image.fromarray(COLOURS), COLOURS),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(name):
    form, image, expected = MODES[name]
    found = photographs.opened(publishers.encoded(image, form))
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), expected)


def test_a_jpeg_in_cmyk_becomes_rgb():
    image = publishers.photograph(0)
    found = photographs.opened(publishers.encoded(image.convert("CMYK")))
    assert np.abs(np.asarray(found).astype(int) - np.asarray(image)).max() < 30  # JPEG's loss, in four channels


@pytest.mark.parametrize("data", [b"", b"no image", publishers.encoded(publishers.photograph(1))[:-200]])
def test_what_is_no_whole_image_raises_what_is_called_unreadable(data):
    with pytest.raises(photographs.UNREADABLE):
        photographs.opened(data)


@pytest.mark.parametrize(
    ("value", "kind"), [(70_000, np.int32), (255, np.int32), (0, np.int32), (-5, np.int32), (0.5, np.float32)]
)
def test_values_that_are_no_16_bit_grey_are_refused_and_not_wrapped(value, kind):
    image = Image.fromarray(np.full((2, 2), value, dtype=kind))
    with pytest.raises(photographs.UNREADABLE, match="8 or 16 bit"):
        photographs.opened(publishers.encoded(image, "TIFF"))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64))
def test_the_evaluation_view_is_resize_and_center_crop(width, height, pixels):
    image = publishers.photograph(2, (width, height))
    transform = v2.Compose([v2.Resize(pixels, vision.InterpolationMode.BICUBIC), v2.CenterCrop(pixels)])
    assert np.array_equal(photographs.view(image, pixels), np.asarray(transform(image)))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 64))
def test_a_part_is_torchvisions_resized_crop(data, pixels):
    image = publishers.photograph(3, (50, 40))
    top, left = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 49))
    box = top, left, data.draw(st.integers(1, 40 - top)), data.draw(st.integers(1, 50 - left))
    expected = vision.resized_crop(image, *box, [pixels, pixels], vision.InterpolationMode.BICUBIC)
    assert np.array_equal(photographs.cut(image, box, pixels), np.asarray(expected))
