"""What is kept of a trained network's activations: one file for all analyses that read them, so that they are computed
once. Megabytes, where the activations themselves have gigabytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped
from safetensors.numpy import save

from manyexits.files import atomic, made
from manyexits.files.made import Made
from manyexits.files.reading import tensors

AGAIN = "remove the file and represent the run again"
VIEWS = ("output", "tapped")
"""All of a block's output, flattened over space or tokens; what a head reads of it, where that is a vector of its own
(the class token, or the mean over the tokens of a text, whose number differs)."""
ARRAYS = ("shape", "spectrum", "scores", "gram")


@dataclass(frozen=True)
class Activations:
    """One block's activations on N samples: an N x m matrix X, of which m columns were read."""

    block: int
    """From 1."""
    view: str
    """One of VIEWS."""
    width: int
    """Columns that there are."""
    columns: int
    """m: all of them, or a random subset, the same for all networks of this width."""
    spectrum: Float[np.ndarray, " r"]
    """Eigenvalues of X's covariance, falling: min(N, m) of them, the rest being 0."""
    scores: Float[np.ndarray, "n c"]
    """The samples along the first principal components."""
    gram: Float[np.ndarray, "s s"]
    """Inner products of the first samples, centred; divided by their norm."""

    @property
    def fault(self) -> str:
        """Why nothing can be said of this layer; empty where something can."""
        if not np.isfinite(self.spectrum).all():
            return "activations that are no finite numbers"
        return "" if self.spectrum[:1].sum() > 0 else "constant activations"

    @property
    def ceiling(self) -> int:
        """The largest rank that so many centred samples and columns can have."""
        return min(len(self.scores) - 1, self.columns)


@dataclass(frozen=True)
class Representations:
    """All layers of one network."""

    label: Shaped[np.ndarray, " n"]
    sample: Int[np.ndarray, " n"]
    """Numbers of the samples in the test split, from 0."""
    layers: Mapping[tuple[str, int], Activations]
    """View and block -> layer, in the order of the network."""


def write(path: Path, found: Representations, by: Made) -> None:
    """Write them as one safetensors file."""
    arrays = {"label": found.label, "sample": found.sample}
    for layer in found.layers.values():
        values: dict[str, np.ndarray] = {
            "shape": np.array([layer.width, layer.columns], dtype=np.int64),
            "spectrum": layer.spectrum.astype(np.float64),
            "scores": layer.scores.astype(np.float32),
            "gram": layer.gram.astype(np.float32),
        }
        arrays |= {f"{layer.view}.{layer.block}.{name}": value for name, value in values.items()}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    atomic.write(path, lambda file: file.write(save(whole, made.metadata(by))))


def read(path: Path) -> tuple[Representations, Made | None]:
    """Read what `write` wrote, and what made it.

    Raises:
        ValueError: when the file is damaged.
    """
    arrays, about = tensors(path, "numpy", AGAIN)
    for name in ("label", "sample"):
        if name not in arrays:
            raise ValueError(f"{path} lacks the array {name}; {AGAIN}")
    label, sample = arrays.pop("label"), arrays.pop("sample")
    if label.ndim != 1 or sample.shape != label.shape or sample.dtype.kind not in "iu":
        raise ValueError(f"{path} holds labels {label.shape} of samples {sample.shape}, not one each; {AGAIN}")
    of_layers: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        view, _, rest = name.partition(".")
        block, _, what = rest.partition(".")
        if view not in VIEWS or what not in ARRAYS or not (block.isascii() and block.isdecimal()):
            raise ValueError(f"{path} holds an array {name!a}, which no representations have; {AGAIN}")
        of_layers.setdefault((view, int(block)), {})[what] = array
    keys = sorted(of_layers, key=lambda key: (VIEWS.index(key[0]), key[1]))
    return Representations(label, sample, {key: _layer(path, key, of_layers[key], len(label)) for key in keys}), (
        made.found(path, about)
    )


def _layer(path: Path, key: tuple[str, int], arrays: dict[str, np.ndarray], n: int) -> Activations:
    view, block = key
    what = f"{path}: the {view} of block {block}"
    if lacking := [name for name in ARRAYS if name not in arrays]:
        raise ValueError(f"{what} lacks the array {lacking[0]}; {AGAIN}")
    shape, spectrum, scores, gram = (arrays[name] for name in ARRAYS)
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or not 0 < shape[1] <= shape[0]:
        raise ValueError(f"{what} is of no number of columns; {AGAIN}")
    width, columns = map(int, shape)
    fits = spectrum.shape == (min(n, columns),) and scores.ndim == 2 and scores.shape[0] == n
    if not fits or gram.shape != (len(gram), len(gram)) or gram.ndim != 2 or not 0 < len(gram) <= n:
        raise ValueError(
            f"{what} has {len(spectrum)} eigenvalues, scores {scores.shape} and inner products {gram.shape} for {n}"
            f" samples and {columns} columns; {AGAIN}"
        )
    if spectrum.dtype.kind != "f" or (np.diff(spectrum) > 0).any() or (spectrum < 0).any():
        raise ValueError(f"{what} has eigenvalues that do not fall to 0; {AGAIN}")
    return Activations(block, view, width, columns, spectrum, scores, gram)
