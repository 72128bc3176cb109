"""Thresholds for five budgets, four protocols and two criteria: beside one sweep, and beside a sweep for each budget.

    python benchmarks/calibrate.py                    50,000 samples, 7 exits
    python benchmarks/calibrate.py --samples 5000     a shorter one

Ours: `calibrate.choose` with all budgets. The plain way calls it once for each budget and for Max, so that every cell
is swept, and MSDNet's 39 candidates are made, anew. Both must give the same cells. One exact sweep of one criterion is
the least that thresholds cost. They take turns on one thread; the ratios are those of CPU times, of which the medians
count.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from manyexits.exits import calibrate, criteria
from manyexits.exits.calibrate import Scored
from manyexits.exits.task import Task
from manyexits.files import provenance

EXITS, BUDGETS, ROUNDS = 7, [0.25, 0.5, 0.75, 0.9, 1.0], 5
CASES = [("paper", "confidence"), ("paper", "entropy"), ("shared", "confidence"), ("shared", "entropy")]
CASES += [("geometric", "confidence"), ("temperature", "confidence")]
COSTS, BACKBONE = np.arange(1, EXITS + 1) * 10**8, EXITS * 10**8


def generate(seed: int, samples: int) -> dict[str, Scored]:
    """Criterion -> predictions that are the surer and the more often right, the deeper the exit."""
    generator = np.random.default_rng(seed)
    certain = generator.beta(np.linspace(2, 5, EXITS), 1.5, (samples, EXITS))
    gain = (generator.random((samples, EXITS)) < certain).astype(np.float64)
    return {"confidence": Scored(certain, gain), "entropy": Scored(certain - 1, gain)}


def cells(validation: dict[str, Scored], test: dict[str, Scored], each: bool) -> list[dict[str, Any]]:
    """All cells, from one call for all budgets or from one for each."""
    found = []
    for protocol, name in CASES:
        scans = criteria.named(name, Task("classification", 1000), EXITS)
        told = [[budget] for budget in BUDGETS] + [[]] if each else [BUDGETS]
        for budgets in told:
            fitted = [1.0] * EXITS if protocol == "temperature" else None
            given = ([validation[name]], [test[name]], COSTS, BACKBONE, fitted)
            made = calibrate.choose(protocol, scans, budgets, *given)
            found += made[: len(budgets)] if each and budgets else made  # Max is there in every call
    return found


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    value = call()
    return value, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=50_000)
    n = parser.parse_args().samples
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores; numpy {versions['numpy']}")
    print(f"n = {n} samples x {EXITS} exits, {len(BUDGETS)} budgets and Max, median of {ROUNDS} rounds")
    validation, test = generate(0, n), generate(1, n)
    one = validation["confidence"]
    times = []
    for _ in range(ROUNDS):
        ours, ours_s = timed(lambda: cells(validation, test, each=False))
        plain, plain_s = timed(lambda: cells(validation, test, each=True))
        _, sweep_s = timed(lambda: calibrate.sweep(one.certain, one.gain, COSTS))
        assert ours == plain, "the cells differ"
        times.append((ours_s, plain_s, sweep_s))
    ours_s, plain_s, sweep_s = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"one sweep for all budgets: {ours_s:.2f} s; one for each: {plain_s:.2f} s, same cells")
    print(f"ratio {plain_s / ours_s:.1f}")
    print(f"all protocols and criteria beside one sweep of {sweep_s:.3f} s: ratio {ours_s / sweep_s:.1f}")


if __name__ == "__main__":
    main()
