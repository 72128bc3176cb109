"""Where values come from, beyond recipes: datasets, backbones and placements may say it, and no run is told."""

import json

import pytest

from manyexits.study import resolve
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError


@pytest.fixture
def marked(raw):
    """The small study whose dataset, backbone and placement bear marks."""
    raw["datasets"]["digits"] |= {"validation": 0.2, "origin": {"validation": "C"}}
    raw["backbones"]["tiny"] |= {"origin": "L He et al."}
    raw["placements"]["sdn"] = {"shares": [0.3, 0.6], "origin": {"shares": "O"}}
    return raw


def test_a_single_mark_is_that_of_all_that_is_stated(marked):
    tiny = load(marked).study.backbones["tiny"]
    assert tiny.origin == dict.fromkeys([key for key in marked["backbones"]["tiny"] if key != "origin"], "L He et al.")


def test_marks_change_nothing_that_a_stage_is_told(marked):
    bare = {section: dict(entries) if isinstance(entries, dict) else entries for section, entries in marked.items()}
    for section in ("datasets", "backbones", "placements"):
        bare[section] = {
            name: {key: value for key, value in entry.items() if key != "origin"}
            for name, entry in marked[section].items()
        }
    told, expected = (
        {job.writes: job.settings for job in load(raw).jobs if job.stage != "card"} for raw in (marked, bare)
    )
    assert told == expected


def test_the_card_is_told_them_with_their_values(marked):
    found = json.loads(load(marked).settings("card"))["marked"]
    assert ["datasets", "digits", "validation", "0.2", "C"] in found
    assert ["placements", "sdn", "shares", "[0.3, 0.6]", "O"] in found
    assert ["backbones", "tiny", "family", "resnet", "L He et al."] in found


@pytest.mark.parametrize("section", ["datasets", "backbones", "placements"])
@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        ({"nothing": "C"}, "'origin' marks nothing, which the entry does not state"),
        ("mine", "origin"),
        (["C"], "origin"),
    ],
)
def test_what_is_no_mark_or_marks_nothing_is_refused(marked, section, origin, sentence):
    name = {"datasets": "digits", "backbones": "tiny", "placements": "sdn"}[section]
    marked[section][name]["origin"] = origin
    with pytest.raises(StudyError) as caught:
        load(marked)
    assert str(caught.value).startswith(f"{section}.{name}")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_an_overlay_changes_loses_the_mark_of_what_it_replaces(marked):
    overlay = {"datasets": {"digits": {"validation": 0.3}}, "placements": {"sdn": {"shares": [0.5]}}}
    study = load(resolve.merge(marked, overlay), marked).study
    assert study.datasets["digits"].origin == {"validation": "O"}
    assert study.placements["sdn"].origin == {"shares": "O"}
    assert study.backbones["tiny"].origin["width"] == "L He et al."
    same = load(resolve.merge(marked, {"datasets": {"digits": {"validation": 0.2}}}), marked).study
    assert same.datasets["digits"].origin == {"validation": "C"}


def test_what_null_removes_has_no_mark(marked):
    overlay = {"datasets": {"digits": {"validation": None}}}
    dataset = load(resolve.merge(marked, overlay), marked).study.datasets["digits"]
    assert dataset.origin == {}
    assert dataset.validation == 0.1
