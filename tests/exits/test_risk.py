"""Risk control: hand-computed thresholds, a naive search over all of them, and that the guarantee holds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.exits import risk
from manyexits.exits.policies import exit_index


def leaving(certain: np.ndarray, threshold: float) -> np.ndarray:
    """Exit (from 0) of every sample at a threshold, sample by sample."""
    found = []
    for sample in certain:
        early = [k for k, value in enumerate(sample[:-1]) if value > threshold]
        found.append(early[0] if early else len(sample) - 1)
    return np.array(found)


def searched(certain, losses, procedure, epsilon, delta) -> float:
    """The definition, by trying every threshold from above."""
    found = math.inf
    for threshold in [*sorted({*certain[:, :-1].ravel().tolist()} - {math.nan}, reverse=True), -math.inf]:
        where = leaving(certain, threshold)
        if not risk.PROCEDURES[procedure](losses[np.arange(len(losses)), where], epsilon, delta):
            break
        found = threshold
    return found


# -- losses and tests -------------------------------------------------------------------------------------------------


def test_losses_are_those_of_the_definition():
    answers = np.array([[1, 2, 2], [1, 1, 1], [0, 1, 2], [2, 0, 1]])
    labels = np.array([2, 0, 0, 2])
    assert risk.consistency(answers, labels).tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 0]]
    # wrong where it left and right at the end: of the first sample alone
    assert risk.gap(answers, labels).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_crc_counts_one_loss_more():
    losses = np.array([1] * 4 + [0] * 95)
    assert risk.crc(losses, 0.05, 0.1)  # (4 + 1) / 100: a risk of exactly epsilon passes
    assert not risk.crc(np.array([1] * 5 + [0] * 94), 0.05, 0.1)
    assert not risk.crc(np.zeros(18, int), 0.05, 0.1)  # too few samples: 1 / 19 alone is more


def test_ltt_is_the_binomial_tail():
    # of 44 samples none is lost with probability .95^44 = .1047, of 45 with .0994
    assert not risk.ltt(np.zeros(44, int), 0.05, 0.1)
    assert risk.ltt(np.zeros(45, int), 0.05, 0.1)
    n, lost, epsilon = 30, 2, 0.2
    tail = sum(math.comb(n, i) * epsilon**i * (1 - epsilon) ** (n - i) for i in range(lost + 1))
    losses = np.array([1] * lost + [0] * (n - lost))
    assert risk.ltt(losses, epsilon, tail + 1e-9)
    assert not risk.ltt(losses, epsilon, tail - 1e-9)


def bound(losses: list[int], delta: float) -> float:
    """The upper bound as it is defined: the root in mu, by halving, of sums computed one by one."""

    def wealth(mu: float) -> float:
        n, best, total = len(losses), -math.inf, 0.0
        of_x, of_squares, variance = 0.0, 0.0, 0.25
        for i, x in enumerate(losses, start=1):
            stake = min(1.0, math.sqrt(2 * math.log(1 / delta) / (n * variance)))
            total += math.log(1 - stake * (x - mu))
            best = max(best, total)
            of_x += x
            of_squares += (x - (0.5 + of_x) / (1 + i)) ** 2
            variance = (0.25 + of_squares) / (1 + i)
        return best

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if wealth(middle) >= math.log(1 / delta) else (middle, high)
    return high


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=2, max_size=80), st.floats(0.01, 0.5))
def test_the_upper_bound_is_the_root(losses, delta):
    root = bound(losses, delta)
    if root < 0.999:
        assert risk.ucb(np.array(losses), root + 1e-6, delta)
    if root > 1e-3:
        assert not risk.ucb(np.array(losses), root - 1e-6, delta)


# -- thresholds -------------------------------------------------------------------------------------------------------


def test_a_hand_computed_threshold():
    # from above, samples leave with these losses: .9 right, .8 lost, .7 right, ...: CRC at .25 allows 1 loss of 9
    certain = np.array([[0.9, 1], [0.8, 1], [0.7, 1], [0.6, 1], [0.5, 1], [0.4, 1], [0.3, 1], [0.2, 1], [0.1, 1]])
    losses = np.zeros((9, 2), int)
    losses[[1, 4], 0] = 1
    # with .8 out the risk is (1 + 1) / 10, with .5 out (2 + 1) / 10
    assert risk.threshold(certain, losses, "crc", 0.25, 0.1) == 0.5
    assert risk.threshold(certain, losses, "crc", 0.2, 0.1) == 0.5  # exactly epsilon
    assert risk.threshold(certain, losses, "crc", 0.3, 0.1) == -math.inf  # everybody leaves
    assert risk.threshold(certain, losses, "crc", 0.15, 0.1) == 0.8
    assert risk.threshold(certain, losses, "crc", 0.05, 0.1) == math.inf  # 1 / 10 is more: nobody leaves


def test_a_risk_that_falls_again_stays_refused():
    certain = np.array([[0.9, 0.95, 1], [0.1, 0.2, 1]] * 10)
    losses = np.zeros((20, 3), int)
    losses[::2, 1] = 1  # wrong at the second exit, right again at the first
    assert risk.threshold(certain, losses, "crc", 0.1, 0.1) == 0.95
    assert searched(certain, losses, "crc", 0.1, 0.1) == 0.95


def test_a_network_of_one_exit_has_nobody_leave_early():
    assert risk.threshold(np.ones((50, 1)), np.zeros((50, 1), int), "crc", 0.1, 0.1) == math.inf


@pytest.mark.parametrize(
    ("epsilon", "delta", "name"), [(0.0, 0.1, "epsilon"), (1.0, 0.1, "epsilon"), (0.1, 1.5, "delta")]
)
def test_what_is_no_probability_is_refused(epsilon, delta, name):
    with pytest.raises(ValueError, match=f"{name} .* is no probability between 0 and 1"):
        risk.threshold(np.ones((5, 2)), np.zeros((5, 2), int), "ucb", epsilon, delta)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(list(risk.PROCEDURES)),
    st.sampled_from([0.05, 0.1, 0.3, 0.6]),
    st.integers(2, 5),
    st.booleans(),
)
def test_thresholds_are_those_of_the_search_over_all(seed, procedure, epsilon, exits, ties):
    generator = np.random.default_rng(seed)
    certain = generator.random((60, exits))
    if ties:
        certain = np.round(certain, 1)
    answers = generator.integers(0, 3, (60, exits))
    answers[:, -1] = 0
    answers[generator.random((60, exits)) < 0.7] = 0
    losses = risk.consistency(answers, np.zeros(60))
    found = risk.threshold(certain, losses, procedure, epsilon, 0.1)
    expected = searched(certain, losses, procedure, epsilon, 0.1)
    # between two values of the sweep all thresholds are the same policy
    assert (leaving(certain, found) == leaving(certain, expected)).all()
    assert (exit_index(certain, np.full(exits - 1, found)) - 1 == leaving(certain, found)).all()


def test_what_is_no_number_never_leaves():
    certain = np.array([[np.nan, 1.0]] * 40 + [[0.5, 1.0]] * 40)
    losses = np.zeros((80, 2), int)
    losses[:40, 0] = 1
    assert risk.threshold(certain, losses, "crc", 0.05, 0.1) == -math.inf
    assert risk.threshold(certain, 1 - losses, "crc", 0.05, 0.1) == math.inf  # too many are lost even at the last exit


# -- the guarantee ----------------------------------------------------------------------------------------------------


def pool(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Certainties and losses of a network whose exits are right with the probability that they state, roughly."""
    generator = np.random.default_rng(7)
    certain = np.sort(generator.beta(3, 1.5, (n, 4)), axis=1)
    losses = (generator.random((n, 4)) > certain**0.7).astype(np.int64)
    losses[:, -1] = 0
    return certain, losses


@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("procedure", risk.PROCEDURES)
def test_over_many_splits_the_risk_stays_below_what_is_tolerated(procedure, epsilon):
    certain, losses = pool(4000)
    delta, splits, n = 0.1, 500, 500
    generator, risks = np.random.default_rng(1), []
    for _ in range(splits):
        order = generator.permutation(len(certain))
        chosen, rest = order[:n], order[n:]
        threshold = risk.threshold(certain[chosen], losses[chosen], procedure, epsilon, delta)
        where = exit_index(certain[rest], np.full(3, threshold)) - 1
        risks.append(losses[rest, where].mean())
    exceeded = np.mean(np.array(risks) > epsilon)
    if procedure == "crc":
        assert np.mean(risks) <= epsilon
    else:
        assert exceeded <= delta + 3 * math.sqrt(delta * (1 - delta) / splits)
    assert np.mean(risks) > 0.2 * epsilon  # and some leave early
