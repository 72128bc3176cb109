"""Photographs of any size, mode and format: read from a folder or archive, brought to one square view.

The evaluation view is the one of torchvision's Resize and CenterCrop on PIL images: the short side is scaled to the
view's side (bicubic, antialiased), then the centre is cut out [C: ViT-S on ImageNet].
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image, UnidentifiedImageError

from manyexits.provenance import cores
from manyexits.sources import Members

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
"""What counts as a photograph, in upper or lower case."""
UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises over files that are no whole image."""

T = TypeVar("T")


@dataclass
class Listed:
    """Photographs by their names in a folder or archive, with the numbers of their classes."""

    names: list[str]
    labels: Int64[np.ndarray, " n"]
    skipped: list[str] = field(default_factory=list)
    """Names of damaged ones that were left out."""

    def first(self, n: int) -> "Listed":
        """The first n photographs of every class, by name."""
        kept = np.sort(np.concatenate([np.flatnonzero(self.labels == label)[:n] for label in np.unique(self.labels)]))
        return Listed([self.names[index] for index in kept], self.labels[kept])

    def without(self, damaged: set[str]) -> "Listed":
        """The photographs that could be read."""
        kept = [index for index, name in enumerate(self.names) if name not in damaged]
        return Listed([self.names[index] for index in kept], self.labels[kept], sorted(damaged))


def opened(data: bytes) -> Image.Image:
    """An encoded image in RGB, whatever mode it is stored in: grey, palette, CMYK, alpha (which is dropped), 16 bit.

    Raises:
        one of UNREADABLE: when it is no whole image.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):  # 16 bit grey, which Pillow would cut off at 255
            return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
        if image.mode == "P" and "transparency" in image.info:
            return image.convert("RGBA").convert("RGB")
        return image.convert("RGB")


def view(image: Image.Image, pixels: int) -> UInt8[np.ndarray, "p p 3"]:
    """The evaluation view of a photograph."""
    width, height = image.size
    short = min(width, height)
    if short != pixels:
        width, height = (int(pixels * side / short) for side in (width, height))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - pixels) / 2), round((height - pixels) / 2)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)))


def by_class(members: Members, folder: str, classes: list[str]) -> Listed:
    """The photographs in a folder of class folders, sorted.

    Args:
        members: the folder or archive.
        folder: with a slash at its end, or empty.
        classes: the class folders that must be there, in the order of their numbers.

    Raises:
        ValueError: for a class folder that is missing, unknown or holds no photograph.
    """
    number = {name: index for index, name in enumerate(classes)}
    found: dict[str, list[str]] = {name: [] for name in members.folders(folder)}
    if unknown := sorted(set(found) - set(classes)):
        raise ValueError(
            f"{members.path}: {folder}{unknown[0]} is no class; remove the folder, or get the dataset again"
        )
    for name in members.names(folder):
        parts = name.removeprefix(folder).split("/")
        if len(parts) > 1 and name.lower().endswith(SUFFIXES):
            found[parts[0]].append(name)
    for class_ in classes:
        if class_ not in found:
            raise ValueError(f"{members.path} holds no class folder {folder}{class_}; it is incomplete, get it again")
        if not found[class_]:
            raise ValueError(
                f"{members.path}: the class folder {folder}{class_} holds no photograph; fill it or remove it"
            )
    names = [name for class_ in classes for name in found[class_]]
    labels = [number[class_] for class_ in classes for _ in found[class_]]
    return Listed(names, np.array(labels, dtype=np.int64))


def views(
    members: Members, listed: Listed, pixels: int, damaged: Literal["refuse", "skip"]
) -> tuple[UInt8[np.ndarray, "n p p 3"], Listed]:
    """The evaluation views of all photographs that can be read, and which those are.

    Raises:
        ValueError: for damaged ones under `refuse`: names the first and counts them.
    """
    views = np.empty((len(listed.names), pixels, pixels, 3), dtype=np.uint8)
    place = {name: index for index, name in enumerate(listed.names)}
    reasons: dict[str, str] = {}
    for name, found in each(members, listed.names, lambda data: view(opened(data), pixels)):
        if isinstance(found, str):
            reasons[name] = found
        else:
            views[place[name]] = found
    kept = listed.without(refused(members, reasons, damaged))
    if reasons:
        views = views[[place[name] for name in kept.names]]
    return views, kept


def refused(members: Members, reasons: dict[str, str], damaged: Literal["refuse", "skip"]) -> set[str]:
    """The names of damaged photographs, where they may be skipped.

    Args:
        members: where they are.
        reasons: name -> what is wrong.
        damaged: what is to be done about them.

    Raises:
        ValueError: where they may not.
    """
    if reasons and damaged == "refuse":
        first = min(reasons)
        raise ValueError(
            f"{members.path}: {len(reasons)} photograph(s) cannot be read, the first is {first} ({reasons[first]});"
            " get the dataset again, or set damaged: skip in its entry of config.yaml to leave them out"
        )
    return set(reasons)


def each(members: Members, names: list[str], function: Callable[[bytes], T]) -> Iterator[tuple[str, T | str]]:
    """Apply a function to the bytes of files, on all cores, in the order in which the archive holds them.

    Yields:
        Name and result, or name and what is wrong with the file.
    """

    def applied(name: str, data: bytes | None) -> T | str:
        try:
            return function(members.read(name) if data is None else data)
        except UNREADABLE as error:
            return " ".join(str(error).split()) or type(error).__name__

    threads = cores()
    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes and scales without holding Python's lock
        stream = members.stream(names)
        waiting = [(name, pool.submit(applied, name, data)) for name, data in islice(stream, 4 * threads)]
        while waiting:
            name, future = waiting.pop(0)
            yield name, future.result()
            waiting += [(name, pool.submit(applied, name, data)) for name, data in islice(stream, 1)]
