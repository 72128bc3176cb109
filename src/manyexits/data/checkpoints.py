"""Where the files of pretrained weights lie: below the data root, as they are or in an archive; in an installed
package; or on the hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from manyexits.data.archives import Members, missing, place


@contextmanager
def opened(told: dict[str, Any], file: str, what: str, root: Path, hub: bool) -> Iterator[tuple[Path, str]]:
    """A file of an entry of `weights`, on disk as long as the block runs, and what a person calls its source.

    Args:
        told: folder, package, hub and home of the entry.
        file: its name there.
        what: it is, for a message.
        root: folder of the publishers' files.
        hub: whether it may be fetched.

    Raises:
        ValueError: when it is missing, or the archive damaged; one that the block raises names the archive's file.
    """
    places = _places(told)
    for name, of in places.items():
        holder = place(root, name)
        if holder.is_file():
            with _unpacked(holder, file) as path:
                yield path, str(Path(of, file))
            return
        if place(holder, file).exists():
            yield place(holder, file), str(Path(of, file))
            return
    absent = missing(what, root, [str(Path(name, file)) for name in places], told["home"])
    if not (hub and told["hub"]):
        raise absent
    yield _from_hub(told["hub"], file, absent), f"hub: {told['hub']}/{file}"


def looked_for(told: dict[str, Any], file: str, root: Path) -> tuple[str, ...]:
    """Where a file of an entry would lie, from the data root on: archives that are there, else the file itself."""
    return tuple(name if place(root, name).is_file() else str(Path(name, file)) for name in _places(told))


def _places(told: dict[str, Any]) -> dict[str, str]:
    """Folder or archive of an entry, from the data root on -> what a person calls it."""
    folder = {told["folder"]: told["folder"]} if told["folder"] else {}
    return folder | dict.fromkeys(_installed(told["package"]), told["package"]) or {"": ""}


def _installed(package: str | None) -> list[str]:
    """Where an archive of an installed package, MODULE/FILE, lies; nothing where there is no such package. It is never
    imported."""
    module, _, inside = (package or "").partition("/")
    found = find_spec(module) if module else None
    return [str(Path(folder) / inside) for folder in (found and found.submodule_search_locations) or []]


@contextmanager
def _unpacked(archive: Path, file: str) -> Iterator[Path]:
    """A file of an archive, in a folder of its own as long as the block runs."""
    members = Members(archive)
    name = f"{members.inside(file)}{file}"
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(file).name
        path.write_bytes(members.read(name))
        try:
            yield path
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), f"{archive}/{name}")) from error


def _from_hub(identifier: str, file: str, absent: ValueError) -> Path:
    """A file of the hub's, fetched where it is not in the client's cache."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(identifier, file))
    except Exception as error:  # the hub's client has no common base for being offline, refused or unknown
        raise ValueError(
            f"{absent}; the hub's {identifier} could not be read either ({type(error).__name__})"
        ) from error
