"""From predictions and thresholds to the tidy rows of one run; all that needs every sample is measured here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from manyexits.exits.answers import Cell, Left
from manyexits.exits.calibrate import Scored, Sweep, outcome, paper_thresholds, read_under, shared, sweep
from manyexits.exits.criteria import Criterion
from manyexits.exits.policies import exit_index, understood
from manyexits.exits.predict import Arrays, scored
from manyexits.exits.task import Task
from manyexits.exits.temperature import TEMPERED
from manyexits.files.rows import BINS

SHARED_POINTS = 101
"""Evenly spaced costs of the `shared` protocol's sweep."""
RESAMPLES = 10_000
"""Bootstrap resamples behind an interval."""
UNITS = {"mse": {"unit": "squared score"}}
"""Of what is no fraction."""

Rows = list[dict[str, Any]]


def leaving(
    cells: list[dict[str, Any]], task: Task, scans: Mapping[str, Sequence[Criterion]], test: Arrays
) -> dict[Cell, Int[np.ndarray, " n"]]:
    """The exit (from 1) with which each test sample leaves, in every cell that some threshold meets."""
    found = {}
    for cell in cells:
        if cell["thresholds"] is not None:
            own = read_under(cell["protocol"], scans[cell["criterion"]])
            which = [scan.patience for scan in own].index(cell.get("patience", own[0].patience))
            thresholds = understood(cell["thresholds"], own[which].sign)
            found[key(cell)] = exit_index(scored(test, own[which], task).certain, thresholds, cell["inclusive"])
    return found


def key(cell: Mapping[str, Any]) -> Cell:
    """Names of a cell."""
    return cell["protocol"], cell["criterion"], str(cell["budget"])


def evaluate(
    cells: list[dict[str, Any]],
    task: Task,
    scans: Mapping[str, Sequence[Criterion]],
    validation: Arrays,
    test: Arrays,
    left_at: Left,
    costs: Int[np.ndarray, " k"],
    backbone: int,
) -> Rows:
    """All rows of a run, without its identity.

    Args:
        cells: thresholds.json's.
        task: what the answers are.
        scans: criterion -> its scans.
        validation, test: predictions.
        left_at: where test samples leave, by cell.
        costs: C_1..C_K in FLOPs.
        backbone: cost of the backbone in FLOPs.
    """
    rows: Rows = [{"metric": "backbone_cost", "value": backbone, "unit": "FLOPs"}]
    rows += exits(task, test, costs)
    if TEMPERED in test:
        right = task.right(test["answer"], test["label"])
        after = [row for k in range(len(costs)) for row in reliability(right[:, k], test[TEMPERED][:, k], k + 1)]
        rows += [{**row, "protocol": "temperature"} for row in after]
    found = {name: [scored(test, scan, task) for scan in own] for name, own in scans.items()}
    rows += failure(task, found, test)
    before = leaving([cell for cell in cells if cell["protocol"] != "paper"], task, scans, validation)
    for cell in cells:
        rows += cell_rows(cell, task, left_at.get(key(cell)), test, costs)
        rows += [promise(cell, before[key(cell)], costs)] if key(cell) in before else []
    for name, own in scans.items():
        swept = [sweep(each.certain, each.gain, costs) for each in found[name]]
        points = paper_points(own) + shared_points(
            own, [scored(validation, scan, task) for scan in own], costs, backbone
        )
        rows += point_rows(points, own, task, found[name], swept, test)
    return [{"split": "test", "n": len(test["label"]), **row} for row in rows]


def exits(task: Task, test: Arrays, costs: Int[np.ndarray, " k"]) -> Rows:
    """Each exit by itself, and what a perfect choice of exits would reach."""
    answers, labels = test["answer"], test["label"]
    right = task.right(answers, labels)
    rows: Rows = []
    for k, cost in enumerate(costs.tolist()):
        common = {"exit": k + 1, "cost": cost}
        rows += measured(task, answers[:, k], labels, common, f"exit {k + 1}")
        if task.name == "classification":
            agreement = float((answers[:, k] == answers[:, -1]).mean())
            rows.append({**common, "metric": "agreement_with_last", "value": agreement})
            rows += reliability(right[:, k], test["confidence"][:, k], k + 1)
    first = np.where(right.any(1), right.argmax(1) + 1, right.shape[1])
    mean_cost, accuracy = outcome(first, right.astype(np.float64), costs)
    rows.append({"metric": "oracle_accuracy", "value": accuracy, "cost": mean_cost})
    # overthinking: wrong at the end although an earlier exit was right (Kaya et al., 2019)
    rows.append({"metric": "overthinking", "value": float((right.any(1) & ~right[:, -1]).mean())})
    return rows


def measured(task: Task, answers: np.ndarray, labels: np.ndarray, common: dict[str, Any], label: str) -> Rows:
    """All metrics of answers (N,); an accuracy with its interval, whose draws depend on `label` alone."""
    values = {metric: task.score(metric, answers, labels) for metric in task.metrics}
    if task.name == "classification":
        values |= interval(values["accuracy"], len(labels), label)
    return metric_rows(values, common)


def metric_rows(values: Mapping[str, float], common: Mapping[str, Any]) -> Rows:
    """One row for each metric."""
    return [{**common, "metric": metric, "value": value, **UNITS.get(metric, {})} for metric, value in values.items()]


