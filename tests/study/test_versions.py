"""A component that says that it has changed reruns what uses it, and nothing else."""

import shutil

import pytest
import yaml
from conftest import SMALL

from manyexits.study import components
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError

TRAINED = {"predict", "calibrate", "evaluate", "compare", "analyse", "table", "figure"}
"""Stages whose settings tell by which settings their inputs were made, from the network's on."""
RERUN = {
    ("readers", "digits"): {"prepare", "card"},
    ("backbones", "resnet"): {"count_backbone", "count_flops", "pretrain", "train", "card"} | TRAINED,
    ("methods", "sdn"): {"count_flops", "train", "card"} | TRAINED,
    ("criteria", "confidence"): {"predict", "calibrate", "evaluate", "compare", "table"},
    ("criteria", "patience"): set(),  # no experiment uses it
    ("analysis", "mode_connectivity"): {"analyse", "card", "figure"},
    ("tables", "table1"): {"table"},
    ("figures", "fig3"): {"figure"},
}


def told():
    """Settings of every job of the small study."""
    return {(job.stage, *sorted(job.names.items())): job.settings for job in load(yaml.safe_load(SMALL)).jobs}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources that components are read from."""
    copy = shutil.copytree(components._PACKAGE, tmp_path / "manyexits", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(components, "_PACKAGE", copy)
    caches = (components._parse, components.options, components.source)
    for cache in caches:
        cache.cache_clear()
    yield copy
    for cache in caches:
        cache.cache_clear()


def edit(package, kind, name, text):
    path = package / components.KINDS[kind].folder / f"{name}.py"
    path.write_text(path.read_text() + text)
    for cache in (components._parse, components.options, components.source):
        cache.cache_clear()


@pytest.mark.parametrize(("kind", "name"), RERUN)
def test_a_new_version_changes_the_settings_of_what_uses_it(package, kind, name):
    before, own = told(), components.version(kind, name)
    edit(package, kind, name, f"\nVERSION = {own}\n")
    if kind not in ("tables", "figures"):
        assert told() == before  # the first version is that of all files that state none
    edit(package, kind, name, f"\nVERSION = {own + 1}\n")
    after = told()
    assert {key[0] for key in before if before[key] != after[key]} == RERUN[kind, name]


def test_every_kind_of_component_is_in_the_list():
    assert {kind for kind, _ in RERUN} == set(components.KINDS)


@pytest.mark.parametrize("shared", ["artefacts/frames.py", "artefacts/tables/__init__.py"])
def test_tables_are_drawn_anew_when_what_they_share_was_edited(package, shared):
    before = components.source("tables", "table1")
    (package / shared).write_text((package / shared).read_text() + "\n# edited\n")
    components.source.cache_clear()
    assert components.source("tables", "table1") != before


@pytest.mark.parametrize("version", ["0", "True", "1.5", "'2'", "None"])
def test_a_version_that_is_no_whole_number_is_refused(package, version):
    edit(package, "methods", "sdn", f"\nVERSION = {version}\n")
    with pytest.raises((StudyError, ValueError), match=r"methods/sdn.py: VERSION must be a whole number from 1 on"):
        told()
