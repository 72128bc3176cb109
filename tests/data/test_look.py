"""What `doctor` says of a dataset that lies there is what `prepare` would say, before an image is decoded."""

import re
from pathlib import Path

import numpy as np
import publishers
import pytest

from manyexits.data import archives, prepare
from manyexits.data.readers import imagenette
from manyexits.study import components
from manyexits.study.entries import DatasetEntry

WNIDS = list(imagenette.CLASSES)
IMAGES = [publishers.cifar_images(seed, [0, 1, 2, 3] * 6) for seed in (1, 2)]
COMPLETE = {
    "cifar100": publishers.cifar_files(*IMAGES),
    "imagenette": publishers.imagenette_files(WNIDS, train=5, val=2),
    "tinyimagenet": publishers.tiny_files(per_class=6)[0],
    "imagenet": publishers.imagenet_files()
    | {
        f"train/{wnid}/{wnid}_{number}.JPEG": publishers.encoded(publishers.photograph(1000 * place + number))
        for place, (wnid, _) in enumerate(publishers.IMAGENET.values())
        for number in range(8)
    },
    "folder": {
        f"{part}/{name}/{number}.png": publishers.encoded(publishers.photograph(seed + number), "PNG")
        for seed, part, name in ((0, "train", "a"), (10, "train", "b"), (20, "val", "a"), (30, "val", "b"))
        for number in range(6)
    },
    "newsgroups": publishers.newsgroups_files(),
    "stsb": publishers.stsb_files(),
}
"""Reader -> its files."""
ENTRIES = {
    "cifar100": {"classes": 4, "pixels": 16, "path": "data"},
    "imagenette": {"classes": 10, "pixels": 16, "path": "data"},
    "tinyimagenet": {"classes": 3, "path": "data"},
    "imagenet": {"classes": 3, "pixels": 16, "path": "data"},
    "folder": {"classes": 2, "pixels": 16, "path": "data"},
    "newsgroups": {"classes": 20, "path": "data", "vocabulary": 512},
    "stsb": {"scores": [0, 5], "path": "data", "vocabulary": 512, "validation": "official"},
}


def without(*parts: str):
    """Files but for those whose names hold one of these."""
    return lambda files: {name: files[name] for name in files if not any(part in name for part in parts)}


def more(name: str, content: bytes):
    """Files, and one more, or with another content."""
    return lambda files: files | {name: content}


FAULTS = {
    "cifar100": [
        (without("test.bin"), {}, "holds no test.bin"),
        (without("names"), {}, "holds no fine_label_names.txt"),
        (more("train.bin", b"x" * 5), {}, "no multiple of"),
        (more("fine_label_names.txt", b"apple"), {}, "there are names for 1 classes"),
        (dict, {"classes": 100}, "classes is 100"),
        (dict, {"validation": 0.01}, "change the dataset's key validation"),
    ],
    "imagenette": [
        (without(f"train/{WNIDS[3]}"), {}, f"no class folder train/{WNIDS[3]}"),
        (without("val/"), {}, "no class folder val/"),
        (more("train/n99/x.JPEG", b""), {}, "is none of the 10 classes"),
        (dict, {"per_class": [6, 2]}, "lower per_class"),
        (dict, {"classes": 9}, "classes is 9"),
        (dict, {"validation": 0.01}, "change the dataset's key validation"),
    ],
    "tinyimagenet": [
        (without("val_annotations", "val/"), {}, "holds no"),
        (without("_3.JPEG"), {}, "holds no image"),
        (without("val_1.JPEG"), {}, "holds no image"),
        (more("wnids.txt", b"n01443537"), {}, "which wnids.txt does not list"),
        (dict, {"classes": 200}, "classes is 200"),
        (dict, {"validation": 0.99}, "change the dataset's key validation"),
    ],
    "imagenet": [
        (without("devkit"), {}, "only it tells the classes"),
        (without("train/"), {}, "holds no folder train"),
        (without("00004.JPEG"), {}, "the devkit's ground truth has 4 lines"),
        (more("ILSVRC2012_devkit_t12/data/meta.mat", b"none"), {}, "cannot be read"),
        (dict, {"classes": 1000}, "classes is 1000"),
        (dict, {"validation": 0.01}, "change the dataset's key validation"),
    ],
    "folder": [
        (without("val/"), {}, "no class folders in val"),
        (without("val/b"), {}, "no class folder val/b"),
        (more("val/c/1.png", b""), {}, "is none of the 2 classes"),
        (more("train/c/read.me", b""), {}, "holds no photograph"),
        (dict, {"test": "train"}, "are both"),
        (dict, {"train": "photographs"}, "no class folders in photographs"),
        (without("val/"), {"test_share": 0.01}, "cannot be drawn"),
        (dict, {"classes": 3}, "classes is 3"),
        (dict, {"classes": None, "scores": [3, 9]}, "other labels"),
        (dict, {"validation": 0.01}, "change the dataset's key validation"),
    ],
    "newsgroups": [
        (without("test/sci.med"), {}, "holds no messages in 20news-bydate-test/sci.med"),
        (more("20news-bydate-train/sci.pets/1", b"a"), {}, "is none of the twenty groups"),
        (dict, {"classes": 19}, "classes is 19"),
        (dict, {"validation": 0.01}, "change the dataset's key validation"),
    ],
    "stsb": [
        (without("-dev"), {}, "does not hold stsb-en-train.csv, stsb-en-dev.csv"),
        (more("stsb-en-dev.csv", b"a,b,9"), {}, "the score 9 is not in 0 to 5"),
        (more("stsb-en-dev.csv", b"a,b"), {}, "it has 2 columns, not 3"),
        (dict, {"scores": [1, 5]}, "other labels"),
    ],
}
"""Reader -> what is done to its files, keys of its entry that change, and words of the message."""


