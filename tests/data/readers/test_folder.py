"""Any folder of class folders."""

import os
import re

import numpy as np
import publishers
import pytest

from manyexits.data import photographs
from manyexits.data.readers import folder


def png(seed):
    return publishers.encoded(publishers.photograph(seed), "PNG")


FILES = {
    "Bäume und Sträucher/eins.PNG": png(1),
    "Bäume und Sträucher/zwei.jpg": publishers.encoded(publishers.photograph(2)),
    "animals/deep/inside.png": png(3),
    "animals/note.txt": b"no photograph",
    "animals/.DS_Store": b"",
    "animals/one.png": png(4),
}


def two_parts(root, name="my photos"):
    """A training and a test part below a path with spaces."""
    files = {f"{part}/{file}": content for part in ("train", "val") for file, content in FILES.items()}
    return publishers.write_folder(files, root / name)


def refused(root, *phrases, **options):
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        folder.load(root, False, **({"path": "my photos", "pixels": 16} | options))
    assert "\n" not in str(caught.value)
    assert all(phrase in str(caught.value) for phrase in phrases), str(caught.value)


def test_classes_are_the_folders_and_other_files_are_none(tmp_path):
    two_parts(tmp_path)
    raw = folder.load(tmp_path, False, path="my photos", pixels=16)
    names = [
        "Bäume und Sträucher/eins.PNG",
        "Bäume und Sträucher/zwei.jpg",
        "animals/deep/inside.png",
        "animals/one.png",
    ]
    expected = np.stack([photographs.view(photographs.opened(FILES[name]), 16) for name in names])
    assert raw.class_names == ["Bäume und Sträucher", "animals"]
    for part in (raw.train, raw.test):
        assert part.labels.tolist() == [0, 0, 1, 1]
        assert np.array_equal(part.images, expected)
    assert raw.source == "my photos"


def test_an_absolute_path_and_an_archive_are_read_alike(tmp_path):
    path = two_parts(tmp_path / "elsewhere")
    files = {f"{part}/{file}": content for part in ("train", "val") for file, content in FILES.items()}
    (tmp_path / "photos.tar.gz").write_bytes(publishers.tar_gz(files, "."))
    found = [folder.load(tmp_path, False, path=name, pixels=16) for name in (str(path), "photos.tar.gz")]
    assert np.array_equal(found[0].train.images, found[1].train.images)
    assert found[0].class_names == found[1].class_names


def test_one_part_is_divided_by_class_and_the_same_way_each_time(tmp_path):
    files = {f"{name}/{index}.png": png(index) for name in "ab" for index in range(10)}
    publishers.write_folder(files, tmp_path / "my photos")
    options = {"path": "my photos", "pixels": 8, "train": "", "test_share": 0.3, "store": "index"}
    raw, again = (folder.load(tmp_path, False, **options) for _ in range(2))
    assert np.bincount(raw.test.labels).tolist() == [3, 3]
    assert np.bincount(raw.train.labels).tolist() == [7, 7]
    assert not set(raw.train.images.names) & set(raw.test.images.names)
    assert raw.test.images.names.tolist() == again.test.images.names.tolist()


def test_a_share_that_cannot_be_drawn_is_refused(tmp_path):
    publishers.write_folder({"a/1.png": png(1), "b/1.png": png(2)}, tmp_path / "my photos")
    refused(tmp_path, "test_share 0.2 of 2 photographs cannot be drawn", train="", test_share=0.2)


def test_a_missing_test_part_names_both_ways_to_have_one(tmp_path):
    publishers.write_folder({"train/a/1.png": png(1), "train/b/1.png": png(2)}, tmp_path / "my photos")
    refused(tmp_path, "holds no class folders in val/; name another as test, or set test_share")
    refused(tmp_path, "test and test_share both tell the test part", test="holdout", test_share=0.2)


def test_a_missing_folder_says_where_it_was_looked_for(tmp_path):
    refused(tmp_path, str(tmp_path / "my photos"), "data_root")


def test_a_folder_without_class_folders_is_refused(tmp_path):
    publishers.write_folder({"one.png": png(1)}, tmp_path / "my photos")
    refused(tmp_path, "holds no class folders in train/", "train or path")
    refused(tmp_path, "holds no class folders in it", train="")


def test_an_empty_class_folder_is_named(tmp_path):
    two_parts(tmp_path)
    (tmp_path / "my photos/train/void").mkdir()
    refused(tmp_path, "the class folder train/void holds no photograph")


def test_a_class_that_only_the_test_part_has_is_named(tmp_path):
    publishers.write_folder({"val/new/1.png": png(1)}, two_parts(tmp_path))
    refused(tmp_path, "val/new is none of the 2 classes")


def test_a_name_that_is_no_utf_8_is_refused(tmp_path):
    two_parts(tmp_path)
    (tmp_path / "my photos/train/animals" / os.fsdecode(b"caf\xe9.png")).write_bytes(png(5))
    for store in ("arrays", "index"):
        refused(tmp_path, "'train/animals/caf\\udce9.png' is no UTF-8; rename", store=store)


def test_a_class_folder_may_be_a_link(tmp_path):
    path = two_parts(tmp_path)
    for part in ("train", "val"):
        (path / part / "animals").rename(path / f"animals of {part}")
        (path / part / "animals").symlink_to(path / f"animals of {part}")
    raw = folder.load(tmp_path, False, path="my photos", pixels=16, store="index")
    assert raw.train.labels.tolist() == [0, 0, 1, 1]
    assert raw.train.images.seen(3, None).shape == (16, 16, 3)
