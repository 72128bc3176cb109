"""A dataset as its publisher ships it: images in memory or as an index of photographs, or texts; what every reader
returns."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
class Stored:
    """What of a dataset lies in a prepared folder beside its labels, and what the manifest says of it."""

    form: dict[str, Any]
    """Of a sample."""
    statistics: dict[str, Any]
    files: list[str]
    """Their names, labels included, in the folder of the arrays."""


@dataclass(frozen=True)
class TextPart:
    """The training or the test part of a dataset of texts as it came."""

    texts: Sequence[tuple[str, ...]]
    """One of each sample, or two."""
    labels: Labels
    names: list[str] | None = None
    """Of the samples; None: they have none."""

    def seen(self) -> list[bytes]:
        """SHA-256 of what a network sees of each sample, before any tokenizer."""
        return [hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest() for texts in self.texts]

    def at(self, places: Int64[np.ndarray, " m"]) -> "TextPart":
        """Some of its samples."""
        names = None if self.names is None else [self.names[place] for place in places]
        return TextPart([self.texts[place] for place in places], self.labels[places], names)


def stratified(part: TextPart, n: int) -> TextPart:
    """So many samples in the classes' own shares, seed 42.

    Raises:
        ValueError: when there are not so many.
    """
    from sklearn.model_selection import train_test_split

    if n == len(part.texts):
        return part
    try:
        places, _ = train_test_split(np.arange(len(part.texts)), train_size=n, stratify=part.labels, random_state=42)
    except ValueError as error:
        raise ValueError(
            f"{n:,} samples cannot be drawn of {len(part.texts):,} in the classes' shares ({error}); choose another"
            " sample in the dataset's entry of config.yaml"
        ) from error
    return part.at(np.sort(places))


@dataclass(frozen=True)
class Raw:
    """A dataset as it came."""

    train: RawPart | TextPart
    test: RawPart | TextPart
    class_names: list[str]
    """Empty where labels are scores."""
    source: str
    """What was read: the file's name with its checksum, the hub's id, or a package with its version."""
    licence: str
    skipped: list[str] = field(default_factory=list)
    """Names of damaged files that were left out."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """Suffix -> number of files beside the photographs that are none by it."""
    validation: int = 0
    """Samples at the end of the training part that its publishers set aside for validation."""
    remarks: list[str] = field(default_factory=list)
    """What a person should know of it, a sentence each."""
