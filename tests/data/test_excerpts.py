"""What a page shows of a sample: texts that read like the original, pictures that are the image."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from manyexits.data import excerpts, prepare
from manyexits.data import prepared as dataset
from manyexits.data.raw import Raw, TextPart

PAIRS = [("The cat sat, on a mat.", "A dog"), ("Dogs!", "the cat's mat"), ("a mat", "it")] * 4


@pytest.fixture
def images(prepared):
    return dataset.read(prepared)


def test_a_small_picture_is_the_image(images):
    shown, other = excerpts.excerpts(images, [3, 0])
    assert shown.startswith(excerpts.PICTURE)
    back = np.array(Image.open(io.BytesIO(base64.b64decode(shown.removeprefix(excerpts.PICTURE)))))
    assert np.array_equal(back, images.test.take(np.array([3]))[0][0])
    assert other != shown


def test_a_large_picture_is_made_smaller(images):
    large = np.zeros((200, 300, 3), dtype=np.uint8)
    back = Image.open(io.BytesIO(base64.b64decode(excerpts._picture(large).removeprefix(excerpts.PICTURE))))
    assert back.size == (96, 64)


def test_no_sample_has_no_excerpt(images):
    assert excerpts.excerpts(images, []) == []


@pytest.mark.parametrize(("length", "cut"), [(240, False), (241, True)])
def test_only_a_long_text_is_cut(length, cut):
    text = ("word " * 60)[: length - 1] + "x"
    shown = excerpts._cut(text)
    assert shown.endswith(" …") is cut
    assert len(shown) <= 242
    assert text.startswith(shown.removesuffix(" …"))


def test_texts_read_as_their_pieces_joined(tmp_path):
    part = TextPart(PAIRS, np.linspace(0, 5, len(PAIRS)))
    told = {
        "dataset": "pairs",
        "classes": None,
        "scores": [0, 5],
        "validation": 0.25,
        "split_seed": 42,
        "vocabulary": 60,
    }
    prepare.write(Raw(part, part, [], "made by the tests", "none"), told, tmp_path)
    data = dataset.read(tmp_path)
    assert excerpts.excerpts(data, [1, 0]) == ["dogs!\nthe cat ' s mat", "the cat sat, on a mat.\na dog"]
