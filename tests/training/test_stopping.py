"""Early stopping on traces written by hand."""

import pytest

from manyexits.training.stopping import Stopping


def run(stopping, trace, begin=0):
    """Which epochs improved, and after which one training ends (None if the trace ends before)."""
    improved = []
    for epoch, scores in enumerate(trace[begin:], start=begin + 1):
        if stopping.over(epoch - 1):
            return improved, epoch - 1
        if stopping.update(epoch, scores):
            improved.append(epoch)
    return improved, len(trace) if stopping.over(len(trace)) else None


def test_training_ends_after_patience_epochs_without_improvement():
    stopping = Stopping(patience=2, limit=10, learning=[0])
    assert run(stopping, [[0.1], [0.3], [0.2], [0.1], [0.9]]) == ([1, 2], 4)
    assert stopping.best_epoch == 2


def test_a_tie_is_no_improvement():
    assert run(Stopping(2, 10, [0]), [[0.5], [0.5], [0.5], [0.5]]) == ([1], 3)


def test_the_smallest_improvement_counts():
    trace = [[0.5], [0.5], [0.5000001], [0.5], [0.5], [0.5]]
    assert run(Stopping(2, 10, [0]), trace) == ([1, 3], 5)


def test_a_frozen_last_exit_does_not_prevent_stopping():
    trace = [[0.3, 0.9], [0.3, 0.91], [0.3, 0.92], [0.3, 0.93]]
    assert run(Stopping(2, 10, [0]), trace) == ([1], 3)


def test_an_improvement_of_any_learning_exit_counts():
    trace = [[0.5, 0.5, 0.5], [0.4, 0.6, 0.4], [0.4, 0.4, 0.6], [0.6, 0.4, 0.4], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    assert run(Stopping(2, 10, [0, 1, 2]), trace) == ([1, 2, 3, 4], 6)


def test_each_exit_is_compared_with_its_own_best():
    # the second exit's .4 is its best although the first has long been better; its fall to .2 is not forgotten
    trace = [[0.9, 0.3], [0.8, 0.4], [0.8, 0.2], [0.8, 0.35], [0.8, 0.4]]
    assert run(Stopping(3, 10, [0, 1]), trace) == ([1, 2], 5)


def test_the_epoch_limit_ends_training_that_still_improves():
    assert run(Stopping(5, 3, [0]), [[0.1], [0.2], [0.3], [0.4]]) == ([1, 2, 3], 3)


@pytest.mark.parametrize(("limit", "over"), [(0, True), (1, False)])
def test_a_limit_of_no_epoch_is_over_before_it_begins(limit, over):
    assert Stopping(patience=1, limit=limit, learning=[0]).over(0) is over


def test_patience_of_one_ends_at_the_first_epoch_without_improvement():
    assert run(Stopping(1, 10, [0]), [[0.1], [0.2], [0.2], [0.3]]) == ([1, 2], 3)


def test_a_score_that_is_no_number_is_no_improvement():
    nan = float("nan")
    assert run(Stopping(2, 10, [0]), [[nan], [nan], [0.5]]) == ([], 2)
    assert run(Stopping(2, 10, [0]), [[0.1], [nan], [0.2], [nan], [nan]]) == ([1, 3], 5)


TRACE = [[0.2, 0.3], [0.1, 0.4], [0.2, 0.4], [0.3, 0.3], [0.3, 0.4], [0.2, 0.4], [0.1, 0.1], [0.9, 0.9]]


@pytest.mark.parametrize("at", range(7))
def test_a_loaded_state_decides_as_if_never_interrupted(at):
    whole = run(Stopping(3, 10, [0, 1]), TRACE)
    assert whole == ([1, 2, 4], 7)
    before = Stopping(3, 10, [0, 1])
    improved, end = run(before, TRACE[:at])
    assert end is None
    after = Stopping(3, 10, [0, 1])
    after.load(before.state())
    later, end = run(after, TRACE, begin=at)
    assert (improved + later, end) == whole


def test_a_saved_state_does_not_change_later():
    stopping = Stopping(3, 10, [0])
    stopping.update(1, [0.5])
    saved = stopping.state()
    other = Stopping(3, 10, [0])
    other.load(saved)
    for both in (stopping, other):
        both.update(2, [0.7])
    assert saved == {"best": {0: 0.5}, "best_epoch": 1}
