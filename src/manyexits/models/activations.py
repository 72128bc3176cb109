"""Activations of every block on the test split, and what analyses keep of them.

They are written to a temporary file as they come, so that memory holds one block's covariance and not N x m numbers.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from torch import Tensor

from manyexits.batches.state import State, parts
from manyexits.batches.views import Views
from manyexits.data.images import Images
from manyexits.data.texts import Texts
from manyexits.exits.representations import Activations, Representations
from manyexits.models.network import MultiExit

ROWS, COLUMNS = 1000, 512
"""Rows, and columns, of a matrix of activations that are in memory at a time."""
PRECISION = 1e-7
"""Of numbers in single precision, relative: what varies less about its mean is constant."""


@dataclass(frozen=True)
class Kept:
    """How much of the activations is read and kept."""

    n: int
    """Test samples, at most; drawn at random where there are more."""
    columns: int
    """Of a layer, at most; drawn at random where there are more."""
    components: int
    """Principal components along which the samples are kept, at most."""
    n_similarity: int
    """Samples whose inner products are kept, at most."""


@torch.no_grad()
def represent(model: MultiExit, views: Views, kept: Kept) -> Representations:
    """What is kept of all layers of a network in evaluation mode.

    Raises:
        ValueError: when the disk has no room for the activations.
    """
    test, size = views.data.test, len(views.data.test)
    sample = np.arange(size)
    if kept.n < size:  # the same samples for every network
        sample = np.sort(np.random.default_rng(0).permutation(size)[: kept.n])
    split = replace(test, indices=test.indices[sample])
    layers = {}
    with tempfile.TemporaryDirectory() as folder:
        for spooled in spool(model, views, split, kept.columns, Path(folder)):
            layers[spooled.view, spooled.block] = layer(spooled, kept, views.device)
    return Representations(split.labels[split.indices], sample, layers)


# -- activations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spooled:
    """One layer's activations on the disk."""

    block: int
    view: str
    width: int
    values: Float32[np.ndarray, "n m"]
    columns: Int[np.ndarray, " m"] | None
    """Those that were drawn; None: all."""


def spool(model: MultiExit, views: Views, split: Images | Texts, columns: int, folder: Path) -> list[Spooled]:
    """Write the activations of all layers on a split, in its order."""
    order = np.arange(len(split))
    if isinstance(split, Texts):
        split, order = split.by_length()
    found: dict[tuple[str, int], Spooled] = {}
    begin = 0
    for part in views.whole(split):
        assert part.inputs is not None
        rows = order[begin : begin + len(part.targets)]
        begin += len(rows)
        for view, block, values in seen(model, part.inputs, texts=isinstance(split, Texts)):
            if (view, block) not in found:
                found[view, block] = _open(folder, view, block, (len(split), values.shape[1]), columns)
            to = found[view, block]
            to.values[rows] = (values if to.columns is None else values[:, torch.from_numpy(to.columns)]).cpu().numpy()
    return list(found.values())


def seen(model: MultiExit, inputs: State, texts: bool) -> Iterator[tuple[str, int, Float[Tensor, "b m"]]]:
    """View, block and activations of every layer.

    Of images all of a block's output, flattened, and what a head reads of it where that is another vector; of texts,
    which differ in their number of tokens, what a head reads alone [O].
    """
    state = inputs
    for block, stage in enumerate(model.backbone.stages, start=1):
        state = stage(state)
        if not texts:
            yield "output", block, torch.cat([each.float().flatten(1) for each in parts(state)], dim=1)
        tapped = model.backbone.tap(state)
        if tapped.dim() == 2 and tapped is not state:
            yield "tapped", block, tapped.float()


