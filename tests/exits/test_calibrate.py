"""The exact sweep and the three protocols against loops over thresholds and samples, and cells worked out by hand."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from manyexits.exits import calibrate, criteria
from manyexits.exits.calibrate import Scored, geometric, outcome, paper_thresholds, sweep
from manyexits.exits.policies import Policy, exit_index, told, understood
from manyexits.exits.task import Task

quick = settings(max_examples=50, deadline=None)
POINTS = np.linspace(0, 1, 100).tolist()
GRID = [0.0, POINTS[33], 0.4, 0.5, POINTS[66], 0.9, 1.0]
"""Few values, so that ties are many; some lie exactly on the authors' thresholds."""
CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (0.0, 5.0))


def scan(criterion):
    (found,) = criteria.named(criterion, CLASSES, 4)
    return found


def choose(protocol, criterion, budgets, validation, test, costs, backbone):
    """The cells of a criterion with one scan."""
    return calibrate.choose(protocol, [scan(criterion)], budgets, [validation], [test], costs, backbone)


@st.composite
def predictions(draw, signs=(1.0, -1.0), numbers=(*GRID, math.nan), most=6):
    """Certainty and rightness of up to `most` samples at up to 4 exits, the exits' rising costs, and the sign."""
    n, k, sign = draw(st.integers(1, most)), draw(st.integers(1, 4)), draw(st.sampled_from(signs))
    certain = sign * draw(arrays(float, (n, k), elements=st.sampled_from(numbers)))
    costs = np.cumsum(draw(st.lists(st.integers(1, 9), min_size=k, max_size=k)))
    return certain, draw(arrays(bool, (n, k))).astype(float), costs, sign


def spent(certain, right, costs, thresholds, inclusive=False):
    """Mean cost and accuracy, sample by sample."""
    cost = good = 0
    for row, answers in zip(certain.tolist(), right.tolist(), strict=True):
        exit_ = 0
        while exit_ < len(row) - 1:
            if row[exit_] > thresholds[exit_] or (inclusive and row[exit_] == thresholds[exit_]):
                break
            exit_ += 1
        cost, good = cost + int(costs[exit_]), good + answers[exit_]
    return cost / len(certain), good / len(certain)


def everywhere(certain):
    """Thresholds below, on, between and above all values."""
    values = sorted({-math.inf, -3.0, *certain[~np.isnan(certain)].tolist()})
    return sorted({*values, *((a + b) / 2 for a, b in itertools.pairwise(values)), values[-1] + 1})


@quick
@given(predictions())
def test_the_sweep_equals_a_loop_over_thresholds_and_samples(made):
    certain, right, costs, _ = made
    thresholds = everywhere(certain)
    cost, score = sweep(certain, right, costs).at(np.array(thresholds))
    expected = [spent(certain, right, costs, [t] * (len(costs) - 1)) for t in thresholds]
    assert list(zip(cost.tolist(), score.tolist(), strict=True)) == expected


@quick
@given(predictions())
def test_every_entry_of_the_sweep_is_an_outcome_of_its_own(made):
    certain, right, costs, _ = made
    swept = sweep(certain, right, costs)
    assert (np.diff(swept.threshold) > 0).all()
    assert set(swept.threshold.tolist()) <= {-math.inf, *certain.ravel().tolist()}
    assert (np.diff(swept.cost) >= 0).all()
    assert swept.cost[-1] == costs[-1]
    assert swept.score[-1] == right[:, -1].mean()


@quick
@given(predictions())
def test_the_sweep_is_right_at_the_authors_thresholds(made):
    certain, right, costs, sign = made
    thresholds = paper_thresholds(scan("confidence" if sign > 0 else "entropy"))
    cost, score = sweep(certain, right, costs).at(thresholds)
    assert sorted((sign * thresholds).tolist()) == POINTS
    for index in range(100):
        t = [thresholds[index]] * (len(costs) - 1)
        assert (cost[index], score[index]) == spent(certain, right, costs, t)


