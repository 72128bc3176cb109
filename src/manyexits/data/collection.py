"""A dataset of photographs in class folders: listed, every one decoded once, kept as an array or as an index.

The array holds the evaluation views. The index leaves the photographs where they are; they are decoded all the same,
so that a damaged one is found now and not in the middle of a training.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int64

from manyexits.data.archives import Members
from manyexits.data.images import Files
from manyexits.data.photographs import SUFFIXES, UNREADABLE, View, opened, view
from manyexits.data.raw import Raw, RawPart

M = TypeVar("M", bound="Photographs")
Store = Literal["arrays", "index"]
Damaged = Literal["refuse", "skip"]


@runtime_checkable
class Photographs(Protocol):
    """Encoded photographs by their names: `archives.Members`, `hub.Hub`."""

    path: Path
    """Folder or archive that they lie in."""

    def describe(self) -> str:
        """What it is, for the manifest."""
        ...

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Names and bytes in the order in which they are best read; None: by whoever needs them."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of one."""
        ...


@dataclass(frozen=True)
class Listed:
    """Photographs by their names in a folder or archive, with the numbers of their classes."""

    names: list[str]
    labels: Int64[np.ndarray, " n"]
    passed_over: Counter[str] = field(default_factory=Counter)
    """Suffix -> number of files beside them that are no photographs by it."""

    def first(self, n: int) -> "Listed":
        """The first n photographs of every class, by name.

        Raises:
            ValueError: when a class has fewer.
        """
        kept = [np.flatnonzero(self.labels == label)[:n] for label in np.unique(self.labels)]
        few = next((places for places in kept if len(places) < n), None)
        if few is not None:
            folder = self.names[few[0]].rpartition("/")[0]
            raise ValueError(f"the class folder {folder} holds {len(few)} of the {n} photographs asked for")
        return self.at(np.sort(np.concatenate(kept)).tolist())

    def at(self, places: list[int]) -> "Listed":
        """Some of them."""
        return Listed([self.names[place] for place in places], self.labels[places], self.passed_over)


def by_class(members: Members, folder: str, classes: list[str]) -> Listed:
    """The photographs in a folder of class folders, sorted by class and name.

    Args:
        members: the folder or archive.
        folder: with a slash at its end, or empty.
        classes: the class folders that must be there, in the order of their numbers. Names are compared in Unicode's
            form C: macOS stores letters and their accents apart.

    Raises:
        ValueError: for a class folder that is missing, unknown or holds no photograph.
    """
    found: dict[str, list[str]] = {composed(name): [] for name in members.folders(folder)}
    if unknown := sorted(set(found) - set(classes)):
        raise ValueError(
            f"{members.path}: the folder {folder}{unknown[0]} is none of the {len(classes)} classes"
            f" ({', '.join(classes[:5])}{' and others' if len(classes) > 5 else ''}); move it elsewhere, or name the"
            " right folders in the dataset's entry"
        )
    passed_over: Counter[str] = Counter()
    for name in members.names(folder):
        parts = name.removeprefix(folder).split("/")
        if len(parts) > 1 and name.lower().endswith(SUFFIXES):
            found[composed(parts[0])].append(name)
        else:
            passed_over[PurePosixPath(name).suffix.lower() or "no suffix"] += 1
    for class_ in classes:
        if class_ not in found:
            raise ValueError(f"{members.path} holds no class folder {folder}{class_}; it is incomplete, get it again")
        if not found[class_]:
            other = f", but {_counted(passed_over)}, which are none by their suffix" if passed_over else ""
            raise ValueError(
                f"{members.path}: the class folder {folder}{class_} holds no photograph{other}; fill it, or move it"
                " elsewhere"
            )
    names = [name for class_ in classes for name in found[class_]]
    labels = [number for number, class_ in enumerate(classes) for _ in found[class_]]
    return Listed(names, np.array(labels, dtype=np.int64), passed_over)


def composed(name: str) -> str:
    """A name in Unicode's form C, in which equal names are equal."""
    return unicodedata.normalize("NFC", name)


def _counted(passed_over: Counter[str]) -> str:
    return ", ".join(f"{n:,} {suffix}" for suffix, n in sorted(passed_over.items()))


