"""Thresholds for a budget (DEFINITIONS.md, section 8): the exact sweep over one shared threshold, and three protocols.

Everything here works on certainty, which rises with being sure, and on gain, which is additive over samples: whether an
answer is right, or its negative squared error. N samples, K exits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from manyexits.exits.criteria import Criterion
from manyexits.exits.policies import exit_index, told
from manyexits.exits.temperature import TEMPERED

Certain = Float[np.ndarray, "n k"]
Gain = Float[np.ndarray, "n k"]
ExitCosts = Int[np.ndarray, " k"]

Choices = Sequence[tuple[int, float | Float[np.ndarray, " j"]] | None]
"""For each limit the index of the scan, and one threshold or one for each early exit, on the scale of certainty;
None where nothing fits."""


def read_under(protocol: str, scans: Sequence[Criterion]) -> list[Criterion]:
    """Scans as a protocol reads them: under `temperature` confidences at the exits' temperatures."""
    return [replace(scan, kept=TEMPERED) if protocol == "temperature" else scan for scan in scans]


@dataclass(frozen=True)
class Sweep:
    """Every outcome that one shared threshold can have; entry i holds from threshold i up to the next."""

    threshold: Float[np.ndarray, " t"]
    """On the scale of certainty, rising; the first is -inf: everyone leaves as soon as there is a certainty."""
    cost: Float[np.ndarray, " t"]
    """Mean cost of a sample in FLOPs, never falling."""
    score: Float[np.ndarray, " t"]
    """Mean gain of a sample: accuracy, or the negative mean squared error."""

    def at(self, thresholds: Float[np.ndarray, " j"]) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, " j"]]:
        """Cost and score at any thresholds."""
        index = np.searchsorted(self.threshold, thresholds, side="right") - 1
        return self.cost[index], self.score[index]

    def best(self, limit: float) -> int | None:
        """The entry with the best score among those whose cost fits, ties to the cheaper; None if none fits."""
        fitting = int(np.searchsorted(self.cost, limit, side="right"))
        return int(np.argmax(self.score[:fitting])) if fitting else None


def sweep(certain: Certain, gain: Gain, costs: ExitCosts) -> Sweep:
    """All outcomes of one shared threshold, exactly, in O(N K log(N K)).

    With M_k the largest certainty up to exit k, a sample leaves at exit 1 + #{k < K: M_k <= t}. Each M_k is thus an
    event that moves its sample from exit k to k + 1. Sorted and cumulated, the events give every mean cost, in
    integers, and gain, in float64, exactly where gains are 0 and 1; the last of equal ones counts. NaN never leaves.
    """
    assert gain.dtype == np.float64, "differences of booleans have no sign"
    n = len(certain)
    reached = np.maximum.accumulate(np.where(np.isnan(certain), -np.inf, certain)[:, :-1], axis=1)
    order = np.argsort(reached, axis=None, kind="stable")
    threshold = np.concatenate([[-np.inf], reached.ravel()[order]])
    dearer = np.broadcast_to(np.diff(costs), reached.shape).ravel()[order]
    better = np.diff(gain, axis=1).ravel()[order]
    total_cost = n * int(costs[0]) + np.concatenate([[0], np.cumsum(dearer)])
    total_gain = gain[:, 0].sum() + np.concatenate([[0.0], np.cumsum(better)])
    last = np.append(threshold[1:] != threshold[:-1], True)
    return Sweep(threshold[last], total_cost[last] / n, total_gain[last] / n)


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
        left = certain[free & ~np.isnan(certain[:, exit_]), exit_]
        if 0 < number <= len(left):
            thresholds[exit_] = np.partition(left, -number)[-number]
            free &= ~(certain[:, exit_] >= thresholds[exit_])
    return thresholds


def outcome(left_at: Int[np.ndarray, " n"], gain: Gain, costs: ExitCosts) -> tuple[float, float]:
    """Mean cost in FLOPs and mean gain when sample i leaves at exit left_at[i] (from 1)."""
    index = left_at - 1
    return float(costs[index].sum() / len(index)), float(gain[np.arange(len(index)), index].mean())


