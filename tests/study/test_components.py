"""Components are found by file name, and their options are read without importing them."""

import inspect

import pytest

from manyexits.study import components
from manyexits.study.components import KINDS, nearest


@pytest.mark.parametrize("kind", KINDS)
def test_options_read_from_the_source_are_those_of_the_function(kind):
    for name in components.names(kind):
        function = getattr(components.module(kind, name), KINDS[kind].entry)
        keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        fields = components.options(kind, name).model_fields
        assert list(fields) == [parameter.name for parameter in keywords]
        for parameter in keywords:
            required = parameter.default is inspect.Parameter.empty
            assert fields[parameter.name].is_required() == required
            assert required or fields[parameter.name].default == parameter.default


def test_files_that_begin_with_an_underscore_are_no_components():
    assert "_style" not in components.names("figures")
    assert "fig3" in components.names("figures")


def test_constants_are_read_from_the_source():
    assert components.constant("figures", "fig3", "READS", None) == "mode_connectivity"
    assert components.constant("figures", "fig3", "NOTHING", 7) == 7


def test_names_are_listed_nearest_first():
    assert nearest("jont", ["mixed", "joint", "disjoint"]).startswith("joint, ")
    assert nearest("a", []) == "none"
    assert nearest("mixed", ["mixed"]) == "mixed"


def test_every_component_of_the_study_exists(plan):
    for entry in plan.study.datasets.values():
        assert entry.source in components.names("readers")
    assert set(plan.study.analyses) <= set(components.names("analysis"))


def test_every_table_and_figure_has_its_entry_in_the_study(plan):
    assert set(components.names("tables")) == set(plan.study.tables)
    assert set(components.names("figures")) == set(plan.study.figures)
