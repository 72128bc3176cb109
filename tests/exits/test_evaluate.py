"""Rows of a run against loops over samples and numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.exits import criteria, evaluate, predict
from manyexits.exits.calibrate import choose
from manyexits.exits.evaluate import cell_rows, interval, reliability
from manyexits.exits.task import Task
from manyexits.files import rows

COSTS = np.array([1, 3, 6])
BACKBONE = 5
quick = settings(max_examples=50, deadline=None)


TASK, SCORES = Task("classification", 2), Task("regression", 1, (0.0, 5.0))


def arrays(confidence, right):
    """Predictions: the label is 1, and the entropy is made up as 1 - confidence."""
    labels = np.ones(len(right), dtype=np.int64)
    return {"label": labels, "answer": right.astype(np.int64), "confidence": confidence, "entropy": 1 - confidence}


def split(seed, n=40):
    """Predictions for n samples at three exits; rounded, so that ties occur."""
    generator = np.random.default_rng(seed)
    certain = generator.random((n, 3)).round(1)
    return arrays(certain, generator.random((n, 3)) < 0.3 + 0.6 * certain)


def told(found, metric, **keys):
    """Values of a metric, of rows with these keys."""
    return [r.get("value") for r in found if r["metric"] == metric and all(r.get(k) == v for k, v in keys.items())]


def one(found, metric, **keys):
    (value,) = told(found, metric, **keys)
    return value


def leave(row, threshold):
    """The exit, from 0, at which a sample leaves under one shared threshold."""
    return next((k for k in range(len(row) - 1) if row[k] > threshold), len(row) - 1)


def spent(certain, made, threshold):
    """Mean cost and accuracy under one shared threshold."""
    left = [leave(row, threshold) for row in certain.tolist()]
    right = [made["answer"][i, k] for i, k in enumerate(left)]
    return sum(int(COSTS[k]) for k in left) / len(left), sum(right) / len(left)


def run(validation, test, costs=COSTS, budgets=(0.1, 0.4, 1.0), names=("confidence", "entropy"), task=TASK):
    """All rows."""
    scans = {name: criteria.named(name, task, len(costs)) for name in names}
    cells = []
    for protocol in ("paper", "shared", "geometric"):
        for name, own in scans.items():
            both = [[predict.scored(made, scan, task) for scan in own] for made in (validation, test)]
            if protocol != "geometric" or name == "confidence":
                cells += choose(protocol, own, list(budgets), *both, costs, BACKBONE)
    left_at = evaluate.leaving(cells, task, scans, test)
    return evaluate.evaluate(cells, task, scans, validation, test, left_at, costs, BACKBONE)


def cell(thresholds, criterion="confidence", inclusive=False):
    return {
        "protocol": "shared",
        "criterion": criterion,
        "budget": 0.5,
        "inclusive": inclusive,
        "thresholds": thresholds,
    }


# -- cells ------------------------------------------------------------------------------------------------------------


def rows_of(cell, made, task=TASK):
    scans = {cell["criterion"]: criteria.named(cell["criterion"], task, len(COSTS))}
    left_at = evaluate.leaving([cell], task, scans, made)
    return cell_rows(cell, task, left_at.get(evaluate.key(cell)), made, COSTS)


@quick
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
def test_a_cell_equals_a_loop_over_samples(seed, threshold):
    made = split(seed, n=7)
    found = rows_of(cell([threshold, threshold]), made)
    left = [leave(row, threshold) for row in made["confidence"].tolist()]
    cost, accuracy = spent(made["confidence"], made, threshold)
    assert one(found, "accuracy") == accuracy
    assert {row["cost"] for row in found if row["metric"] == "accuracy"} == {cost}
    shares = told(found, "exit_share")
    assert shares == [left.count(k) / 7 for k in range(3)]
    assert sum(shares) == pytest.approx(1)
    assert [row["exit"] for row in found if row["metric"] == "exit_share"] == [1, 2, 3]


@quick
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
def test_the_accuracy_of_an_exit_is_that_of_those_who_leave_there(seed, threshold):
    made = split(seed, n=9)
    left = [leave(row, threshold) for row in made["confidence"].tolist()]
    found = rows_of(cell([threshold, threshold]), made)
    for k in range(3):
        here = [made["answer"][sample, k] for sample in range(9) if left[sample] == k]
        (row,) = [row for row in found if row["metric"] == "exit_accuracy" and row["exit"] == k + 1]
        assert row["n"] == len(here)
        assert row["value"] == (pytest.approx(sum(here) / len(here)) if here else None)


@quick
@given(st.integers(0, 10**6))
def test_failure_prediction_is_how_often_a_right_sample_is_surer_than_a_wrong_one(seed):
    made = split(seed, n=12)
    found = run(split(0), made)
    for k in range(3):
        sure = {
            truth: [c for c, a in zip(made["confidence"][:, k], made["answer"][:, k], strict=True) if a == truth]
            for truth in (0, 1)
        }
        pairs = [(r > w) + (r == w) / 2 for r in sure[1] for w in sure[0]]
        (row,) = [
            row
            for row in found
            if row["metric"] == "failure_auroc" and row["criterion"] == "confidence" and row["exit"] == k + 1
        ]
        assert row["value"] == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@quick
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
def test_a_promise_is_what_the_thresholds_cost_on_the_split_that_chose_them(seed, threshold):
    validation, test = split(seed, n=15), split(seed + 1)
    own = cell([threshold] * 2)
    cells = [own, cell(None) | {"budget": 0.1}, own | {"protocol": "paper"}]  # of `paper` the test split did
    scans = {"confidence": criteria.named("confidence", TASK, 3)}
    left_at = evaluate.leaving(cells, TASK, scans, test)
    found = evaluate.evaluate(cells, TASK, scans, validation, test, left_at, COSTS, BACKBONE)
    (promise,) = (row for row in found if row["metric"] == "promised_cost")
    assert promise["value"] == pytest.approx(spent(validation["confidence"], validation, threshold)[0])
    assert (promise["protocol"], promise["budget"], promise["n"]) == ("shared", 0.5, 15)


def test_each_exit_uses_its_own_threshold_and_words_stand_for_nobody_and_everybody():
    made = arrays(np.array([[0.9, 0.9, 0.1], [0.5, 0.9, 0.1], [0.9, 0.2, 0.1]]), np.eye(3, dtype=bool))
    assert told(rows_of(cell(["nobody", 0.3]), made), "exit_share") == [0, 2 / 3, 1 / 3]
    assert told(rows_of(cell([0.6, "nobody"]), made), "exit_share") == [2 / 3, 0, 1 / 3]
    assert told(rows_of(cell([0.6, "everybody"]), made), "exit_share") == [2 / 3, 1 / 3, 0]


@pytest.mark.parametrize(("inclusive", "shares"), [(False, [0, 0, 1]), (True, [1, 0, 0])])
def test_on_the_threshold_a_sample_leaves_only_where_the_cell_is_inclusive(inclusive, shares):
    made = arrays(np.full((1, 3), 0.5), np.ones((1, 3), dtype=bool))
    assert told(rows_of(cell([0.5, 0.5], inclusive=inclusive), made), "exit_share") == shares


def test_entropy_leaves_below_its_threshold():
    made = arrays(np.array([[0.75, 0.9, 1.0], [0.5, 0.75, 1.0], [0.5, 0.5, 1.0]]), np.ones((3, 3), dtype=bool))
    found = rows_of(cell([0.5, 0.5], "entropy"), made)
    assert told(found, "exit_share") == [1 / 3, 1 / 3, 1 / 3]


def test_an_infeasible_cell_is_one_row_without_value():
    (row,) = rows_of(cell(None), split(0))
    assert row == {"protocol": "shared", "criterion": "confidence", "budget": 0.5, "metric": "accuracy"}


# -- exits ------------------------------------------------------------------------------------------------------------

RIGHT = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)


def exits(right=RIGHT):
    return evaluate.exits(TASK, arrays(np.full(right.shape, 0.5), right), COSTS)


def test_each_exit_by_itself():
    made = arrays(np.full(RIGHT.shape, 0.5), RIGHT)
    made["answer"][2, 0] = 2  # wrong like the last exit, but not in the same way
    found = evaluate.exits(TASK, made, COSTS)
    assert told(found, "accuracy") == [0.2, 0.6, 0.4]
    assert told(found, "agreement_with_last") == [1 / 5, 2 / 5, 1]
    assert [row["cost"] for row in found if row["metric"] == "accuracy"] == [1, 3, 6]
    assert [row["exit"] for row in found if row["metric"] == "accuracy"] == [1, 2, 3]


def test_an_oracle_leaves_at_the_first_right_exit_and_at_the_last_where_none_is():
    found = exits()
    (oracle,) = (row for row in found if row["metric"] == "oracle_accuracy")
    assert oracle["value"] == 4 / 5
    assert oracle["cost"] == (3 + 1 + 6 + 3 + 6) / 5


def test_overthinking_is_being_wrong_at_the_end_after_being_right():
    assert one(exits(), "overthinking") == 2 / 5


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
        certain = sign * test[criterion]
        assert (row["cost"], row["value"]) == spent(certain, test, sign * row["threshold"])


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
def test_the_shared_points_are_the_best_on_validation_at_evenly_spaced_costs(criterion):
    validation, test = split(0), split(1)
    found = points(run(validation, test), "shared", criterion)
    limits = [1 + 5 * i / 100 for i in range(101)]
    assert [row["budget"] for row in found] == pytest.approx([limit / BACKBONE for limit in limits])
    sign = 1 if criterion == "confidence" else -1
    outcomes = [
        spent(sign * validation[criterion], validation, t) for t in [-2, *np.unique(sign * validation[criterion])]
    ]
    for limit, row in zip(limits, found, strict=True):
        t = sign * row["threshold"]
        cost, score = spent(sign * validation[criterion], validation, t)
        assert (score, -cost) == max((score, -cost) for cost, score in outcomes if cost <= limit + 1e-9)
        assert (row["cost"], row["value"]) == spent(sign * test[criterion], test, t)
    assert found[0]["threshold"] == -sign * math.inf  # everybody leaves


def test_limits_below_what_samples_without_certainty_cost_have_no_point():
    right = np.ones((2, 3), dtype=bool)
    lost = arrays(np.array([[math.nan, math.nan, 0.5], [0.5, 0.5, 0.5]]), right)
    found = run(lost, split(1), names=("confidence",))
    budgets = [row["budget"] for row in points(found, "shared", "confidence")]
    assert min(budgets) * BACKBONE == pytest.approx((6 + 1) / 2)  # the first never leaves early
    assert len(budgets) == 51
    assert told(found, "accuracy", protocol="shared", budget=0.4) == [None]
    found = run(arrays(np.full((2, 3), math.nan), right), split(1), names=("confidence",))
    assert [row["budget"] for row in points(found, "shared", "confidence")] == [6 / BACKBONE]


def test_every_row_fits_the_schema_and_tells_its_samples():
    found = run(split(0), split(1, n=30))
    assert rows.to_csv(found, rows.COLUMNS).count("\n") == len(found) + 1
    assert {row["split"] for row in found} == {"test"}
    assert {row["n"] for row in found if row["metric"] not in ("exit_accuracy", "promised_cost")} == {30}
    assert {row["n"] for row in found if row["metric"] == "promised_cost"} == {40}  # of validation
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
    single = arrays(np.array([[0.5]]), np.array([[True]]))
    found = run(single, single, costs=np.array([4]), budgets=())
    assert set(told(found, "accuracy")) == {1.0}
    assert set(told(found, "exit_share")) == {1.0}
    assert {row["cost"] for row in found if row["metric"] == "accuracy"} == {4}
    assert one(found, "ece") == 0.5


# -- patience and regression ------------------------------------------------------------------------------------------


def test_patience_has_a_point_for_each_of_its_values():
    answer = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 1]])
    made = {"label": np.ones(4, dtype=np.int64), "answer": answer, "confidence": np.full((4, 3), 0.5)}
    found = points(run(made, made, names=("patience",)), "paper", "patience")
    assert [row["threshold"] for row in found] == [0, 1, 2]
    # P = 1: the first and third sample leave at exit 2, the latter with a wrong answer
    assert [row["value"] for row in found] == [2 / 4, 3 / 4, 1]
    assert [row["cost"] for row in found] == [1, (3 + 6 + 3 + 6) / 4, 6]


def scores(seed, n=30):
    """Scores of three exits, the deeper the closer to the label."""
    generator = np.random.default_rng(seed)
    label = generator.uniform(0, 5, n)
    return {"label": label, "answer": label[:, None] + generator.normal(0, [1.0, 0.6, 0.3], (n, 3))}


def test_scores_have_rows_of_every_metric_at_exits_cells_and_points():
    validation, test = scores(0), scores(1)
    found = run(validation, test, names=("agreement",), task=SCORES)
    assert rows.to_csv(found, rows.COLUMNS).count("\n") == len(found) + 1
    answers, labels = test["answer"], test["label"]
    for k in range(3):
        expected = {metric: SCORES.score(metric, answers[:, k], labels) for metric in SCORES.metrics}
        of_exit = {r["metric"]: r["value"] for r in found if r.get("exit") == k + 1 and "criterion" not in r}
        assert of_exit == expected
    of_cells = [r for r in found if "budget" in r and "threshold" not in r and "exit" not in r]
    of_cells = [r for r in of_cells if r["metric"] != "promised_cost"]
    assert [r["metric"] for r in of_cells] == list(SCORES.metrics) * 8  # 2 protocols, 3 budgets and Max
    assert len(points(found, "paper", "agreement")) == 3 * 100
    assert len(points(found, "shared", "agreement")) == 3 * 61  # limits from exit 2's cost on: exit 1 has no gap
    assert not {row["metric"] for row in found} & {"accuracy", "ece", "agreement_with_last", "accuracy_low"}


def test_the_points_of_scores_equal_a_loop_over_samples():
    validation, test = scores(0), scores(1)
    found = run(validation, test, names=("agreement",), task=SCORES)
    by_threshold = {}
    for row in points(found, "paper", "agreement"):
        by_threshold.setdefault(row["threshold"], {})[row["metric"]] = row
    for tau, told_ in by_threshold.items():
        gaps = abs(np.diff(test["answer"], axis=1))
        left = np.where(gaps[:, 0] < tau, 1, 2)  # exit 2 is the last that may let go, since exit 1 has no gap
        answers = test["answer"][np.arange(30), left]
        for metric in SCORES.metrics:
            assert told_[metric]["value"] == SCORES.score(metric, answers, test["label"])
            assert told_[metric]["cost"] == COSTS[left].mean()


def test_every_shared_cell_of_scores_is_of_the_pair_that_is_best_on_validation():
    validation, test = scores(0), scores(1)
    scans = criteria.named("agreement", SCORES, 3)
    both = [[predict.scored(made, scan, SCORES) for scan in scans] for made in (validation, test)]
    cells = choose("shared", scans, [0.9], *both, COSTS, BACKBONE)
    left_at = evaluate.leaving(cells, SCORES, {"agreement": scans}, test)
    found = evaluate.evaluate(cells, SCORES, {"agreement": scans}, validation, test, left_at, COSTS, BACKBONE)
    for cell in cells:
        tau, patience = cell["thresholds"][0], cell["patience"]
        tau = {"everybody": math.inf, "nobody": -math.inf}.get(tau, tau)
        gaps = np.lib.stride_tricks.sliding_window_view(abs(np.diff(test["answer"], axis=1)), patience, axis=1).max(-1)
        leaves = np.concatenate([np.zeros((30, patience), dtype=bool), gaps < tau], axis=1)
        leaves[:, -1] = True
        answers = test["answer"][np.arange(30), leaves.argmax(1)]
        own = [r for r in found if r.get("budget") == cell["budget"] and "threshold" not in r]
        assert one(own, "mse") == SCORES.score("mse", answers, test["label"])


def test_oracle_and_overthinking_of_scores_take_close_answers_as_right():
    made = {"label": np.array([2.0, 3.0]), "answer": np.array([[2.5, 2.0, 3.0], [1.0, 3.2, 3.4]])}
    found = evaluate.exits(SCORES, made, COSTS)
    assert one(found, "oracle_accuracy") == 1
    assert one(found, "overthinking") == 1 / 2


@pytest.mark.parametrize("budgets", [(), (0.1, 1.0)])
def test_one_scored_sample_and_one_exit(budgets):
    made = {"label": np.array([2.0]), "answer": np.array([[2.5]])}
    found = run(made, made, costs=np.array([4]), budgets=budgets, names=("agreement",), task=SCORES)
    assert {value for value in told(found, "mse") if value is not None} == {0.25}
    assert all(value is None or math.isnan(value) for value in told(found, "spearman"))