@dataclass(frozen=True)
class Scored:
    """What one split's predictions say under one scan of a criterion."""

    certain: Certain
    gain: Gain


def choose(
    protocol: str,
    scans: Sequence[Criterion],
    budgets: Sequence[float],
    validation: Sequence[Scored],
    test: Sequence[Scored],
    costs: ExitCosts,
    backbone: int,
    temperatures: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """The cells of one protocol and criterion: for each budget, and for Max, thresholds in the criterion's own units.

    Only `paper` looks at the test split: that is what the paper did. A budget that no threshold meets is infeasible,
    as is every one below the first exit's cost: its thresholds are None.

    Args:
        protocol: `paper`, `shared`, `geometric` or `temperature`.
        scans: of one criterion.
        budgets: fractions of `backbone`.
        validation, test: predictions under each scan.
        costs: C_1..C_K in FLOPs.
        backbone: cost of the backbone with its own classifier in FLOPs: budget 100 %.
        temperatures: of the exits, under `temperature`.
    """
    scored = test if protocol == "paper" else validation
    limits = [*(budget * backbone for budget in budgets), np.inf]
    choices = {"paper": _paper, "shared": shared, "geometric": _geometric, "temperature": shared}[protocol](
        scans, scored, costs, limits
    )
    cells = []
    for budget, choice in zip([*budgets, "max"], choices, strict=True):
        cell: dict[str, Any] = {
            "protocol": protocol,
            "criterion": scans[0].name,
            "budget": budget,
            "chosen_on": "test" if protocol == "paper" else "validation",
            "inclusive": protocol == "geometric",
            "thresholds": None,
        }
        if choice is not None:
            scan = scans[choice[0]]
            cell["thresholds"] = told(np.broadcast_to(choice[1], len(costs) - 1), scan.sign)
            cell |= {} if scan.patience is None else {"patience": scan.patience}
            cell |= {} if temperatures is None else {"temperatures": list(temperatures)}
        cells.append(cell)
    return cells


def paper_thresholds(scan: Criterion) -> Float[np.ndarray, " t"]:
    """The thresholds that `paper` tries, on the scale of certainty, rising."""
    return np.sort(scan.sign * scan.points)


def _paper(scans: Sequence[Criterion], scored: Sequence[Scored], costs: ExitCosts, limits: Sequence[float]) -> Choices:
    """For each limit the largest of the first scan's points that fits."""
    thresholds = paper_thresholds(scans[0])
    cost, _ = sweep(scored[0].certain, scored[0].gain, costs).at(thresholds)
    fitting = np.searchsorted(cost, limits, side="right")
    return [(0, float(thresholds[number - 1])) if number else None for number in fitting]


def shared(
    scans: Sequence[Criterion], scored: Sequence[Scored], costs: ExitCosts, limits: Sequence[float]
) -> Sequence[tuple[int, float] | None]:
    """For each limit the scan and threshold of the best score that fits, ties to the cheaper, then to the first."""
    swept = [sweep(each.certain, each.gain, costs) for each in scored]
    choices: list[tuple[int, float] | None] = []
    for limit in limits:
        fitting = [
            (each.score[best], -each.cost[best], -which, float(each.threshold[best]))
            for which, each in enumerate(swept)
            if (best := each.best(limit)) is not None
        ]
        _, _, which, threshold = max(fitting, default=(0, 0, 0, None))
        choices.append(None if threshold is None else (-which, threshold))
    return choices


def _geometric(
    scans: Sequence[Criterion], scored: Sequence[Scored], costs: ExitCosts, limits: Sequence[float]
) -> Choices:
    """For each limit the best of MSDNet's 39 that fits, ties to the cheaper, then to the smaller q."""
    certain, gain = scored[0].certain, scored[0].gain
    candidates = []
    for p in range(1, 40):
        thresholds = geometric(certain, p / 20)
        cost, score = outcome(exit_index(certain, thresholds, inclusive=True), gain, costs)
        candidates.append((-score, cost, p, thresholds))
    candidates.sort(key=lambda candidate: candidate[:3])
    return [next(((0, thresholds) for _, cost, _, thresholds in candidates if cost <= limit), None) for limit in limits]
