"""Whatever keeps the numbers keeps their bits (tests/golden/golden.py tells how new ones are written)."""

import json
import re

import golden
import pytest

EXPECTED = json.loads(golden.GOLDEN.read_text())
NUMBER = r"-?\d+\.\d+(?:e[-+]\d+)?"


@pytest.fixture(scope="module")
def found():
    return golden.fixed()


def numbers(traced) -> list[float]:
    """All fractions of a trace, in order; digests of files have none."""
    return [float(number) for number in re.findall(NUMBER, json.dumps(traced))]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in ("processor", "made elsewhere")])
def test_the_bits_are_those_of_the_golden_trace(found, name):
    if found["processor"] == EXPECTED["made elsewhere"].get(name, EXPECTED["processor"]):
        assert found[name] == EXPECTED[name]
    else:  # another maker's processor may round otherwise, and six steps spread that
        assert numbers(found[name]) == pytest.approx(numbers(EXPECTED[name]), rel=0.02, abs=0.02)


def test_the_golden_trace_holds_all_that_is_traced(found):
    assert set(found) == set(EXPECTED) - {"made elsewhere"}
    assert set(EXPECTED["made elsewhere"]) <= set(found)
