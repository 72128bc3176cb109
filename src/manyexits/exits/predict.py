"""What every exit of a trained network answers on the validation and the test split, and how sure it is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from safetensors.numpy import load_file, save

from manyexits.exits import criteria
from manyexits.exits.calibrate import Scored
from manyexits.exits.criteria import Criterion
from manyexits.exits.task import Task
from manyexits.files import atomic

SPLITS = ("validation", "test")

Arrays = dict[str, np.ndarray]
"""label (N,), and answer (N, K) and what criteria read (N, K) by name."""


def predictions(outputs: Float[np.ndarray, "n k o"], labels: Shaped[np.ndarray, " n"], task: Task) -> Arrays:
    """Labels, answers and what every criterion of the task keeps of the outputs."""
    n, k, o = outputs.shape
    arrays = {"label": labels, "answer": task.answers(outputs)}
    for name in criteria.names(task):
        for scan in criteria.named(name, task, k):
            if scan.kept not in arrays:
                arrays[scan.kept] = scan.keep(outputs.reshape(n * k, o)).reshape(n, k)
    return arrays


def write(path: Path, by_split: dict[str, Arrays]) -> None:
    """Write predictions of all splits as one safetensors file."""
    flat = {
        f"{split}.{name}": np.ascontiguousarray(a) for split, arrays in by_split.items() for name, a in arrays.items()
    }
    atomic.write(path, lambda file: file.write(save(flat)))


def read(path: Path, scans: Mapping[str, list[Criterion]]) -> dict[str, Arrays]:
    """Read what `write` wrote.

    Raises:
        ValueError: when it lacks an array that one of these criteria reads.
    """
    flat = load_file(path)
    for scan in (scan for own in scans.values() for scan in own):
        for name in (f"{split}.{scan.kept}" for split in SPLITS):
            if name not in flat:
                reader = f"the criterion {scan.name}"
                raise ValueError(
                    f"{path} lacks the array {name} that {reader} reads; remove the file and predict again"
                )
    return {
        split: {k.removeprefix(f"{split}."): v for k, v in flat.items() if k.startswith(f"{split}.")}
        for split in SPLITS
    }


def scored(arrays: Arrays, scan: Criterion, task: Task) -> Scored:
    """Predictions of one split under a criterion."""
    gain = task.gain(arrays["answer"].astype(np.float64), arrays["label"]).astype(np.float64)
    if task.span is not None:
        # one answer that is no number must not spoil every sum: it counts as wrong by the whole span [O]
        gain = np.where(np.isfinite(gain), gain, -((task.span[1] - task.span[0]) ** 2))
    return Scored(criteria.certainties(scan, arrays[scan.kept]), gain)


def nan_samples(arrays: Arrays) -> int:
    """Number of samples with an answer or a certainty that is no number; there it never leaves early."""
    kept = np.stack([values for name, values in arrays.items() if name != "label"])
    return int(np.isnan(kept).any((0, 2)).sum())
