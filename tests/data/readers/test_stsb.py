"""STS Benchmark in the layouts in which it is distributed, damaged in every way, and real where it is there."""

import json
import os
from pathlib import Path

import publishers
import pytest

from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.readers import stsb

PAIRS = publishers.PAIRS
LAYOUTS = {
    "csv": {f"stsb-en-{part}.csv": publishers.sts_csv(pairs) for part, pairs in PAIRS.items()},
    "publishers": {f"stsbenchmark/sts-{part}.csv": publishers.sts_tsv(pairs) for part, pairs in PAIRS.items()},
    "GLUE": {f"STS-B/original/sts-{part}.tsv": publishers.sts_tsv(pairs) for part, pairs in PAIRS.items()}
    | {"STS-B/test.tsv": b"index\tsentence1\tsentence2\n0\ta\tb\n"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("how", ["folder", "tgz", "zip"])
def test_every_layout_gives_the_same_pairs(layout, how, tmp_path):
    if how == "folder":
        publishers.write_folder(LAYOUTS[layout], tmp_path / "stsbenchmark")
    else:
        pack = {"tgz": publishers.tar_gz, "zip": publishers.zipped}[how]
        (tmp_path / "stsbenchmark").write_bytes(pack(LAYOUTS[layout], "top"))
    raw = stsb.load(tmp_path, hub=False)
    whole = PAIRS["train"] + PAIRS["dev"]
    assert raw.train.texts == [(a, b) for a, b, _ in whole]
    assert raw.train.labels.tolist() == [score for *_, score in whole]
    assert raw.test.texts == [(a, b) for a, b, _ in PAIRS["test"]]
    assert raw.validation == 1
    assert raw.class_names == []


DAMAGE = {
    "too many columns": (b"a,b,1,2\n", "line 1: it has 4 columns, not 3"),
    "too few columns": (b"a,b,1\nc,d\n", "line 2: it has 2 columns, not 3"),
    "an empty line": (b"a,b,1\n\n", "line 2: it has 0 columns, not 3"),
    "an open quote": (b'a,"b,1\nc,d,2\n', "unexpected end of data"),
    "a score that is none": (b"a,b,high\n", "'high' is no score"),
    "a score above 5": (b"a,b,5.5\n", "the score 5.5 is not in 0 to 5"),
    "NaN": (b"a,b,nan\n", "the score nan is not in 0 to 5"),
    "a NUL byte": (b"a\0,b,1\n", "holds a NUL byte"),
    "no UTF-8": (b"a\xff,b,1\n", "is no text"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_its_line(damage, tmp_path):
    content, said = DAMAGE[damage]
    publishers.write_folder(LAYOUTS["csv"] | {"stsb-en-dev.csv": content}, tmp_path / "stsbenchmark")
    with pytest.raises(ValueError, match=r"stsb-en-dev\.csv") as caught:
        stsb.load(tmp_path, hub=False)
    assert said in str(caught.value)
    assert str(caught.value).endswith("get the dataset again")


def test_what_lacks_a_part_is_refused(tmp_path):
    publishers.write_folder({"stsb-en-train.csv": publishers.sts_csv(PAIRS["train"])}, tmp_path / "stsbenchmark")
    with pytest.raises(ValueError, match=r"does not hold stsb-en-train\.csv, stsb-en-dev\.csv, stsb-en-test\.csv; or"):
        stsb.load(tmp_path, hub=False)
    with pytest.raises(ValueError, match=r"STS Benchmark is missing: looked for .*stsbenchmark"):
        stsb.load(tmp_path / "nowhere", hub=False)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A data root, and how many pairs each split has."""
    root = Path(os.environ.get("MANYEXITS_DATA_ROOT", "datasets"))
    if (root / "stsbenchmark").exists():
        return root, [5749, 1500, 1379]
    root = tmp_path_factory.mktemp("generated")
    publishers.write_folder(publishers.stsb_files(), root / "stsbenchmark")
    return root, [3, 1, 2]


def test_pairs_are_prepared_whole_with_the_official_validation_split(real, tmp_path):
    root, counts = real
    told = {"dataset": "sts", "source": "stsb", "scores": [0, 5], "validation": "official", "split_seed": 42}
    prepare.prepare(told | {"vocabulary": 2048}, root, False, tmp_path)
    read = dataset.read(tmp_path)
    assert [len(split) for split in (read.train, read.validation, read.test)] == counts
    assert read.manifest["texts"] == 2
    raw = stsb.load(root, hub=False)
    assert read.validation.labels[read.validation.indices].tolist() == raw.train.labels[-raw.validation :].tolist()
    splits = json.loads((tmp_path / "splits.json").read_text())
    assert splits["rule"] == "validation: what the publishers set aside for it"
