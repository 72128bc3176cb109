"""The hub's layout, read through its client without a network: small images, and photographs left in its cache."""

import re
import shutil
import socket
from pathlib import Path

import numpy as np
import publishers
import pytest

from manyexits.data import hub, images, prepare
from manyexits.data import prepared as dataset
from manyexits.data.hub import Hub
from manyexits.data.readers import imagenet, newsgroups, stsb

ABSENT = ValueError("Pictures is missing: looked for /there/pictures; get it from example.org")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """The hub's client without a network and with an empty cache; the list of attempts to connect."""
    import datasets
    import huggingface_hub.constants

    attempts = []

    def watched(self, address):
        attempts.append(address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return attempts


def from_hub(identifier):
    return Hub(str(identifier), "image", "label", ("train", "test"), ABSENT).small("none")


def refused(identifier, *phrases):
    with pytest.raises(ValueError, match=re.escape(str(identifier))) as caught:
        from_hub(identifier)
    message = str(caught.value)
    assert "\n" not in message
    assert all(phrase in message for phrase in phrases), message


def test_a_hub_that_cannot_be_reached_leaves_the_sentence_about_the_missing_files(offline):
    refused("somebody/pictures", str(ABSENT), "could not be read either")
    assert offline == []


def test_a_split_that_the_hub_does_not_have_is_refused(offline, tmp_path):
    folder = publishers.write_hub(
        tmp_path / "hub", {"train": [(np.zeros((2, 2, 3), np.uint8), 0)]}, "image", "label", "a"
    )
    refused(folder, str(ABSENT), "could not be read either")


def test_images_of_several_modes_from_the_hub_become_rgb(offline, tmp_path):
    colour, grey = np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.arange(9, dtype=np.uint8).reshape(3, 3)
    splits = {"train": [(colour, 1), (grey, 0)], "test": [(grey, 1)]}
    raw = from_hub(publishers.write_hub(tmp_path / "hub", splits, "image", "label", ["one", "two"]))
    assert np.array_equal(raw.train.images, np.stack([colour, np.stack([grey] * 3, axis=-1)]))
    assert np.array_equal(raw.test.images[0], np.stack([grey] * 3, axis=-1))
    assert raw.train.labels.tolist() == [1, 0]
    assert raw.train.labels.dtype == np.int64
    assert raw.class_names == ["one", "two"]


def test_other_columns_of_the_hub_are_refused(offline, tmp_path):
    rows = [(np.zeros((2, 2, 3), np.uint8), 0)]
    folder = publishers.write_hub(tmp_path / "hub", {"train": rows, "test": rows}, "img", "label", "a")
    refused(folder, "has the columns img, label, not image and label", "hub_id in config.yaml")


def test_labels_of_the_hub_without_names_are_refused(offline, tmp_path):
    import datasets

    rows = [(np.zeros((2, 2, 3), np.uint8), 0)]
    folder = publishers.write_hub(tmp_path / "hub", {"train": rows, "test": rows}, "image", "label", "a")
    for path in (folder / "data").iterdir():
        datasets.Dataset.from_parquet(str(path)).cast_column("label", datasets.Value("int64")).to_parquet(path)
    refused(folder, "has no names of classes in its column label", "hub_id in config.yaml")


def test_images_of_several_sizes_from_the_hub_are_refused(offline, tmp_path):
    rows = [(np.zeros((2, width, 3), np.uint8), 0) for width in (2, 3)]
    folder = publishers.write_hub(tmp_path / "hub", {"train": rows, "test": rows}, "image", "label", "a")
    refused(folder, "has images of 2 sizes", "hub_id in config.yaml")


def test_a_damaged_image_from_the_hub_is_refused(offline, tmp_path):
    import datasets

    rows = [(np.zeros((2, 2, 3), np.uint8), 0)]
    folder = publishers.write_hub(tmp_path / "hub", {"train": rows, "test": rows}, "image", "label", "a")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a"])})
    broken = {"image": [{"bytes": b"no image", "path": None}], "label": [0]}
    datasets.Dataset.from_dict(broken, features=features).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    refused(folder, "an image that cannot be read", "hub_id in config.yaml")


# -- photographs that stay in the client's cache ----------------------------------------------------------------------

TOLD = {"dataset": "im", "source": "imagenette", "classes": 3, "validation": 0.5, "split_seed": 42, "pixels": 16}


@pytest.fixture
def copy(offline, tmp_path) -> Path:
    """Photographs of three classes in the hub's layout."""
    sizes = [(40, 30), (25, 60), (33, 33)]

    def rows(first: int, n: int) -> list:
        return [(np.asarray(publishers.photograph(first + i, sizes[i % 3])), i % 3) for i in range(n)]

    splits = {"train": rows(0, 12), "validation": rows(100, 6)}
    return publishers.write_hub(tmp_path / "hub", splits, "image", "label", ["tench", "church", "parachute"])


def prepared(copy: Path, folder: Path, **options) -> dataset.Prepared:
    told = TOLD | {"hub_id": str(copy), "hub_form": "default"} | options
    prepare.prepare(told, Path("nowhere"), True, folder, 2)
    return dataset.read(folder, workers=1)


def test_an_index_of_the_hubs_copy_gives_the_views_of_the_array(copy, tmp_path):
    arrays, index = (prepared(copy, tmp_path / store, store=store) for store in ("arrays", "index"))
    assert index.train.decoded
    assert not list((tmp_path / "index").rglob("*images*"))
    for part in ("train", "validation", "test"):
        pairs = zip(getattr(arrays, part).batches(4), getattr(index, part).batches(4), strict=True)
        assert all(np.array_equal(a, b) and np.array_equal(x, y) for (a, x), (b, y) in pairs)
    assert arrays.manifest["photographs_sha256"] == index.manifest["photographs_sha256"]
    assert index.manifest["class_names"] == ["tench", "church", "parachute"]


def test_imagenet_of_the_hub_is_an_index(copy, tmp_path):
    raw = imagenet.load(Path("nowhere"), True, pixels=16, hub_id=str(copy))
    assert len(raw.train.images) == 12
    assert raw.train.images.seen(1, None).shape == (16, 16, 3)
    assert raw.train.labels.tolist() == [0, 1, 2] * 4
    assert raw.source == f"hub: {copy}"


def test_a_cache_that_was_removed_is_one_sentence(copy, tmp_path):
    index = prepared(copy, tmp_path / "index", store="index")
    shutil.rmtree(tmp_path / "cache")
    images.shard.cache_clear()
    with pytest.raises(ValueError, match="can no longer be read as it was") as caught:
        list(index.test.batches(2))
    assert "prepare it again" in str(caught.value)
    with pytest.raises(ValueError, match="remove the prepared folder and prepare it again"):
        dataset.read(tmp_path / "index")


def test_shards_are_open_before_workers_start(copy, tmp_path):
    prepared(copy, tmp_path / "index", store="index")
    images.shard.cache_clear()
    dataset.read(tmp_path / "index")
    assert images.shard.cache_info().currsize == 2  # of the training and the test split


def test_a_shard_that_must_not_be_read_is_no_damaged_photograph(copy, tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(hub, "stored", forbidden)
    with pytest.raises(ValueError, match=r"must not be read; correct its permissions"):
        prepared(copy, tmp_path / "skipped", damaged="skip")


def test_a_column_of_numbers_is_no_column_of_images(offline, tmp_path):
    import datasets

    for split in ("train", "test"):
        path = tmp_path / f"hub/data/{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        features = datasets.Features({"image": datasets.Value("int64"), "label": datasets.ClassLabel(names=["a"])})
        datasets.Dataset.from_dict({"image": [3], "label": [0]}, features=features).to_parquet(path)
    refused(tmp_path / "hub", "has no images in its column image", "hub_id in config.yaml")


def broken(copy: Path, content: dict | None) -> None:
    """Another content of the second photograph in the hub's training split."""
    import datasets

    (path,) = (copy / "data").glob("train*")
    split = datasets.Dataset.from_parquet(str(path)).cast_column("image", datasets.Image(decode=False))
    rows = [row | {"image": content} if n == 1 else row for n, row in enumerate(split)]
    datasets.Dataset.from_list(rows).cast(split.features).cast_column("image", datasets.Image()).to_parquet(str(path))


@pytest.mark.parametrize("content", [{"bytes": b"no image", "path": None}, None])
@pytest.mark.parametrize("store", ["arrays", "index"])
def test_damaged_photographs_of_the_hub_are_refused_or_left_out(copy, tmp_path, store, content):
    broken(copy, content)
    with pytest.raises(ValueError, match="1 of 18 photographs cannot be read"):
        prepared(copy, tmp_path / "refused", store=store)
    manifest = prepared(copy, tmp_path / "skipped", store=store, damaged="skip").manifest
    (skipped,) = manifest["skipped"]
    assert skipped.endswith("train.arrow/image/1")
    assert manifest["n"]["train"] + manifest["n"]["validation"] == 11


# -- columns of text --------------------------------------------------------------------------------------------------


def write_columns(folder: Path, splits: dict[str, dict[str, list]]) -> str:
    """Parquet files of plain columns in the hub's layout."""
    import datasets

    (folder / "data").mkdir(parents=True)
    for split, columns in splits.items():
        datasets.Dataset.from_dict(columns).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return str(folder)


MESSAGES = {"text": ["one", "", "three"] * 20, "label_text": [*newsgroups.GROUPS] * 3, "label": [19] * 60}
SENTENCES = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.5, 5.0]}


