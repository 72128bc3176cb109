"""Preparing a dataset and reading it back: splits, checksums, statistics, and what is refused."""

import hashlib
import json
import math
import re
import shutil
import subprocess

import numpy as np
import publishers
import pytest
from conftest import NETWORK, READER
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import train_test_split

from manyexits.batches.views import counted_for
from manyexits.data import prepare, splits
from manyexits.data import prepared as dataset
from manyexits.data.raw import Raw, RawPart
from manyexits.files import atomic

SETTINGS = {
    "dataset": "cifar100",
    "source": "cifar100",
    "classes": 4,
    "validation": 0.25,
    "split_seed": 42,
    "version": 1,
}
LABELS = [0] * 20 + [1] * 12 + [2] * 8 + [3] * 8
TRAIN = publishers.cifar_images(1, np.random.default_rng(0).permutation(LABELS))
TEST = publishers.cifar_images(2, [3, 0, 0, 1, 2])
FILES = publishers.cifar_files(TRAIN, TEST)
LISTED = [
    "arrays/train_images.npy",
    "arrays/train_labels.npy",
    "arrays/test_images.npy",
    "arrays/test_labels.npy",
    "splits.json",
    "manifest.json",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with CIFAR-100's extracted folder, four classes of it."""
    root = tmp_path_factory.mktemp("root")
    publishers.write_folder(FILES, root / publishers.CIFAR)
    return root


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory):
    """The prepared folder, below a path with spaces and letters beyond ASCII."""
    folder = tmp_path_factory.mktemp("results") / "Daten für später" / "cifar100"
    prepare.prepare(SETTINGS, root, False, folder)
    return folder


@pytest.fixture
def copied(prepared, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(prepared, tmp_path / "copy of ü")


def raw_of(train, test=None, names="abcd"):
    return Raw(RawPart(*train), RawPart(*(test or TEST)), list(names), "made by the test", "none")


def splits_of(folder):
    return json.loads((folder / "splits.json").read_text())


def refuses(call, *phrases):
    """The one sentence with which a call is refused."""
    with pytest.raises(ValueError, match=re.escape(phrases[0])) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


# -- what is written is what is read ----------------------------------------------------------------------------------


def test_every_image_comes_back_with_its_label(prepared):
    data = dataset.read(prepared)
    for split, (images, labels) in ((data.train, TRAIN), (data.validation, TRAIN), (data.test, TEST)):
        found_images, found_labels = split.take(np.arange(len(split)))
        assert np.array_equal(found_images, images[split.indices])
        assert np.array_equal(found_labels, labels[split.indices])
    assert data.test.indices.tolist() == [0, 1, 2, 3, 4]
    assert data.shape == (32, 32, 3)


def test_images_are_taken_in_the_order_asked_for_and_stay_on_disk(prepared):
    data = dataset.read(prepared)
    images, labels = data.test.take(np.array([4, 0, 4]))
    assert np.array_equal(images, TEST[0][[4, 0, 4]])
    assert labels.tolist() == [2, 3, 2]
    assert isinstance(data.train.images, np.memmap)
    nothing, none = data.train.take(np.array([], dtype=np.int64))
    assert (nothing.shape, none.shape) == ((0, 32, 32, 3), (0,))


def test_the_manifest_says_what_was_read_and_how_it_was_counted(prepared):
    manifest = dataset.read(prepared).manifest
    assert manifest["dataset"] == "cifar100"
    assert manifest["source"] == publishers.CIFAR
    assert manifest["settings"] == SETTINGS
    assert manifest["class_names"] == ["apple", "aquarium_fish", "baby", "bear"]
    assert manifest["n"] == {"train": 36, "validation": 12, "test": 5}
    assert manifest["per_class"] == {"train": [15, 9, 6, 6], "validation": [5, 3, 2, 2], "test": [2, 1, 1, 1]}


def test_options_of_the_source_reach_it(tmp_path):
    (tmp_path / "other.tar.gz").write_bytes(publishers.tar_gz(FILES, publishers.CIFAR))
    prepare.prepare(SETTINGS | {"path": "other.tar.gz"}, tmp_path, False, tmp_path / "prepared")
    assert dataset.read(tmp_path / "prepared").manifest["source"].startswith("other.tar.gz, sha256 ")


def test_a_dataset_of_one_image_per_class_and_part_comes_back(tmp_path):
    train, test = publishers.cifar_images(3, [0, 0]), publishers.cifar_images(4, [0])
    prepare.write(raw_of(train, test, "a"), SETTINGS | {"classes": 1, "validation": 0.5}, tmp_path)
    data = dataset.read(tmp_path)
    assert sorted([*data.train.indices, *data.validation.indices]) == [0, 1]
    assert (len(data.train), len(data.validation), len(data.test)) == (1, 1, 1)


# -- splits -----------------------------------------------------------------------------------------------------------


def test_validation_is_that_of_scikit_learn_with_seed_42(prepared):
    train, validation = train_test_split(range(48), test_size=0.25, stratify=TRAIN[1], random_state=42)
    data = dataset.read(prepared)
    assert data.train.indices.tolist() == sorted(train)
    assert data.validation.indices.tolist() == sorted(validation)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(10, 40), min_size=1, max_size=5), st.integers(1, 5), st.integers(0, 99))
