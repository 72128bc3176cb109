"""Whatever keeps the numbers keeps their bits (tests/golden/golden.py tells how new ones are written)."""

import json

import golden
import pytest

EXPECTED = json.loads(golden.GOLDEN.read_text())


@pytest.fixture(scope="module")
def found():
    return golden.fixed()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_bits_are_those_of_the_golden_trace(found, name):
    assert found[name] == EXPECTED[name]


def test_the_golden_trace_holds_all_that_is_traced(found):
    assert set(found) == set(EXPECTED)
