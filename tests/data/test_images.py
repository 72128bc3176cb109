"""A split whose images are files: read by workers or without, at any box, in the order asked for."""

import numpy as np
import publishers
import pytest

from manyexits.data import photographs
from manyexits.data.images import Files, Images, Request

SIZES = [(40, 30), (25, 60), (33, 33), (16, 16), (90, 20)]


@pytest.fixture
def folder(tmp_path):
    """Five photographs of different sizes."""
    files = {f"ä {i}.png": publishers.encoded(publishers.photograph(i, size), "PNG") for i, size in enumerate(SIZES)}
    return publishers.write_folder(files, tmp_path / "with spaces")


def split_of(folder, workers=0):
    names = np.array([f"ä {i}.png".encode() for i in range(len(SIZES))])
    sizes = np.array([(height, width) for width, height in SIZES])
    return Images(Files(folder, names, sizes, 12), np.arange(5) * 10, np.array([4, 2, 0, 1]), workers)


def opened(folder, number):
    return photographs.opened((folder / f"ä {number}.png").read_bytes())


def test_views_and_labels_come_in_the_order_asked_for(folder):
    images, labels = split_of(folder).take(np.array([3, 0, 0]))
    assert labels.tolist() == [10, 40, 40]
    expected = np.stack([photographs.view(opened(folder, number), 12) for number in (1, 4, 4)])
    assert np.array_equal(images, expected)
    nothing, none = split_of(folder).take(np.array([], dtype=np.int64))
    assert (nothing.shape, none.shape) == ((0, 12, 12, 3), (0,))


def test_sizes_are_those_before_anything_is_cut_out(folder):
    assert split_of(folder).sizes(np.array([0, 3])).tolist() == [[20, 90], [60, 25]]
    arrays = Images(np.zeros((2, 8, 9, 3), np.uint8), np.zeros(2, np.int64), np.arange(2))
    assert arrays.sizes(np.array([1, 1, 0])).tolist() == [[8, 9]] * 3
    assert not arrays.decoded


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_what_is_read_without_them(folder, workers):
    boxes = np.array([[0, 0, 20, 30], [3, 4, 20, 10]])
    requests = [Request(np.array([0, 1]), boxes), Request(np.array([2])), Request(np.array([3, 3, 3]))] * 4
    found = list(split_of(folder, workers).read(iter(requests)))
    expected = [split_of(folder).fetch(request) for request in requests]
    assert len(found) == len(expected)
    for (images, labels), (views, numbers) in zip(found, expected, strict=True):
        assert np.array_equal(images, views)
        assert np.array_equal(labels, numbers)
    assert np.array_equal(expected[0][0][1], photographs.cut(opened(folder, 2), (3, 4, 20, 10), 12))


def test_ranks_share_the_batches_of_a_split(folder):
    whole = [labels.tolist() for _, labels in split_of(folder).batches(1)]
    assert whole == [[40], [20], [0], [10]]
    shares = [[labels.tolist() for _, labels in split_of(folder).batches(1, rank, 3)] for rank in range(3)]
    assert shares == [[[40], [10]], [[20]], [[0]]]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("content", [None, b"", b"no image", publishers.encoded(publishers.photograph(0, (9, 7)))])
def test_a_photograph_that_is_gone_damaged_or_of_another_size_is_one_sentence(folder, workers, content):
    path = folder / "ä 0.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="can no longer be read") as caught:
        list(split_of(folder, workers).batches(2))
    message = str(caught.value)
    assert str(path) in message
    assert "prepare it again" in message
    assert "\n" not in message
