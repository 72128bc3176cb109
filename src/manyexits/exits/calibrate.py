"""Thresholds for a budget (DEFINITIONS.md, section 8): the exact sweep over one shared threshold, and three protocols.

Everything here works on certainty, which rises with being sure: confidence, or negative entropy. N samples, K exits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from manyexits.exits.policies import exit_index

Certain = Float[np.ndarray, "n k"]
Right = Bool[np.ndarray, "n k"]
ExitCosts = Int[np.ndarray, " k"]

PAPER_POINTS = 100
"""Thresholds that the authors try, evenly spaced in [0, 1], both ends included [C]."""


@dataclass(frozen=True)
class Sweep:
    """Every outcome that one shared threshold can have; entry i holds from threshold i up to the next."""

    threshold: Float[np.ndarray, " t"]
    """On the scale of certainty, rising; the first lets everyone leave at exit 1."""
    cost: Float[np.ndarray, " t"]
    """Mean cost of a sample in FLOPs, never falling."""
    score: Float[np.ndarray, " t"]
    """Accuracy."""

    def at(self, thresholds: Float[np.ndarray, " j"]) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, " j"]]:
        """Cost and score at any thresholds."""
        index = np.maximum(np.searchsorted(self.threshold, thresholds, side="right") - 1, 0)
        return self.cost[index], self.score[index]

    def best(self, limit: float) -> int | None:
        """The entry with the best score among those whose cost fits, ties to the cheaper; None if none fits."""
        fitting = int(np.searchsorted(self.cost, limit, side="right"))
        return int(np.argmax(self.score[:fitting])) if fitting else None


def sweep(certain: Certain, right: Right, costs: ExitCosts) -> Sweep:
    """All outcomes of one shared threshold, exactly, in O(N K log(N K)).

    With M_k the largest certainty up to exit k, a sample leaves at exit 1 + #{k < K: M_k <= t}. Each M_k is thus an
    event that moves its sample from exit k to k + 1. Sorted and cumulated in integers, the events give every mean
    cost and accuracy; the last of equal ones counts. NaN never leaves.
    """
    n = len(certain)
    reached = np.maximum.accumulate(np.where(np.isnan(certain), -np.inf, certain)[:, :-1], axis=1)
    order = np.argsort(reached, axis=None, kind="stable")
    at = reached.ravel()[order]
    dearer = np.broadcast_to(np.diff(costs), reached.shape).ravel()[order]
    better = np.diff(right.astype(np.int64), axis=1).ravel()[order]
    total_cost = n * int(costs[0]) + np.concatenate([[0], np.cumsum(dearer)])
    total_right = int(right[:, 0].sum()) + np.concatenate([[0], np.cumsum(better)])
    # -2 lies below every certainty that can occur: confidences are at least 0, negative entropies at least -1
    threshold = np.concatenate([[-2.0], at])
    never = at == -np.inf
    threshold[1:][never] = -2.0
    last = np.append(threshold[1:] != threshold[:-1], True)
    return Sweep(threshold[last], total_cost[last] / n, total_right[last] / n)


def geometric(certain: Certain, q: float) -> Float[np.ndarray, " j"]:
    """MSDNet's thresholds: exit k takes the share q^k / sum(q^j) of the samples, the surest of those still there.

    A certainty that is no number counts as not there, since it never leaves.

    Returns:
        Thresholds of exits 1..K-1; a sample leaves when its certainty is at least the threshold. Infinity: nobody does.
    """
    n, k = certain.shape
    shares = q ** np.arange(1, k + 1, dtype=np.float64)
    shares /= shares.sum()
    free = np.ones(n, dtype=bool)
    thresholds = np.full(k - 1, np.inf)
    for exit_ in range(k - 1):
        number = int(np.floor(n * shares[exit_]))
        left = np.sort(certain[free & ~np.isnan(certain[:, exit_]), exit_])
        if 0 < number <= len(left):
            thresholds[exit_] = left[-number]
            free &= ~(certain[:, exit_] >= thresholds[exit_])
    return thresholds


def outcome(left_at: Int[np.ndarray, " n"], right: Right, costs: ExitCosts) -> tuple[float, float]:
    """Mean cost in FLOPs and accuracy when sample i leaves at exit left_at[i] (from 1)."""
    index = left_at - 1
    return float(costs[index].sum() / len(index)), float(right[np.arange(len(index)), index].mean())


@dataclass(frozen=True)
class Scored:
    """What one split's predictions say under one criterion."""

    certain: Certain
    right: Right


def choose(
    protocol: str,
    criterion: str,
    budgets: list[float],
    validation: Scored,
    test: Scored,
    costs: ExitCosts,
    backbone: int,
) -> list[dict[str, Any]]:
    """The cells of one protocol and criterion: for each budget, and for Max, thresholds in the criterion's own units.

    Only `paper` looks at the test split: that is what the paper did. A budget that no threshold meets is infeasible,
    as is every one below the first exit's cost: its thresholds are None.

    Args:
        protocol: `paper`, `shared` or `geometric`.
        criterion: name; its thresholds are stored as `confidence > T` or `entropy < S`.
        budgets: fractions of `backbone`.
        validation, test: predictions.
        costs: C_1..C_K in FLOPs.
        backbone: cost of the backbone with its own classifier in FLOPs: budget 100 %.
    """
    chosen = {"paper": _paper, "shared": _shared, "geometric": _geometric}[protocol]
    scored = test if protocol == "paper" else validation
    sign = 1.0 if criterion == "confidence" else -1.0
    cells = []
    for budget in [*budgets, None]:
        thresholds = chosen(scored, costs, np.inf if budget is None else budget * backbone, sign)
        listed = None if thresholds is None else [None if np.isinf(t) else sign * float(t) for t in thresholds]
        cells.append(
            {
                "protocol": protocol,
                "criterion": criterion,
                "budget": "max" if budget is None else budget,
                "chosen_on": "test" if protocol == "paper" else "validation",
                "inclusive": protocol == "geometric",
                "thresholds": listed,
            }
        )
    return cells


def paper_thresholds(sign: float) -> Float[np.ndarray, " t"]:
    """The authors' thresholds on the scale of certainty, rising: T for confidence, -S for entropy."""
    points = np.linspace(0, 1, PAPER_POINTS)
    return points if sign > 0 else -points[::-1]


def _paper(scored: Scored, costs: ExitCosts, limit: float, sign: float) -> Float[np.ndarray, " j"] | None:
    thresholds = paper_thresholds(sign)
    cost, _ = sweep(scored.certain, scored.right, costs).at(thresholds)
    fitting = thresholds[cost <= limit]
    return np.full(len(costs) - 1, fitting[-1]) if len(fitting) else None


def _shared(scored: Scored, costs: ExitCosts, limit: float, sign: float) -> Float[np.ndarray, " j"] | None:
    swept = sweep(scored.certain, scored.right, costs)
    best = swept.best(limit)
    return None if best is None else np.full(len(costs) - 1, swept.threshold[best])


def _geometric(scored: Scored, costs: ExitCosts, limit: float, sign: float) -> Float[np.ndarray, " j"] | None:
    candidates = []
    for p in range(1, 40):
        thresholds = geometric(scored.certain, p / 20)
        cost, score = outcome(exit_index(scored.certain, thresholds, inclusive=True), scored.right, costs)
        if cost <= limit:
            candidates.append((score, -cost, -p, thresholds))
    return max(candidates, key=lambda candidate: candidate[:3])[3] if candidates else None
