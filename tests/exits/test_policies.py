"""Exit rules against plain Python, sample by sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from manyexits.exits import criteria
from manyexits.exits.criteria.confidence import confidence
from manyexits.exits.policies import Policy, exit_index
from manyexits.exits.task import Task

quick = settings(max_examples=50, deadline=None)
GRID = [0.0, 0.25, 0.5, 1.0]
CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (0.0, 5.0))
SCANS = [(name, task) for task in (CLASSES, SCORES) for name in criteria.names(task)]


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
@pytest.mark.parametrize("inclusive", [False, True])
def test_a_certainty_that_is_no_number_never_leaves(criterion, inclusive):
    generous = {"confidence": 0.0, "entropy": 2.0}[criterion]
    for logits in (np.full((1, 1), np.nan), np.full((1, 3), np.nan)):
        assert not Policy(criterion, (generous,), inclusive).leaves(1, logits)[0].any()
    certain = np.array([[np.nan, np.nan, np.nan], [np.nan, 0.5, 0.5]])
    assert exit_index(certain, np.array([-np.inf, -np.inf]), inclusive).tolist() == [3, 2]


SURE = np.array([[1e4, 0.0], [0.0, 0.0], [0.0, 3.0]])


def test_nobody_is_more_confident_than_one():
    assert not Policy("confidence", (1.0,)).leaves(1, SURE)[0].any()


def test_everybody_is_more_confident_than_zero():
    assert Policy("confidence", (0.0, 0.0)).leaves(1, SURE)[0].all()
    assert exit_index(confidence(np.stack([SURE, SURE, SURE], 1)), np.zeros(2)).tolist() == [1, 1, 1]


def test_nobody_has_less_entropy_than_zero():
    assert not Policy("entropy", (0.0,)).leaves(1, SURE)[0].any()


def test_equal_probabilities_are_not_below_an_entropy_of_one():
    assert Policy("entropy", (1.0,)).leaves(1, SURE)[0].tolist() == [True, False, True]


@pytest.mark.parametrize(("criterion", "threshold"), [("confidence", 0.5), ("entropy", 1.0)])
def test_a_sample_on_the_threshold_leaves_only_where_the_rule_is_inclusive(criterion, threshold):
    on_it = np.zeros((1, 2))
    assert not Policy(criterion, (threshold,)).leaves(1, on_it)[0].any()
    assert Policy(criterion, (threshold,), inclusive=True).leaves(1, on_it)[0].all()


def test_each_exit_has_its_own_threshold():
    policy = Policy("confidence", (0.9, 0.6))
    logits = np.log([[0.8, 0.2]])
    assert [policy.leaves(exit_, logits)[0][0] for exit_ in (1, 2)] == [False, True]


@quick
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_sample_leaves_at_the_first_exit_that_is_sure_enough(data, n, k, inclusive):
    certain = data.draw(arrays(float, (n, k), elements=st.sampled_from([*GRID, np.nan])))
    thresholds = data.draw(arrays(float, k - 1, elements=st.sampled_from([*GRID, np.inf, -np.inf])))
    expected = []
    for row in certain:
        left = k
        for exit_ in range(k - 1, 0, -1):
            if row[exit_ - 1] > thresholds[exit_ - 1] or (inclusive and row[exit_ - 1] == thresholds[exit_ - 1]):
                left = exit_
        expected.append(left)
    assert exit_index(certain, thresholds, inclusive).tolist() == expected


def scored(scan, outputs):
    """Certainty at every exit, from stored arrays."""
    n, k, o = outputs.shape
    return criteria.certainties(scan, scan.keep(outputs.reshape(n * k, o)).reshape(n, k))


@quick
@given(st.integers(0, 10**6), st.sampled_from(SCANS), st.booleans(), st.integers(1, 5), st.integers(0, 6))
def test_leaving_step_by_step_equals_the_index_on_stored_arrays(seed, named, inclusive, k, n):
    name, task = named
    generator = np.random.default_rng(seed)
    outputs = generator.integers(0, 4, (n, k, task.outputs)).astype(np.float32)
    outputs[: n // 4, 0] = np.nan if name != "patience" else 0
    for scan in criteria.named(name, task, k):
        certain = scored(scan, outputs)
        thresholds = np.array([generator.choice([0.0, *certain[np.isfinite(certain[:, j]), j]]) for j in range(k - 1)])
        own = tuple((scan.sign * thresholds).tolist())  # some sample lies on each threshold
        policy = Policy(name, own, inclusive, scan.patience, task)
        left_at, staying, carry = np.full(n, k), np.arange(n), ()
        for exit_ in range(1, k):
            leaves, carry = policy.leaves(exit_, outputs[staying, exit_ - 1], carry)
            carry = criteria.some(carry, ~leaves)
            left_at[staying[leaves]] = exit_
            staying = staying[~leaves]
        assert left_at.tolist() == exit_index(certain, thresholds, inclusive).tolist()


def test_thresholds_are_in_the_criterions_own_units():
    answers = np.array([[1.0], [3.0]])
    policy = Policy("agreement", (0.5, 0.5), patience=1, task=SCORES)
    leaves, carry = policy.leaves(1, answers)
    assert not leaves.any()
    assert policy.leaves(2, np.array([[1.4], [3.5]]), carry)[0].tolist() == [True, False]
    assert Policy("patience", (0.0, 2.0)).leaves(1, np.eye(2))[0].all()


def test_a_policy_that_there_cannot_be_is_refused():
    with pytest.raises(ValueError, match="agreement has no patience 3 here; valid values: 1, 2"):
        Policy("agreement", (0.5, 0.5), patience=3, task=SCORES).leaves(1, np.ones((1, 1)))
    with pytest.raises(ValueError, match="no criterion 'confidence' for regression; valid names: agreement"):
        Policy("confidence", (0.5,), task=SCORES).leaves(1, np.ones((1, 1)))
