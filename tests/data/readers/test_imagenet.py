"""ImageNet-1k's folders and devkit as the publisher ships them, and what is refused."""

import re

import numpy as np
import publishers
import pytest

from manyexits.data import photographs
from manyexits.data.readers import imagenet

TRUTH = (2, 3, 1, 1)
FILES = publishers.imagenet_files(TRUTH)
KIT = "ILSVRC2012_devkit_t12"
CLASSES = sorted(wnid for wnid, _ in publishers.IMAGENET.values())


def tree(root, changes=None, without=""):
    """The publisher's folders, some files changed, and those left out whose name holds `without`."""
    files = {name: content for name, content in FILES.items() if not (without and without in name)}
    return publishers.write_folder(files | (changes or {}), root / "imagenet")


def refused(root, *phrases, **options):
    """The one sentence with which a dataset is refused."""
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        imagenet.load(root, False, pixels=16, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


def views(names):
    return np.stack([photographs.view(photographs.opened(FILES[name]), 16) for name in names])


def holds_what_was_published(raw):
    assert raw.class_names == ["tench, Tinca tinca", "English setter", "kit fox"]
    names = [f"train/{wnid}/{wnid}_{index}.JPEG" for wnid in CLASSES for index in range(2)]
    assert [name.decode() for name in raw.train.images.names] == names
    assert raw.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    wnids = [publishers.IMAGENET[number][0] for number in TRUTH]
    assert raw.test.labels.tolist() == [CLASSES.index(wnid) for wnid in wnids] == [1, 0, 2, 2]
    assert raw.train.images.sizes.tolist() == [[30, 40]] * 6


def test_validation_images_get_the_classes_of_the_devkit(tmp_path):
    tree(tmp_path)
    raw = imagenet.load(tmp_path, False, pixels=16)
    holds_what_was_published(raw)
    assert [name.decode() for name in raw.test.images.names] == [
        f"val/ILSVRC2012_val_{index:08d}.JPEG" for index in range(1, 5)
    ]
    assert np.array_equal(raw.train.images.seen(3, None), views([raw.train.images.names[3].decode()])[0])


def test_the_devkit_may_stay_packed(tmp_path):
    folder = tree(tmp_path, without=KIT)
    (folder / f"{KIT}.tar.gz").write_bytes(publishers.tar_gz(publishers.devkit_files(TRUTH), KIT))
    holds_what_was_published(imagenet.load(tmp_path, False, pixels=16))


def test_validation_images_may_lie_in_class_folders(tmp_path):
    moved = {}
    for index, number in enumerate(TRUTH, start=1):
        name = f"ILSVRC2012_val_{index:08d}.JPEG"
        moved[f"val/{publishers.IMAGENET[number][0]}/{name}"] = FILES[f"val/{name}"]
    tree(tmp_path, moved, without="val/ILSVRC")
    raw = imagenet.load(tmp_path, False, pixels=16)
    assert raw.test.labels.tolist() == [0, 1, 2, 2]


def test_a_small_one_can_be_kept_as_an_array(tmp_path):
    tree(tmp_path)
    raw = imagenet.load(tmp_path, False, pixels=16, store="arrays")
    assert np.array_equal(raw.test.images, views(sorted(name for name in FILES if name.startswith("val/"))))


def test_a_missing_dataset_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    refused(tmp_path, "ImageNet-1k is missing", str(tmp_path / "imagenet/train"), "image-net.org")


def test_a_missing_devkit_says_where_it_was_looked_for(tmp_path):
    folder = tree(tmp_path, without=KIT)
    refused(tmp_path, "devkit is missing", str(folder / f"{KIT}.tar.gz"), "image-net.org")


@pytest.mark.parametrize("part", ["train", "val"])
def test_archives_that_are_still_packed_are_named(tmp_path, part):
    folder = tree(tmp_path, without=f"{part}/")
    (folder / f"ILSVRC2012_img_{part}.tar").write_bytes(b"")
    refused(tmp_path, f"ILSVRC2012_img_{part}.tar is still packed; unpack it into {folder / part}")


@pytest.mark.parametrize("content", [b"", b"no matlab file" * 20, FILES[f"{KIT}/data/meta.mat"][:300]])
def test_an_unreadable_devkit_is_refused(tmp_path, content):
    folder = tree(tmp_path, {f"{KIT}/data/meta.mat": content})
    refused(tmp_path, f"{folder / KIT}: data/meta.mat cannot be read", "get the devkit again")


@pytest.mark.parametrize("content", [b"1\n2\nx\n1\n", b"1\n2\n9\n1\n", b"\xff\xfe"])
def test_an_unreadable_ground_truth_is_refused(tmp_path, content):
    folder = tree(tmp_path, {f"{KIT}/data/ILSVRC2012_validation_ground_truth.txt": content})
    refused(tmp_path, f"{folder / KIT}: data/ILSVRC2012_validation_ground_truth.txt", "again")


def test_another_number_of_validation_images_is_refused(tmp_path):
    folder = tree(tmp_path, without="val_00000002")
    refused(tmp_path, f"{folder}/val holds 3 images, but the devkit's ground truth has 4 lines", "get it again")


def test_a_missing_class_folder_is_named(tmp_path):
    folder = tree(tmp_path, without="train/n02100735")
    refused(tmp_path, f"{folder} holds no class folder train/n02100735", "get it again")


def test_a_damaged_photograph_is_named(tmp_path):
    name = "train/n02119789/n02119789_1.JPEG"
    tree(tmp_path, {name: FILES[name][:-100]})
    refused(tmp_path, "1 of 10 photographs cannot be read", name, "damaged: skip")
    assert imagenet.load(tmp_path, False, pixels=16, damaged="skip").skipped == [name]