def reliability(right: Bool[np.ndarray, " n"], confidence: Float[np.ndarray, " n"], exit_: int) -> Rows:
    """Expected calibration error, and the bins of the reliability diagram: share, mean confidence, accuracy.

    Both are of the samples whose confidence is a number.
    """
    known = ~np.isnan(confidence)
    right, confidence = right[known], confidence[known]
    index = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    rows, error = [], 0.0
    for b in range(BINS):
        inside = index == b
        if inside.any():
            share, mean, accuracy = float(inside.mean()), float(confidence[inside].mean()), float(right[inside].mean())
            error += share * abs(mean - accuracy)
            values = {"share": share, "confidence": mean, "accuracy": accuracy}
            rows += [{"exit": exit_, "metric": f"bin{b + 1}_{name}", "value": value} for name, value in values.items()]
    return [{"exit": exit_, "metric": "ece", "value": error if known.any() else None}, *rows]


def failure(task: Task, found: Mapping[str, Sequence[Scored]], test: Arrays) -> Rows:
    """Failure prediction: how well certainty tells right answers from wrong ones, by exit and criterion.

    The area under the ROC curve, by ranks, ties counting one half; of criteria with several scans the first counts.
    """
    from scipy.stats import rankdata

    right = task.right(test["answer"], test["label"])
    rows: Rows = []
    for name, scans in found.items():
        certain = np.nan_to_num(scans[0].certain, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        for k in range(right.shape[1]):
            positive = right[:, k]
            n, m = int(positive.sum()), int((~positive).sum())
            above = rankdata(certain[:, k])[positive].sum() - n * (n + 1) / 2
            value = float(above / (n * m)) if n and m else None
            rows.append({"criterion": name, "exit": k + 1, "metric": "failure_auroc", "value": value})
    return rows


def interval(accuracy: float, n: int, label: str) -> dict[str, float]:
    """95 % percentile bootstrap interval of an accuracy.

    The mean of n resampled zeros and ones is binomial, so the resamples are drawn as such; the generator depends on
    the label alone, so that equal inputs give equal rows.
    """
    generator = np.random.default_rng([ord(letter) for letter in label])
    low, high = np.quantile(generator.binomial(n, accuracy, RESAMPLES) / n, [0.025, 0.975])
    return {"accuracy_low": float(low), "accuracy_high": float(high)}


def cell_rows(
    cell: dict[str, Any],
    task: Task,
    left_at: Int[np.ndarray, " n"] | None,
    test: Arrays,
    costs: Int[np.ndarray, " k"],
) -> Rows:
    """A cell of the budget table: its metrics, the cost really spent, and who leaves where; empty where no threshold
    meets it."""
    common = {name: cell[name] for name in ("protocol", "criterion", "budget")}
    if left_at is None:
        return [{**common, "metric": metric} for metric in task.metrics]
    cost = float(costs[left_at - 1].sum() / len(left_at))
    rows = measured(task, left(test, left_at), test["label"], {**common, "cost": cost}, f"{common}")
    right = task.right(left(test, left_at)[:, None], test["label"])[:, 0]
    for exit_ in range(1, len(costs) + 1):
        here = left_at == exit_
        own = {**common, "exit": exit_, "n": int(here.sum())}
        rows.append({**own, "metric": "exit_share", "value": float(here.mean()), "n": len(left_at)})
        rows.append({**own, "metric": "exit_accuracy", "value": float(right[here].mean()) if here.any() else None})
    return rows


def promise(cell: dict[str, Any], left_at: Int[np.ndarray, " n"], costs: Int[np.ndarray, " k"]) -> dict[str, Any]:
    """What a sample costs on the validation split, which chose the thresholds."""
    common = {name: cell[name] for name in ("protocol", "criterion", "budget")}
    value = float(costs[left_at - 1].sum() / len(left_at))
    return {**common, "metric": "promised_cost", "value": value, "unit": "FLOPs", "n": len(left_at)}


def left(arrays: Arrays, left_at: Int[np.ndarray, " n"]) -> np.ndarray:
    """The answers (N,) that samples leave with."""
    return arrays["answer"][np.arange(len(left_at)), left_at - 1]


Point = tuple[str, int, float | None, float]
"""Protocol, index of the scan, budget, and a threshold for all exits on the scale of certainty."""


def paper_points(scans: Sequence[Criterion]) -> list[Point]:
    """The authors' thresholds."""
    return [("paper", 0, None, threshold) for threshold in paper_thresholds(scans[0]).tolist()]


def shared_points(
    scans: Sequence[Criterion], validation: Sequence[Scored], costs: Int[np.ndarray, " k"], backbone: int
) -> list[Point]:
    """Thresholds chosen on validation for evenly spaced cost limits.

    Limits that nothing meets have no point: there are some where samples whose certainty is no number run on.
    """
    limits = np.linspace(costs[0], costs[-1], SHARED_POINTS).tolist()
    chosen = zip(limits, shared(scans, validation, costs, limits), strict=True)
    return [("shared", choice[0], limit / backbone, choice[1]) for limit, choice in chosen if choice is not None]


def point_rows(
    points: Sequence[Point],
    scans: Sequence[Criterion],
    task: Task,
    found: Sequence[Scored],
    swept: Sequence[Sweep],
    test: Arrays,
) -> Rows:
    """All metrics on test at the points of a sweep. An accuracy is the sweep's score, correlations need the samples."""
    rows: Rows = []
    for protocol, which, budget, threshold in points:
        (cost,), (score,) = swept[which].at(np.array([threshold]))
        values = {"accuracy": float(score)}
        if task.name == "regression":
            certain = found[which].certain
            answers = left(test, exit_index(certain, np.full(certain.shape[1] - 1, threshold)))
            values = {metric: task.score(metric, answers, test["label"]) for metric in task.metrics}
        common = {"protocol": protocol, "criterion": scans[which].name, "budget": budget, "cost": float(cost)}
        common["threshold"] = scans[which].sign * threshold + 0.0
        rows += metric_rows(values, common)
    return rows