@dataclass(frozen=True)
class Collection(Generic[M]):
    """A dataset of photographs before any is decoded.

    Raises:
        ValueError: for an index of an archive; for names that are no UTF-8.
    """

    members: M
    train: Listed
    test: Listed
    class_names: list[str]
    store: Store
    """How they are to be kept."""

    def __post_init__(self) -> None:
        path = self.members.path
        if self.store == "index" and not path.is_dir():
            raise ValueError(
                f"{path} is an archive, and an index needs files that lie open: unpack it there"
                f" (tar -xf {path.name}), or set store: arrays in the dataset's entry of config.yaml"
            )
        names = (*self.train.names, *self.test.names)
        if odd := next((name for name in names if name.encode(errors="replace").decode() != name), ""):
            raise ValueError(f"{path}: the name {odd!a} is no UTF-8; rename the file or folder")


def collect(found: Collection[Any], licence: str, *, pixels: int, damaged: Damaged, workers: int) -> Raw:
    """Decode all photographs once and keep them, or where they are.

    Raises:
        ValueError: for damaged ones under `refuse`.
    """
    members, train, test, store = found.members, found.train, found.test, found.store
    (train_part, unread), (test_part, more) = (_part(members, each, pixels, store, workers) for each in (train, test))
    if damaged == "refuse" and (reasons := unread | more):
        first = min(reasons)
        raise ValueError(
            f"{members.path}: {len(reasons)} of {len(train.names) + len(test.names)} photographs cannot be read,"
            f" the first is {first} ({reasons[first]}); get the dataset again, or set damaged: skip in its entry of"
            " config.yaml to leave them out"
        )
    passed_over = dict(sorted((train.passed_over + test.passed_over).items()))
    return Raw(
        train_part, test_part, found.class_names, members.describe(), licence, sorted(unread | more), passed_over
    )


def _part(
    members: Photographs, listed: Listed, pixels: int, store: Store, workers: int
) -> tuple[RawPart, dict[str, str]]:
    """One part of a dataset, and what is wrong with photographs that cannot be read, by name."""
    n = len(listed.names)
    place = {name: index for index, name in enumerate(listed.names)}
    views = np.empty((n if store == "arrays" else 0, pixels, pixels, 3), dtype=np.uint8)
    moments, sizes = np.zeros((n, 2, 3), dtype=np.int64), np.zeros((n, 2), dtype=np.int64)
    digests, seen, unread = [b""] * n, [b""] * n, {}
    for name, found in _each(members, listed.names, pixels, workers):
        if isinstance(found, str):
            unread[name] = found
            continue
        index = place[name]
        digests[index], sizes[index] = found.digest, found.size
        seen[index] = hashlib.sha256(found.view.tobytes()).digest()
        values = found.view.reshape(-1, 3).astype(np.int64)
        moments[index] = values.sum(0), (values**2).sum(0)
        if store == "arrays":
            views[index] = found.view
    kept = [index for index, name in enumerate(listed.names) if name not in unread]
    listed, moments = listed.at(kept), moments[kept]
    digest = hashlib.sha256(b"".join(digests[index] for index in kept)).hexdigest()
    about: dict[str, Any] = {
        "moments": moments,
        "sha256": digest,
        "names": listed.names,
        "views": [seen[index] for index in kept],
    }
    if store == "arrays":
        return RawPart(views[kept] if unread else views, listed.labels, **about), unread
    names = np.array([name.encode() for name in listed.names])
    return RawPart(Files(members.path.resolve(), names, sizes[kept], pixels), listed.labels, **about), unread


@dataclass(frozen=True)
class _Decoded:
    view: View
    size: tuple[int, int]
    digest: bytes


def _decoded(members: Photographs, pixels: int, name: str, data: bytes | None) -> _Decoded | str:
    """One photograph, or what is wrong with it."""
    try:
        data = members.read(name) if data is None else data
        image = opened(data)
        seen = view(image, pixels)
    except UNREADABLE as error:
        if isinstance(error.__cause__, PermissionError):
            raise  # nothing is wrong with the photograph
        return " ".join(str(error).split()) or type(error).__name__
    return _Decoded(seen, (image.height, image.width), hashlib.sha256(data).digest())


def _each(members: Photographs, names: list[str], pixels: int, workers: int) -> Iterator[tuple[str, _Decoded | str]]:
    """All photographs, decoded by so many threads, in the order in which they are stored."""
    with ThreadPoolExecutor(workers) as pool:  # Pillow decodes and scales without holding Python's lock
        stored = members.stream(names)
        stream = ((name, pool.submit(_decoded, members, pixels, name, data)) for name, data in stored)
        waiting = list(islice(stream, 4 * workers))  # never more, or a whole archive would lie in memory
        while waiting:
            name, future = waiting.pop(0)
            yield name, future.result()
            waiting += islice(stream, 1)
