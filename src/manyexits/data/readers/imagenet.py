"""ImageNet-1k (ILSVRC2012, Russakovsky et al., 2015): folders of photographs and the publisher's devkit, or the hub's
copy.

The folder holds train/<wnid>/*.JPEG, val/*.JPEG and the devkit, extracted or as its archive; or val/<wnid>/*.JPEG, with
the devkit or without. The publisher's test part has no public labels; its validation part is the test split (PAPER.md,
section 1).
"""

import io
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from manyexits.data.archives import DAMAGE, Members, locate, missing
from manyexits.data.collection import Collection, Listed, Store, by_class, collect
from manyexits.data.hub import Hub
from manyexits.data.photographs import SUFFIXES
from manyexits.data.raw import Raw

TITLE = "ImageNet-1k"
HOME = "https://www.image-net.org (ILSVRC2012: training images, validation images, devkit for tasks 1 and 2)"
LICENCE = "ImageNet terms of access (non-commercial research)"
SIZE = "138 GB + 6.3 GB + 2.5 MB"
SAMPLES = 1_331_167
"""Of the training and the validation part; those of the test part have no labels."""
DEVKIT = "ILSVRC2012_devkit_t12"
KITS = (DEVKIT, f"{DEVKIT}.tar.gz")
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return (path,)


def look(found: Path, *, store: Store) -> Collection[Members]:
    """What lies there, before a photograph is decoded.

    Raises:
        ValueError: when a part is missing or still packed, or the devkit does not fit.
    """
    found = found / Members(found).inside("train/", "val/")  # the folder itself, or one that was unpacked into it
    _check_parts(found)
    members = Members(found)
    words, truth = ({}, []) if locate(found, KITS) is None else _devkit(found)
    classes = sorted(words) or members.folders("train/")
    train = by_class(members, "train/", classes)
    flat = not set(members.folders("val/")) & set(classes)
    test = _flat(members, truth, classes) if flat else by_class(members, "val/", classes)
    return Collection(members, train, test, [words.get(wnid, wnid) for wnid in classes], store)


def _check_parts(found: Path) -> None:
    """Refuse a folder that lacks a part, or has it still packed."""
    for part, archive in ARCHIVES.items():
        if (found / part).exists():
            continue
        if (found / archive).exists():
            raise ValueError(
                f"{found / archive} is still packed; unpack it into {found / part}"
                " (the training archive holds an archive of its own for each class folder)"
            )
        raise ValueError(f"{found} holds no folder {part}; it is incomplete, get {archive} and unpack it there")
    if locate(found, KITS) is None and not _sorted(Members(found)):
        absent = missing("ImageNet's devkit", found, KITS, HOME)
        raise ValueError(
            f"{absent}; only it tells the classes of the images in {found / 'val'}, unless they lie in class folders"
        )


def _sorted(members: Members) -> bool:
    """Whether the validation images lie in class folders, as the training images do."""
    classes = members.folders("train/")
    return bool(classes) and members.folders("val/") == classes


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "imagenet",
    pixels: Annotated[int, Field(ge=1, le=4096)] = 224,
    store: Literal["arrays", "index"] = "index",
    damaged: Literal["refuse", "skip"] = "refuse",
    hub_id: str = "ILSVRC/imagenet-1k",
) -> Raw:
    """Square views of 1,000 classes, numbered by their sorted WordNet ids as everywhere.

    Args:
        root, hub, workers: as for every dataset.
        path: folder below root.
        pixels, store, damaged: as for Imagenette; an index by default, since the array would take 200 GB.
        hub_id: the hub's name of it, for whoever has been given access there.

    Raises:
        ValueError: when it is missing, incomplete or damaged.
    """
    found = locate(root, places(path))
    absent = missing(TITLE, root, [f"{path}/train", f"{path}/val", f"{path}/{DEVKIT}.tar.gz"], HOME)
    keep = partial(collect, licence=LICENCE, pixels=pixels, damaged=damaged, workers=workers)
    if found is None and hub:
        copy = Hub(hub_id, "image", "label", ("train", "validation"), absent)
        return keep(Collection(copy, copy.train, copy.test, copy.class_names, store))
    if found is None:
        raise absent
    return keep(look(found, store=store))


def _devkit(found: Path) -> tuple[dict[str, str], list[str]]:
    """WordNet id -> words of the 1,000 classes, and the WordNet id of every validation image in order."""
    kit = locate(found, KITS)
    assert kit is not None, "load has looked"
    members = Members(kit)
    prefix = "" if kit.is_dir() else f"{DEVKIT}/"
    synsets = _synsets(members, f"{prefix}data/meta.mat")
    name = f"{prefix}data/ILSVRC2012_validation_ground_truth.txt"
    try:
        truth = [synsets[int(line)][0] for line in members.text(name).split()]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{kit}: {name} cannot be read ({error}); get the devkit again") from error
    return dict(synsets.values()), truth


def _synsets(members: Members, name: str) -> dict[int, tuple[str, str]]:
    """ILSVRC2012 id -> WordNet id and words of the leaves of the hierarchy, which are the classes."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    data = members.read(name)
    try:
        rows: Any = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        leaves = rows[rows["num_children"] == 0]
        return {
            int(number): (str(wnid), str(words))
            for number, wnid, words in zip(leaves["ILSVRC2012_ID"], leaves["WNID"], leaves["words"], strict=True)
        }
    except (*DAMAGE, OSError, MatReadError, LookupError, TypeError) as error:
        raise ValueError(f"{members.path}: {name} cannot be read ({error}); get the devkit again") from error


def _flat(members: Members, truth: list[str], classes: list[str]) -> Listed:
    """The validation images of one folder, or of one below it, whose classes stand in the devkit in the order of their
    names."""
    names = [name for name in members.names("val/") if name.lower().endswith(SUFFIXES)]
    if len(names) != len(truth):
        raise ValueError(
            f"{members.path}/val holds {len(names)} images, but the devkit's ground truth has {len(truth)} lines;"
            " it is incomplete, get it again"
        )
    number = {wnid: index for index, wnid in enumerate(classes)}
    return Listed(names, np.array([number[wnid] for wnid in truth], dtype=np.int64))
