"""Confidence, entropy and exit rules against plain Python, sample by sample."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from manyexits.exits import policies
from manyexits.exits.policies import Policy, certainty, confidence, entropy, exit_index

quick = settings(max_examples=50, deadline=None)
some_logits = arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-40, 40))
GRID = [0.0, 0.25, 0.5, 1.0]


def probabilities(logits):
    powers = [math.exp(x) for x in logits]
    return [power / math.fsum(powers) for power in powers]


@quick
@given(some_logits)
def test_confidence_is_the_largest_probability(logits):
    assert confidence(logits) == pytest.approx([max(probabilities(row)) for row in logits.tolist()], abs=1e-12)


@quick
@given(some_logits)
def test_entropy_is_relative_to_that_of_equal_probabilities(logits):
    classes = logits.shape[1]
    expected = [
        -math.fsum(p * math.log(p) for p in probabilities(row) if p > 0) / math.log(classes) if classes > 1 else 0.0
        for row in logits.tolist()
    ]
    assert entropy(logits) == pytest.approx(expected, abs=1e-12)


@quick
@given(some_logits)
def test_certainty_is_confidence_or_negative_entropy(logits):
    assert (certainty("confidence", logits) == confidence(logits)).all()
    assert (certainty("entropy", logits) == -entropy(logits)).all()


@pytest.mark.parametrize("at_once", [1, 3, 7, 15, 100])
def test_confidence_does_not_depend_on_how_many_samples_are_taken_at_once(monkeypatch, at_once):
    monkeypatch.setattr(policies, "CACHED", at_once)
    logits = np.random.default_rng(0).normal(size=(5, 3))
    assert confidence(logits) == pytest.approx([max(probabilities(row)) for row in logits.tolist()], abs=1e-12)


def test_no_samples_have_no_certainty():
    for measure in (confidence, entropy):
        assert measure(np.empty((0, 2, 3))).shape == (0, 2)


def test_all_leading_axes_are_kept():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4))
    for measure in (confidence, entropy):
        assert (measure(logits)[1, 2] == measure(logits[1, 2][None])).all()
        assert measure(logits).shape == (2, 3)


@pytest.mark.filterwarnings("error")
def test_a_class_without_probability_adds_no_entropy():
    logits = np.array([[0.0, 0.0, -np.inf], [0.0, 1e4, -1e4], [0.0, -np.inf, -np.inf]])
    assert entropy(logits) == pytest.approx([math.log(2) / math.log(3), 0.0, 0.0])
    assert confidence(logits) == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.filterwarnings("error")
def test_with_one_class_everything_is_certain():
    logits = np.array([[-3.0], [0.0], [1e4]])
    assert (confidence(logits) == 1).all()
    assert (entropy(logits) == 0).all()


@pytest.mark.parametrize("logits", [[np.nan], [np.nan, 1.0], [1.0, np.nan, 2.0], [np.inf, 0.0]])
def test_logits_that_are_no_numbers_give_no_certainty(logits):
    with np.errstate(invalid="ignore"):
        assert np.isnan(confidence(np.array([logits]))).all()
        assert np.isnan(entropy(np.array([logits]))).all()


def test_single_precision_is_evaluated_in_double():
    logits = np.array([[20.0, 0.0]], dtype=np.float32)
    # single precision would call this certain
    assert 1 - confidence(logits)[0] == pytest.approx(math.exp(-20), rel=1e-6)
    assert entropy(logits)[0] == pytest.approx(21 * math.exp(-20) / math.log(2), rel=1e-6)


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
@pytest.mark.parametrize("inclusive", [False, True])
def test_a_certainty_that_is_no_number_never_leaves(criterion, inclusive):
    generous = {"confidence": 0.0, "entropy": 2.0}[criterion]
    for logits in (np.full((1, 1), np.nan), np.full((1, 3), np.nan)):
        assert not Policy(criterion, (generous,), inclusive).leaves(1, logits).any()
    certain = np.array([[np.nan, np.nan, np.nan], [np.nan, 0.5, 0.5]])
    assert exit_index(certain, np.array([-2.0, -2.0]), inclusive).tolist() == [3, 2]


SURE = np.array([[1e4, 0.0], [0.0, 0.0], [0.0, 3.0]])


def test_nobody_is_more_confident_than_one():
    assert not Policy("confidence", (1.0,)).leaves(1, SURE).any()


def test_everybody_is_more_confident_than_zero():
    assert Policy("confidence", (0.0, 0.0)).leaves(1, SURE).all()
    assert exit_index(confidence(np.stack([SURE, SURE, SURE], 1)), np.zeros(2)).tolist() == [1, 1, 1]


def test_nobody_has_less_entropy_than_zero():
    assert not Policy("entropy", (0.0,)).leaves(1, SURE).any()


def test_equal_probabilities_are_not_below_an_entropy_of_one():
    assert Policy("entropy", (1.0,)).leaves(1, SURE).tolist() == [True, False, True]


@pytest.mark.parametrize(("criterion", "threshold"), [("confidence", 0.5), ("entropy", 1.0)])
def test_a_sample_on_the_threshold_leaves_only_where_the_rule_is_inclusive(criterion, threshold):
    on_it = np.zeros((1, 2))
    assert not Policy(criterion, (threshold,)).leaves(1, on_it).any()
    assert Policy(criterion, (threshold,), inclusive=True).leaves(1, on_it).all()


def test_each_exit_has_its_own_threshold():
    policy = Policy("confidence", (0.9, 0.6))
    logits = np.log([[0.8, 0.2]])
    assert [policy.leaves(exit_, logits)[0] for exit_ in (1, 2)] == [False, True]


@quick
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_sample_leaves_at_the_first_exit_that_is_sure_enough(data, n, k, inclusive):
    certain = data.draw(arrays(float, (n, k), elements=st.sampled_from([*GRID, np.nan])))
    thresholds = data.draw(arrays(float, k - 1, elements=st.sampled_from([*GRID, np.inf, -2.0])))
    expected = []
    for row in certain:
        left = k
        for exit_ in range(k - 1, 0, -1):
            if row[exit_ - 1] > thresholds[exit_ - 1] or (inclusive and row[exit_ - 1] == thresholds[exit_ - 1]):
                left = exit_
        expected.append(left)
    assert exit_index(certain, thresholds, inclusive).tolist() == expected


@quick
@given(st.integers(0, 10**6), st.sampled_from(["confidence", "entropy"]), st.booleans())
def test_leaving_step_by_step_equals_the_index(seed, criterion, inclusive):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(6, 4, 3)).round(1)
    logits[0, 0] = np.nan
    certain = certainty(criterion, logits)
    scaled = certain[generator.integers(1, 6, 3), [0, 1, 2]]  # so that some sample lies on each threshold
    sign = 1.0 if criterion == "confidence" else -1.0
    policy = Policy(criterion, tuple((sign * scaled).tolist()), inclusive)
    left_at, staying = np.full(6, 4), np.arange(6)
    for exit_ in (1, 2, 3):
        leaves = policy.leaves(exit_, logits[staying, exit_ - 1])
        left_at[staying[leaves]] = exit_
        staying = staying[~leaves]
    assert left_at.tolist() == exit_index(certain, scaled, inclusive).tolist()
