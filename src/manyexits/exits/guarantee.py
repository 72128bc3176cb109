"""Thresholds with a guarantee, chosen on validation, and what they come to on test (DEFINITIONS.md, section 14)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from manyexits.exits import risk
from manyexits.exits.calibrate import outcome
from manyexits.exits.criteria import Criterion
from manyexits.exits.policies import exit_index, told
from manyexits.exits.predict import Arrays, scored
from manyexits.exits.task import Task


def guarantee(
    task: Task,
    scan: Criterion,
    validation: Arrays,
    test: Arrays,
    costs: Int[np.ndarray, " k"],
    tolerated: Sequence[float],
    delta: float,
) -> list[dict[str, Any]]:
    """One row for every loss, procedure and tolerated risk, without identity.

    Args:
        task: classification.
        scan: of the criterion whose threshold is chosen.
        validation, test: predictions.
        costs: C_1..C_K in FLOPs.
        tolerated: risks epsilon.
        delta: probability with which ucb and ltt may miss them; crc has none.
    """
    own, other = (scored(arrays, scan, task) for arrays in (validation, test))
    rows = []
    for loss, of in risk.LOSSES.items():
        losses, later = (of(arrays["answer"], arrays["label"]) for arrays in (validation, test))
        for procedure in risk.PROCEDURES:
            for epsilon in tolerated:
                threshold = risk.threshold(own.certain, losses, procedure, epsilon, delta)
                left_at = exit_index(other.certain, np.full(len(costs) - 1, threshold))
                cost, gain = outcome(left_at, other.gain, costs)
                (shown,) = told(np.array([threshold]), scan.sign)
                rows.append(
                    {
                        "criterion": scan.name,
                        "loss": loss,
                        "procedure": procedure,
                        "epsilon": epsilon,
                        "delta": None if procedure == "crc" else delta,
                        "threshold": shown,
                        "chosen_on": len(validation["label"]),
                        "risk": float(later[np.arange(len(later)), left_at - 1].mean()),
                        "accuracy": gain,
                        "early": float((left_at < len(costs)).mean()),
                        "cost": cost,
                        "n": len(test["label"]),
                    }
                )
    return rows
