"""Ranks of planted spectra, by hand."""

import numpy as np
import pytest
from conftest import unseen
from hypothesis import given
from hypothesis import strategies as st

from manyexits.analysis.numerical_rank import COLUMNS, analyse, effective, numerical, stable
from manyexits.exits.representations import Activations, Representations


def layer(spectrum, n=10, columns=6, block=1):
    """A layer of this spectrum."""
    values = np.array(spectrum, dtype=np.float64)
    return Activations(block, "output", 2 * columns, columns, values, np.zeros((n, 2)), np.eye(2))


def test_ranks_by_hand():
    spectrum = np.array([4.0, 1.0, 1.0, 0.004, 0.0039, 0.0])
    assert numerical(spectrum, 1e-3) == 3  # 0.004 is a thousandth of 4, and no more
    assert stable(spectrum) == pytest.approx(6.0079 / 4)
    # singular values 2, 1, 1: shares 1/2, 1/4, 1/4
    assert effective(np.array([4.0, 1.0, 1.0])) == pytest.approx(np.exp(1.5 * np.log(2)))


@given(st.integers(1, 12), st.floats(1e-3, 1e3))
def test_equal_eigenvalues_all_count_whatever_their_size(k, size):
    spectrum = np.full(k, size)
    assert numerical(spectrum, 1e-3) == k
    assert stable(spectrum) == pytest.approx(k)
    assert effective(spectrum) == pytest.approx(k)


def test_the_threshold_is_on_eigenvalues_and_not_on_singular_values():
    # a singular value of a hundredth of the largest has an eigenvalue of a ten-thousandth
    assert numerical(np.array([1.0, 0.01**2]), 1e-3) == 1


def test_rows_say_what_the_rank_could_be_at_most():
    found = Representations(np.zeros(10), np.arange(10), {("output", 2): layer([3.0, 1.0], block=2)})
    rows = analyse([("joint", 3, found)], unseen())
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(
        {"rank": 2, "stable_rank": 4 / 3, "effective_rank": effective(np.array([3.0, 1.0]))}
    )
    (about,) = {(row["seed"], row["regime"], row["block"], row["n"], row["width"], row["columns"]) for row in rows}
    assert about == (3, "joint", 2, 10, 12, 6)
    assert {row["ceiling"] for row in rows} == {6}
    few = Representations(np.zeros(4), np.arange(4), {("output", 1): layer([3.0], n=4)})
    assert {row["ceiling"] for row in analyse([("joint", 3, few)], unseen())} == {3}


@pytest.mark.parametrize(
    ("spectrum", "note"),
    [([0.0, 0.0], "constant activations"), ([np.nan] * 2, "activations that are no finite numbers")],
)
def test_a_layer_of_which_nothing_can_be_said_has_a_reason_in_place_of_numbers(spectrum, note):
    found = Representations(np.zeros(10), np.arange(10), {("output", 1): layer(spectrum)})
    rows = analyse([("joint", 3, found)], unseen())
    assert [row["value"] for row in rows] == [None] * 3
    assert {row["note"] for row in rows} == {note}