@quick
@given(predictions(), st.floats(0, 40))
def test_the_best_entry_has_the_highest_score_that_fits_and_of_equal_ones_the_lowest_cost(made, limit):
    certain, right, costs, _ = made
    swept = sweep(certain, right, costs)
    outcomes = [spent(certain, right, costs, [t] * (len(costs) - 1)) for t in everywhere(certain)]
    fitting = [(score, -cost) for cost, score in outcomes if cost <= limit]
    best = swept.best(limit)
    assert (best is None) == (not fitting)
    if best is not None:
        assert (swept.score[best], -swept.cost[best]) == max(fitting)


def test_the_sweep_of_one_sample_and_one_exit():
    swept = sweep(np.array([[0.7]]), np.array([[1.0]]), np.array([5]))
    assert (swept.cost.tolist(), swept.score.tolist()) == ([5.0], [1.0])
    assert swept.best(4.9) is None
    assert swept.best(5) == 0


def test_a_lower_certainty_later_on_changes_nothing():
    swept = sweep(np.array([[0.8, 0.3, 0.9]]), np.array([[1.0, 0.0, 1.0]]), np.array([1, 2, 4]))
    assert swept.threshold.tolist() == [-math.inf, 0.8]
    assert (swept.cost.tolist(), swept.score.tolist()) == ([1, 4], [1, 1])


def test_large_costs_are_added_exactly():
    costs = np.array([10**12 + 1, 2 * 10**12 + 1])
    swept = sweep(np.full((1000, 2), 0.5), np.ones((1000, 2)), costs)
    assert swept.cost.tolist() == costs.tolist()


# -- geometric --------------------------------------------------------------------------------------------------------


def taken(n, k, p):
    """N * s_k of exits 1..K, exactly."""
    powers = [Fraction(p, 20) ** j for j in range(1, k + 1)]
    return [n * power / sum(powers) for power in powers]


@quick
@given(predictions(signs=(1.0,), most=12), st.integers(1, 39))
def test_geometric_thresholds_take_the_surest_of_those_still_there(made, p):
    certain, _, _, _ = made
    n, k = certain.shape
    numbers = taken(n, k, p)
    assume(k == 1 or all(number.denominator > 1 for number in numbers))  # else rounding decides
    free, expected = list(range(n)), []
    for exit_ in range(k - 1):
        falling = sorted((c for c in certain[free, exit_].tolist() if not math.isnan(c)), reverse=True)
        number = math.floor(numbers[exit_])
        threshold = falling[number - 1] if 0 < number <= len(falling) else math.inf
        free = [i for i in free if not certain[i, exit_] >= threshold]
        expected.append(threshold)
    assert geometric(certain, p / 20).tolist() == expected


def test_geometric_thresholds_by_hand():
    # q = 1, four exits, eight samples: two each. The tie at .8 takes three at exit 1, so that five are left.
    first = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    second = [1.0, 1.0, 1.0, 0.2, 0.9, 0.6, 0.4, 0.1]
    certain = np.array([first, second, [0.5] * 8, [1.0] * 8]).T
    assert geometric(certain, 1.0).tolist() == [0.8, 0.6, 0.5]


def test_nobody_leaves_where_the_share_is_empty():
    assert geometric(np.array([[0.9, 0.8, 1.0]]), 1.0).tolist() == [math.inf, math.inf]


def test_nobody_leaves_where_too_few_are_left():
    # q = 1, three exits, three samples: one each, but the tie takes all three at exit 1
    assert geometric(np.full((3, 3), 0.5), 1.0).tolist() == [0.5, math.inf]


def test_a_confidence_that_is_no_number_is_never_the_surest():
    certain = np.array([[math.nan, 0.5], [0.9, 0.5], [0.3, 0.5], [0.2, 0.5]])
    assert geometric(certain, 1.0).tolist() == [0.3]


# -- cells ------------------------------------------------------------------------------------------------------------

