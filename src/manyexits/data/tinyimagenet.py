"""Tiny ImageNet (Stanford CS231n, 2015): the publisher's zip or its extracted tree, or the hub's copy.

The publisher's test part has no labels; its validation part is the test split (PAPER.md, section 1).
"""

from pathlib import Path

import numpy as np

from manyexits.provenance import sha256
from manyexits.sources import Members, Raw, from_hub, locate, missing

FOLDER = "tiny-imagenet-200"
HOME = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
LICENCE = "ImageNet terms of access (non-commercial research)"


def load(root: Path, hub: bool, *, path: str = "tiny-imagenet-200.zip", hub_id: str = "zh-plus/tiny-imagenet") -> Raw:
    """200 classes of 64 x 64 pixels; grey images become RGB.

    Raises:
        ValueError: when it is missing or damaged.
    """
    candidates = (path, FOLDER)
    found = locate(root, candidates)
    absent = missing("Tiny ImageNet", root, candidates, HOME)
    if found is None and hub:
        return from_hub(hub_id, "image", "label", ("train", "valid"), LICENCE, absent)
    if found is None:
        raise absent
    members = Members(found)
    prefix = "" if found.is_dir() else f"{FOLDER}/"
    classes = sorted(members.read(f"{prefix}wnids.txt").decode().split())
    number = {wnid: index for index, wnid in enumerate(classes)}
    words = dict(
        line.split("\t", 1) for line in members.read(f"{prefix}words.txt").decode().splitlines() if "\t" in line
    )

    train = [name for name in members.names() if name.startswith(f"{prefix}train/") and name.endswith(".JPEG")]
    annotations = [line.split("\t") for line in members.read(f"{prefix}val/val_annotations.txt").decode().splitlines()]
    held_out = [(f"{prefix}val/images/{row[0]}", row[1]) for row in annotations]
    train_labelled = [(name, name.removeprefix(f"{prefix}train/").split("/")[0]) for name in train]
    source = found.name if found.is_dir() else f"{found.name}, sha256 {sha256(found)}"
    return Raw(
        *_read(members, train_labelled, number),
        *_read(members, held_out, number),
        [words.get(wnid, wnid) for wnid in classes],
        source,
        LICENCE,
    )


def _read(members: Members, labelled: list[tuple[str, str]], number: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    for name, wnid in labelled:
        if wnid not in number:
            raise ValueError(f"{members.path}: {name} is of class {wnid}, which wnids.txt does not list; get it again")
    if not labelled:
        raise ValueError(f"{members.path} holds no images; get it again")
    images = np.empty((len(labelled), 64, 64, 3), dtype=np.uint8)
    for index, (name, _) in enumerate(labelled):
        image = members.image(name)
        if image.shape != (64, 64, 3):
            raise ValueError(f"{members.path}: the image {name} is {image.shape[1]} x {image.shape[0]}, not 64 x 64")
        images[index] = image
    return images, np.array([number[wnid] for _, wnid in labelled], dtype=np.int64)