def test_splits_are_disjoint_complete_stratified_and_reproducible(sizes, tenths, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, validation = splits.split(labels, tenths / 10, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert len(validation) == math.ceil(len(labels) * tenths / 10)
    quotas = np.array(sizes) * len(validation) / len(labels)
    assert np.abs(np.bincount(labels[validation], minlength=len(sizes)) - quotas).max() < 1
    again = splits.split(labels, tenths / 10, seed)
    assert np.array_equal(train, again[0])
    assert np.array_equal(validation, again[1])


def test_another_seed_gives_another_split():
    first, second = (splits.split(TRAIN[1], 0.25, seed)[1] for seed in (42, 43))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(
    ("labels", "share", "told"),
    [
        ([0, 0, 0, 0, 1], 0.5, "5 training samples of 2 classes, 1 of the rarest"),
        ([0, 0, 1, 1, 2, 2], 0.1, "6 training samples of 3 classes, 2 of the rarest"),
        ([0, 0, 1, 1, 2, 2], 0.9, "into 0.1 and 0.9"),
    ],
)
def test_classes_with_too_few_images_are_refused(tmp_path, labels, share, told):
    train, test = publishers.cifar_images(5, labels), publishers.cifar_images(6, sorted(set(labels)))
    given = SETTINGS | {"classes": max(labels) + 1, "validation": share}
    raw = raw_of(train, test, names="abc"[: max(labels) + 1])
    refuses(lambda: prepare.write(raw, given, tmp_path), told, "key validation")
    assert not (tmp_path / "manifest.json").exists()


def test_the_test_part_has_no_say_in_splits_or_statistics(prepared, tmp_path):
    other = (255 - TEST[0], TEST[1][::-1].copy())
    prepare.write(raw_of(TRAIN, other), SETTINGS, tmp_path)
    assert splits_of(tmp_path) == splits_of(prepared)
    first, second = dataset.read(prepared), dataset.read(tmp_path)
    assert first.mean.tolist() == second.mean.tolist()
    assert first.std.tolist() == second.std.tolist()


def test_validation_images_have_no_say_in_the_statistics(prepared, tmp_path):
    images = TRAIN[0].copy()
    images[dataset.read(prepared).validation.indices] = 0
    prepare.write(raw_of((images, TRAIN[1])), SETTINGS, tmp_path)
    assert dataset.read(tmp_path).mean.tolist() == dataset.read(prepared).mean.tolist()


# -- statistics -------------------------------------------------------------------------------------------------------


def test_mean_and_deviation_are_those_of_the_training_split(prepared):
    train, _ = train_test_split(range(48), test_size=0.25, stratify=TRAIN[1], random_state=42)
    pixels = TRAIN[0][train].astype(np.float64) / 255
    data = dataset.read(prepared)
    assert data.mean.dtype == np.float32
    np.testing.assert_allclose(data.mean, pixels.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data.std, pixels.std((0, 1, 2)), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.just(3))))
def test_channel_statistics_are_those_of_numpy(images):
    chosen = np.arange(0, len(images), 2)
    mean, std = RawPart(images, np.zeros(len(images), dtype=np.int64)).statistics(chosen)
    pixels = images[chosen].astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), atol=1e-7)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), atol=2e-6)


def test_a_channel_of_one_value_has_a_deviation_that_divides():
    mean, std = raw_of((np.full((2, 2, 2, 3), 51, np.uint8), np.array([0, 1]))).train.statistics(np.array([0, 1]))
    assert mean == pytest.approx([0.2] * 3)
    assert (std > 0).all()
    assert (std < 1e-5).all()