CERTAIN = np.array([[0.9, 0.95, 0.99], [0.6, 0.8, 0.9], [0.7, 0.75, 0.8], [0.3, 0.5, 0.6]])
RIGHT = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 1]], dtype=float)
COSTS = np.array([1, 3, 6])
BACKBONE = 5
# threshold  start  .3   .5   .6   .7   .75  .8   .9   .95
# cost       1     1.5  2.25 2.75 3.25 4    4.75 5.25 6
# accuracy   .5    .5   .75  1    .75  1    1    1    1
KNOWN = Scored(CERTAIN, RIGHT)
NOISE = Scored(np.array([[0.11, 0.12, 0.13]] * 3), np.zeros((3, 3)))
PROTOCOLS = ["paper", "shared", "geometric"]


def cells(protocol, budgets, validation=KNOWN, test=KNOWN, criterion="confidence", costs=COSTS, backbone=BACKBONE):
    found = choose(protocol, criterion, budgets, validation, test, costs, backbone)
    assert [cell["budget"] for cell in found] == [*budgets, "max"]
    return found


def thresholds(*args, **kwargs):
    return [cell["thresholds"] for cell in cells(*args, **kwargs)]


def test_shared_takes_the_best_on_validation_that_fits():
    # 1.5 ties with 1 in accuracy, and 3.5 would pay for .7, which is worse than .6
    found = thresholds("shared", [0.1, 0.2, 0.3, 0.5, 0.7], test=NOISE)
    assert found == [None, ["everybody"] * 2, ["everybody"] * 2, [0.5, 0.5], [0.6, 0.6], [0.6, 0.6]]


def test_paper_takes_the_largest_threshold_that_fits_on_test():
    found = thresholds("paper", [0.1, 0.2, 0.3, 0.5, 0.7], validation=NOISE)
    # the largest of 0/99, 1/99, .. below .3, .5, .6 and .75, where the next step would be too dear
    assert found[0] is None
    assert [t for t, _ in found[1:]] == pytest.approx([29 / 99, 49 / 99, 59 / 99, 74 / 99, 1])
    assert all(t == u for t, u in found[1:])


def test_geometric_takes_the_best_share_that_fits():
    # shares (3, 0), (2, 0), (2, 1), (1, 1), (0, 1) of 4 samples cost 2.25, 3.5, 2.75, 4, 5.25; only (3, 0) errs
    found = thresholds("geometric", [0.1, 0.4, 0.5, 0.7], test=NOISE)
    assert found == [None, None, [0.6, "nobody"], [0.7, 0.8], [0.7, 0.8]]


@pytest.mark.parametrize(("budgets", "leaving"), [([], 24), ([77 / 73], 69)])
def test_geometric_shares_begin_at_a_twentieth_and_end_below_two(budgets, leaving):
    # exit 1 is right about the 24 surest of 73 alone, exit 2 about all. Only q = 39/20 leaves no more than 24 at
    # exit 1 (73 / 2.95 = 24.7), and only q = 1/20 as many as 69 (73 / 1.05 = 69.5), which costs (69 + 4 * 2) / 73.
    certain = np.stack([np.linspace(0.9, 0.1, 73), np.ones(73)], axis=1)
    known = Scored(certain, np.stack([np.arange(73) < 24, np.ones(73)], axis=1))
    cell = cells("geometric", budgets, known, known, costs=np.array([1, 2]), backbone=1)[0]
    assert cell["thresholds"] == [certain[leaving - 1, 0]]


def test_entropy_thresholds_are_the_smallest_that_fit():
    flipped = Scored(CERTAIN - 1, RIGHT)  # an entropy of 1 - confidence: the same order
    shared = thresholds("shared", [0.1, 0.2, 0.5, 0.7], validation=flipped, test=NOISE, criterion="entropy")
    assert shared[:2] == [None, ["everybody"] * 2]
    assert [s for s, _ in shared[2:]] == pytest.approx([0.5, 0.4, 0.4])
    paper = thresholds("paper", [0.2, 0.5, 0.7], validation=NOISE, test=flipped, criterion="entropy")
    assert [s for s, _ in paper] == pytest.approx([70 / 99, 40 / 99, 25 / 99, 0])


