"""Mutual information against Gaussians whose own is known, a naive double loop, and its limits."""

import numpy as np
import pytest
from conftest import unseen
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.analysis.mutual_information import (
    COLUMNS,
    NOISE,
    analyse,
    bootstrap,
    classes,
    infonce,
    kernels,
    of_layer,
    scaled,
)
from manyexits.exits.representations import Activations, Representations


def layer(points):
    """A layer of these scores, which are all of it."""
    points = np.asarray(points, dtype=np.float64)
    centred = points - points.mean(0)
    spectrum = np.linalg.svd(centred, compute_uv=False) ** 2 / (len(points) - 1)
    return Activations(1, "output", points.shape[1], points.shape[1], spectrum, centred, np.eye(2))


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.mark.parametrize(("d", "rho"), [(1, 0.3), (1, 0.6), (1, 0.9), (2, 0.5), (2, 0.7), (3, 0.5)])
def test_bounds_of_a_gaussian_tend_to_their_limits(d, rho):
    noise = (1 - rho**2) / rho**2
    own = d / 2 * np.log(1 + 1 / noise)
    wide = 4 * noise
    limits = {
        "upper": own + d * rho**2 / 2,
        "lower": d / 2 * np.log(1 + 1 / wide) + d / (1 + wide) / 2,
    }
    upper, _, lower, _ = kernels(gaussian(4000, d), np.zeros(4000, dtype=int), [noise, wide])
    assert upper.value == pytest.approx(limits["upper"], abs=0.05)
    assert lower.value == pytest.approx(limits["lower"], abs=0.05)
    assert lower.value < own < upper.value
    assert infonce(gaussian(4000, d, seed=5), noise, 1).value == pytest.approx(own, abs=0.05)


def test_the_measured_numbers_of_two_thousand_samples():
    noise = (1 - 0.9**2) / 0.9**2
    for d, (lower, upper) in {1: (0.619, 1.230), 5: (3.138, 5.881)}.items():
        found = kernels(gaussian(2000, d), np.zeros(2000, dtype=int), [noise, 4 * noise])
        assert found[0].value == pytest.approx(upper, abs=0.15)
        assert found[2].value == pytest.approx(lower, abs=0.15)


def naive(points, groups, width):
    """Both quantities, as they are defined, in two loops."""

    def information(own):
        total = 0.0
        for i in own:
            inside = [np.exp(-((points[i] - points[j]) ** 2).sum() / (2 * width)) for j in own]
            total -= np.log(np.mean(inside)) / len(own)
        return total

    everybody = range(len(points))
    whole = information(everybody)
    parts = [[i for i in everybody if groups[i] == group] for group in set(groups)]
    return whole, whole - sum(len(own) / len(points) * information(own) for own in parts)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=25), st.floats(0.05, 20))
def test_estimates_are_those_of_a_double_loop(groups, width):
    points, groups = gaussian(len(groups), 3, seed=len(groups)), np.unique(groups, return_inverse=True)[1]
    whole, of_labels = kernels(points, groups, [width])
    assert (whole.value, of_labels.value) == pytest.approx(naive(points, list(groups), width), abs=1e-4)
    assert 0 <= whole.value + 1e-6 <= np.log(len(points)) + 2e-6


def test_rows_in_blocks_change_nothing():
    points, groups = gaussian(350, 4), np.arange(350) % 7  # more than are in memory at a time
    found = kernels(points, groups, [1.0])
    assert [each.value for each in found] == pytest.approx(naive(points, list(groups), 1.0), abs=1e-4)


def test_separate_samples_have_all_the_information_that_there_is():
    points, groups = 1000 * np.arange(12)[:, None], np.arange(12) % 3
    whole, of_labels = kernels(points.astype(float), groups, [1.0])
    assert whole.value == pytest.approx(np.log(12))
    assert of_labels.value == pytest.approx(np.log(3))
    assert infonce(points.astype(float), 1.0, 2).value == pytest.approx(np.log(6))


def test_samples_that_do_not_depend_on_their_labels_tell_nothing_of_them():
    points = np.repeat(gaussian(50, 2), 4, axis=0)
    _, of_labels = kernels(points, np.tile(np.arange(4), 50), [0.5])
    assert of_labels.value == pytest.approx(0, abs=1e-6)