def _open(folder: Path, view: str, block: int, shape: tuple[int, int], most: int) -> Spooled:
    """A file for a layer of n x width activations.

    Raises:
        ValueError: when the disk has no room for it.
    """
    n, width = shape
    drawn = None
    if width > most:  # the same columns for every network
        drawn = np.sort(np.random.default_rng([width, block]).permutation(width)[:most])
    path, m = folder / f"{view}.{block}", width if drawn is None else most
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, 4 * n * m))  # a full disk would end the process later
        except OSError as error:
            raise ValueError(
                f"{folder.parent} has no room for {4 * n * m / 2**30:.1f} GiB of activations of block {block}"
                f" ({error.strerror}); set TMPDIR to a larger disk, or lower representations.n or .columns"
            ) from error
    return Spooled(block, view, width, np.memmap(path, dtype=np.float32, mode="r+", shape=(n, m)), drawn)


# -- what is kept of them ---------------------------------------------------------------------------------------------


def layer(spooled: Spooled, kept: Kept, device: torch.device) -> Activations:
    """What is kept of one layer."""
    values = spooled.values
    n, m = values.shape
    mean = sum_of(values) / n
    components, first = min(kept.components, n, m), min(kept.n_similarity, n)
    if not np.isfinite(mean).all():
        lost = (np.full(size, np.nan) for size in (min(n, m), (n, components), (first, first)))
        return Activations(spooled.block, spooled.view, spooled.width, m, *lost)
    centre = torch.from_numpy(mean).to(device)
    if n <= m:
        inner = gram(values, centre)
        powers, vectors = torch.linalg.eigh(inner)
        scores = vectors[:, -components:].flip(1) * powers[-components:].flip(0).clamp(min=0).sqrt()
        among = inner[:first, :first]
    else:
        powers, vectors = torch.linalg.eigh(scatter(values, centre))
        along = vectors[:, -components:].flip(1)
        scores = torch.cat([rows @ along for rows in centred(values, centre)])
        head = next(centred(values[:first], centre, rows=first))
        among = head @ head.T
    spectrum = powers.flip(0).clamp(min=0) / max(n - 1, 1)
    if spectrum.sum() * (n - 1) <= PRECISION**2 * n * (centre @ centre):  # all samples alike, up to rounding
        spectrum, scores, among = (torch.zeros_like(each) for each in (spectrum, scores, among))
    return Activations(
        spooled.block,
        spooled.view,
        spooled.width,
        m,
        spectrum.cpu().numpy(),
        scores.cpu().numpy(),
        normed(among).cpu().numpy(),
    )


def sum_of(values: Float32[np.ndarray, "n m"]) -> Float64[np.ndarray, " m"]:
    """Sums of the columns."""
    found = np.zeros(values.shape[1])
    for begin in range(0, len(values), ROWS):
        found += values[begin : begin + ROWS].sum(0, dtype=np.float64)
    return found


def centred(
    values: Float32[np.ndarray, "n m"], mean: Float64[Tensor, " m"], rows: int = ROWS
) -> Iterator[Float64[Tensor, "r m"]]:
    """Some rows at a time, less their mean."""
    for begin in range(0, len(values), rows):
        yield torch.from_numpy(values[begin : begin + rows]).to(mean) - mean


def scatter(values: Float32[np.ndarray, "n m"], mean: Float64[Tensor, " m"]) -> Float64[Tensor, "m m"]:
    """Inner products of the centred columns, for fewer columns than rows."""
    found = mean.new_zeros(len(mean), len(mean))
    for rows in centred(values, mean):
        found.addmm_(rows.T, rows)
    return found


def gram(values: Float32[np.ndarray, "n m"], mean: Float64[Tensor, " m"]) -> Float64[Tensor, "n n"]:
    """Inner products of the centred rows, for fewer rows than columns."""
    found = mean.new_zeros(len(values), len(values))
    for begin in range(0, len(mean), COLUMNS):
        some = slice(begin, begin + COLUMNS)
        columns = torch.from_numpy(np.ascontiguousarray(values[:, some])).to(mean) - mean[some]
        found.addmm_(columns, columns.T)
    return found


def normed(inner: Float64[Tensor, "s s"]) -> Float64[Tensor, "s s"]:
    """Inner products centred on the mean of these samples, and divided by their norm; 0 where all samples are alike."""
    inner = inner - inner.mean(0)
    inner = inner - inner.mean(1, keepdim=True)
    norm = torch.linalg.matrix_norm(inner)
    return inner / norm if norm > 0 else inner