def test_cells_say_where_and_how_they_were_chosen():
    for protocol in PROTOCOLS:
        for cell in cells(protocol, [0.5]):
            assert (cell["protocol"], cell["criterion"]) == (protocol, "confidence")
            assert cell["chosen_on"] == ("test" if protocol == "paper" else "validation")
            assert cell["inclusive"] == (protocol == "geometric")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_budgets_there_is_max_alone(protocol):
    assert len(cells(protocol, [])) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_exit_has_no_threshold_and_one_cost(protocol):
    one = Scored(np.array([[0.5]]), np.array([[1.0]]))
    costs = np.array([7])
    assert thresholds(protocol, [0.5, 1.0], one, one, costs=costs, backbone=7) == [None, [], []]


@pytest.mark.parametrize("protocol", ["shared", "geometric"])
def test_only_paper_looks_at_test(protocol):
    budgets = [0.3, 0.5, 0.7]
    assert cells(protocol, budgets, test=KNOWN) == cells(protocol, budgets, test=NOISE)
    assert cells(protocol, budgets, KNOWN, KNOWN) != cells(protocol, budgets, NOISE, KNOWN)
    assert cells("paper", budgets, test=KNOWN) != cells("paper", budgets, test=NOISE)
    assert cells("paper", budgets, KNOWN, KNOWN) == cells("paper", budgets, NOISE, KNOWN)


@quick
@given(predictions(numbers=GRID))
def test_without_a_limit_paper_is_the_last_exit(made):
    certain, right, costs, sign = made
    scored = Scored(certain, right)
    (cell,) = choose("paper", "confidence" if sign > 0 else "entropy", [], scored, scored, costs, 1)
    last = spent(certain, right, costs, [sign * t for t in cell["thresholds"]])
    assert last == (costs[-1], right[:, -1].mean())


@quick
@given(predictions(), st.floats(0.01, 30))
@example((np.array([[math.nan, 0.5]]), np.array([[1.0, 1.0]]), np.array([1, 2]), 1.0), 1.5)
@example((np.array([[-1.0, -1.0]]), np.array([[1.0, 1.0]]), np.array([1, 2]), -1.0), 1.5)
def test_a_cell_fits_and_no_other_threshold_would_be_better(made, budget):
    certain, right, costs, sign = made
    scored, criterion = Scored(certain, right), "confidence" if sign > 0 else "entropy"
    candidates = {"shared": everywhere(certain), "paper": [sign * t for t in POINTS]}
    for protocol, tried in candidates.items():
        cell = choose(protocol, criterion, [budget], scored, scored, costs, 1)[0]
        outcomes = {t: spent(certain, right, costs, [t] * (len(costs) - 1)) for t in tried}
        fitting = [t for t, (cost, _) in outcomes.items() if cost <= budget]
        if not fitting:
            assert cell["thresholds"] is None
            continue
        cost, score = spent(certain, right, costs, understood(cell["thresholds"], sign))
        assert cost <= budget
        if protocol == "shared":
            assert (score, -cost) == max((outcomes[t][1], -outcomes[t][0]) for t in fitting)
        elif len(costs) > 1:
            assert sign * cell["thresholds"][0] == max(fitting)


@quick
@given(predictions(signs=(1.0,), most=12), st.floats(0.01, 30))
def test_a_geometric_cell_fits_and_none_of_the_39_would_be_better(made, budget):
    certain, right, costs, _ = made
    scored = Scored(certain, right)
    cell = choose("geometric", "confidence", [budget], scored, scored, costs, 1)[0]
    tried = [spent(certain, right, costs, geometric(certain, p / 20), inclusive=True) for p in range(1, 40)]
    fitting = [(score, -cost) for cost, score in tried if cost <= budget]
    if not fitting:
        assert cell["thresholds"] is None
    else:
        cost, score = spent(certain, right, costs, understood(cell["thresholds"], 1.0), inclusive=True)
        assert (score, -cost) == max(fitting)


def test_an_outcome_is_a_mean_over_samples():
    assert outcome(np.array([1, 2, 2, 3]), RIGHT, COSTS) == ((1 + 3 + 3 + 6) / 4, 3 / 4)


# -- any gain, any criterion ------------------------------------------------------------------------------------------


