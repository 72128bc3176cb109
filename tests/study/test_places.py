"""Folders are taken as people mean them, and what no folder or tracker can be is refused by its key before anything
runs."""

import os
from pathlib import Path

import pytest
from test_config import refused

from manyexits.study import places
from manyexits.study.plan import data_root, load

KEYS = ("output", "data", "data_root")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/res", "HOME/res"),
        ("./res", "res"),
        ("res/", "res"),
        ("a//b/./c/../d/", "a/b/d"),
        ("/tmp/res", "/tmp/res"),
        ("//tmp/res", "/tmp/res"),
        ("../res", "../res"),
        ("two words; $(x) 'y'", "two words; $(x) 'y'"),
        ("Größe", "Größe"),
    ],
)
def test_a_folder_is_expanded_and_normalised(raw, key, given, meant, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    raw[key] = given
    assert getattr(load(raw).study, key) == meant.replace("HOME", str(tmp_path))


NO_FOLDERS = ["", "  ", "a\0b", "a\nb", "\x1b[1m", "\ud800", "~nobodyatall/x", "-x", "./-x", "a" * 300, "a/" * 900]
NOT_FILLED = ["res{ults}", "}", "{", ".", "./", "/", "//", "..", "../..", "a/.."]


@pytest.mark.parametrize(
    ("key", "given"),
    [(key, given) for key in KEYS for given in NO_FOLDERS]
    + [(key, given) for key in ("output", "data") for given in NOT_FILLED],
)
def test_what_no_folder_can_be_is_refused(raw, key, given):
    raw[key] = given
    assert refused(raw).startswith(f"{key}: ")


@pytest.mark.parametrize("key", ["output", "data"])
@pytest.mark.parametrize("below", ["", "/res", "/a/b"])
def test_a_file_is_no_folder_nor_holds_one(raw, key, below, tmp_path):
    (tmp_path / "file").touch()
    raw[key] = f"{tmp_path}/file{below}"
    assert refused(raw) == f"{key}: {tmp_path}/file is a file; name a folder"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("given", [1, 1.5, True, ["res"], {"a": 1}])
def test_a_folder_is_text(raw, key, given):
    raw[key] = given
    assert refused(raw).startswith(f"{key}: ")


def test_a_folder_that_may_not_be_looked_into_is_no_error_of_the_configuration(raw, monkeypatch):
    def closed(path, **more):
        if str(path).startswith("/closed"):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **more)

    stat = os.stat

    monkeypatch.setattr(os, "stat", closed)
    raw["output"] = "/closed/results"
    assert load(raw).study.output == "/closed/results"


def test_the_environment_wins_over_data_root(raw, monkeypatch, tmp_path):
    study = load(raw).study
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, meant in (("~/sets/", tmp_path / "sets"), ("", Path("datasets"))):
        monkeypatch.setenv("MANYEXITS_DATA_ROOT", given)
        assert data_root(study) == meant
    monkeypatch.setenv("MANYEXITS_DATA_ROOT", "~nobodyatall/x")
    with pytest.raises(ValueError, match=r"^MANYEXITS_DATA_ROOT: .*a user that is not known here"):
        data_root(study)


# -- trackers ---------------------------------------------------------------------------------------------------------


def test_a_tracker_that_accelerate_does_not_have_is_refused_with_the_nearest_first(raw):
    raw["tracker"] = "wandbb"
    assert refused(raw).startswith("tracker: there is no tracker 'wandbb'; valid names: wandb, ")


@pytest.mark.parametrize("tracker", places.TRACKERS)
def test_a_tracker_whose_package_is_not_installed_is_refused(raw, tracker, monkeypatch):
    monkeypatch.setattr(places, "find_spec", lambda package: None)
    raw["tracker"] = tracker
    assert refused(raw) == (
        f"tracker: the package of {tracker} is not installed; install it, or name another tracker, or none"
    )


@pytest.mark.parametrize("tracker", ["none", "tensorboard"])
def test_a_tracker_that_is_here_is_taken(raw, tracker):
    raw["tracker"] = tracker
    assert load(raw).study.tracker == tracker


def test_a_folder_of_a_trackers_name_is_not_its_package(raw, monkeypatch, tmp_path):
    (tmp_path / "swanlab").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    raw["tracker"] = "swanlab"
    assert "the package of swanlab is not installed" in refused(raw)
