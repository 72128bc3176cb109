"""CIFAR-100 (Krizhevsky, 2009): the publisher's binary archive, or the hub's copy."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from manyexits.data.archives import Members, locate, missing
from manyexits.data.hub import Hub
from manyexits.data.photographs import View, view
from manyexits.data.raw import Raw, RawPart, TextPart

TITLE = "CIFAR-100"
FOLDER = "cifar-100-binary"
HOME = "https://www.cs.toronto.edu/~kriz/cifar.html (binary version)"
LICENCE = "none stated by the publisher"
SIZE = "161 MB"
RELEASES = ("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",)
"""SHA-256 of the publisher's archive."""
SAMPLES = 60_000
SIDE = 32
RECORD = 2 + 3 * SIDE**2
"""Bytes of a record: coarse label, fine label, then red, green and blue planes of 32 x 32."""


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return path, FOLDER


def look(found: Path) -> Raw:
    """The official parts with fine labels, as they are stored.

    Raises:
        ValueError: when they are damaged, or of another version of the dataset.
    """
    members = Members(found)
    prefix = members.inside("fine_label_names.txt")
    if members.has(f"{(python := members.inside('meta', 'train'))}meta") and members.has(f"{python}train"):
        raise ValueError(f"{found} is the Python version of CIFAR-100, which holds pickled objects; get {HOME}")
    names = members.text(f"{prefix}fine_label_names.txt").split()
    train, test = (_records(members, f"{prefix}{part}.bin", len(names)) for part in ("train", "test"))
    return Raw(train, test, names, members.describe(), LICENCE)


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "cifar-100-binary.tar.gz",
    pixels: Annotated[int, Field(ge=1, le=4096)] = 32,
    resampling: Literal["bilinear"] | None = None,
    hub_id: str = "uoft-cs/cifar100",
) -> Raw:
    """The official parts with fine labels.

    Args:
        root, hub, workers: as for every dataset.
        path: archive or folder below root.
        pixels: side that the images are scaled to.
        resampling: bilinear, as torchvision's Resize has it by default and the authors with it [C]; null: bicubic.
        hub_id: the hub's name of the dataset.

    Raises:
        ValueError: when it is missing or damaged.
    """
    found = locate(root, places(path))
    absent = missing(TITLE, root, places(path), HOME)
    how = Image.Resampling.BILINEAR if resampling else Image.Resampling.BICUBIC
    scaled = partial(view, pixels=pixels, resampling=how)
    if found is None and hub:
        return Hub(hub_id, "img", "fine_label", ("train", "test"), absent).small(LICENCE, scaled)
    if found is None:
        raise absent
    stored = look(found)
    if pixels == SIDE:
        return stored
    return replace(stored, train=_each(stored.train, scaled, pixels), test=_each(stored.test, scaled, pixels))


def _each(part: RawPart | TextPart, scaled: Callable[[Image.Image], View], pixels: int) -> RawPart:
    assert isinstance(part, RawPart)
    images = np.empty((len(part.labels), pixels, pixels, 3), dtype=np.uint8)
    for place, image in enumerate(np.asarray(part.images)):
        images[place] = scaled(Image.fromarray(image))
    return RawPart(images, part.labels)


def _records(members: Members, name: str, classes: int) -> RawPart:
    data = np.frombuffer(members.read(name), dtype=np.uint8)
    if len(data) == 0 or len(data) % RECORD:
        raise ValueError(
            f"{members.path}: {name} has {len(data)} bytes, no multiple of {RECORD}; it is damaged, get it again"
        )
    records = data.reshape(-1, RECORD)
    labels = records[:, 1].astype(np.int64)
    if labels.max() >= classes:
        raise ValueError(
            f"{members.path}: {name} holds label {labels.max()}, but there are names for {classes} classes;"
            " it is damaged, get it again"
        )
    images = records[:, 2:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return RawPart(np.ascontiguousarray(images), labels)