def test_influences_are_the_derivatives_by_the_samples_weights():
    points, groups = gaussian(12, 2), np.arange(12) % 3
    found = kernels(points, groups, [0.7])
    for quantity in (0, 1):
        for sample in (0, 5):
            # a sample that counts a little more, as in a very fine copy of the set
            copies = 400
            indices = np.concatenate([np.repeat(np.arange(12), copies), [sample] * 4])
            moved = kernels(points[indices], groups[indices], [0.7])[quantity].value - found[quantity].value
            by = found[quantity].influence
            share = 4 / len(indices)
            assert moved / share == pytest.approx(by[sample] - by.mean(), abs=0.06)


def test_the_interval_holds_the_spread_of_new_samples():
    drawn = np.random.default_rng(0)
    values, widths = [], []
    for _ in range(60):
        groups = drawn.integers(0, 3, 200)
        points = drawn.standard_normal((200, 2)) + 2 * np.eye(3, 2)[groups]
        found = kernels(points, groups, [1.0])
        values.append([each.value for each in found])
        widths.append([high - low for low, high in bootstrap([each.influence for each in found], 200)])
    spread = 2 * 1.96 * np.std(values, axis=0)
    assert np.mean(widths, axis=0) == pytest.approx(spread, rel=0.35)


# -- what is done to a layer before -----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_a_rotation_a_shift_or_a_scale_of_the_layer_changes_nothing(factor):
    points = gaussian(60, 3) * [3, 1, 0.3]
    turned, _ = np.linalg.qr(gaussian(3, 3))
    groups = np.arange(60) % 2
    first, second = (of_layer(layer(each), groups, [1.0], 30, 100) for each in (points, factor * (points @ turned + 7)))
    for one, other in zip(first[:4], second[:4], strict=True):  # InfoNCE's noise is drawn
        assert one["value"] == pytest.approx(other["value"], abs=1e-4)
        assert one["explained"] == pytest.approx(1)


def test_the_mean_variance_is_one():
    points, explained = scaled(layer(gaussian(60, 3) * [3, 1, 0.3] + 5))
    assert points.var(0, ddof=1).mean() == pytest.approx(1)
    assert explained == pytest.approx(1)


def test_scores_are_rounded_to_whole_numbers_and_classes_are_kept():
    assert classes(np.array([0.2, 4.6, 5.0, 0.4]), None).tolist() == [0, 1, 1, 0]
    assert classes(np.array([3, 7, 7]), 10).tolist() == [0, 1, 1]


def test_rows_of_a_run():
    found = Representations(np.arange(20) % 2, np.arange(20), {("output", 1): layer(gaussian(20, 3))})
    (rows,) = [analyse([("mixed", 4, found)], unseen(2), batch=5, resamples=100)]
    assert {key for row in rows for key in row} == set(COLUMNS)
    assert [row["noise"] for row in rows[:4]] == [NOISE[0]] * 4
    assert len(rows) == 5 * len(NOISE)
    for row in rows:
        limit = {"infonce": np.log(5)}.get(row["bound"], {"I(X;T)": np.log(20), "I(T;Y)": np.log(2)}[row["quantity"]])
        assert row["ceiling"] == pytest.approx(limit)
        assert 0 <= row["low"] <= row["value"] + 1e-9 <= row["high"] + 2e-9 <= row["ceiling"] + 3e-9


def test_less_noise_tells_more():
    found = Representations(np.arange(50) % 2, np.arange(50), {("output", 1): layer(gaussian(50, 3))})
    rows = analyse([("mixed", 4, found)], unseen(2), noise=[0.1, 1.0, 10.0], resamples=100)
    values = [row["value"] for row in rows if (row["quantity"], row["bound"]) == ("I(X;T)", "upper")]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("points", [np.zeros((6, 2)), np.full((6, 2), np.nan)], ids=["constant", "nan"])
def test_a_layer_of_which_nothing_can_be_said_has_a_reason_in_place_of_numbers(points):
    spectrum = np.full(2, points[0, 0])
    made = Activations(1, "output", 2, 2, spectrum, points, np.eye(2))
    rows = analyse([("mixed", 1, Representations(np.arange(6), np.arange(6), {("output", 1): made}))], unseen(6))
    assert len(rows) == 5 * len(NOISE)
    assert all(row.get("value") is None for row in rows)
    assert {row["note"] for row in rows} == {made.fault}
