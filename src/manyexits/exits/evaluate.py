"""From predictions and thresholds to the tidy rows of one run; all that needs every sample is measured here."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from manyexits.exits.calibrate import PAPER_POINTS, Scored, Sweep, outcome, paper_thresholds, sweep
from manyexits.exits.policies import exit_index

SHARED_POINTS = 101
"""Evenly spaced costs of the `shared` protocol's sweep."""
BINS = 15
"""Bins of the reliability diagram (Guo et al., 2017)."""
RESAMPLES = 10_000
"""Bootstrap resamples behind an interval."""

Rows = list[dict[str, Any]]


def evaluate(
    cells: list[dict[str, Any]],
    validation: dict[str, Scored],
    test: dict[str, Scored],
    costs: Int[np.ndarray, " k"],
    backbone: int,
    confidence: Float[np.ndarray, "n k"],
    agree: Bool[np.ndarray, "n k"],
) -> Rows:
    """All rows of a run, without its identity.

    Args:
        cells: thresholds.json's.
        validation, test: criterion -> predictions.
        costs: C_1..C_K in FLOPs.
        backbone: cost of the backbone in FLOPs.
        confidence: of every exit on test.
        agree: whether the answer of each exit on test equals the last exit's.
    """
    right = next(iter(test.values())).right
    rows: Rows = [{"metric": "backbone_cost", "value": backbone, "unit": "FLOPs"}]
    rows += exits(right, confidence, agree, costs)
    for cell in cells:
        rows += cell_rows(cell, test[cell["criterion"]], costs)
    for criterion, scored in test.items():
        sign = 1.0 if criterion == "confidence" else -1.0
        rows += paper_sweep(criterion, sign, sweep(scored.certain, scored.right, costs))
        rows += shared_sweep(criterion, sign, validation[criterion], scored, costs, backbone)
    return [{"split": "test", "n": len(right), **row} for row in rows]


def exits(
    right: Bool[np.ndarray, "n k"],
    confidence: Float[np.ndarray, "n k"],
    agree: Bool[np.ndarray, "n k"],
    costs: Int[np.ndarray, " k"],
) -> Rows:
    """Each exit by itself, and what a perfect choice of exits would reach."""
    rows: Rows = []
    for k, cost in enumerate(costs.tolist()):
        accuracy = float(right[:, k].mean())
        rows.append({"exit": k + 1, "metric": "accuracy", "value": accuracy, "cost": cost})
        rows += [
            {"exit": k + 1, "metric": name, "value": value, "cost": cost}
            for name, value in interval(accuracy, len(right), f"exit {k + 1}").items()
        ]
        rows.append({"exit": k + 1, "metric": "agreement_with_last", "value": float(agree[:, k].mean()), "cost": cost})
        rows += reliability(right[:, k], confidence[:, k], k + 1)
    first = np.where(right.any(1), right.argmax(1) + 1, right.shape[1])
    mean_cost, accuracy = outcome(first, right, costs)
    rows.append({"metric": "oracle_accuracy", "value": accuracy, "cost": mean_cost})
    # overthinking: wrong at the end although an earlier exit was right (Kaya et al., 2019)
    rows.append({"metric": "overthinking", "value": float((right.any(1) & ~right[:, -1]).mean())})
    return rows


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


def interval(accuracy: float, n: int, label: str) -> dict[str, float]:
    """95 % percentile bootstrap interval of an accuracy.

    The mean of n resampled zeros and ones is binomial, so the resamples are drawn as such; the generator depends on
    the label alone, so that equal inputs give equal rows.
    """
    generator = np.random.default_rng([ord(letter) for letter in label])
    low, high = np.quantile(generator.binomial(n, accuracy, RESAMPLES) / n, [0.025, 0.975])
    return {"accuracy_low": float(low), "accuracy_high": float(high)}


def cell_rows(cell: dict[str, Any], scored: Scored, costs: Int[np.ndarray, " k"]) -> Rows:
    """A cell of the budget table: accuracy with its interval, the cost really spent, and who leaves where."""
    common = {key: cell[key] for key in ("protocol", "criterion", "budget")}
    if cell["thresholds"] is None:
        return [{**common, "metric": "accuracy"}]
    sign = 1.0 if cell["criterion"] == "confidence" else -1.0
    thresholds = np.array([np.inf if t is None else sign * t for t in cell["thresholds"]])
    left_at = exit_index(scored.certain, thresholds, cell["inclusive"])
    cost, accuracy = outcome(left_at, scored.right, costs)
    rows: Rows = [{**common, "metric": "accuracy", "value": accuracy, "cost": cost}]
    for name, value in interval(accuracy, len(left_at), f"{common}").items():
        rows.append({**common, "metric": name, "value": value, "cost": cost})
    shares = np.bincount(left_at, minlength=len(costs) + 1)[1:] / len(left_at)
    return rows + [{**common, "exit": k + 1, "metric": "exit_share", "value": float(s)} for k, s in enumerate(shares)]


def paper_sweep(criterion: str, sign: float, swept: Sweep) -> Rows:
    """Accuracy on test at the authors' thresholds."""
    thresholds = paper_thresholds(sign)
    cost, score = swept.at(thresholds)
    assert len(thresholds) == PAPER_POINTS
    return [_point("paper", criterion, None, sign * t, s, c) for t, s, c in zip(thresholds, score, cost, strict=True)]


def shared_sweep(
    criterion: str, sign: float, validation: Scored, test: Scored, costs: Int[np.ndarray, " k"], backbone: int
) -> Rows:
    """Accuracy on test at thresholds chosen on validation for evenly spaced cost limits.

    Limits below the first entry's cost have no point: there are some where samples whose certainty is no number run on.
    """
    chosen = sweep(validation.certain, validation.right, costs)
    limits = np.linspace(costs[0], costs[-1], SHARED_POINTS)
    limits = limits[limits >= chosen.cost[0]]
    thresholds = chosen.threshold[np.array([chosen.best(limit) for limit in limits])]
    cost, score = sweep(test.certain, test.right, costs).at(thresholds)
    return [
        _point("shared", criterion, limit / backbone, sign * t, s, c)
        for limit, t, s, c in zip(limits, thresholds, score, cost, strict=True)
    ]


def _point(protocol: str, criterion: str, budget: Any, threshold: float, score: float, cost: float) -> dict[str, Any]:
    fraction = None if budget is None else float(budget)
    return {
        "protocol": protocol,
        "criterion": criterion,
        "budget": fraction,
        "threshold": float(threshold) + 0.0,
        "metric": "accuracy",
        "value": float(score),
        "cost": float(cost),
    }
