"""The datasets hub: columns of text, and images as encoded files, which stay in the cache of the hub's client.

That client keeps rows in shards (Arrow files). An image goes by the name SHARD.arrow/COLUMN/ROW below the cache, as if
a shard were a folder, so that an index of photographs can name it (`images.stored`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from manyexits.data.collection import Listed
from manyexits.data.images import shard, stored
from manyexits.data.photographs import UNREADABLE, opened
from manyexits.data.raw import Raw, RawPart

HOLDS: dict[str, type | tuple[type, ...]] = {"text": str, "score": (int, float)}
"""What a column holds -> Python's types of it."""


def columns_of(
    identifier: str, columns: dict[str, str], splits: tuple[str, ...], missing: ValueError
) -> list[tuple[list[Any], ...]]:
    """Columns of a dataset of the hub, for each of some of its splits.

    Args:
        identifier: the hub's id.
        columns: their names, and what each holds: `text` or `score`.
        splits: names of the splits.
        missing: the error to raise, extended by the hub's own words, when the hub does not deliver.

    Raises:
        ValueError: when the hub does not deliver, or delivers other columns.
    """
    found = _delivered(identifier, None, splits, missing)
    for split in found:
        if not set(columns) <= set(split.column_names):
            raise _unfit(identifier, f"has the columns {', '.join(split.column_names)}, not {', '.join(columns)}")
        for column, what in columns.items():
            if not all(isinstance(value, HOLDS[what]) for value in split[column]):
                raise _unfit(identifier, f"has other than a {what} in some row of its column {column}")
    return [tuple(list(split[column]) for column in columns) for split in found]


def _delivered(identifier: str, configuration: str | None, splits: tuple[str, ...], missing: ValueError) -> list[Any]:
    """Splits of a dataset of the hub, fetched where they are not in the client's cache."""
    import datasets

    try:
        return [datasets.load_dataset(identifier, configuration, split=split, keep_in_memory=False) for split in splits]
    except Exception as error:  # the hub's client has no common base for being offline, refused or unknown
        words = " ".join(f"{type(error).__name__} {error}".split())
        raise ValueError(f"{missing}; the hub's {identifier} could not be read either ({words})") from error


def _unfit(identifier: str, what: str) -> ValueError:
    """The error for a dataset that cannot be used."""
    return ValueError(f"the hub's {identifier} {what}; name another one as hub_id in config.yaml")


class Hub:
    """A dataset of the hub, or of a local folder in its layout: photographs with the numbers of their classes."""

    def __init__(
        self,
        identifier: str,
        image: str,
        label: str,
        splits: tuple[str, str],
        missing: ValueError,
        configuration: str | None = None,
    ) -> None:
        """Fetch it into the client's cache, where it is not there yet.

        Args:
            identifier: the hub's id.
            image, label: names of the two columns.
            splits: names of the training and the test split.
            missing: the error to raise, extended by the hub's own words, when the hub does not deliver.
            configuration: the hub's name of one of several forms of the dataset.

        Raises:
            ValueError: when the hub does not deliver, or delivers other columns, no images or no names of classes.
        """
        import datasets

        self.identifier = identifier
        train, test = _delivered(identifier, configuration, splits, missing)
        for split in (train, test):
            if not {image, label} <= set(split.column_names):
                raise self.unfit(f"has the columns {', '.join(split.column_names)}, not {image} and {label}")
            if not isinstance(split.features[image], datasets.Image):
                raise self.unfit(f"has no images in its column {image}")
        if not isinstance(train.features[label], datasets.ClassLabel):
            raise self.unfit(f"has no names of classes in its column {label}")
        self.class_names = list(train.features[label].names)
        files = [file["filename"] for split in (train, test) for file in split.cache_files]
        self.path = Path(os.path.commonpath([str(Path(file).parent) for file in files]))
        self.train, self.test = (self._listed(split, image, label) for split in (train, test))

    def unfit(self, what: str) -> ValueError:
        """The error for a dataset that cannot be used."""
        return _unfit(self.identifier, what)

    def _listed(self, split: Any, image: str, label: str) -> Listed:
        names = [
            f"{Path(file['filename']).relative_to(self.path)}/{image}/{row}"
            for file in split.cache_files
            for row in range(len(shard(Path(file["filename"]))))
        ]
        return Listed(names, np.asarray(split[label], dtype=np.int64))

    def describe(self) -> str:
        """What it is, for the manifest."""
        return f"hub: {self.identifier}"

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Names without bytes, to be read by whoever needs them."""
        return ((name, None) for name in names)

    def read(self, name: str) -> bytes:
        """The bytes of one image."""
        try:
            return stored(self.path / name)
        except PermissionError as error:
            raise ValueError(f"{error.filename} must not be read; correct its permissions") from error

    def small(self, licence: str, view: Callable[[Image.Image], np.ndarray] = np.asarray) -> Raw:
        """All of it in memory, for images that are small and of one size.

        Args:
            licence: of the data.
            view: what is kept of an RGB image.

        Raises:
            ValueError: for an image that cannot be read or is of another size.
        """
        train, test = (self._part(split, view) for split in (self.train, self.test))
        return Raw(train, test, self.class_names, self.describe(), licence)

    def _part(self, listed: Listed, view: Callable[[Image.Image], np.ndarray]) -> RawPart:
        try:
            images = [view(opened(self.read(name))) for name in listed.names]
        except UNREADABLE as error:
            raise self.unfit(f"has an image that cannot be read ({error})") from error
        shapes = {each.shape for each in images}
        if len(shapes) != 1:
            raise self.unfit(f"has images of {len(shapes)} sizes")
        return RawPart(np.stack(images), listed.labels)
