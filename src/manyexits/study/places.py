"""Where a study's files lie, and where its curves go: what no result depends on, but every command is told."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from manyexits.study.components import nearest

TRACKERS = {
    "aim": "aim",
    "clearml": "clearml",
    "comet_ml": "comet_ml",
    "dvclive": "dvclive",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""Trackers of accelerate -> the package that each needs; accelerate itself would take seconds to import."""


LONGEST = 1000
"""Bytes of a folder's path; Linux takes 4,096 with all that lies below it."""


def place(given: str) -> str:
    """A path as people write it: ~ is expanded, what is twice or leads nowhere left out.

    Raises:
        ValueError: when no folder can have it.
    """
    if not given.strip():
        raise ValueError("this is empty; name a folder")
    if odd := next((letter for letter in given if not letter.isprintable()), None):
        raise ValueError(f"{given!r} holds the character {odd!r}, which no folder's name should; name another one")
    try:
        path = os.path.normpath(Path(given).expanduser())
    except RuntimeError as error:
        raise ValueError(f"{given!r} begins with a user that is not known here; write the path out") from error
    if path.startswith("-"):
        raise ValueError(f"{given!r} begins with -, as options of commands do; name another folder")
    if len(path.encode()) > LONGEST or any(len(part.encode()) > 200 for part in Path(path).parts):
        raise ValueError(f"{given[:20]}… is longer than a folder's name may be; shorten it")
    return path[1:] if path.startswith("//") else path


def _folder(given: str) -> str:
    path = place(given)
    if odd := next((letter for letter in "{}" if letter in path), None):
        raise ValueError(f"{given!r} holds {odd}, which Snakemake reads as a wildcard; name another folder")
    if not set(Path(path).parts) - {"..", "/"}:
        raise ValueError(f"{given!r} is no folder of the study's own; name one, such as results")
    for part in (Path(path), *Path(path).parents):
        if _no_folder(part):
            raise ValueError(f"{part} is a file; name a folder")
    return path


def _no_folder(path: Path) -> bool:
    """Whether something else lies there; what may not be looked into from here may be one."""
    try:
        return path.exists() and not path.is_dir()
    except PermissionError:
        return False


def check_tracker(name: str) -> str:
    """The name of a tracker that can be used here, or none.

    Raises:
        ValueError: when there is no such tracker, or its package is not installed.
    """
    if name != "none" and name not in TRACKERS:
        raise ValueError(f"there is no tracker {name!r}; valid names: {nearest(name, ['none', *TRACKERS])}")
    if name != "none" and not _installed(TRACKERS[name]):
        raise ValueError(f"the package of {name} is not installed; install it, or name another tracker, or none")
    return name


def _installed(package: str) -> bool:
    """Whether a package can be imported; a folder of its name, such as some trackers leave, is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


Place = Annotated[str, AfterValidator(place)]
"""A folder as people write it."""
Folder = Annotated[str, AfterValidator(_folder)]
"""A folder that the workflow fills."""
Tracker = Annotated[str, AfterValidator(check_tracker)]
"""A tracker of accelerate whose package is here, or none."""
