"""What every exit of a trained network answers on the validation and the test split, and how sure it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from safetensors.numpy import save

from manyexits.exits import criteria, temperature
from manyexits.exits.calibrate import Scored
from manyexits.exits.criteria import Criterion
from manyexits.exits.task import Task
from manyexits.files import atomic, made
from manyexits.files.made import Made
from manyexits.files.reading import tensors

SPLITS = ("validation", "test")
FITTED = "fitted"
"""In place of a split: what was fitted on validation, `temperature` (K,)."""
AGAIN = "remove the file and predict again"

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


def add_temperatures(by_split: dict[str, Arrays], outputs: Mapping[str, Float[np.ndarray, "n k o"]]) -> None:
    """Add the temperature of every exit, fitted on validation, and the confidences there, to both splits' arrays."""
    found = temperature.fit_all(outputs["validation"], by_split["validation"]["label"])
    for split in SPLITS:
        by_split[split][temperature.TEMPERED] = temperature.tempered(outputs[split], found)
    by_split[FITTED] = {"temperature": found}


def write(path: Path, by_split: dict[str, Arrays], by: Made) -> None:
    """Write predictions of all splits as one safetensors file."""
    flat = {
        f"{split}.{name}": np.ascontiguousarray(a) for split, arrays in by_split.items() for name, a in arrays.items()
    }
    atomic.write(path, lambda file: file.write(save(flat, made.metadata(by))))


def read(
    path: Path, scans: Mapping[str, list[Criterion]], task: Task, n_exits: int, protocols: Sequence[str] = ()
) -> tuple[dict[str, Arrays], Made | None]:
    """Read what `write` wrote: the arrays of every split, and what made them.

    Raises:
        ValueError: when the file is damaged, or lacks an array that one of these criteria or protocols reads, or its
            arrays are not of so many exits.
    """
    flat, about = tensors(path, "numpy", AGAIN)
    asked = dict.fromkeys(("label", "answer"), "every criterion")
    asked |= {"confidence": "the reliability diagram"} if task.name == "classification" else {}
    asked |= {scan.kept: f"the criterion {scan.name}" for own in scans.values() for scan in own}
    if "temperature" in protocols and "confidence" in scans:
        asked[temperature.TEMPERED] = "the protocol temperature"
    for split in SPLITS:
        for array, reader in asked.items():
            if f"{split}.{array}" not in flat:
                raise ValueError(f"{path} lacks the array {split}.{array} that {reader} reads; {AGAIN}")
            _check(f"{path}: the array {split}.{array}", flat[f"{split}.{array}"], flat[f"{split}.label"].size, n_exits)
    by_split = {
        split: {k.removeprefix(f"{split}."): v for k, v in flat.items() if k.startswith(f"{split}.")}
        for split in (*SPLITS, FITTED)
    }
    if temperature.TEMPERED in asked and by_split[FITTED].get("temperature", np.empty(0)).shape != (n_exits,):
        raise ValueError(f"{path} lacks a temperature for each of {n_exits} exits; {AGAIN}")
    return by_split, made.found(path, about)


def _check(what: str, array: np.ndarray, n: int, n_exits: int) -> None:
    """Refuse an array that has not one number for each sample, or for each sample and exit."""
    shape = (n,) if what.endswith(".label") else (n, n_exits)
    if n == 0 or array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(f"{what} holds {array.dtype} {array.shape}, not numbers {shape}; {AGAIN}")


def scored(arrays: Arrays, scan: Criterion, task: Task) -> Scored:
    """Predictions of one split under a criterion."""
    return Scored(criteria.certainties(scan, arrays[scan.kept]), task.worth(arrays["answer"], arrays["label"]))


def nan_samples(arrays: Arrays) -> int:
    """Number of samples with an answer or a certainty that is no number; there it never leaves early."""
    kept = np.stack([values for name, values in arrays.items() if name not in ("label", temperature.TEMPERED)])
    return int(np.isnan(kept).any((0, 2)).sum())
