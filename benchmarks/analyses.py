"""What do the analyses cost beside what they cannot do without?

    python benchmarks/analyses.py

Rank: 10,000 samples x 2,048 features, read from a file as `represent` does and kept whole (spectrum, components, inner
products), against one covariance and one symmetric eigendecomposition in plain torch, double precision, in memory.
Mutual information: all estimates of 20 layers of 10,000 samples x 32 components in 10 classes, in seconds. The plane:
7 x 7 points of a ResNet of six blocks on the handwritten digits, against the same passes for BatchNorm and for scores
alone. One process, two threads, in turns; the median of the rounds counts.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manyexits.analysis import mode_connectivity, mutual_information
from manyexits.analysis._surface import BATCHNORM_BATCH, Surface, estimate_batchnorm
from manyexits.batches.views import blanks
from manyexits.data import prepare, prepared
from manyexits.exits.representations import Activations
from manyexits.files import provenance
from manyexits.models import activations, build
from manyexits.models.measure import measure

N, M, LAYERS, ROUNDS, GRID = 10_000, 2048, 20, 3, 7
CPU = torch.device("cpu")
KEPT = activations.Kept(n=N, columns=8000, components=32, n_similarity=1000)
NETWORK: dict[str, Any] = {
    "classes": 10,
    "backbone": {"family": "resnet", "groups": [2, 2, 2], "width": 8},
    "method": {"kind": "sdn", "depth": 0},
    "placement": {"every": 1},
}


def took(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two works."""
    times = [(took(one), took(other)) for _ in range(ROUNDS)]
    first, second = (statistics.median(each) for each in zip(*times, strict=True))
    return first, second


def rank() -> None:
    """Spectrum and all else that is kept of one layer."""
    drawn = torch.Generator().manual_seed(0)
    values = torch.randn(N, M, generator=drawn) * torch.logspace(0, -3, M) + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer"
        path.write_bytes(values.numpy().tobytes())
        spooled = activations.Spooled(1, "output", M, np.memmap(path, dtype=np.float32, mode="r+", shape=(N, M)), None)

        def plain() -> object:
            centred = values.double() - values.double().mean(0)
            return torch.linalg.eigh(centred.T @ centred / (N - 1))

        ours, theirs = in_turns(lambda: activations.layer(spooled, KEPT, CPU), plain)
    print(
        f"rank of {N:,} x {M:,}: {ours:.2f} s, covariance and eigendecomposition {theirs:.2f} s: {ours / theirs:.2f} x"
    )


def information() -> None:
    """All estimates of all layers."""
    drawn = np.random.default_rng(0)
    groups, points = np.arange(N) % 10, drawn.standard_normal((N, 32)) * np.exp(-np.arange(32) / 8)
    spectrum = np.sort(points.var(0))[::-1].copy()
    layer = Activations(1, "output", 32, 32, spectrum, points, np.eye(2))
    noise = list(mutual_information.NOISE)
    seconds = took(lambda: [mutual_information.of_layer(layer, groups, noise, 1000, 1000) for _ in range(LAYERS)])
    print(f"mutual information of {N:,} samples x {LAYERS} layers, {len(noise)} noises: {seconds:.0f} s")


def plane(folder: Path) -> None:
    """A plane, against its passes."""
    told = {"dataset": "digits", "source": "digits", "classes": 10, "scores": None, "validation": 0.2, "split_seed": 42}
    prepare.prepare(told, folder / "none", False, folder / "digits")
    data = prepared.read(folder / "digits")
    models = [build.network(NETWORK, blanks(data), seed=seed).eval() for seed in (1, 2, 3)]
    runs = list(zip(mode_connectivity.PLANE, (1, 1, 1), models, strict=True))
    options = {"grid": GRID, "line": 2, "n_probe": 512, "n_batchnorm": 512, "curve": 0}
    steps = list(mode_connectivity.analyse(runs, data, **options))[-GRID - 1 :]
    surface = Surface(models, data, 512, 512)

    @torch.no_grad()
    def passes() -> None:
        for _ in range(GRID**2):
            model = surface.model
            estimate_batchnorm(model, lambda: surface.views.whole(surface.batchnorm, size=BATCHNORM_BATCH))
            measure(model, surface.views, surface.probe)
            measure(model, surface.views, surface.test)

    ours, theirs = in_turns(lambda: [step() for step in steps], passes)
    print(f"plane of {GRID} x {GRID} points: {ours:.2f} s, its passes {theirs:.2f} s: {ours / theirs:.2f} x")


if __name__ == "__main__":
    torch.set_num_threads(2)
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, two threads; torch {versions['torch']}, numpy {np.__version__}")
    rank()
    information()
    with tempfile.TemporaryDirectory() as folder:
        plane(Path(folder))
