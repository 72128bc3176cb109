"""Rows of a run against loops over samples and numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.exits.calibrate import Scored, choose
from manyexits.exits.evaluate import cell_rows, evaluate, exits, interval, reliability
from manyexits.files import rows

COSTS = np.array([1, 3, 6])
BACKBONE = 5
quick = settings(max_examples=50, deadline=None)


def split(seed, n=40):
    """Confidence and rightness of n samples at three exits; rounded, so that ties occur."""
    generator = np.random.default_rng(seed)
    certain = generator.random((n, 3)).round(1)
    return Scored(certain, generator.random((n, 3)) < 0.3 + 0.6 * certain)


def told(found, metric, **keys):
    """Values of a metric, of rows with these keys."""
    return [r.get("value") for r in found if r["metric"] == metric and all(r.get(k) == v for k, v in keys.items())]


def one(found, metric, **keys):
    (value,) = told(found, metric, **keys)
    return value


def leave(row, threshold):
    """The exit, from 0, at which a sample leaves under one shared threshold."""
    return next((k for k in range(len(row) - 1) if row[k] > threshold), len(row) - 1)


def spent(scored, threshold):
    """Mean cost and accuracy under one shared threshold."""
    left = [leave(row, threshold) for row in scored.certain.tolist()]
    right = [scored.right[i, k] for i, k in enumerate(left)]
    return sum(int(COSTS[k]) for k in left) / len(left), sum(right) / len(left)


def run(validation, test, costs=COSTS, budgets=(0.1, 0.4, 1.0), criteria=("confidence", "entropy")):
    """All rows: the entropy is made up as 1 - confidence."""

    def under(criterion, scored):
        return scored if criterion == "confidence" else Scored(scored.certain - 1, scored.right)

    both = [{c: under(c, scored) for c in criteria} for scored in (validation, test)]
    cells = [
        cell
        for protocol in ("paper", "shared", "geometric")
        for criterion in criteria
        if protocol != "geometric" or criterion == "confidence"
        for cell in choose(protocol, criterion, list(budgets), both[0][criterion], both[1][criterion], costs, BACKBONE)
    ]
    agree = test.right == test.right[:, -1:]
    return evaluate(cells, *both, costs, BACKBONE, test.certain, agree)


def cell(thresholds, criterion="confidence", inclusive=False):
    return {
        "protocol": "shared",
        "criterion": criterion,
        "budget": 0.5,
        "inclusive": inclusive,
        "thresholds": thresholds,
    }


# -- cells ------------------------------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
def test_a_cell_equals_a_loop_over_samples(seed, threshold):
    scored = split(seed, n=7)
    found = cell_rows(cell([threshold, threshold]), scored, COSTS)
    left = [leave(row, threshold) for row in scored.certain.tolist()]
    cost, accuracy = spent(scored, threshold)
    assert one(found, "accuracy") == accuracy
    assert {row["cost"] for row in found if row["metric"] == "accuracy"} == {cost}
    shares = told(found, "exit_share")
    assert shares == [left.count(k) / 7 for k in range(3)]
    assert sum(shares) == pytest.approx(1)
    assert [row["exit"] for row in found if row["metric"] == "exit_share"] == [1, 2, 3]


def test_each_exit_uses_its_own_threshold_and_none_lets_nobody_leave():
    scored = Scored(np.array([[0.9, 0.9, 0.1], [0.5, 0.9, 0.1], [0.9, 0.2, 0.1]]), np.eye(3, dtype=bool))
    assert told(cell_rows(cell([None, 0.3]), scored, COSTS), "exit_share") == [0, 2 / 3, 1 / 3]
    assert told(cell_rows(cell([0.6, None]), scored, COSTS), "exit_share") == [2 / 3, 0, 1 / 3]


@pytest.mark.parametrize(("inclusive", "shares"), [(False, [0, 0, 1]), (True, [1, 0, 0])])
def test_on_the_threshold_a_sample_leaves_only_where_the_cell_is_inclusive(inclusive, shares):
    scored = Scored(np.full((1, 3), 0.5), np.ones((1, 3), dtype=bool))
    assert told(cell_rows(cell([0.5, 0.5], inclusive=inclusive), scored, COSTS), "exit_share") == shares


def test_entropy_leaves_below_its_threshold():
    entropy = np.array([[0.2, 0.1, 0.0], [0.4, 0.3, 0.0], [0.4, 0.4, 0.0]])
    found = cell_rows(cell([0.4, 0.4], "entropy"), Scored(-entropy, np.ones((3, 3), dtype=bool)), COSTS)
    assert told(found, "exit_share") == [1 / 3, 1 / 3, 1 / 3]


def test_an_infeasible_cell_is_one_row_without_value():
    (row,) = cell_rows(cell(None), split(0), COSTS)
    assert row == {"protocol": "shared", "criterion": "confidence", "budget": 0.5, "metric": "accuracy"}


# -- exits ------------------------------------------------------------------------------------------------------------

RIGHT = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)


def test_each_exit_by_itself():
    agree = np.array([[1, 0, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 1]], dtype=bool)
    found = exits(RIGHT, np.full((5, 3), 0.5), agree, COSTS)
    assert told(found, "accuracy") == [0.2, 0.6, 0.4]
    assert told(found, "agreement_with_last") == [0.4, 0.2, 1]
    assert [row["cost"] for row in found if row["metric"] == "accuracy"] == [1, 3, 6]
    assert [row["exit"] for row in found if row["metric"] == "accuracy"] == [1, 2, 3]


def test_an_oracle_leaves_at_the_first_right_exit_and_at_the_last_where_none_is():
    found = exits(RIGHT, np.full((5, 3), 0.5), RIGHT, COSTS)
    (oracle,) = (row for row in found if row["metric"] == "oracle_accuracy")
    assert oracle["value"] == 4 / 5
    assert oracle["cost"] == (3 + 1 + 6 + 3 + 6) / 5


def test_overthinking_is_being_wrong_at_the_end_after_being_right():
    assert one(exits(RIGHT, np.full((5, 3), 0.5), RIGHT, COSTS), "overthinking") == 2 / 5


def test_calibration_error_by_hand():
    # bins of 1/15: .5 and .52 share bin 8 (mean .51, accuracy .5), .9 is alone in bin 14, 1 in bin 15
    found = reliability(np.array([True, False, True, True]), np.array([0.5, 0.52, 0.9, 1.0]), exit_=2)
    assert one(found, "ece") == pytest.approx(0.5 * 0.01 + 0.25 * 0.1 + 0.25 * 0)
    bins = {row["metric"]: row["value"] for row in found if row["metric"] != "ece"}
    assert bins == pytest.approx(
        {
            "bin8_share": 0.5,
            "bin8_confidence": 0.51,
            "bin8_accuracy": 0.5,
            "bin14_share": 0.25,
            "bin14_confidence": 0.9,
            "bin14_accuracy": 1,
            "bin15_share": 0.25,
            "bin15_confidence": 1,
            "bin15_accuracy": 1,
        }
    )
    assert {row["exit"] for row in found} == {2}


@pytest.mark.parametrize(("confidence", "bin_"), [(0.0, 1), (1 / 15, 1), (0.067, 2), (0.2, 3), (1.0, 15)])
def test_a_bin_holds_its_upper_edge(confidence, bin_):
    found = reliability(np.array([True]), np.array([confidence]), exit_=1)
    assert one(found, f"bin{bin_}_share") == 1
    assert one(found, "ece") == pytest.approx(1 - confidence)


@pytest.mark.filterwarnings("error")
def test_a_confidence_that_is_no_number_lies_in_no_bin():
    found = reliability(np.array([True, False]), np.array([0.9, math.nan]), exit_=1)
    assert one(found, "ece") == pytest.approx(0.1)
    assert one(found, "bin14_share") == 1
    assert reliability(np.array([True]), np.array([math.nan]), exit_=1) == [{"exit": 1, "metric": "ece", "value": None}]


# -- intervals --------------------------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 2000), st.integers(0, 2000))
def test_the_interval_contains_the_accuracy(n, right):
    accuracy = min(right, n) / n
    found = interval(accuracy, n, "cell")
    assert 0 <= found["accuracy_low"] <= accuracy <= found["accuracy_high"] <= 1


def test_equal_inputs_give_equal_intervals():
    assert interval(0.7, 100, "a") == interval(0.7, 100, "a")


@pytest.mark.parametrize("accuracy", [0.2, 0.5, 0.8])
def test_the_interval_of_many_samples_is_the_normal_one(accuracy):
    n = 40_000
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / n)
    found = interval(accuracy, n, "exit 1")
    assert found["accuracy_low"] == pytest.approx(accuracy - half, abs=0.08 * half)
    assert found["accuracy_high"] == pytest.approx(accuracy + half, abs=0.08 * half)


def test_the_interval_of_one_sample_is_a_point():
    assert interval(1.0, 1, "a") == {"accuracy_low": 1, "accuracy_high": 1}
    assert interval(0.0, 1, "a") == {"accuracy_low": 0, "accuracy_high": 0}


# -- all rows ---------------------------------------------------------------------------------------------------------


def points(found, protocol, criterion):
    return [r for r in found if r.get("protocol") == protocol and r["criterion"] == criterion and "threshold" in r]


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
def test_the_papers_points_equal_a_loop_over_thresholds_and_samples(criterion):
    test = split(1)
    found = points(run(split(0), test), "paper", criterion)
    thresholds = sorted(row["threshold"] for row in found)
    assert thresholds == np.linspace(0, 1, 100).tolist()
    assert {row.get("budget") for row in found} == {None}
    sign = 1 if criterion == "confidence" else -1
    for row in found:
        certain = test.certain if sign > 0 else test.certain - 1
        assert (row["cost"], row["value"]) == spent(Scored(certain, test.right), sign * row["threshold"])


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
def test_the_shared_points_are_the_best_on_validation_at_evenly_spaced_costs(criterion):
    validation, test = split(0), split(1)
    found = points(run(validation, test), "shared", criterion)
    limits = [1 + 5 * i / 100 for i in range(101)]
    assert [row["budget"] for row in found] == pytest.approx([limit / BACKBONE for limit in limits])
    shift = 0 if criterion == "confidence" else 1
    sides = [Scored(scored.certain - shift, scored.right) for scored in (validation, test)]
    outcomes = [spent(sides[0], t) for t in [-2, *np.unique(sides[0].certain)]]
    for limit, row in zip(limits, found, strict=True):
        t = row["threshold"] if criterion == "confidence" else -row["threshold"]
        cost, score = spent(sides[0], t)
        assert (score, -cost) == max((score, -cost) for cost, score in outcomes if cost <= limit + 1e-9)
        assert (row["cost"], row["value"]) == spent(sides[1], t)


def test_limits_below_what_samples_without_certainty_cost_have_no_point():
    lost = Scored(np.array([[math.nan, math.nan, 0.5], [0.5, 0.5, 0.5]]), np.ones((2, 3), dtype=bool))
    found = run(lost, split(1), criteria=("confidence",))
    budgets = [row["budget"] for row in points(found, "shared", "confidence")]
    assert min(budgets) * BACKBONE == pytest.approx((6 + 1) / 2)  # the first never leaves early
    assert len(budgets) == 51
    assert told(found, "accuracy", protocol="shared", budget=0.4) == [None]
    found = run(Scored(np.full((2, 3), math.nan), lost.right), split(1), criteria=("confidence",))
    assert [row["budget"] for row in points(found, "shared", "confidence")] == [6 / BACKBONE]


def test_every_row_fits_the_schema_and_tells_its_samples():
    found = run(split(0), split(1, n=30))
    assert rows.to_csv(found, rows.COLUMNS).count("\n") == len(found) + 1
    assert {(row["split"], row["n"]) for row in found} == {("test", 30)}
    assert [(row["value"], row["unit"]) for row in found if row["metric"] == "backbone_cost"] == [(5, "FLOPs")]


def test_every_cell_stands_once():
    found = run(split(0), split(1))
    cells = [
        (row["protocol"], row["criterion"], row["budget"])
        for row in found
        if row.get("protocol") and row["metric"] == "accuracy" and "threshold" not in row
    ]
    assert len(cells) == len(set(cells)) == 5 * 4
    infeasible = [r for r in found if r.get("budget") == 0.1 and r["metric"] == "accuracy" and "threshold" not in r]
    assert len(infeasible) == 5
    assert not any("value" in row or "cost" in row for row in infeasible)


def test_equal_inputs_give_equal_rows():
    assert run(split(0), split(1)) == run(split(0), split(1))


def test_one_sample_one_exit_and_no_budget():
    single = Scored(np.array([[0.5]]), np.array([[True]]))
    found = run(single, single, costs=np.array([4]), budgets=())
    assert set(told(found, "accuracy")) == {1.0}
    assert set(told(found, "exit_share")) == {1.0}
    assert {row["cost"] for row in found if row["metric"] == "accuracy"} == {4}
    assert one(found, "ece") == 0.5
