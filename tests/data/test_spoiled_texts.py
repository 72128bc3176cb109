"""Whatever became of a prepared dataset of texts, it is read or refused in one sentence that says what to do."""

import json
import shutil

import numpy as np
import pytest
from conftest import NETWORK, READER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manyexits.data import prepared as dataset
from manyexits.files.provenance import sha256

TOLD = NETWORK | {"backbone": READER}
FILES = [
    "arrays/tokenizer.json",
    *(f"arrays/{part}_{what}.npy" for part in ("train", "test") for what in ("tokens", "ends", "labels")),
]


@pytest.fixture
def copied(prepared_texts, tmp_path):
    return shutil.copytree(prepared_texts, tmp_path / "texts")


def refused(folder) -> str:
    with pytest.raises(ValueError, match="prepare it again") as caught:
        dataset.read(folder, network=TOLD)
    assert str(caught.value).isprintable()
    return str(caught.value)


def vouch(folder, name: str) -> None:
    """Let the manifest tell of a file as it is."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files_sha256"][name] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_every_file_is_known_to_the_manifest(prepared_texts):
    manifest = json.loads((prepared_texts / "manifest.json").read_text())
    assert set(manifest["files_sha256"]) == {*FILES, "splits.json"}


@pytest.mark.parametrize("name", [*FILES, "splits.json", "manifest.json"])
@pytest.mark.parametrize("share", [None, 0.0, 0.5])
def test_a_missing_empty_or_cut_file_is_refused(copied, name, share):
    content = (copied / name).read_bytes()
    (copied / name).unlink()
    if share is not None:
        (copied / name).write_bytes(content[: int(share * len(content))])
    assert name.rpartition("/")[2] in refused(copied)


CHANGED = {
    "an id that no piece has": ("tokens", lambda ids: np.where(np.arange(len(ids)) == 3, 64, ids)),
    "a negative id": ("tokens", lambda ids: np.where(np.arange(len(ids)) == 3, -1, ids)),
    "ids of another type": ("tokens", lambda ids: ids.astype(np.int64)),
    "ids as rows": ("tokens", lambda ids: ids[None]),
    "an id too few": ("tokens", lambda ids: ids[:-1]),
    "a text that ends before it begins": ("ends", lambda ends: np.concatenate([ends[1:2], ends[:1], ends[2:]])),
    "two texts where there is one": ("ends", lambda ends: ends.reshape(-1, 2)),
    "ends of another type": ("ends", lambda ends: ends.astype(np.float64)),
    "an end too few": ("ends", lambda ends: np.concatenate([ends[:-2], ends[-1:]])),
    "no texts": ("ends", lambda ends: ends[:0]),
    "a label too many": ("labels", lambda labels: np.append(labels, 0)),
    "a label that no class has": ("labels", lambda labels: np.where(np.arange(len(labels)) == 3, 3, labels)),
}


@pytest.mark.parametrize("what", CHANGED)
@pytest.mark.parametrize("part", ["train", "test"])
def test_arrays_that_are_no_texts_are_refused_even_where_the_manifest_vouches_for_them(copied, what, part):
    file, change = CHANGED[what]
    name = f"arrays/{part}_{file}.npy"
    np.save(copied / name, change(np.load(copied / name)))
    vouch(copied, name)
    assert str(copied) in refused(copied)


VALUES = st.sampled_from([None, True, -1, 0, 2, 1e300, "", "x", [], {}, [0], ["x"], {"x": 1}])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_of_other_values_is_read_or_refused(copied, data):
    manifest = json.loads((copied / "manifest.json").read_text())
    at = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(at)))
        if not (isinstance(at[key], dict) and at[key]) or data.draw(st.booleans()):
            break
        at = at[key]
    if data.draw(st.booleans()):
        del at[key]
    else:
        at[key] = data.draw(VALUES)
    spoiled = copied / "spoiled"
    spoiled.mkdir(exist_ok=True)
    for name in ("arrays", "splits.json"):
        if not (spoiled / name).exists():
            (spoiled / name).symlink_to(copied / name)
    (spoiled / "manifest.json").write_text(json.dumps(manifest))
    said = "read again"
    try:
        dataset.read(spoiled, network=TOLD)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert "again" in said or "name another of them" in said


def test_a_network_for_images_or_another_vocabulary_is_refused(prepared_texts):
    for network in (NETWORK, NETWORK | {"backbone": READER | {"vocabulary": 65}}):
        with pytest.raises(ValueError, match=r"a vocabulary of 64, but the backbone reads .*; name another of them"):
            dataset.read(prepared_texts, network=network)
