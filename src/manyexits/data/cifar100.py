"""CIFAR-100 (Krizhevsky, 2009): the publisher's binary archive, or the hub's copy."""

from pathlib import Path

import numpy as np

from manyexits.sources import Members, Part, Raw, described, from_hub, locate, missing

FOLDER = "cifar-100-binary"
HOME = "https://www.cs.toronto.edu/~kriz/cifar.html (binary version)"
LICENCE = "none stated by the publisher"
RECORD = 2 + 3 * 32 * 32
"""Bytes of a record: coarse label, fine label, then red, green and blue planes of 32 x 32."""


def load(root: Path, hub: bool, *, path: str = "cifar-100-binary.tar.gz", hub_id: str = "uoft-cs/cifar100") -> Raw:
    """The official parts with fine labels.

    Raises:
        ValueError: when it is missing or damaged.
    """
    candidates = (path, FOLDER)
    found = locate(root, candidates)
    absent = missing("CIFAR-100", root, candidates, HOME)
    if found is None and hub:
        return from_hub(hub_id, "img", "fine_label", ("train", "test"), LICENCE, absent)
    if found is None:
        raise absent
    members = Members(found)
    prefix = "" if found.is_dir() else f"{FOLDER}/"
    names = members.text(f"{prefix}fine_label_names.txt").split()
    train, test = (_records(members, f"{prefix}{part}.bin", len(names)) for part in ("train", "test"))
    return Raw(train, test, names, described(found), LICENCE)


def _records(members: Members, name: str, classes: int) -> Part:
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
    images = records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Part(np.ascontiguousarray(images), labels)