@st.composite
def answers(draw, task, most=6):
    """Gains and answers of up to `most` samples at up to 5 exits, and the costs; all sums are exact."""
    n, k = draw(st.integers(1, most)), draw(st.integers(1, 5))
    costs = np.cumsum(draw(st.lists(st.integers(1, 9), min_size=k, max_size=k)))
    if task is CLASSES:
        given_ = draw(arrays(np.int64, (n, k), elements=st.integers(0, 2)))
        return task.gain(given_, draw(arrays(np.int64, n, elements=st.integers(0, 2)))).astype(float), given_, costs
    halves = st.sampled_from([0.0, 0.5, 1.5, 4.0, 5.0])
    given_ = draw(arrays(float, (n, k), elements=halves))
    return task.gain(given_, draw(arrays(float, n, elements=halves))), given_, costs


def walked(given_, gain, costs, leave):
    """Mean cost and gain where leave(answers up to exit k) says so."""
    cost = total = 0.0
    for row, worth in zip(given_.tolist(), gain.tolist(), strict=True):
        exit_ = next((k for k in range(len(row) - 1) if leave(row[: k + 1])), len(row) - 1)
        cost, total = cost + int(costs[exit_]), total + worth[exit_]
    return cost / len(gain), total / len(gain)


def patient(p):
    """More than p equal answers in a row."""
    return lambda row: len(row) > p and len(set(row[-p - 1 :])) == 1


def agreeing(p, tau):
    """The last p gaps are all below tau."""
    return lambda row: len(row) > p and all(abs(a - b) < tau for a, b in itertools.pairwise(row[-p - 1 :]))


def chosen_of(cell, scans, scored, gain, costs):
    """Mean cost and gain of a cell, on stored arrays."""
    which = [each.patience for each in scans].index(cell.get("patience"))
    thresholds = understood(cell["thresholds"], scans[which].sign)
    return outcome(exit_index(scored[which].certain, thresholds), gain, costs)


@quick
@given(answers(CLASSES), st.floats(0.01, 50))
def test_patience_equals_a_loop_over_all_its_values(made, budget):
    gain, given_, costs = made
    k = len(costs)
    scans = criteria.named("patience", CLASSES, k)
    scored = [Scored(criteria.certainties(scans[0], given_), gain)]
    outcomes = [walked(given_, gain, costs, patient(p)) for p in range(k)]
    swept = sweep(scored[0].certain, gain, costs)
    assert list(zip(*(found.tolist() for found in swept.at(np.arange(float(k)))), strict=True)) == outcomes
    fitting = [p for p in range(k) if outcomes[p][0] <= budget]
    for protocol in ("paper", "shared"):
        cell = calibrate.choose(protocol, scans, [budget], scored, scored, costs, 1)[0]
        if not fitting:
            assert cell["thresholds"] is None
        elif protocol == "paper":
            assert cell["thresholds"] == [max(fitting)] * (k - 1)
        else:
            cost, score = chosen_of(cell, scans, scored, gain, costs)
            assert (score, -cost) == max((outcomes[p][1], -outcomes[p][0]) for p in fitting)


@quick
@given(answers(SCORES), st.floats(0.01, 50))
def test_agreement_equals_a_loop_over_all_pairs_of_patience_and_tolerance(made, budget):
    gain, given_, costs = made
    k = len(costs)
    scans = criteria.named("agreement", SCORES, k)
    scored = [Scored(criteria.certainties(each, given_), gain) for each in scans]
    taus = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5]  # below, on, above all gaps
    outcomes = {(p, t): walked(given_, gain, costs, agreeing(p, t)) for p in range(1, max(k, 2)) for t in taus}
    for (p, tau), expected in outcomes.items():
        (cost,), (score,) = sweep(scored[p - 1].certain, gain, costs).at(np.array([-tau]))
        assert (cost, score) == expected
    fitting = [(score, -cost) for cost, score in outcomes.values() if cost <= budget]
    cell = calibrate.choose("shared", scans, [budget], scored, scored, costs, 1)[0]
    if fitting:
        cost, score = chosen_of(cell, scans, scored, gain, costs)
        assert (score, -cost) == max(fitting)
    else:
        assert cell["thresholds"] is None
        assert "patience" not in cell