def test_messages_of_the_hub_are_without_headers_footers_and_quotes(offline, tmp_path):
    folder = write_columns(tmp_path / "hub", {"train": MESSAGES, "test": MESSAGES})
    raw = newsgroups.load(tmp_path, True, remove=["quotes", "headers", "footers"], hub_id=folder)
    assert raw.train.texts == [(text,) for text in MESSAGES["text"]]
    assert raw.test.labels.tolist() == [*range(20)] * 3
    assert raw.source == f"hub: {folder}"
    assert "40 messages are empty" in raw.remarks[1]
    with pytest.raises(ValueError, match=r"the hub's copy lacks headers, footers, quotes, for which set remove"):
        newsgroups.load(tmp_path, True, remove=["quotes"], hub_id=folder)


def test_pairs_of_the_hub_have_their_own_validation_part(offline, tmp_path):
    other = SENTENCES | {"sentence1": ["e", "f"]}
    folder = write_columns(tmp_path / "hub", {"train": SENTENCES, "validation": other, "test": SENTENCES})
    raw = stsb.load(tmp_path, True, hub_id=folder)
    assert raw.train.texts == [("a", "c"), ("b", "d"), ("e", "c"), ("f", "d")]
    assert raw.validation == 2
    assert raw.test.labels.tolist() == [1.5, 5.0]