def told(reader: str, **changes):
    """The settings of a dataset."""
    entry = {"source": reader, "validation": 0.25, **ENTRIES[reader], **changes}
    return DatasetEntry.model_validate({key: value for key, value in entry.items() if value is not None}).told("made")


def test_every_reader_of_files_is_here():
    assert set(COMPLETE) == set(FAULTS) == set(components.names("readers")) - {"digits", "docstrings"}


@pytest.mark.parametrize("reader", list(COMPLETE))
def test_complete_files_are_looked_at_without_decoding_an_image(tmp_path, reader, monkeypatch):
    found = publishers.write_folder(COMPLETE[reader], tmp_path / "data")
    (tmp_path / "data.zip").write_bytes(publishers.zipped(COMPLETE[reader], "."))
    prepare.prepare(told(reader), tmp_path, False, tmp_path / "prepared")

    def decoded(*_):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(archives, "opened", decoded)
    monkeypatch.setattr("manyexits.data.collection.opened", decoded)
    prepare.look(told(reader), found)
    if reader != "imagenet":  # whose photographs stay where they are
        prepare.look(told(reader), tmp_path / "data.zip")


@pytest.mark.parametrize(
    ("reader", "change", "keys", "says"),
    [(reader, *fault) for reader, faults in FAULTS.items() for fault in faults],
    ids=[f"{reader}: {fault[2]}" for reader, faults in FAULTS.items() for fault in faults],
)
def test_both_refuse_alike(tmp_path, reader, change, keys, says):
    found = publishers.write_folder(change(COMPLETE[reader]), tmp_path / "data")
    settings = told(reader, **keys)
    with pytest.raises(ValueError, match=re.escape(says)) as looked:
        prepare.look(settings, found)
    with pytest.raises(ValueError, match=re.escape(says)) as prepared:
        prepare.prepare(settings, tmp_path, False, tmp_path / "prepared")
    assert str(looked.value).replace(str(found), "data") == str(prepared.value).replace(str(found), "data")


@pytest.mark.parametrize("reader", ["imagenette", "folder"])
def test_an_index_of_an_archive_is_refused_by_both(tmp_path, reader):
    archive = tmp_path / "data"
    archive.write_bytes(publishers.zipped(COMPLETE[reader], "."))
    for work in (
        lambda: prepare.look(told(reader, store="index"), archive),
        lambda: prepare.prepare(told(reader, store="index"), tmp_path, False, tmp_path / "prepared"),
    ):
        with pytest.raises(ValueError, match="is an archive, and an index needs files that lie open"):
            work()


def test_a_computed_dataset_has_nothing_to_look_at(tmp_path):
    settings = DatasetEntry(source="digits", classes=10).told("made")
    assert prepare.look(settings, Path("nowhere")) is None
    prepare.prepare(settings, tmp_path, False, tmp_path / "prepared")
    assert np.load(tmp_path / "prepared/arrays/train_labels.npy").max() == 9
