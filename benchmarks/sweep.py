"""From logits to accuracy and cost at 100 shared thresholds: the exact sweep beside loops over thresholds and samples.

    python benchmarks/sweep.py                    50,000 samples, 12 exits, 1,000 classes: 2.4 GB, two minutes
    python benchmarks/sweep.py --samples 5000     a shorter one

Ours: `confidence` of all logits, `calibrate.sweep`, `Sweep.at`. The loop is the usual one: for each threshold,
for each sample, walk the exits until one is sure enough and append what was right and what it cost to lists. It is
timed as it stands, with the confidence of each exit computed from its logits on the way (on 200 samples, scaled up);
and helped by confidences that torch's softmax has computed before, on torch tensors, in which predictions usually come
(on 2,000 samples, scaled up), on NumPy arrays and on Python lists. Every loop must give the same arrays as the sweep.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from manyexits.exits import calibrate
from manyexits.exits.criteria.confidence import confidence
from manyexits.files import provenance

EXITS, CLASSES, THRESHOLDS = 12, 1000, 100
PLAIN_SAMPLES, TENSOR_SAMPLES = 200, 2000


def generate(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K, C) whose label stands out the more, the deeper the exit and the easier the sample; labels (N,)."""
    generator = np.random.default_rng(42)
    labels = generator.integers(0, CLASSES, samples)
    logits = np.empty((samples, EXITS, CLASSES), dtype=np.float32)
    for begin in range(0, samples, 1000):
        chunk = logits[begin : begin + 1000]
        generator.standard_normal(dtype=np.float32, out=chunk)
        easy = generator.normal(0, 4, (len(chunk), 1))
        margin = generator.normal(np.linspace(2.7, 6.4, EXITS) + easy, 1)
        chunk[np.arange(len(chunk)), :, labels[begin : begin + 1000]] += margin.astype(np.float32)
    return logits, labels


def loop(confidence: Any, right: Any, costs: Any, thresholds: Any) -> tuple[list[float], list[float]]:
    """Mean cost and accuracy at each threshold; confidence and right by exit and sample."""
    last = len(costs) - 1
    mean_costs, scores = [], []
    for threshold in thresholds:
        spent, hits = [], []
        for sample in range(len(confidence[0])):
            for exit_ in range(last + 1):
                if exit_ == last or confidence[exit_][sample] > threshold:
                    spent.append(int(costs[exit_]))
                    hits.append(bool(right[exit_][sample]))
                    break
        mean_costs.append(sum(spent) / len(spent))
        scores.append(sum(hits) / len(hits))
    return mean_costs, scores


class OnTheWay:
    """Confidences of one exit that are computed from logits (N, C) when they are asked for."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, sample: int) -> float:
        return float(confidence(self.logits[sample : sample + 1])[0])


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


def softmax_confidence(logits: torch.Tensor) -> torch.Tensor:
    """Confidences (N, K) as usual: softmax and its maximum, exit by exit."""
    return torch.stack([logits[:, k].softmax(-1).max(-1).values for k in range(EXITS)], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=50_000)
    n = parser.parse_args().samples
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores; torch {versions['torch']}, numpy {versions['numpy']}")
    print(f"n = {n} samples x {EXITS} exits x {CLASSES} classes in float32, {THRESHOLDS} thresholds, one run")

    logits, labels = generate(n)
    right = logits.argmax(-1) == labels[:, None]
    costs = np.arange(1, EXITS + 1) * 10**8
    thresholds = np.linspace(0, 1, THRESHOLDS)

    def swept(certain: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return calibrate.sweep(certain, right.astype(np.float64), costs).at(thresholds)

    certain, confidence_s = timed(lambda: confidence(logits))
    (mean_cost, score), sweep_s = timed(lambda: swept(certain, right))
    ours_s = confidence_s + sweep_s
    print(f"ours, one thread: confidence {confidence_s:.2f} s + sweep {sweep_s:.3f} s = {ours_s:.2f} s")
    exact = softmax_confidence(torch.from_numpy(logits[:500]).double()).numpy()
    assert np.abs(certain[:500] - exact).max() < 1e-6, "the confidences are not those of a float64 softmax"
    _, softmax_s = timed(lambda: softmax_confidence(torch.from_numpy(logits)))
    print(
        f"torch's softmax and maximum, {torch.get_num_threads()} threads: {softmax_s:.2f} s, part of each helped loop"
    )
    walked = 1 + (np.maximum.accumulate(certain[:, :-1], 1)[..., None] <= thresholds).sum((0, 1)).mean() / n
    print(f"accuracy {score.min():.3f} to {score.max():.3f}; a sample walks {walked:.1f} exits on average")

    by_exit, right_by_exit = np.ascontiguousarray(certain.T), np.ascontiguousarray(right.T)
    part = min(n, PLAIN_SAMPLES)
    plain = [OnTheWay(logits[:part, k]) for k in range(EXITS)]
    found, plain_s = timed(lambda: loop(plain, right_by_exit[:, :part], costs, thresholds))
    expected = swept(certain[:part], right[:part])
    assert np.array_equal(found[0], expected[0]), "the plain loop and the sweep differ"
    assert np.array_equal(found[1], expected[1]), "the plain loop and the sweep differ"
    plain_s *= n / part
    scaled = f"(timed on {part} samples, scaled)"
    print(f"plain loop from logits: {plain_s:.0f} s {scaled}, same arrays; ratio {plain_s / ours_s:.0f}")
    part = min(n, TENSOR_SAMPLES)
    kinds: dict[str, tuple[int, Callable[[np.ndarray], Any]]] = {
        "Python lists": (n, np.ndarray.tolist),
        "NumPy arrays": (n, lambda array: array),
        "torch tensors": (part, torch.from_numpy),
    }
    for name, (count, convert) in kinds.items():
        told = [convert(np.ascontiguousarray(a)) for a in (by_exit[:, :count], right_by_exit[:, :count])]
        found, loop_s = timed(lambda told=told, convert=convert: loop(*told, convert(costs), convert(thresholds)))
        expected = (mean_cost, score) if count == n else swept(certain[:count], right[:count])
        same = np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
        assert same, f"the loop over {name} and the sweep differ"
        loop_s *= n / count
        scaled = "" if count == n else f" (timed on {count} samples, scaled)"
        ratios = f"ratio from logits {(softmax_s + loop_s) / ours_s:.1f}, of the sweep alone {loop_s / sweep_s:.0f}"
        print(f"helped loop over {name}: {loop_s:.1f} s{scaled}, same arrays; {ratios}")


if __name__ == "__main__":
    main()
