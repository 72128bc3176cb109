"""A dataset as its publisher ships it, in memory or as an index of photographs: what every reader returns."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from manyexits.data.images import Files, Labels

CHUNK = 1024
"""Images whose bytes are counted at a time."""


@dataclass(frozen=True)
class RawPart:
    """The training or the test part of a dataset as it came: N images of one size, or photographs that stay files."""

    images: UInt8[np.ndarray, "n h w 3"] | Files
    labels: Labels
    moments: Int64[np.ndarray, "n 2 3"] | None = None
    """Sums of the bytes and of their squares over each photograph's evaluation view, per channel."""
    sha256: str | None = None
    """Of the photographs' own checksums, in order."""
    names: list[str] | None = None
    """Of the photographs; None: they have none."""
    views: list[bytes] | None = None
    """SHA-256 of each photograph's evaluation view; None: of each image of the array, once that is asked for."""

    def seen(self) -> list[bytes]:
        """SHA-256 of what a network sees of each image: equal images, and equal files, have equal ones."""
        if self.views is not None:
            return self.views
        assert isinstance(self.images, np.ndarray)
        return [hashlib.sha256(image.tobytes()).digest() for image in self.images]

    def statistics(
        self, indices: Int64[np.ndarray, " m"]
    ) -> tuple[Float32[np.ndarray, " 3"], Float32[np.ndarray, " 3"]]:
        """Mean and standard deviation per channel in [0, 1], exact: all sums are of whole numbers."""
        height, width = self.images.shape[1:3]
        if self.moments is None:
            assert isinstance(self.images, np.ndarray)
            counts = np.zeros((3, 256), dtype=np.int64)
            for begin in range(0, len(indices), CHUNK):  # bincount takes eight bytes for each of the images' bytes
                chosen = self.images[indices[begin : begin + CHUNK]]
                counts += np.stack([np.bincount(chosen[..., c].ravel(), minlength=256) for c in range(3)])
            total, squares = counts @ np.arange(256), counts @ np.arange(256) ** 2
        else:
            total, squares = self.moments[indices].sum(0)
        n = len(indices) * height * width
        mean = total / n / 255
        variance = squares / n / 255**2 - mean**2
        return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32)


@dataclass(frozen=True)
class Raw:
    """An image dataset as it came."""

    train: RawPart
    test: RawPart
    class_names: list[str]
    """Empty where labels are scores."""
    source: str
    """What was read: the file's name with its checksum, the hub's id, or a package with its version."""
    licence: str
    skipped: list[str] = field(default_factory=list)
    """Names of damaged files that were left out."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """Suffix -> number of files beside the photographs that are none by it."""
