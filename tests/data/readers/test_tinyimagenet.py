"""Tiny ImageNet as its publisher ships it, from the hub's layout, and damaged."""

import hashlib
import re

import numpy as np
import publishers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manyexits.data.readers import tinyimagenet

ARCHIVE = "tiny-imagenet-200.zip"
FILES, HELD = publishers.tiny_files()
CONTENT = publishers.zipped(FILES, publishers.TINY)
CLASSES = ["n01443537", "n02124075", "n04067472"]
NAMES = ["goldfish, Carassius auratus", "Egyptian cat", "reel"]


def holds_what_was_published(raw, held=HELD, named=(NAMES,)):
    assert raw.class_names in named
    for images, labels, expected in (
        (raw.train.images, raw.train.labels, held["train"]),
        (raw.test.images, raw.test.labels, held["val"]),
    ):
        assert images.dtype == np.uint8
        assert labels.tolist() == [CLASSES.index(wnid) for _, wnid in expected]
        originals = np.stack([image for image, _ in expected]).astype(int)
        assert np.abs(images - originals).max() <= 4  # JPEG's loss; two images differ by 8 and more


def refused(root, *phrases, hub=False, **options):
    """The one sentence with which a dataset is refused."""
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        tinyimagenet.load(root, hub, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


def folder_of(root, changes=None, without=()):
    """The extracted tree with some files changed or left out."""
    files = {name: content for name, content in (FILES | (changes or {})).items() if name not in without}
    return publishers.write_folder(files, root / publishers.TINY)


def test_the_archive_is_read_with_its_labels(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(CONTENT)
    raw = tinyimagenet.load(tmp_path, False)
    holds_what_was_published(raw)
    assert raw.source == f"{ARCHIVE}, sha256 {hashlib.sha256(CONTENT).hexdigest()}"


def test_the_extracted_tree_is_read_with_its_labels(tmp_path):
    folder_of(tmp_path / "Ä b")
    raw = tinyimagenet.load(tmp_path / "Ä b", False)
    holds_what_was_published(raw)
    assert raw.source == publishers.TINY


def test_archive_and_tree_give_the_same_bytes(tmp_path):
    (tmp_path / "zip").mkdir()
    (tmp_path / "zip" / ARCHIVE).write_bytes(CONTENT)
    folder_of(tmp_path / "tree")
    archived, extracted = (tinyimagenet.load(tmp_path / kind, False) for kind in ("zip", "tree"))
    assert np.array_equal(archived.train.images, extracted.train.images)
    assert np.array_equal(archived.test.images, extracted.test.images)


def test_grey_images_get_three_equal_channels(tmp_path):
    folder_of(tmp_path)
    images = tinyimagenet.load(tmp_path, False).train.images
    assert [bool((image == image[..., :1]).all()) for image in images] == [True, False, False, False] * 3


def test_images_of_the_test_folder_belong_to_no_split(tmp_path):
    folder_of(tmp_path)
    raw = tinyimagenet.load(tmp_path, False)
    assert (len(raw.train.images), len(raw.test.images)) == (12, 3)


def test_a_class_without_words_is_named_by_its_number(tmp_path):
    folder_of(tmp_path, {"words.txt": b"n01443537\tgoldfish\n\nno tab here\n"})
    assert tinyimagenet.load(tmp_path, False).class_names == ["goldfish", "n02124075", "n04067472"]


def test_a_local_folder_in_the_layout_of_the_hub_is_read(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    splits = {
        "train": [
            (image[..., 0] if (image == image[..., :1]).all() else image, CLASSES.index(wnid))
            for image, wnid in HELD["train"]
        ],
        "valid": [(image, CLASSES.index(wnid)) for image, wnid in HELD["val"]],
    }
    folder = publishers.write_hub(tmp_path / "hub", splits, "image", "label", CLASSES)
    raw = tinyimagenet.load(tmp_path / "empty", True, hub_id=str(folder))
    assert np.array_equal(raw.train.images, np.stack([image for image, _ in HELD["train"]]))
    assert np.array_equal(raw.test.images, np.stack([image for image, _ in HELD["val"]]))
    assert raw.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert raw.class_names == CLASSES


def test_a_missing_dataset_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    looked = [str(tmp_path / name) for name in (ARCHIVE, publishers.TINY)]
    refused(tmp_path, *looked, "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "data_root")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 7))
@example(CONTENT.rindex(b"words.txt"), 0)
def test_a_changed_bit_of_the_archive_never_changes_the_data(tmp_path_factory, position, bit):
    root = tmp_path_factory.mktemp("changed")
    changed = CONTENT[:position] + bytes([CONTENT[position] ^ 1 << bit]) + CONTENT[position + 1 :]
    (root / ARCHIVE).write_bytes(changed)
    try:
        raw = tinyimagenet.load(root, False)
    except ValueError:
        refused(root, str(root / ARCHIVE))  # a bit can say that a member is encrypted: then it is to be unpacked
    else:
        holds_what_was_published(raw, named=(NAMES, CLASSES))  # a list of words by another name is none


def test_a_changed_image_inside_the_archive_is_refused(tmp_path):
    position = CONTENT.index(b"n02124075_2.JPEG") + 200
    (tmp_path / ARCHIVE).write_bytes(CONTENT[:position] + b"\x00\x00\x00" + CONTENT[position + 3 :])
    refused(tmp_path, str(tmp_path / ARCHIVE), "damaged", "get it again")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_cut_archive_is_refused(tmp_path, share):
    (tmp_path / ARCHIVE).write_bytes(CONTENT[: int(share * len(CONTENT))])
    refused(tmp_path, str(tmp_path / ARCHIVE), "damaged", "get it again")


@pytest.mark.parametrize("content", [b"", b"no image", FILES["train/n02124075/images/n02124075_1.JPEG"][:-400]])
def test_a_file_that_is_no_whole_image_is_refused(tmp_path, content):
    name = "train/n02124075/images/n02124075_1.JPEG"
    folder = folder_of(tmp_path, {name: content})
    refused(tmp_path, str(folder), name, "get the dataset again")


def test_an_image_of_a_class_that_is_not_listed_is_refused(tmp_path):
    folder = folder_of(tmp_path, {"wnids.txt": b"n01443537\nn04067472\n"})
    refused(tmp_path, str(folder), "train/n02124075/images/n02124075_0.JPEG", "wnids.txt does not list", "get it again")


def test_a_held_out_image_of_a_class_that_is_not_listed_is_refused(tmp_path):
    annotations = FILES["val/val_annotations.txt"].replace(b"n02124075", b"n00000000")
    folder_of(tmp_path, {"val/val_annotations.txt": annotations})
    refused(tmp_path, "val/images/val_0.JPEG is of class n00000000", "wnids.txt does not list", "get it again")


def test_an_image_of_another_size_is_refused(tmp_path):
    name = "train/n01443537/images/n01443537_3.JPEG"
    folder_of(tmp_path, {name: publishers.jpeg(publishers.tiny_image(0, 3, size=(48, 64)))})
    refused(tmp_path, f"{name} is 48 x 64, not 64 x 64", "get it again")


@pytest.mark.parametrize(
    "name",
    [
        "val/images/val_1.JPEG",
        "train/n01443537/images/n01443537_2.JPEG",
    ],
)
def test_a_missing_file_of_the_tree_is_named(tmp_path, name):
    folder = folder_of(tmp_path, without=[name])
    refused(tmp_path, str(folder), name, "get it again")


@pytest.mark.parametrize(
    "kept", [b"", b"val_0.JPEG\tn02124075\t0\t32\t44\t62\n", b"val_0.JPEG\tn02124075\t0\t32\t44\t62\nval_1.JP"]
)
def test_annotations_that_break_off_are_refused(tmp_path, kept):
    folder = folder_of(tmp_path, {"val/val_annotations.txt": kept})
    refused(tmp_path, str(folder), "no label for val/images/val_", "get it again")


def test_lists_that_are_no_text_are_refused(tmp_path):
    folder_of(tmp_path, {"val/val_annotations.txt": b"\xff\xfe\xfd"})
    refused(tmp_path, "val/val_annotations.txt is no text", "get the dataset again")


def test_a_tree_without_any_image_is_refused(tmp_path):
    lists = ["wnids.txt", "words.txt", "val/val_annotations.txt"]
    publishers.write_folder({name: FILES[name] for name in lists[:2]} | {lists[2]: b""}, tmp_path / publishers.TINY)
    refused(tmp_path, str(tmp_path / publishers.TINY), "holds no images", "get it again")
