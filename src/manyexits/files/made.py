"""Whose a file is: what a stage writes says by which settings it was made and from which files, and what a stage reads
must have been made by the settings that its own name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from manyexits.files.digests import whose
from manyexits.files.provenance import sha256
from manyexits.files.reading import reading


class Made(BaseModel):
    """What stands in a file under `made`."""

    settings: str
    """Digest of the settings of the job that wrote it."""
    inputs: dict[str, str]
    """Name of a file that it was made from -> SHA-256."""


def by(settings: dict[str, Any], **inputs: Path) -> Made:
    """What a job's files say of it."""
    return Made(settings=whose(settings), inputs={name: sha256(path) for name, path in inputs.items()})


def metadata(made: Made) -> dict[str, str]:
    """As it stands in a safetensors file; one key alone, since safetensors writes several in any order."""
    return {"made": made.model_dump_json()}


def found(path: Path, about: dict[str, str]) -> Made | None:
    """What the metadata of a safetensors file say; None where they are of an earlier version, or somebody else's."""
    with reading(path, "file of ours"):
        return Made.model_validate_json(about["made"]) if "made" in about else None


def check(path: Path, found: Made | None, settings: dict[str, Any], name: str) -> None:
    """Refuse an input that other settings made than those that a job's settings name under `made_from`."""
    by_settings(path, found, settings.get("made_from", {}).get(name))


def by_settings(path: Path, found: Made | None, expected: str | None) -> None:
    """Refuse a file that another study, run or network made.

    Args:
        path: of the file.
        found: what it says; None where it says nothing, as those of earlier versions.
        expected: digest of the settings that it should have been made by; None where nobody said.

    Raises:
        ValueError: names the file and both digests.
    """
    by_digest(path, None if found is None else found.settings, expected)


def by_digest(path: Path, found: str | None, expected: str | None) -> None:
    """The same of a file that says by which settings it was made, and not from which files."""
    if found is not None and expected is not None and found != expected:
        raise ValueError(
            f"{path} was made by other settings ({found}) than those that are asked for ({expected});"
            " let the workflow make it again"
        )


def each(settings: dict[str, Any], name: str, paths: Sequence[Path]) -> Sequence[str | None]:
    """Digests that several files of one input should be of, in their order; None for each where nobody said.

    Raises:
        ValueError: when there are more of one than of the other.
    """
    expected = settings.get("made_from", {}).get(name, [None] * len(paths))
    if len(expected) != len(paths):
        raise ValueError(f"made_from.{name} names {len(expected)} files, but {len(paths)} are given; give those")
    return expected


def same(first: Path, one: Made | None, second: Path, other: Made | None, name: str) -> None:
    """Refuse two files of which each was made from an input of this name, but not from the same one."""
    if one is not None and other is not None and one.inputs.get(name) != other.inputs.get(name):
        raise ValueError(f"{first} and {second} were not made from the same {name}; let the workflow make both again")


def of(path: Path, found: Made | None, **inputs: Path) -> None:
    """Refuse a file that was made from others than these."""
    for name, given in inputs.items():
        if found is not None and name in found.inputs and found.inputs[name] != sha256(given):
            raise ValueError(f"{path} was made from other {name} than {given}; let the workflow make both again")
