"""Any folder or archive of class folders, by its path in config.yaml: photographs of any size and format."""

from pathlib import Path
from posixpath import normpath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from sklearn.model_selection import train_test_split

from manyexits.data.archives import Members, locate, missing
from manyexits.data.collection import Collection, Listed, Store, by_class, collect, composed
from manyexits.data.raw import Raw

TITLE = "the folder of photographs"
HOME = "whoever took them"
LICENCE = "not known; whoever took the photographs can tell"
SIZE = "unknown"
SAMPLES = None
OWN = True
"""Nobody else has looked for photographs that lie in two splits."""


def places(path: str) -> tuple[str, ...]:
    """Where it may lie: below data_root, or anywhere if the path is absolute."""
    return (path,)


def look(
    found: Path, *, train: str, store: Store, test: str | None = None, test_share: float | None = None
) -> Collection[Members]:
    """What lies there, before a photograph is decoded; options as for `load`.

    Raises:
        ValueError: when class folders are missing or empty, or the two parts cannot be told apart.
    """
    if test and test_share:
        raise ValueError("test and test_share both tell the test part; remove one of them from the dataset's entry")
    second = f"{test or 'val'}/"
    members = Members(found)
    first = f"{train}/" if train else ""
    top = members.inside(first) if first else ""
    first, second = f"{top}{first}", f"{top}{second}"
    classes = sorted({composed(name) for name in members.folders(first)})
    if not classes:
        raise ValueError(f"{found} holds no class folders in {first or 'it'}; {_remedy(members, train)}")
    if not test_share and not members.folders(second):
        raise ValueError(f"{found} holds no class folders in {second}; name another as test, or set test_share")
    if not test_share and normpath(first) == normpath(second):
        raise ValueError(f"train and test are both {normpath(first)}; name two folders, or set test_share")
    listed = by_class(members, first, classes)
    parts = _drawn(listed, test_share) if test_share else (listed, by_class(members, second, classes))
    return Collection(members, *parts, classes, store)


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str,
    train: str = "train",
    test: str | None = None,
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None,
    pixels: Annotated[int, Field(ge=1, le=4096)] = 224,
    store: Literal["arrays", "index"] = "arrays",
    damaged: Literal["refuse", "skip"] = "refuse",
) -> Raw:
    """Square views of photographs whose class is the folder that they lie in.

    Args:
        root: folder of the publishers' files.
        hub: not used, nobody else has them.
        workers: threads that decode.
        path: folder or archive below root, or an absolute path.
        train, test: folders of class folders inside it; null: `val`.
        test_share: for photographs without a test part, in place of `test`: the share of `train` that is set aside for
            it, stratified, seed 42 [O]. `train: ""` then names the folder itself.
        pixels, store, damaged: as for Imagenette.

    Raises:
        ValueError: when it is missing or damaged.
    """
    found = locate(root, places(path))
    if found is None:
        raise missing(TITLE, root, places(path), HOME)
    listed = look(found, train=train, store=store, test=test, test_share=test_share)
    return collect(listed, LICENCE, pixels=pixels, damaged=damaged, workers=workers)


def _remedy(members: Members, train: str) -> str:
    """What a person can do about a folder without the training part that was named."""
    if train and members.folders():
        return (
            f'it holds {", ".join(members.folders()[:3])}: if these are the class folders, set train: "" and a'
            " test_share, else name the right folder as train or path"
        )
    return "name the right folder as train or path"


def _drawn(listed: Listed, share: float) -> tuple[Listed, Listed]:
    """Training and test part of photographs that come without."""
    try:
        places = train_test_split(
            np.arange(len(listed.names)), test_size=share, stratify=listed.labels, random_state=42
        )
    except ValueError as error:
        raise ValueError(f"test_share {share:g} of {len(listed.names)} photographs cannot be drawn: {error}") from error
    first, second = (listed.at(sorted(part.tolist())) for part in places)
    return first, second
