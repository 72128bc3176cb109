"""What every test sample was answered, and where it left: kilobytes, and all that a paired comparison of runs needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped
from safetensors.numpy import save

from manyexits.files import atomic, made
from manyexits.files.made import Made
from manyexits.files.reading import tensors

AGAIN = "remove the run's rows.csv and evaluate it again"

Cell = tuple[str, str, str]
"""Protocol, criterion and budget, as rows have them."""
Left = Mapping[Cell, Int[np.ndarray, " n"]]
"""Cell of the budget table -> the exit (from 1) with which each sample leaves; no cell that no threshold meets."""


@dataclass(frozen=True)
class Answers:
    """One run on the test split."""

    label: Shaped[np.ndarray, " n"]
    answer: Shaped[np.ndarray, "n k"]
    """Of every exit."""
    left: Left

    def of(self, cell: Cell) -> Shaped[np.ndarray, " n"]:
        """What samples are answered in a cell."""
        return self.answer[np.arange(len(self.label)), self.left[cell].astype(np.int64) - 1]


def write(path: Path, answers: Answers, by: Made) -> None:
    """Write them as one safetensors file."""
    arrays = {"label": answers.label, "answer": answers.answer}
    arrays |= {".".join(("left", *cell)): left for cell, left in answers.left.items()}
    small = {name: np.ascontiguousarray(_small(array)) for name, array in arrays.items()}
    atomic.write(path, lambda file: file.write(save(small, made.metadata(by))))


def read(path: Path) -> tuple[Answers, Made | None]:
    """Read what `write` wrote, and what made it.

    Raises:
        ValueError: when the file is damaged.
    """
    arrays, about = tensors(path, "numpy", AGAIN)
    if lacking := {"label", "answer"} - set(arrays):
        raise ValueError(f"{path} lacks the array {min(lacking)}; {AGAIN}")
    label, answer = arrays.pop("label"), arrays.pop("answer")
    if label.ndim != 1 or answer.ndim != 2 or not 0 < len(label) == len(answer):
        raise ValueError(f"{path} holds labels {label.shape} and answers {answer.shape}, not (n,) and (n, k); {AGAIN}")
    left: dict[Cell, np.ndarray] = {}
    for name, exits in arrays.items():
        what, _, cell = name.partition(".")
        parts = cell.split(".", 2)
        if what != "left" or len(parts) != 3:
            raise ValueError(f"{path} holds an array {name!a}, which no answers have; {AGAIN}")
        whole = exits.dtype.kind in "iu" and exits.shape == label.shape
        if not whole or not ((exits >= 1) & (exits <= answer.shape[1])).all():
            raise ValueError(
                f"{path}: the array {name!a} is not of exits 1 to {answer.shape[1]}, a sample each; {AGAIN}"
            )
        left[parts[0], parts[1], parts[2]] = exits
    return Answers(label, answer, left), made.found(path, about)


def _small(array: np.ndarray) -> np.ndarray:
    """Whole numbers in the smallest signed type that holds them all."""
    if array.dtype.kind not in "iu":
        return array
    types = (np.int8, np.int16, np.int32, np.int64)
    low, high = int(array.min()), int(array.max())
    return array.astype(next(each for each in types if np.iinfo(each).min <= low and high <= np.iinfo(each).max))