# -- checksums --------------------------------------------------------------------------------------------------------


def test_checksums_of_the_splits_are_those_of_their_indices(prepared):
    splits = splits_of(prepared)
    for part in ("train", "validation"):
        packed = b"".join(index.to_bytes(8, "little") for index in splits[part]["indices"])
        assert splits[part]["sha256"] == hashlib.sha256(packed).hexdigest()
        assert splits[part]["n"] == len(packed) // 8
    assert (splits["share"], splits["seed"]) == (0.25, 42)


def test_checksums_of_the_manifest_are_those_of_the_files(prepared):
    recorded = json.loads((prepared / "manifest.json").read_text())["files_sha256"]
    assert sorted(recorded) == sorted(LISTED[:-1])
    for name, checksum in recorded.items():
        assert hashlib.sha256((prepared / name).read_bytes()).hexdigest() == checksum


@pytest.mark.parametrize("name", LISTED)
def test_sha256sum_accepts_the_folder_until_a_byte_changes(copied, name):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    told = subprocess.run(command, cwd=copied, capture_output=True, text=True)
    assert told.returncode == 0
    assert told.stdout.splitlines() == [f"{listed}: OK" for listed in LISTED]
    content = bytearray((copied / name).read_bytes())
    content[-1] ^= 1
    (copied / name).write_bytes(content)
    told = subprocess.run(command, cwd=copied, capture_output=True, text=True)
    assert told.returncode == 1
    assert f"{name}: FAILED" in told.stdout


def test_preparing_twice_gives_the_same_bytes(prepared, root, tmp_path):
    prepare.prepare(SETTINGS, root, False, tmp_path)
    assert (tmp_path / "SHA256SUMS").read_bytes() == (prepared / "SHA256SUMS").read_bytes()


@pytest.mark.parametrize("labels", [{"classes": 5}, {"classes": 1}, {"scores": [0, 3]}])
def test_a_network_for_other_labels_does_not_read_it(prepared, labels):
    assert dataset.read(prepared, network={"classes": 4}).classes == 4
    refuses(lambda: dataset.read(prepared, network=labels), f"{prepared} has labels of 4 classes, but the network")


def test_texts_that_lose_their_end_are_counted(prepared_texts):
    network = NETWORK | {"backbone": READER | {"length": 6}}
    read = dataset.read(prepared_texts, network=network)
    whole = dataset.read(prepared_texts)
    splits = {"training": whole.train, "validation": whole.validation, "test": whole.test}
    counts = {name: (split.lengths > 6).sum() for name, split in splits.items()}
    assert all(counts.values())
    told = ", ".join(f"{n} of {len(splits[name])} {name}" for name, n in counts.items())
    assert read.remark == f"longer than 6 tokens, and cut to them: {told} texts"
    assert counted_for(read)["cut"] == counts["validation"]
    assert whole.remark is None
    assert dataset.read(prepared_texts, network=NETWORK | {"backbone": READER}).remark is None


def test_images_lose_nothing(prepared):
    assert dataset.read(prepared).remark is None


# -- what is refused --------------------------------------------------------------------------------------------------


def test_another_number_of_classes_is_refused(root, tmp_path):
    refuses(
        lambda: prepare.prepare(SETTINGS | {"classes": 100}, root, False, tmp_path / "out"),
        "datasets.cifar100.classes is 100",
        "cifar-100-binary has training samples of 4 classes and 4 class names",
        "correct the key or get the complete dataset",
    )
    assert not (tmp_path / "out").exists()


def test_a_class_without_training_images_is_refused(tmp_path):
    present = TRAIN[1] != 2
    refuses(
        lambda: prepare.write(raw_of((TRAIN[0][present], TRAIN[1][present])), SETTINGS, tmp_path),
        "training samples of 3 classes and 4 class names",
    )
    assert not list(tmp_path.iterdir())


