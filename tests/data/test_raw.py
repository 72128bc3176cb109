"""What every reader returns."""

import tracemalloc

import numpy as np

from manyexits.data.raw import RawPart


def test_mean_and_deviation_are_those_of_all_bytes_without_copying_them():
    images = np.random.default_rng(0).integers(0, 256, (8000, 32, 32, 3), dtype=np.uint8)
    part, indices = RawPart(images, np.zeros(8000, dtype=np.int64)), np.arange(1, 8000)
    tracemalloc.start()
    mean, std = part.statistics(indices)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes / 1.5
    np.testing.assert_allclose(mean, images[1:].mean((0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(std, images[1:].reshape(-1, 3).std(0) / 255, rtol=1e-6)
