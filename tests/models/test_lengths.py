"""What texts of any length cost follows from three lengths, exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyexits.batches.views import blank_texts
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.models.lengths import Quadratic, counted


@given(st.tuples(*[st.integers(0, 10**12)] * 3), st.lists(st.integers(0, 600), min_size=3, max_size=3, unique=True))
def test_a_quadratic_is_found_exactly(factors, places):
    def of(x):
        return factors[0] + factors[1] * x + factors[2] * x**2

    curve = Quadratic({place: of(place) for place in places})
    assert all(curve.at(x) == of(x) for x in (0, 1, 17, 512))


def test_what_is_no_quadratic_is_counted_at_every_length():
    asked = []

    def count(inputs):
        asked.append(inputs[0].shape[1])
        return [inputs[0].shape[1] ** 3]

    blanks = blank_texts(np.arange(3, 10))
    assert counted(count, blanks) == [[length**3] for length in range(3, 10)]
    assert set(asked) == set(range(3, 10))


@pytest.mark.parametrize("kind", ["sdn", "ztw", "gpf"])
def test_costs_of_many_lengths_are_the_mean_of_their_counts(kind):
    backbone = {"family": "bert", "n_blocks": 4, "width": 16, "heads": 2, "inner": 24, "vocabulary": 64}
    told = {"classes": 3, "backbone": backbone, "method": {"kind": kind}, "placement": {"every": 1}}
    lengths = np.array([4, 4, 7, 9, 15, 22, 30])
    blanks = blank_texts(lengths)
    network = build.network(told, blanks, seed=1)
    found = count_network(network, blanks)
    each = [count_network(network, blank_texts(np.array([length]))) for length in lengths]
    assert found.stages == [round(np.mean(column)) for column in zip(*[one.stages for one in each], strict=True)]
    assert found.heads == each[0].heads  # of one token, however many there are
    by_hand = (4 * 16 * 16 + 2 * 16 * 24) * lengths + 2 * 16 * lengths**2
    assert found.stages[0] == round(by_hand.mean())
