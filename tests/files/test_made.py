"""Files say whose they are, and others' are refused."""

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from manyexits.files import made
from manyexits.files.digests import whose
from manyexits.files.provenance import sha256

SETTINGS = {"seed": 1, "version": 1}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "input"
    path.write_text("one")
    return path


def test_a_version_of_a_stage_makes_no_other_owner():
    assert whose(SETTINGS) == whose({"seed": 1}) == whose({"seed": 1, "version": 2}) != whose({"seed": 2})


def test_what_a_file_says_comes_back_from_its_metadata(file, tmp_path):
    by = made.by(SETTINGS, data=file)
    assert by.inputs == {"data": sha256(file)}
    save_file({}, tmp_path / "x.safetensors", made.metadata(by))
    with safe_open(tmp_path / "x.safetensors", "np") as opened:
        assert made.found(tmp_path / "x.safetensors", opened.metadata()) == by
    assert made.found(file, {}) is None
    with pytest.raises(ValueError, match="input is no file of ours"):
        made.found(file, {"made": "{}"})


def test_the_settings_that_made_a_file_are_those_asked_for(file):
    by = made.by(SETTINGS)
    made.check(file, by, {"made_from": {"model": whose(SETTINGS)}}, "model")
    made.check(file, by, {}, "model")
    made.check(file, None, {"made_from": {"model": "0" * 16}}, "model")
    with pytest.raises(ValueError, match=rf"input was made by other settings \({by.settings}\) than .*\(0+\)"):
        made.check(file, by, {"made_from": {"model": "0" * 16}}, "model")


def test_two_files_are_made_from_the_same_one_and_a_file_from_the_one_given(file):
    first = made.by(SETTINGS, manifest=file)
    file.write_text("two")
    second = made.by(SETTINGS, manifest=file)
    made.same(file, first, file, first, "manifest")
    made.same(file, first, file, None, "manifest")
    with pytest.raises(ValueError, match="were not made from the same manifest"):
        made.same(file, first, file, second, "manifest")
    made.of(file, second, manifest=file)
    made.of(file, None, manifest=file)
    with pytest.raises(ValueError, match="input was made from other manifest than"):
        made.of(file, first, manifest=file)
