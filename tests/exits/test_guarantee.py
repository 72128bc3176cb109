"""Rows of thresholds with a guarantee against a loop over samples."""

import numpy as np
import pytest

from manyexits.exits import criteria, predict, risk
from manyexits.exits.guarantee import guarantee
from manyexits.exits.task import Task
from manyexits.files import rows

TASK, COSTS = Task("classification", 4), np.array([2, 5, 9])


def arrays(seed: int, n: int) -> dict:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, n)
    outputs = generator.standard_normal((n, 3, 4))
    outputs[np.arange(n), :, labels] += [1.0, 2.0, 3.0]
    return predict.predictions(outputs.astype(np.float32), labels, TASK)


@pytest.mark.parametrize("criterion", ["confidence", "entropy", "patience"])
def test_every_row_is_what_its_threshold_does_to_the_test_samples(criterion):
    validation, test = arrays(0, 300), arrays(1, 200)
    scan, *_ = criteria.named(criterion, TASK, 3)
    found = guarantee(TASK, scan, validation, test, COSTS, [0.05, 0.2], 0.1)
    assert len(found) == len(risk.LOSSES) * len(risk.PROCEDURES) * 2
    certain = predict.scored(test, scan, TASK).certain
    for row in found:
        own = {"nobody": np.inf, "everybody": -np.inf}.get(row["threshold"])
        threshold = scan.sign * row["threshold"] if own is None else own
        left = [next((k for k in range(2) if sample[k] > threshold), 2) for sample in certain]
        answers, last, labels = test["answer"][np.arange(200), left], test["answer"][:, -1], test["label"]
        lost = answers != last if row["loss"] == "consistency" else (answers != labels) & (last == labels)
        assert row["risk"] == pytest.approx(lost.mean())
        assert row["accuracy"] == pytest.approx((answers == labels).mean())
        assert row["cost"] == pytest.approx(COSTS[left].mean())
        assert row["early"] == pytest.approx(np.mean(np.array(left) < 2))
        assert (row["delta"] is None) == (row["procedure"] == "crc")
        assert (row["chosen_on"], row["n"]) == (300, 200)
        assert set(row) | set(rows.IDENTITY) | {"backbone_cost"} == set(rows.GUARANTEED)


def test_more_risk_never_costs_more():
    scan, *_ = criteria.named("confidence", TASK, 3)
    found = guarantee(TASK, scan, arrays(0, 400), arrays(1, 100), COSTS, [0.01, 0.05, 0.1, 0.3], 0.1)
    for loss in risk.LOSSES:
        for procedure in risk.PROCEDURES:
            spent = [row["cost"] for row in found if (row["loss"], row["procedure"]) == (loss, procedure)]
            assert spent == sorted(spent, reverse=True)


def test_of_too_few_samples_nobody_leaves():
    scan, *_ = criteria.named("confidence", TASK, 3)
    found = guarantee(TASK, scan, arrays(0, 9), arrays(1, 50), COSTS, [0.05], 0.1)
    assert {(row["threshold"], row["early"], row["risk"], row["cost"]) for row in found} == {("nobody", 0.0, 0.0, 9.0)}
