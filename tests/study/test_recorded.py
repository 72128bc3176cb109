"""Settings of earlier versions are read under the names of today, and nothing else of them changes."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.study import components
from manyexits.study.recorded import RENAMED, current

FORMER = {
    "seed": 1,
    "network": {
        "classes": 3,
        "backbone": {"family": "resnet", "blocks": [1, 2], "width": 4},
        "placement": {"blocks": [1, 2]},
        "method": {"kind": "sdn", "blocks": "of a method"},
    },
    "phases": [{"phase": "all", "recipe": {"blocks": 7}}],
    "backbone": {"blocks": "not a network's"},
}
anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["network", "a", "x"]), inner),
    max_leaves=8,
)


def test_what_was_renamed_has_its_name_of_today():
    expected = copy.deepcopy(FORMER)
    expected["network"]["backbone"] = {"family": "resnet", "groups": [1, 2], "width": 4}
    expected["network"]["placement"] = {"after": [1, 2]}
    assert current(FORMER) == expected


def test_the_record_itself_stays_as_it_was():
    before = copy.deepcopy(FORMER)
    current(FORMER)
    assert before == FORMER


def test_order_of_keys_stays():
    assert list(current(FORMER)) == list(FORMER)
    assert list(current(FORMER)["network"]) == list(FORMER["network"])
    assert list(current(FORMER)["network"]["backbone"]) == ["family", "groups", "width"]


def test_settings_of_today_stay_as_they_are():
    once = current(FORMER)
    assert current(once) == once


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "network",
        [],
        [FORMER],
        {},
        {"network": None},
        {"network": ["backbone"]},
        {"network": {}},
        {"network": {"backbone": None, "placement": [1, 2]}},
        {"network": {"backbone": "blocks"}},
        {"network": {"backbone": {}}},
        {"backbone": {"blocks": [1]}, "placement": {"blocks": [1]}},
    ],
)
def test_what_holds_no_such_settings_stays_as_it_is(odd):
    before = copy.deepcopy(odd)
    assert current(odd) == before
    assert odd == before


@settings(max_examples=40, deadline=None)
@given(anything)
def test_nothing_that_a_file_may_hold_is_too_odd(found):
    assert current(found) == found  # none of the keys stands for a renamed part


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(RENAMED)), anything)
def test_values_are_carried_over_whatever_they_are(part, value):
    for former, today in RENAMED[part].items():
        assert current({"network": {part: {former: value}}}) == {"network": {part: {today: value}}}


def test_no_component_of_today_has_an_option_of_a_former_name():
    for family in components.names("backbones"):
        assert not set(RENAMED["backbone"]) & set(components.options("backbones", family).model_fields)
    assert set(RENAMED["backbone"].values()) <= set(components.options("backbones", "resnet").model_fields)
