"""Tiny ImageNet (Stanford CS231n, 2015): the publisher's zip or its extracted tree, or the hub's copy.

The publisher's test part has no labels; its validation part is the test split (PAPER.md, section 1).
"""

from pathlib import Path

import numpy as np

from manyexits.data.archives import Members, locate, missing
from manyexits.data.collection import Collection, Listed
from manyexits.data.hub import Hub
from manyexits.data.raw import Raw, RawPart

TITLE = "Tiny ImageNet"
FOLDER = "tiny-imagenet-200"
HOME = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
LICENCE = "ImageNet terms of access (non-commercial research)"
SIZE = "237 MB"
RELEASES = ("6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",)
"""SHA-256 of the publisher's archive."""
SAMPLES = 110_000
"""Of the training and the validation part; those of the test part have no labels."""
SIDE = 64


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return path, FOLDER


def look(found: Path) -> Collection[Members]:
    """What lies there, before an image is decoded.

    Raises:
        ValueError: when it is incomplete, or its lists contradict one another.
    """
    members = Members(found)
    prefix = members.inside("train/", "val/")
    names = members.names()
    images = [name for name in names if name.startswith(f"{prefix}train/") and name.endswith(".JPEG")]
    train_labelled = [(name, name.removeprefix(f"{prefix}train/").split("/")[0]) for name in images]
    listed = members.has(f"{prefix}wnids.txt")
    found_classes = members.text(f"{prefix}wnids.txt").split() if listed else {wnid for _, wnid in train_labelled}
    classes = sorted(found_classes)
    number = {wnid: index for index, wnid in enumerate(classes)}
    told = members.text(f"{prefix}words.txt").splitlines() if members.has(f"{prefix}words.txt") else []
    words = dict(line.split("\t", 1) for line in told if "\t" in line)
    held_out = _held_out(members, names, prefix, classes)
    _check_complete(members, names, prefix, {name for name, _ in held_out})
    train, test = (_numbered(members, labelled, number) for labelled in (train_labelled, held_out))
    return Collection(members, train, test, [words.get(wnid, wnid) for wnid in classes], "arrays")


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
    listed = look(found)
    train, test = (_read(listed.members, part) for part in (listed.train, listed.test))
    return Raw(train, test, listed.class_names, listed.members.describe(), LICENCE)


def _held_out(members: Members, names: list[str], prefix: str, classes: list[str]) -> list[tuple[str, str]]:
    """Name and WordNet id of every validation image: by the publisher's list, or by the class folder that it was
    sorted into; that is compared with the list where it is there."""
    annotations = f"{prefix}val/val_annotations.txt"
    truth = {row[0]: row[1] for row in _rows(members, annotations) if len(row) > 1} if members.has(annotations) else {}
    if not set(members.folders(f"{prefix}val/")) & set(classes):
        return [(f"{prefix}val/images/{name}", wnid) for name, wnid in truth.items()]
    images = [name for name in names if name.startswith(f"{prefix}val/") and name.endswith(".JPEG")]
    sorted_ = [(name, name.removeprefix(f"{prefix}val/").split("/")[0]) for name in images]
    for name, wnid in sorted_:
        if truth.get(name.rsplit("/", 1)[1], wnid) != wnid:
            raise ValueError(f"{members.path}: {name} is of another class in val_annotations.txt; get it again")
    if len(sorted_) < len(truth):
        raise ValueError(
            f"{members.path}: val holds {len(sorted_)} of the {len(truth)} images of val_annotations.txt; it is"
            " incomplete, get it again"
        )
    return sorted_


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


def _numbered(members: Members, labelled: list[tuple[str, str]], number: dict[str, int]) -> Listed:
    for name, wnid in labelled:
        if wnid not in number:
            raise ValueError(f"{members.path}: {name} is of class {wnid}, which wnids.txt does not list; get it again")
    if not labelled:
        raise ValueError(f"{members.path} holds no images; get it again")
    return Listed([name for name, _ in labelled], np.array([number[wnid] for _, wnid in labelled], dtype=np.int64))


def _read(members: Members, listed: Listed) -> RawPart:
    images = np.empty((len(listed.names), SIDE, SIDE, 3), dtype=np.uint8)
    for index, name in enumerate(listed.names):
        image = members.image(name)
        if image.shape != (SIDE, SIDE, 3):
            raise ValueError(
                f"{members.path}: the image {name} is {image.shape[1]} x {image.shape[0]}, not {SIDE} x {SIDE};"
                " get it again"
            )
        images[index] = image
    return RawPart(images, listed.labels)
