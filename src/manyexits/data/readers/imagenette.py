"""Imagenette (Howard, 2019): ten easy classes of ImageNet, as the publisher's archive or its extracted tree, or the
hub's copy. All releases (full size, 320 px, 160 px) have the same layout; name another one by `path`.

The publisher has no test part; its validation part is the test split (PAPER.md, section 1).
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from manyexits.data.archives import Members, locate, missing
from manyexits.data.collection import Collection, Store, by_class, collect
from manyexits.data.hub import Hub
from manyexits.data.raw import Raw

TITLE = "Imagenette"
HOME = "https://github.com/fastai/imagenette (imagenette2.tgz)"
LICENCE = "Apache 2.0; the photographs under ImageNet's terms of access (non-commercial research)"
SIZE = "1.5 GB (326 MB at 320 px, 94 MB at 160 px)"
RELEASES = (
    "6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd",
    "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
    "64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
)
"""SHA-256 of the publisher's archives: full size, 320 px, 160 px."""
SAMPLES = 13_394
CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return tuple(dict.fromkeys([path, path.removesuffix(".tgz").removesuffix(".tar.gz")]))


def look(found: Path, *, store: Store, per_class: list[int | None] | None = None) -> Collection[Members]:
    """What lies there, before a photograph is decoded.

    Raises:
        ValueError: when it is incomplete, or per_class asks for more than there are.
    """
    members = Members(found)
    top = members.inside("train/", "val/")
    train, test = (by_class(members, f"{top}{part}/", list(CLASSES)) for part in ("train", "val"))
    if per_class:
        try:
            train, test = (
                part if n is None else part.first(n) for part, n in zip((train, test), per_class, strict=True)
            )
        except ValueError as error:
            raise ValueError(f"{found}: {error}; lower per_class in the dataset's entry of config.yaml") from error
    return Collection(members, train, test, list(CLASSES.values()), store)


def fetched(per_class: list[int | None] | None = None, **_: Any) -> bool:
    """Whether the hub's copy is what these options ask for."""
    return not per_class


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "imagenette2.tgz",
    pixels: Annotated[int, Field(ge=1, le=4096)] = 224,
    per_class: (
        Annotated[list[Annotated[int, Field(ge=1, le=10000)] | None], Field(min_length=2, max_length=2)] | None
    ) = None,
    store: Literal["arrays", "index"] = "arrays",
    damaged: Literal["refuse", "skip"] = "refuse",
    hub_id: str = "frgfm/imagenette",
    hub_form: str = "full_size",
) -> Raw:
    """Square views of its photographs.

    Args:
        root, hub, workers: as for every dataset.
        path: archive or folder below root.
        pixels: side of the view: the short side is scaled to it, the centre cut out.
        per_class: a subset, the first training and test photographs of each class by name; null: all.
        store: arrays holds all views; an index leaves the photographs where they are, for workers to decode.
        damaged: whether photographs that cannot be read end the preparation or are left out, named in the manifest.
        hub_id, hub_form: the hub's name of the dataset and of the release with the largest photographs.

    Raises:
        ValueError: when it is missing, incomplete or damaged, or per_class asks for more than there are.
    """
    found = locate(root, places(path))
    absent = missing(TITLE, root, places(path), HOME)
    keep = partial(collect, licence=LICENCE, pixels=pixels, damaged=damaged, workers=workers)
    if found is None and hub and not fetched(per_class=per_class):
        raise ValueError(f"{absent}; the hub's copy has no photographs by name, which per_class stands on")
    if found is None and hub:
        copy = Hub(hub_id, "image", "label", ("train", "validation"), absent, hub_form)
        return keep(Collection(copy, copy.train, copy.test, copy.class_names, store))
    if found is None:
        raise absent
    return keep(look(found, store=store, per_class=per_class))