def test_the_paper_protocol_of_agreement_tries_one_gap_and_tolerances_up_to_the_span():
    # gaps .5 and 3: the smallest tau that lets both leave at exit 2 is the first point above 3
    given_ = np.array([[0.0, 0.5, 1.0], [1.0, 4.0, 4.0]])
    scans = criteria.named("agreement", SCORES, 3)
    scored = [Scored(criteria.certainties(each, given_), np.zeros((2, 3))) for each in scans]
    found = calibrate.choose("paper", scans, [1.0, 2.0, 2.5], scored, scored, np.array([1, 2, 3]), 1)
    assert [cell.get("patience") for cell in found] == [None, 1, 1, 1]
    assert found[0]["thresholds"] is None
    assert [cell["thresholds"][0] for cell in found[1:]] == pytest.approx([5 * 60 / 99, 5 * 10 / 99, 0])


def test_of_equally_good_pairs_the_cheaper_is_chosen_and_then_the_smaller_patience():
    scans = criteria.named("agreement", SCORES, 3)
    certain = np.array([[-np.inf, -1.0, -1.0]])
    equal = [Scored(certain, np.zeros((1, 3))) for _ in scans]
    assert calibrate.shared(scans, equal, np.array([1, 2, 3]), [3]) == [(0, -math.inf)]
    cheaper = [Scored(np.full((1, 3), -np.inf), np.zeros((1, 3))), equal[0]]
    assert calibrate.shared(scans, cheaper, np.array([1, 2, 3]), [3, 1]) == [(1, -math.inf), None]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_thresholds_go_through_json_and_back(sign):
    thresholds = np.array([math.inf, -math.inf, 0.1 + 0.2, 0.0])
    listed = json.loads(json.dumps(told(thresholds, sign), allow_nan=False))
    assert listed == ["nobody", "everybody", sign * (0.1 + 0.2), 0]
    assert understood(listed, sign).tolist() == thresholds.tolist()
    assert understood([], sign).shape == (0,)


def test_a_cell_holds_words_where_there_is_no_number():
    certain = np.array([[math.nan, 0.5, 0.9], [0.5, 0.9, 0.9]])
    known = Scored(certain, np.array([[1.0, 0.0, 0.0]] * 2))
    assert thresholds("shared", [0.1, 1.0], known, known) == [None, ["everybody"] * 2, ["everybody"] * 2]
    assert thresholds("geometric", [], KNOWN, KNOWN)[0] == [0.7, 0.8]
    assert json.loads(json.dumps(cells("shared", [], known, known), allow_nan=False))


def test_sums_of_squares_are_means_over_samples():
    gain = SCORES.gain(np.array([[1.0, 2.0], [0.0, 5.0]]), np.array([2.0, 3.0]))
    swept = sweep(np.array([[0.5, 1.0], [0.7, 1.0]]), gain, np.array([1, 2]))
    assert swept.threshold.tolist() == [-math.inf, 0.5, 0.7]
    assert swept.score.tolist() == [-(1 + 9) / 2, -(0 + 9) / 2, -(0 + 4) / 2]


@pytest.mark.parametrize(
    ("cell", "thresholds"),
    [
        ({"criterion": "confidence", "thresholds": [0.5, "nobody"]}, (0.5, math.inf)),
        ({"criterion": "entropy", "thresholds": ["everybody", 0.25]}, (math.inf, 0.25)),
        ({"criterion": "patience", "thresholds": [2.0, 2.0]}, (2.0, 2.0)),
    ],
)
def test_a_cell_of_thresholds_is_a_policy(cell, thresholds):
    policy = Policy.of({"budget": 0.5, "inclusive": False} | cell, Task("classification", 3))
    assert policy.thresholds == thresholds
    with pytest.raises(ValueError, match=r"no threshold meets the budget 0\.5"):
        Policy.of({"budget": 0.5, "inclusive": False} | cell | {"thresholds": None}, Task("classification", 3))
