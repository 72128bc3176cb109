"""Thresholds with a statistical guarantee (DEFINITIONS.md, section 14; Jazbec et al., 2024; Angelopoulos et al., 2022).

A tolerated risk epsilon takes the place of a budget: the smallest threshold such that it and every larger one pass a
test on the validation split. From the safe end on, so that a risk that wiggles costs early exits, never the guarantee.
Everything works on certainty, which rises with being sure, and on losses of 0 and 1. N samples, K exits.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, Shaped

Answers = Shaped[np.ndarray, "n k"]
Certain = Float[np.ndarray, "n k"]
Losses = Int[np.ndarray, "n k"]
"""Loss, 0 or 1, of a sample that leaves at exit k; 0 at the last."""


def consistency(answers: Answers, labels: Shaped[np.ndarray, " n"]) -> Losses:
    """Whether a sample's answer is another than the last exit's; labels are not looked at."""
    return (answers != answers[:, -1:]).astype(np.int64)


def gap(answers: Answers, labels: Shaped[np.ndarray, " n"]) -> Losses:
    """Whether a sample's answer is wrong and the last exit's would be right."""
    wrong = answers != labels[:, None]
    return (wrong & ~wrong[:, -1:]).astype(np.int64)


LOSSES: dict[str, Callable[[Answers, Shaped[np.ndarray, " n"]], Losses]] = {"consistency": consistency, "gap": gap}
"""What a guarantee is about."""


def crc(losses: Int[np.ndarray, " n"], epsilon: float, delta: float) -> bool:
    """Conformal risk control: whether the expected risk of a further sample is at most epsilon."""
    return (int(losses.sum()) + 1) / (len(losses) + 1) <= epsilon


def ltt(losses: Int[np.ndarray, " n"], epsilon: float, delta: float) -> bool:
    """Learn then test: whether so few losses have probability at most delta where the risk is epsilon or more."""
    from scipy import stats

    return bool(stats.binom.cdf(int(losses.sum()), len(losses), epsilon) <= delta)


def ucb(losses: Int[np.ndarray, " n"], epsilon: float, delta: float) -> bool:
    """Whether the upper bound of Waudby-Smith and Ramdas (2024) at level 1 - delta is at most epsilon.

    The bound is the mu at which the largest of the products over the first samples of 1 - nu_j (x_j - mu) is 1 / delta;
    they rise with mu, so it lies below epsilon exactly where they have reached that there.
    """
    n = len(losses)
    counted = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(losses)) / (1 + counted)
    variances = (0.25 + np.cumsum((losses - means) ** 2)) / (1 + counted)
    before = np.concatenate([[0.25], variances[:-1]])
    stakes = np.minimum(1, np.sqrt(2 * np.log(1 / delta) / (n * before)))
    wealth = np.cumsum(np.log1p(-stakes * (losses - epsilon)))
    return bool(wealth.max() >= np.log(1 / delta))


PROCEDURES: dict[str, Callable[[Int[np.ndarray, " n"], float, float], bool]] = {"ucb": ucb, "ltt": ltt, "crc": crc}
"""Which guarantee: with probability 1 - delta over the validation split (ucb, ltt), or in expectation (crc)."""


def threshold(certain: Certain, losses: Losses, procedure: str, epsilon: float, delta: float) -> float:
    """The smallest of the exact sweep's thresholds that passes with all larger ones; infinity: nobody leaves early.

    Args:
        certain: of the validation split; what is no number never leaves.
        losses: of the same samples.
        procedure: entry of PROCEDURES.
        epsilon: tolerated risk.
        delta: probability with which it may be missed; crc has none.

    Raises:
        ValueError: when epsilon or delta is none.
    """
    for name, value in (("epsilon", epsilon), ("delta", delta)):
        if not 0 < value < 1:
            raise ValueError(f"{name} {value:g} is no probability between 0 and 1")
    passes = PROCEDURES[procedure]
    now = losses[:, -1].copy()
    if not passes(now, epsilon, delta):
        return np.inf
    found = np.inf
    for found, samples, change in _falling(certain, losses):
        np.add.at(now, samples, change)
        if change.any() and not passes(now, epsilon, delta):
            return found
    return -np.inf if np.isfinite(found) else found


def _falling(certain: Certain, losses: Losses) -> Iterator[tuple[float, Int[np.ndarray, " m"], Int[np.ndarray, " m"]]]:
    """The exact sweep from above: each value, and of the samples that leave below it how their loss changes there."""
    early = certain.shape[1] - 1
    reached = np.maximum.accumulate(np.where(np.isnan(certain), -np.inf, certain)[:, :-1], axis=1)
    order = np.argsort(-reached, axis=None, kind="stable")
    values = reached.ravel()[order]
    change = (losses[:, :-1] - losses[:, 1:]).ravel()[order]
    begins = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    for begin, end in pairwise([*begins.tolist(), len(values)]):
        if values[begin] > -np.inf:
            yield float(values[begin]), order[begin:end] // early, change[begin:end]
