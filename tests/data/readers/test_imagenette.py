"""Imagenette as its publisher ships it, as an array and as an index, damaged, and on the real photographs."""

import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np
import publishers
import pytest
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.readers import imagenette

FILES = publishers.imagenette_files(imagenette.CLASSES)
CONTENT = publishers.tar_gz(FILES, "imagenette2", level=1)
TRAIN = sorted(name for name in FILES if name.startswith("train/"))
TEST = sorted(name for name in FILES if name.startswith("val/"))
TOLD = {"dataset": "im", "source": "imagenette", "classes": 10, "validation": 0.5, "split_seed": 42, "pixels": 16}


def refused(root, *phrases, hub=False, **options):
    """The one sentence with which a dataset is refused."""
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        imagenette.load(root, hub, **{"pixels": 16} | options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


def tree(root, changes=None, without=()):
    """The extracted tree with some files changed or left out."""
    files = {name: content for name, content in (FILES | (changes or {})).items() if name not in without}
    return publishers.write_folder(files, root / "imagenette2")


def expected(names, pixels):
    """The views, through torchvision."""
    transform = v2.Compose([v2.Resize(pixels, vision.InterpolationMode.BICUBIC), v2.CenterCrop(pixels)])
    return np.stack([np.asarray(transform(Image.open(io.BytesIO(FILES[name])))) for name in names])


@pytest.mark.parametrize("pixels", [16, 30, 64])
def test_the_archive_is_read_at_any_pixel_size(tmp_path, pixels):
    (tmp_path / "imagenette2.tgz").write_bytes(CONTENT)
    raw = imagenette.load(tmp_path, False, pixels=pixels)
    assert np.array_equal(raw.train.images, expected(TRAIN, pixels))
    assert np.array_equal(raw.test.images, expected(TEST, pixels))
    assert raw.train.labels.tolist() == np.repeat(np.arange(10), 2).tolist()
    assert raw.test.labels.tolist() == list(range(10))
    assert raw.class_names[:2] == ["tench", "English springer"]
    assert raw.source == f"imagenette2.tgz, sha256 {hashlib.sha256(CONTENT).hexdigest()}"
    together = b"".join(hashlib.sha256(FILES[name]).digest() for name in TRAIN)
    assert raw.train.sha256 == hashlib.sha256(together).hexdigest()


def test_archive_tree_and_an_archive_without_the_top_folder_give_the_same_bytes(tmp_path):
    (tmp_path / "imagenette2.tgz").write_bytes(CONTENT)
    tree(tmp_path / "Ordner mit Ä")
    (tmp_path / "other.zip").write_bytes(publishers.zipped(FILES, "."))
    archived = imagenette.load(tmp_path, False, pixels=16)
    for root, options in ((tmp_path / "Ordner mit Ä", {}), (tmp_path, {"path": "other.zip"})):
        raw = imagenette.load(root, False, pixels=16, **options)
        assert np.array_equal(raw.train.images, archived.train.images)
        assert raw.train.sha256 == archived.train.sha256


def test_what_a_system_adds_to_an_archive_or_folder_is_left_out(tmp_path):
    own = {f"{Path(name).parent}/._{Path(name).name}": b"\x00\x05\x16\x07" for name in FILES}
    tree(tmp_path, own)
    files = {f"imagenette2/{name}": content for name, content in (FILES | own).items()}
    added = {f"__MACOSX/{name}": b"" for name in files} | {"docs/read me.txt": b""}
    (tmp_path / "other.zip").write_bytes(publishers.zipped(files | added, "."))
    for options in ({}, {"path": "other.zip"}):
        raw = imagenette.load(tmp_path, False, pixels=16, **options)
        assert np.array_equal(raw.train.images, expected(TRAIN, 16))


def test_a_subset_is_the_first_photographs_of_each_class_by_name(tmp_path):
    tree(tmp_path)
    raw = imagenette.load(tmp_path, False, pixels=16, per_class=[1, 1])
    assert np.array_equal(raw.train.images, expected(TRAIN[::2], 16))
    assert raw.train.labels.tolist() == list(range(10))


@pytest.mark.parametrize(("per_class", "n"), [([None, 1], (20, 10)), ([1, None], (10, 10)), ([None, None], (20, 10))])
def test_of_one_part_a_subset_and_of_the_other_all(tmp_path, per_class, n):
    tree(tmp_path)
    raw = imagenette.load(tmp_path, False, pixels=16, per_class=per_class)
    assert (len(raw.train.labels), len(raw.test.labels)) == n


def test_more_photographs_than_a_class_has_are_refused(tmp_path):
    tree(tmp_path)
    refused(tmp_path, "the class folder val/n01440764 holds 1 of the 900", "lower per_class in", per_class=[1, 900])


def test_a_subset_by_name_is_not_asked_of_the_hub(tmp_path):
    refused(tmp_path, "Imagenette is missing", "has no photographs by name", hub=True, per_class=[1, 1])


def test_an_index_leaves_the_photographs_where_they_are_and_gives_the_same_views(tmp_path):
    tree(tmp_path / "ein Ordner")
    for store in ("arrays", "index"):
        prepare.prepare(TOLD | {"store": store}, tmp_path / "ein Ordner", False, tmp_path / store)
    arrays, index = (dataset.read(tmp_path / store) for store in ("arrays", "index"))
    assert index.train.decoded
    assert not list((tmp_path / "index").rglob("*images*"))
    for part in ("train", "validation", "test"):
        views, labels = getattr(index, part).take(np.arange(len(getattr(index, part))))
        same, also = getattr(arrays, part).take(np.arange(len(labels)))
        assert np.array_equal(views, same)
        assert np.array_equal(labels, also)
    assert index.shape == arrays.shape == (16, 16, 3)
    assert index.mean.tolist() == arrays.mean.tolist()
    assert index.std.tolist() == arrays.std.tolist()
    assert str(tmp_path) not in (tmp_path / "index/manifest.json").read_text()


def test_an_index_of_an_archive_is_refused_with_the_command_that_unpacks_it(tmp_path):
    (tmp_path / "imagenette2.tgz").write_bytes(CONTENT)
    refused(tmp_path, "imagenette2.tgz is an archive", "tar -xf imagenette2.tgz", "store: arrays", store="index")


def test_a_missing_dataset_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    refused(tmp_path, str(tmp_path / "imagenette2.tgz"), str(tmp_path / "imagenette2"), "github.com/fastai/imagenette")


@pytest.mark.parametrize("share", [0.0, 0.4, 0.999])
def test_a_cut_archive_is_refused(tmp_path, share):
    (tmp_path / "imagenette2.tgz").write_bytes(CONTENT[: int(share * len(CONTENT))])
    refused(tmp_path, str(tmp_path / "imagenette2.tgz"), "damaged", "get it again")


DAMAGED = {TRAIN[3]: FILES[TRAIN[3]][:-100], TEST[5]: b"no image"}


@pytest.mark.parametrize("store", ["arrays", "index"])
def test_damaged_photographs_are_named_and_counted(tmp_path, store):
    folder = tree(tmp_path, DAMAGED)
    refused(tmp_path, f"{folder}: 2 of 30 photographs", f"the first is {TRAIN[3]}", "damaged: skip", store=store)


@pytest.mark.parametrize("store", ["arrays", "index"])
def test_damaged_photographs_are_left_out_where_that_is_wanted(tmp_path, store):
    tree(tmp_path, DAMAGED)
    raw = imagenette.load(tmp_path, False, pixels=16, damaged="skip", store=store)
    assert raw.skipped == sorted(DAMAGED)
    assert (len(raw.train.images), len(raw.test.images)) == (19, 9)
    assert raw.train.labels.tolist() == [0, 0, 1, *np.repeat(np.arange(2, 10), 2).tolist()]
    if store == "arrays":
        assert np.array_equal(raw.train.images, expected([name for name in TRAIN if name not in DAMAGED], 16))


def test_what_was_left_out_and_what_is_not_there_is_told(tmp_path):
    damaged = f"{TRAIN[0].rpartition('_')[0]}_9.JPEG"
    tree(tmp_path, {damaged: b"no image"})
    remarks = prepare.prepare(TOLD | {"damaged": "skip"}, tmp_path, False, tmp_path / "prepared", 2)
    assert remarks == [
        f"1 photographs that cannot be read were left out, the first is {damaged}",
        "imagenette2 has 31 samples, the complete dataset 13,394",
    ]
    assert prepare.prepare(TOLD | {"per_class": [2, 1]}, tmp_path, False, tmp_path / "prepared") == []


def test_a_photograph_that_must_not_be_read_is_not_left_out(tmp_path, monkeypatch):
    tree(tmp_path)
    read_bytes = Path.read_bytes

    def forbidden(path):
        if path.name.endswith("_1.JPEG"):
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    refused(tmp_path, "must not be read; correct its permissions", damaged="skip")


def test_preparing_again_in_the_other_form_leaves_nothing_of_the_first(tmp_path):
    tree(tmp_path)
    for store in ("arrays", "index", "arrays"):
        prepare.prepare(TOLD | {"store": store}, tmp_path, False, tmp_path / "prepared")
        assert dataset.read(tmp_path / "prepared").train.decoded == (store == "index")


def test_an_empty_class_folder_is_named(tmp_path):
    folder = tree(tmp_path, without=[name for name in TRAIN if "n03000684" in name])
    refused(tmp_path, f"{folder} holds no class folder train/n03000684")
    (folder / "train/n03000684").mkdir()
    refused(tmp_path, "the class folder train/n03000684 holds no photograph")


def test_an_empty_class_folder_of_an_archive_is_named(tmp_path):
    files = {name: content for name, content in FILES.items() if "train/n03000684" not in name}
    (tmp_path / "a.zip").write_bytes(publishers.zipped(files | {"train/n03000684/note.txt": b""}, "imagenette2"))
    refused(tmp_path, "the class folder imagenette2/train/n03000684 holds no photograph", path="a.zip")


def test_a_folder_that_is_no_class_is_named(tmp_path):
    tree(tmp_path, {"val/n99999999/a.JPEG": FILES[TEST[0]]})
    refused(tmp_path, "val/n99999999 is none of the 10 classes")


def test_a_local_folder_in_the_layout_of_the_hub_is_read(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    first = {"train": TRAIN[0], "validation": TEST[0]}
    splits = {split: [(np.asarray(Image.open(io.BytesIO(FILES[name]))), 0)] for split, name in first.items()}
    folder = publishers.write_hub(tmp_path / "hub", splits, "image", "label", imagenette.CLASSES.values())
    raw = imagenette.load(tmp_path / "empty", True, pixels=16, hub_id=str(folder), hub_form="default")
    assert np.array_equal(raw.train.images, expected(TRAIN[:1], 16))
    assert np.array_equal(raw.test.images, expected(TEST[:1], 16))


# -- real photographs where the data folder has them, generated ones in their layout where it has not ------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A data root and the name of an Imagenette archive in it."""
    root = Path(os.environ.get("MANYEXITS_DATA_ROOT", "datasets"))
    found = sorted(root.glob("imagenette2*.tgz"))
    if found:
        return root, found[0].name
    root = tmp_path_factory.mktemp("generated")
    files = publishers.imagenette_files(imagenette.CLASSES, train=12, val=3, size=(224, 224))
    (root / "imagenette2.tgz").write_bytes(publishers.tar_gz(files, "imagenette2", level=1))
    return root, "imagenette2.tgz"


def test_photographs_are_prepared_and_every_class_has_some(real, tmp_path):
    root, archive = real
    told = {"dataset": "im", "source": "imagenette", "classes": 10, "validation": 0.1, "split_seed": 42, "pixels": 64}
    prepare.prepare(told | {"path": archive, "per_class": [12, 3]}, root, False, tmp_path)
    data = dataset.read(tmp_path)
    assert data.manifest["per_class"]["test"] == [3] * 10
    assert [a + b for a, b in zip(*(data.manifest["per_class"][p] for p in ("train", "validation")), strict=True)] == (
        [12] * 10
    )
    images, _ = data.train.take(np.arange(len(data.train)))
    assert images.shape == (108, 64, 64, 3)
    assert (images.reshape(108, -1).std(1) > 1).all()  # no view is empty
    assert len({image.tobytes() for image in images}) == 108
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)) / 255, rtol=1e-5)
