"""One split of a prepared dataset, and how its images are read: from an array in memory, or decoded by workers."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8

from manyexits.data import photographs

Labels = Int64[np.ndarray, " n"] | Float64[np.ndarray, " n"]
"""Numbers of classes, or scores."""
Batch = tuple[UInt8[np.ndarray, "b h w 3"], Labels]
"""Images and labels."""


@dataclass(frozen=True)
class Request:
    """Images of one batch: which, and which part of each."""

    positions: Int64[np.ndarray, " b"]
    """Within the split."""
    boxes: Int[np.ndarray, "b 4"] | None = None
    """Top, left, height and width of the part that is cut out and scaled to the view; None: the evaluation view."""


@dataclass(frozen=True)
class Files:
    """N photographs that stay where they are and are decoded whenever they are asked for."""

    root: Path
    names: np.ndarray
    """Paths below root as UTF-8 bytes."""
    sizes: Int64[np.ndarray, "n 2"]
    """Height and width."""
    pixels: int
    """Side of the square view."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of the array which all views would make."""
        return len(self), self.pixels, self.pixels, 3

    def seen(self, number: int, box: list[int] | None) -> UInt8[np.ndarray, "p p 3"]:
        """One photograph's evaluation view, or the part in a box scaled to its size.

        Raises:
            ValueError: when it can no longer be read, or has another size.
        """
        path = self.root / os.fsdecode(self.names[number])
        try:
            image = photographs.opened(stored(path))
            if [image.height, image.width] != self.sizes[number].tolist():  # the box was drawn for another
                raise ValueError(f"it is {image.width} x {image.height} now")
        except photographs.UNREADABLE as error:
            raise ValueError(
                f"{path} can no longer be read as it was ({error}); put it back, or remove the prepared dataset and"
                " prepare it again"
            ) from error
        return photographs.view(image, self.pixels) if box is None else photographs.cut(image, box, self.pixels)


def stored(path: Path) -> bytes:
    """The bytes of a file, or of an image in a shard of the hub's cache: SHARD.arrow/COLUMN/ROW."""
    holder, column, row = path.parents[1], path.parent.name, path.name
    if holder.suffix != ".arrow" or holder.is_dir():
        return path.read_bytes()
    try:
        image = shard(holder).data.column(column)[int(row)].as_py()
        return Path(image["path"]).read_bytes() if image["bytes"] is None else image["bytes"]
    except (LookupError, TypeError) as error:  # no such row, or an empty one
        raise OSError(f"{holder} has no image in {column} {row}") from error


def open_shards(root: Path, names: Iterable[str]) -> None:
    """Open the shards that an index names now, before a training waits for them.

    Raises:
        OSError: when one is no longer there.
    """
    for holder in dict.fromkeys(name.rsplit("/", 2)[0] for name in names):
        if holder.endswith(".arrow") and not (root / holder).is_dir():
            shard(root / holder)


@cache
def shard(path: Path) -> Any:
    """A shard of the hub's cache, mapped into memory."""
    from datasets import Dataset

    return Dataset.from_file(str(path))


@dataclass(frozen=True)
class Images:
    """One split: its images stay on disk until they are asked for."""

    images: UInt8[np.ndarray, "n h w 3"] | Files
    labels: Labels
    indices: Int64[np.ndarray, " m"]
    """Which of the n images belong to the split."""
    workers: int = 0
    """Threads that decode files ahead of time; 0: whoever asks decodes."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def decoded(self) -> bool:
        """Whether images are files; their boxes are then cut out where they are decoded."""
        return isinstance(self.images, Files)

    def take(self, positions: Int64[np.ndarray, " b"]) -> Batch:
        """Evaluation views and labels at positions within the split."""
        return self.fetch(Request(positions))

    def fetch(self, request: Request) -> Batch:
        """What one request asks for. Arrays come whole: their boxes are cut out on the device (augment.py)."""
        chosen = self.indices[request.positions]
        if not isinstance(self.images, Files):
            return self.images[chosen], self.labels[chosen]
        views = np.empty((len(chosen), *self.images.shape[1:]), dtype=np.uint8)
        boxes = [None] * len(chosen) if request.boxes is None else request.boxes.tolist()
        for place, (number, box) in enumerate(zip(chosen.tolist(), boxes, strict=True)):
            views[place] = self.images.seen(number, box)
        return views, self.labels[chosen]

    def read(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Request by request, in order.

        Raises:
            ValueError: when a photograph can no longer be read.
        """
        if isinstance(self.images, Files) and self.workers:
            from manyexits.data.decode import ahead

            return ahead(self.fetch, requests, self.workers)
        return map(self.fetch, requests)

    def batches(self, size: int, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """The whole split in order, as evaluation views, or a rank's share of it: every `ranks`-th batch."""
        begins = range(rank * size, len(self), ranks * size)
        return self.read(Request(np.arange(begin, min(begin + size, len(self)))) for begin in begins)

    def sizes(self, positions: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, "b 2"]:
        """Height and width of the images before anything is cut out of them."""
        if isinstance(self.images, Files):
            return self.images.sizes[self.indices[positions]]
        return np.tile(np.array(self.images.shape[1:3], dtype=np.int64), (len(positions), 1))
