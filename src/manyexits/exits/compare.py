"""Differences between the regimes of one experiment, paired over test samples and seeds (our definition)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from manyexits.exits.answers import Answers, Cell
from manyexits.exits.task import Task

RESAMPLES = 10_000
"""Bootstrap resamples behind an interval."""
AT_ONCE = 5_000_000
"""Counts of resampled samples that are held in memory at a time."""

Gains = Float[np.ndarray, "s n"]
Runs = Mapping[tuple[str, int], Answers]
"""Regime and seed -> what the run answered."""


def compare(runs: Runs, task: Task) -> list[dict[str, Any]]:
    """Every pair of regimes in every cell that both have.

    Args:
        runs: of one experiment, with equal seeds for all regimes.
        task: what the answers are.

    Returns:
        Rows without identity. `difference` is the first regime's mean gain minus the second's, over samples and seeds
        (accuracy as a fraction, or the negative squared error); `low` and `high` its 95 % interval, `p` two-sided.

    Raises:
        ValueError: when regimes have other seeds, or runs other test samples.
    """
    regimes = list(dict.fromkeys(regime for regime, _ in runs))
    seeds = {regime: [seed for other, seed in runs if other == regime] for regime in regimes}
    labels = next(iter(runs.values())).label
    for (regime, seed), answers in runs.items():
        if seeds[regime] != seeds[regimes[0]]:
            raise ValueError(
                f"{regime} has the seeds {seeds[regime]}, {regimes[0]} {seeds[regimes[0]]}; name equal ones"
            )
        if not np.array_equal(answers.label, labels):
            raise ValueError(f"{regime}/s{seed} has other test samples than the first run; evaluate both again")
    compared, differences = [], []
    for cell in next(iter(runs.values())).left:
        gains = dict(_gains(runs, seeds, cell, task))
        for first, second in combinations(gains, 2):
            compared.append((cell, first, second))
            differences.append(gains[first] - gains[second])
    told = [dict(zip(("protocol", "criterion", "budget"), cell, strict=True)) for cell, _, _ in compared]
    about = {"metric": task.gained, "n": len(labels), "seeds": len(seeds[regimes[0]])}
    return [
        {**cell, **about, "first": first, "second": second, **found}
        for cell, (_, first, second), found in zip(told, compared, paired(differences), strict=True)
    ]


def _gains(runs: Runs, seeds: Mapping[str, Sequence[int]], cell: Cell, task: Task) -> Iterator[tuple[str, Gains]]:
    """Regime -> gain of every seed and sample, of the regimes that have the cell under every seed."""
    for regime, own in seeds.items():
        found = [runs[regime, seed] for seed in own]
        if all(cell in each.left for each in found):
            yield regime, np.stack([task.worth(each.of(cell)[:, None], each.label)[:, 0] for each in found])


def paired(differences: Sequence[Gains]) -> list[dict[str, float]]:
    """Mean, 95 % percentile interval and two-sided p of paired differences (S seeds, N samples).

    The bootstrap draws samples and seeds, each with replacement and independently (Owen, 2007). The deviations of the
    drawn seeds are scaled by sqrt(S / (S - 1)) (Rao and Wu, 1988): of two seeds, a plain draw would show half of their
    variance. One seed is not drawn, and the interval is then over samples alone. All differences share their draws,
    which depend on S and N alone, so that equal inputs give equal rows.
    """
    if not differences:
        return []
    stacked = np.stack(differences)
    count, s, n = stacked.shape
    generator = np.random.default_rng([s, n])
    scale = np.sqrt(s / (s - 1)) if s > 1 else 0.0
    weights = 1 / s + scale * (generator.multinomial(s, np.full(s, 1 / s), RESAMPLES) / s - 1 / s)
    sums = [drawn @ stacked.reshape(count * s, n).T for drawn in _drawn(generator, n)]
    means = np.concatenate(sums).reshape(RESAMPLES, count, s) / n
    resampled = np.einsum("bcs,bs->bc", means, weights)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    beyond = np.minimum((resampled <= 0).sum(0), (resampled >= 0).sum(0))
    p = np.minimum(1, 2 * (beyond + 1) / (RESAMPLES + 1))
    columns = {"difference": stacked.mean((1, 2)), "low": low, "high": high, "p": p}
    return [{name: float(values[c]) for name, values in columns.items()} for c in range(count)]


def _drawn(generator: np.random.Generator, n: int) -> Iterator[Float[np.ndarray, "b n"]]:
    """How often each of N samples is drawn, some resamples at a time."""
    step = max(1, AT_ONCE // n)
    for begin in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - begin)
        places = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
