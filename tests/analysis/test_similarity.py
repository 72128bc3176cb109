"""CKA's invariances, its plain form with columns, and an unbiased estimate by hand."""

import itertools

import numpy as np
import pytest
from conftest import unseen
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.analysis.similarity import COLUMNS, analyse, cka, debiased
from manyexits.exits.representations import Activations, Representations


def gram(points):
    """Centred inner products of these points, of norm 1."""
    centred = points - points.mean(0)
    inner = centred @ centred.T
    norm = np.linalg.norm(inner)
    return inner / norm if norm else inner


def drawn(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8), st.integers(1, 8), st.integers(0, 100))
def test_it_is_that_of_the_cross_covariances(n, d, e, seed):
    x, y = drawn(n, d, seed), drawn(n, e, seed + 1)
    x, y = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert cka(gram(x), gram(y)) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [cka, debiased])
def test_rotations_scales_and_shifts_change_nothing(measure):
    x, y = drawn(20, 4), drawn(20, 5, seed=1)
    turned, _ = np.linalg.qr(drawn(4, 4, seed=2))
    assert measure(gram(x), gram(1e3 * x @ turned - 7)) == pytest.approx(1)
    assert measure(gram(1e-3 * x @ turned + 1), gram(y)) == pytest.approx(measure(gram(x), gram(y)))


def test_another_scale_of_one_column_is_a_change():
    x = drawn(20, 4)
    assert cka(gram(x), gram(x * [100, 1, 1, 1])) < 0.9


def test_without_bias_layers_that_have_nothing_in_common_are_near_zero_however_wide():
    found = [(gram(drawn(30, 2000, seed)), gram(drawn(30, 2000, seed + 100))) for seed in range(20)]
    assert np.mean([cka(*both) for both in found]) > 0.9
    assert abs(np.mean([debiased(*both) for both in found])) < 0.05


def test_the_unbiased_estimate_is_the_mean_over_all_quadruples():
    x, y = drawn(6, 2), drawn(6, 3, seed=1)
    k, m = (each @ each.T for each in (x, y))

    def hsic(a, b):
        """Song et al. (2012): over all quadruples of samples that differ."""
        total = [a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]) for i, j, q, r in itertools.permutations(range(len(a)), 4)]
        return np.mean(total)

    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert debiased(gram(x), gram(y)) == pytest.approx(expected)


def made(blocks, seed, n=8):
    """Representations of a run with so many blocks."""
    layers = {
        ("output", block): Activations(
            block, "output", 3, 3, np.ones(3), np.zeros((n, 2)), gram(drawn(n, 3, seed + block))
        )
        for block in range(1, blocks + 1)
    }
    return Representations(np.zeros(n), np.arange(n), layers)


def test_all_regimes_of_a_seed_are_compared_and_each_with_itself():
    rows = analyse([("joint", 1, made(2, 0)), ("mixed", 1, made(2, 9))], unseen())
    assert all(set(row) == set(COLUMNS) for row in rows)
    pairs = {(row["first"], row["second"]) for row in rows}
    assert pairs == {("joint", "joint"), ("joint", "mixed"), ("mixed", "mixed")}
    assert len(rows) == 3 * 4 * 2
    same = [row["value"] for row in rows if row["first"] == row["second"] and row["first_block"] == row["second_block"]]
    assert same == pytest.approx([1] * 8)


def test_seeds_are_compared_within_a_regime():
    runs = [(regime, seed, made(1, seed)) for regime in ("joint", "mixed") for seed in (1, 2, 3)]
    rows = analyse(runs, unseen())
    assert {(row["first"], row["second"]) for row in rows} == {("joint", "joint"), ("mixed", "mixed")}
    assert {(row["seed"], row["second_seed"]) for row in rows} == {(1, 2), (1, 3), (2, 3)}


def test_what_cannot_be_said_has_a_reason():
    constant = Activations(1, "output", 3, 3, np.zeros(3), np.zeros((8, 2)), np.zeros((8, 8)))
    broken = Representations(np.zeros(8), np.arange(8), {("output", 1): constant})
    rows = analyse([("joint", 1, made(1, 0)), ("mixed", 1, broken)], unseen())
    empty = [row for row in rows if row["value"] is None]
    assert {(row["first"], row["second"]) for row in empty} == {("joint", "mixed"), ("mixed", "mixed")}
    assert {row["note"] for row in empty} == {"constant activations"}
    assert all(row["note"] is None for row in rows if row not in empty)
    few = analyse([("joint", 1, made(1, 0, n=3))], unseen())
    assert {row["metric"]: row["note"] for row in few} == {"cka": None, "cka_debiased": "too few samples"}
