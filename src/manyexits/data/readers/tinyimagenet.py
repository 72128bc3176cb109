"""Tiny ImageNet (Stanford CS231n, 2015): the publisher's zip or its extracted tree, or the hub's copy.

The publisher's test part has no labels; its validation part is the test split (PAPER.md, section 1).
"""

from pathlib import Path

import numpy as np

from manyexits.data.archives import Members, locate, missing
from manyexits.data.hub import Hub
from manyexits.data.raw import Raw, RawPart

TITLE = "Tiny ImageNet"
FOLDER = "tiny-imagenet-200"
HOME = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
LICENCE = "ImageNet terms of access (non-commercial research)"
SIZE = "237 MB"
IMAGES = 110_000
"""Of the training and the validation part; those of the test part have no labels."""
SIDE = 64


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return path, FOLDER


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "tiny-imagenet-200.zip",
    hub_id: str = "zh-plus/tiny-imagenet",
) -> Raw:
    """200 classes of 64 x 64 pixels; grey images become RGB.

    Raises:
        ValueError: when it is missing or damaged.
    """
    found = locate(root, places(path))
    absent = missing(TITLE, root, places(path), HOME)
    if found is None and hub:
        return Hub(hub_id, "image", "label", ("train", "valid"), absent).small(LICENCE)
    if found is None:
        raise absent
    members = Members(found)
    prefix = "" if found.is_dir() else f"{FOLDER}/"
    classes = sorted(members.text(f"{prefix}wnids.txt").split())
    number = {wnid: index for index, wnid in enumerate(classes)}
    words = dict(line.split("\t", 1) for line in members.text(f"{prefix}words.txt").splitlines() if "\t" in line)

    names = members.names()
    train = [name for name in names if name.startswith(f"{prefix}train/") and name.endswith(".JPEG")]
    train_labelled = [(name, name.removeprefix(f"{prefix}train/").split("/")[0]) for name in train]
    rows = _rows(members, f"{prefix}val/val_annotations.txt")
    held_out = [(f"{prefix}val/images/{row[0]}", row[1]) for row in rows if len(row) > 1]
    _check_complete(members, names, prefix, {name for name, _ in held_out})
    return Raw(
        _read(members, train_labelled, number),
        _read(members, held_out, number),
        [words.get(wnid, wnid) for wnid in classes],
        members.describe(),
        LICENCE,
    )


def _rows(members: Members, name: str) -> list[list[str]]:
    return [line.split("\t") for line in members.text(name).splitlines()]


def _check_complete(members: Members, names: list[str], prefix: str, annotated: set[str]) -> None:
    """Compare the images with the publisher's own lists: an extraction or a copy that broke off is refused."""
    listed = set(annotated)
    for name in names:
        if name.startswith(f"{prefix}train/") and name.endswith("_boxes.txt"):
            folder = name.rsplit("/", 1)[0]
            listed |= {f"{folder}/images/{row[0]}" for row in _rows(members, name)}
    images = {name for name in names if name.endswith(".JPEG")}
    unlabelled = {name for name in images - annotated if name.startswith(f"{prefix}val/")}
    for lacking, what in ((listed - images, "image"), (unlabelled, "label for")):
        if lacking:
            raise ValueError(
                f"{members.path} holds no {what} {min(lacking)} ({len(lacking)} in all); it is incomplete, get it again"
            )


def _read(members: Members, labelled: list[tuple[str, str]], number: dict[str, int]) -> RawPart:
    for name, wnid in labelled:
        if wnid not in number:
            raise ValueError(f"{members.path}: {name} is of class {wnid}, which wnids.txt does not list; get it again")
    if not labelled:
        raise ValueError(f"{members.path} holds no images; get it again")
    images = np.empty((len(labelled), SIDE, SIDE, 3), dtype=np.uint8)
    for index, (name, _) in enumerate(labelled):
        image = members.image(name)
        if image.shape != (SIDE, SIDE, 3):
            raise ValueError(
                f"{members.path}: the image {name} is {image.shape[1]} x {image.shape[0]}, not {SIDE} x {SIDE};"
                " get it again"
            )
        images[index] = image
    return RawPart(images, np.array([number[wnid] for _, wnid in labelled], dtype=np.int64))
