"""20-Newsgroups in its publisher's layout, as folder and archive, damaged, and real where it is there."""

import os
from pathlib import Path

import numpy as np
import publishers
import pytest
from sklearn.datasets import fetch_20newsgroups
from tokenizers import Tokenizer

from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.readers import newsgroups


@pytest.fixture
def folder(tmp_path):
    publishers.write_folder(publishers.newsgroups_files(), tmp_path / "20news-bydate")
    return tmp_path


def test_a_folder_and_an_archive_give_the_same(folder, tmp_path):
    read = newsgroups.load(folder, hub=False)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/20news-bydate.tar.gz").write_bytes(
        publishers.tar_gz(publishers.newsgroups_files(), "20news-bydate")
    )
    packed = newsgroups.load(tmp_path / "packed", hub=False)
    assert read.train.texts == packed.train.texts
    assert read.train.labels.tolist() == packed.train.labels.tolist() == sorted([*range(20)] * 6)
    assert read.train.texts[0] == (publishers.MESSAGE.format("alt.atheism0"),)
    assert len(read.test.texts) == 60
    assert read.remarks == ["of every message are kept: body, headers, footers, quotes"]


def test_what_is_removed_is_what_scikit_learn_removes(folder):
    removed = newsgroups.load(folder, hub=False, remove=["quotes", "headers", "footers"])
    text = newsgroups.REMOVE["headers"](publishers.MESSAGE.format("alt.atheism0"))
    text = newsgroups.REMOVE["quotes"](newsgroups.REMOVE["footers"](text))
    assert removed.train.texts[0] == (text,)
    assert text.strip() == "The alt.atheism0 is a thing of beauty, caf\xe9."
    assert removed.remarks == ["of every message are kept: body"]
    assert fetch_20newsgroups.__module__ == newsgroups.strip.__name__  # whose own `remove` these are


def test_messages_that_are_empty_stay_and_are_counted(folder):
    name = folder / "20news-bydate/20news-bydate-train/sci.med/13000"
    name.write_bytes(b"From: a\nSubject: b\n\n")
    raw = newsgroups.load(folder, hub=False, remove=["headers"])
    assert raw.remarks[1:] == ["1 messages are empty once headers are removed; they stay, as empty texts"]
    assert len(raw.train.texts) == 120


def test_a_sample_has_the_shares_of_the_groups(folder):
    raw = newsgroups.load(folder, hub=False, sample=[40, None])
    assert np.bincount(raw.train.labels).tolist() == [2] * 20
    assert len(raw.test.texts) == 60
    again = newsgroups.load(folder, hub=False, sample=[40, None])
    assert raw.train.texts == again.train.texts
    with pytest.raises(ValueError, match=r"121 samples cannot be drawn of 120 .*; choose another sample"):
        newsgroups.load(folder, hub=False, sample=[121, None])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"20news-bydate-train/sci.med/13000": b"a\0b"}, "sci.med/13000 holds a NUL byte and is no text"),
        ({"20news-bydate-train/sci.pets/1": b"a"}, "20news-bydate-train/sci.pets is none of the twenty groups"),
    ],
)
def test_what_is_no_message_is_refused(folder, change, said):
    publishers.write_folder(change, folder / "20news-bydate")
    with pytest.raises(ValueError, match=said):
        newsgroups.load(folder, hub=False)


def test_a_group_without_messages_is_refused(tmp_path):
    without = {name: content for name, content in publishers.newsgroups_files().items() if "test/sci.med/" not in name}
    publishers.write_folder(without, tmp_path / "20news-bydate")
    with pytest.raises(ValueError, match=r"holds no messages in 20news-bydate-test/sci\.med; it is incomplete"):
        newsgroups.load(tmp_path, hub=False)


def test_the_hub_s_copy_is_asked_only_for_what_it_has(tmp_path):
    with pytest.raises(ValueError, match=r"lacks headers, footers, quotes, for which set remove: \[headers, footers"):
        newsgroups.load(tmp_path, hub=True)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A data root, and how many messages it has."""
    root = Path(os.environ.get("MANYEXITS_DATA_ROOT", "datasets"))
    if any((root / place).exists() for place in newsgroups.places("20news-bydate.tar.gz")):
        return root, (11_314, 7_532)
    root = tmp_path_factory.mktemp("generated")
    publishers.write_folder(publishers.newsgroups_files(30, 20), root / "20news-bydate")
    return root, (600, 400)


def test_messages_are_prepared_whole_and_their_tokens_are_as_the_tokenizer_cuts_them(real, tmp_path):
    root, counts = real
    told = {"dataset": "news", "source": "newsgroups", "classes": 20, "validation": 0.1, "split_seed": 42}
    prepare.prepare(told | {"vocabulary": 4096, "sample": [200, 200]}, root, False, tmp_path)
    raw = newsgroups.load(root, hub=False)
    assert (len(raw.train.texts), len(raw.test.texts)) == counts
    assert len(raw.remarks) == 1
    read = dataset.read(tmp_path)
    assert [len(split) for split in (read.train, read.validation, read.test)] == [180, 20, 200]
    used = Tokenizer.from_file(str(tmp_path / "arrays/tokenizer.json"))
    sample = newsgroups.load(root, hub=False, sample=[200, 200]).test
    padded, labels = read.test.take(np.array([3, 17]))
    assert labels.tolist() == sample.labels[[3, 17]].tolist()
    for row, place in enumerate((3, 17)):
        assert padded.ids[row][padded.mask[row]].tolist() == used.encode(sample.texts[place][0]).ids