UNFIT = {
    "has the columns text, label, not text, label_text": {"text": ["a"], "label": [1]},
    "has other than a text in some row of its column text": {"text": ["a", None], "label_text": ["sci.med"] * 2},
    "has other than a text in some row of its column label_text": {"text": ["a"], "label_text": [3]},
    "has messages of 'sci.fi', which is none of the twenty groups": {"text": ["a"], "label_text": ["sci.fi"]},
    "could not be read either": None,
}


@pytest.mark.parametrize("said", UNFIT)
def test_other_messages_of_the_hub_are_refused(offline, tmp_path, said):
    folder = str(tmp_path / "hub")
    if UNFIT[said] is not None:
        write_columns(tmp_path / "hub", {"train": UNFIT[said], "test": UNFIT[said]})
    with pytest.raises(ValueError, match=said) as caught:
        newsgroups.load(tmp_path, True, remove=["quotes", "headers", "footers"], hub_id=folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("score", [None, "1.5", [1.0]])
def test_other_scores_of_the_hub_are_refused(offline, tmp_path, score):
    rows = SENTENCES | {"score": [score] * 2}
    folder = write_columns(tmp_path / "hub", {"train": rows, "validation": rows, "test": rows})
    with pytest.raises(
        ValueError, match="other than a score in some row of its column score; name another one as hub_id"
    ):
        stsb.load(tmp_path, True, hub_id=folder)