def test_a_class_without_test_images_is_refused(tmp_path):
    present = TEST[1] != 2
    other = (TEST[0][present], TEST[1][present])
    refuses(
        lambda: prepare.write(raw_of(TRAIN, other), SETTINGS, tmp_path),
        "training samples of 4 classes, but test samples of 3; get the complete dataset",
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", ["abc", "abcde"])
def test_another_number_of_class_names_is_refused(tmp_path, names):
    told = f"training samples of 4 classes and {len(names)} class names"
    refuses(lambda: prepare.write(raw_of(TRAIN, names=names), SETTINGS, tmp_path), told, "get the complete dataset")
    assert not list(tmp_path.iterdir())


BROKEN = {
    "missing": {},
    "a part cut": FILES | {"train.bin": FILES["train.bin"][:-7]},
    "a label without name": FILES | {"fine_label_names.txt": b"apple\nbaby\n"},
    "no test part": {name: content for name, content in FILES.items() if name != "test.bin"},
}


@pytest.mark.parametrize("files", BROKEN.values(), ids=BROKEN)
def test_a_refused_dataset_leaves_nothing_behind(tmp_path, files):
    publishers.write_folder(files, tmp_path / publishers.CIFAR)
    refuses(
        lambda: prepare.prepare(SETTINGS, tmp_path, False, tmp_path / "out"), str(tmp_path / publishers.CIFAR), "get it"
    )
    assert not (tmp_path / "out").exists()


def test_a_refused_dataset_leaves_an_earlier_one_untouched(copied, root):
    refuses(lambda: prepare.prepare(SETTINGS | {"classes": 5}, root, False, copied), "classes is 5")
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=copied).returncode == 0


@pytest.mark.parametrize("written", range(6))
def test_a_disk_that_fills_up_leaves_nothing_that_looks_whole(copied, root, monkeypatch, written):
    """Even where an earlier preparation lies: its manifest must not vouch for a mixture."""
    write, names = atomic.write, []

    def until_full(path, fill):
        if len(names) == written:
            raise atomic.NoSpaceError(28, f"no space left while writing {path}")
        names.append(path.name)
        write(path, fill)

    monkeypatch.setattr(atomic, "write", until_full)
    with pytest.raises(atomic.NoSpaceError, match="no space left"):
        prepare.prepare(SETTINGS, root, False, copied)
    assert len(names) == written
    assert not (copied / "manifest.json").exists()
    refuses(lambda: dataset.read(copied), str(copied), "prepare it again")


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_manifest_that_counts_otherwise_is_refused(copied, part):
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["n"][part] += 1
    (copied / "manifest.json").write_text(json.dumps(manifest))
    refuses(lambda: dataset.read(copied), str(copied), "prepare it again")


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_an_array_of_another_length_is_refused(copied, name):
    path = copied / "arrays" / f"{name}.npy"
    np.save(path, np.load(path)[:-1])
    refuses(lambda: dataset.read(copied), str(copied), name, "prepare it again")


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("share", [None, 0.0, 0.5])
def test_a_missing_empty_or_cut_file_is_refused(copied, name, share):
    path = copied / name
    content = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(content[: int(share * len(content))])
    refuses(lambda: dataset.read(copied), str(copied), "remove the prepared folder and prepare it again")


@pytest.mark.parametrize("name", ["splits.json", "manifest.json"])
@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"n": 3, "train": 4}'])
def test_a_file_of_other_content_is_refused(copied, name, content):
    (copied / name).write_text(content)
    refuses(lambda: dataset.read(copied), str(copied), "remove the prepared folder and prepare it again")


@pytest.mark.parametrize(
    "changed",
    [
        {"mean": [float("nan")] * 3},
        {"mean": [128.0] * 3},
        {"std": [0.0] * 3},
        {"std": [float("inf")] * 3},
        {"shape": [0, 32, 3]},
        {"class_names": ["apple"]},
        {"files_sha256": {}},
        {"files_sha256": {"splits.json": "0"}},
        {"settings": {}},
        {"settings": {"classes": None}},
        {"settings": {"classes": "four"}},
        {"settings": {"classes": 5}},
        {"settings": {"scores": [1]}},
        {"settings": {"scores": [0, float("inf")]}},
    ],
    ids=str,
)
def test_a_manifest_of_values_that_no_dataset_has_is_refused(copied, changed):
    manifest = json.loads((copied / "manifest.json").read_text()) | changed
    (copied / "manifest.json").write_text(json.dumps(manifest))
    refuses(lambda: dataset.read(copied), str(copied), "remove the prepared folder and prepare it again")


def test_pickles_are_not_read(copied):
    np.save(copied / "arrays" / "train_labels.npy", np.array([{}] * 48), allow_pickle=True)
    refuses(lambda: dataset.read(copied), str(copied), "remove the prepared folder and prepare it again")
