"""CIFAR-100 as its publisher ships it, from the hub's layout, and damaged."""

import gzip
import hashlib
import re

import numpy as np
import publishers
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode, Resize

from manyexits.data.readers import cifar100

ARCHIVE = "cifar-100-binary.tar.gz"
NAMES = ["apple", "aquarium_fish", "baby", "bear"]
TRAIN = publishers.cifar_images(1, [3, 0, 1, 2, 1, 0])
TEST = publishers.cifar_images(2, [2, 3])
FILES = publishers.cifar_files(TRAIN, TEST)


def holds_what_was_published(raw):
    for found, expected in (
        (raw.train.images, TRAIN[0]),
        (raw.train.labels, TRAIN[1]),
        (raw.test.images, TEST[0]),
        (raw.test.labels, TEST[1]),
    ):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert raw.class_names == NAMES


def refused(root, *phrases, hub=False, **options):
    """The one sentence with which a dataset is refused."""
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        cifar100.load(root, hub, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


def test_the_archive_is_read_byte_for_byte(tmp_path):
    content = publishers.tar_gz(FILES, publishers.CIFAR)
    (tmp_path / ARCHIVE).write_bytes(content)
    raw = cifar100.load(tmp_path, False)
    holds_what_was_published(raw)
    assert raw.source == f"{ARCHIVE}, sha256 {hashlib.sha256(content).hexdigest()}"


def test_the_extracted_folder_is_read_byte_for_byte(tmp_path):
    publishers.write_folder(FILES, tmp_path / "mit Leerzeichen und Übermut" / publishers.CIFAR)
    raw = cifar100.load(tmp_path / "mit Leerzeichen und Übermut", False)
    holds_what_was_published(raw)
    assert raw.source == publishers.CIFAR


@pytest.mark.parametrize("resampling", [None, "bilinear"])
def test_images_are_scaled_as_torchvision_scales_pictures(tmp_path, resampling):
    (tmp_path / ARCHIVE).write_bytes(publishers.tar_gz(FILES, publishers.CIFAR))
    raw = cifar100.load(tmp_path, False, pixels=48, resampling=resampling)
    how = InterpolationMode.BILINEAR if resampling else InterpolationMode.BICUBIC
    for found, images in ((raw.train.images, TRAIN[0]), (raw.test.images, TEST[0])):
        scaled = [np.asarray(Resize(48, interpolation=how)(Image.fromarray(image))) for image in images]
        assert np.array_equal(found, np.stack(scaled))


def test_an_archive_of_another_name_is_read_when_the_configuration_names_it(tmp_path):
    (tmp_path / "c100.tar.gz").write_bytes(publishers.tar_gz(FILES, publishers.CIFAR))
    holds_what_was_published(cifar100.load(tmp_path, False, path="c100.tar.gz"))


def test_a_single_pixel_lands_where_the_record_says(tmp_path):
    record = bytearray(3074)
    record[1] = 2
    record[2 + 1024 + 5 * 32 + 7] = 200  # the green plane, row 5, column 7
    publishers.write_folder(FILES | {"train.bin": bytes(record)}, tmp_path / publishers.CIFAR)
    raw = cifar100.load(tmp_path, False)
    assert raw.train.labels.tolist() == [2]
    assert np.argwhere(raw.train.images).tolist() == [[0, 5, 7, 1]]
    assert raw.train.images.max() == 200


@pytest.mark.parametrize("hub", [False, True])
def test_the_local_archive_is_preferred_to_the_hub(tmp_path, hub):
    (tmp_path / ARCHIVE).write_bytes(publishers.tar_gz(FILES, publishers.CIFAR))
    holds_what_was_published(cifar100.load(tmp_path, hub, hub_id="nobody/nothing"))


def test_a_local_folder_in_the_layout_of_the_hub_is_read(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    splits = {"train": zip(*TRAIN, strict=True), "test": zip(*TEST, strict=True)}
    folder = publishers.write_hub(tmp_path / "hub", splits, "img", "fine_label", NAMES)
    raw = cifar100.load(tmp_path / "empty", True, hub_id=str(folder))
    holds_what_was_published(raw)
    assert raw.source == f"hub: {folder}"


def test_a_missing_dataset_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    refused(
        tmp_path / "nowhere",
        str(tmp_path / "nowhere" / ARCHIVE),
        str(tmp_path / "nowhere" / publishers.CIFAR),
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "data_root",
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_archive_is_refused(tmp_path, share):
    content = publishers.tar_gz(FILES, publishers.CIFAR)
    (tmp_path / ARCHIVE).write_bytes(content[: int(share * len(content))])
    refused(tmp_path, str(tmp_path / ARCHIVE), "damaged", "get it again")


@pytest.mark.parametrize("level", [0, 9])
def test_changed_bytes_of_the_archive_never_change_the_data(tmp_path, level):
    """At level 0 pixels lie in the file as they are: only the checksum behind everything tells that one changed."""
    content = publishers.tar_gz(FILES, publishers.CIFAR, level)
    positions = range(10, len(content), len(content) // 40)
    refusals = 0
    for position in positions:
        changed = bytes([content[position] ^ 0x10])
        (tmp_path / ARCHIVE).write_bytes(content[:position] + changed + content[position + 1 :])
        try:
            raw = cifar100.load(tmp_path, False)
        except ValueError:
            refused(tmp_path, str(tmp_path / ARCHIVE), "damaged", "get it again")
            refusals += 1
        else:
            holds_what_was_published(raw)
    assert refusals >= 38  # gzip has a few bits that mean nothing


def test_a_cut_part_inside_a_whole_archive_is_refused(tmp_path):
    files = FILES | {"train.bin": FILES["train.bin"][:-1]}
    (tmp_path / ARCHIVE).write_bytes(publishers.tar_gz(files, publishers.CIFAR))
    refused(tmp_path, str(tmp_path / ARCHIVE), "train.bin", "18443 bytes", "3074", "get it again")


def test_an_empty_part_is_refused(tmp_path):
    publishers.write_folder(FILES | {"test.bin": b""}, tmp_path / publishers.CIFAR)
    refused(tmp_path, "test.bin has 0 bytes", "get it again")


@pytest.mark.parametrize("name", ["train.bin", "test.bin", "fine_label_names.txt"])
def test_a_missing_file_of_the_archive_or_folder_is_named(tmp_path, name):
    files = {other: content for other, content in FILES.items() if other != name}
    publishers.write_folder(files, tmp_path / publishers.CIFAR)
    refused(tmp_path, str(tmp_path / publishers.CIFAR), name, "get it again")
    (tmp_path / ARCHIVE).write_bytes(publishers.tar_gz(files, publishers.CIFAR))
    refused(tmp_path, str(tmp_path / ARCHIVE), name, "get it again")


def test_a_label_without_a_name_is_refused(tmp_path):
    files = publishers.cifar_files(TRAIN, TEST, NAMES[:3])
    publishers.write_folder(files, tmp_path / publishers.CIFAR)
    refused(tmp_path, "train.bin holds label 3", "names for 3 classes", "get it again")


def test_names_that_are_no_text_are_refused(tmp_path):
    publishers.write_folder(FILES | {"fine_label_names.txt": b"apple\n\xff\xfe\n"}, tmp_path / publishers.CIFAR)
    refused(tmp_path, "fine_label_names.txt is no text", "get the dataset again")


def test_an_archive_that_is_none_is_refused(tmp_path):
    for content in (b"", b"<html>404</html>", gzip.compress(b"not a tar")):
        (tmp_path / ARCHIVE).write_bytes(content)
        refused(tmp_path, str(tmp_path / ARCHIVE), "get it again")
