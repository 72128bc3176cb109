"""Images as a prepared folder holds them: an array, or an index of photographs that stay where they are."""

import csv
import io
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from manyexits.data.images import Files, open_shards
from manyexits.data.raw import Raw, RawPart, Stored
from manyexits.files import atomic, reading

INDEX = ("path", "height", "width")


def write(raw: Raw, settings: dict[str, Any], folder: Path, train: Int64[np.ndarray, " m"]) -> Stored:
    """Write the images of both parts.

    Args:
        raw: the dataset.
        settings: its entry.
        folder: of the arrays.
        train: indices of the training split, whose statistics images are normalised by.
    """
    parts: dict[str, RawPart] = {name: getattr(raw, name) for name in ("train", "test")}
    mean, std = parts["train"].statistics(train)
    statistics = {
        "mean": settings.get("mean") or mean.tolist(),
        "std": settings.get("std") or std.tolist(),
        "photographs_sha256": {name: part.sha256 for name, part in parts.items()},
    }
    files = [file for name, part in parts.items() for file in _write_part(folder, name, part)]
    return Stored({"shape": list(parts["train"].images.shape[1:])}, statistics, files)


def _write_part(folder: Path, name: str, part: RawPart) -> list[str]:
    """Write the images of the training or test part; the names of its files."""
    for other in ("images.npy", "files.csv"):  # of an earlier preparation, that may have had the other form
        (folder / f"{name}_{other}").unlink(missing_ok=True)
    if not isinstance(part.images, Files):
        atomic.write(folder / f"{name}_images.npy", partial(np.save, arr=part.images))
        return [f"{name}_images.npy", f"{name}_labels.npy"]
    rows = zip(map(os.fsdecode, part.images.names), *part.images.sizes.T.tolist(), strict=True)
    table = io.StringIO(newline="")
    plain, quoted = (csv.writer(table, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    plain.writerow(INDEX)
    for row in rows:  # csv sees no need to quote a carriage return, and then reads it as the end of a row
        (quoted if "\r" in row[0] else plain).writerow(row)
    atomic.write_text(folder / f"{name}_files.csv", table.getvalue())
    atomic.write_text(folder / "root.txt", str(part.images.root))  # no manifest names it: it is this machine's
    return [f"{name}_labels.npy", f"{name}_files.csv"]


def read(folder: Path, name: str, shape: tuple[int, int, int], remedy: str) -> np.ndarray | Files:
    """The images of the training or test part.

    Raises:
        ValueError: when they are missing, damaged, or of another shape.
    """
    path = folder / f"{name}_images.npy"
    if path.exists() or not (folder / f"{name}_files.csv").exists():
        images = reading.array(path, mapped=True, remedy=remedy)
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(f"{path} holds {images.dtype} {images.shape[1:]}, not uint8 {shape}; {remedy}")
        return images
    path = folder / f"{name}_files.csv"
    rows = reading.table(path, INDEX, remedy)
    root = Path(reading.text(folder / "root.txt", remedy))
    with reading.reading(path, "index of photographs", remedy):
        names = np.array([row[0].encode() for row in rows])
        sizes = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 2)
        open_shards(root, (row[0] for row in rows))
    return Files(root, names, sizes, shape[0])
