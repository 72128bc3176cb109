"""Finding and reading what publishers ship: a folder, a tar or zip archive (for the datasets hub see hub.py)."""

import lzma
import os
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import normpath

import numpy as np
from jaxtyping import UInt8

from manyexits.data.photographs import UNREADABLE, opened
from manyexits.files.provenance import sha256

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
"""What the archives' readers raise over changed bytes, besides OSError."""


def locate(root: Path, candidates: Iterable[str]) -> Path | None:
    """The first candidate that exists below root."""
    return next((root / name for name in candidates if (root / name).exists()), None)


def missing(dataset: str, root: Path, candidates: Iterable[str], where: str) -> ValueError:
    """The error for an absent dataset: where it was looked for, and where to get it."""
    looked = " or ".join(str(root / name) for name in candidates)
    return ValueError(
        f"{dataset} is missing: looked for {looked}; get it from {where} and put it there,"
        " or set data_root in config.yaml (or MANYEXITS_DATA_ROOT) to the folder that holds it"
    )


def _shown(name: str) -> bool:
    """Whether a file or folder is meant to be seen: systems add their own, such as macOS's ._a.jpeg and __MACOSX."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that leads in a circle is none."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


class Members:
    """Files of a folder or archive by their relative names, read without extracting anything; hidden ones are none.

    Raises:
        ValueError: from every method, when the archive is damaged or a file is not in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: dict[str, str] = {}
        """Name -> the archive's own form of it, which may begin with "./", in the order in which they are stored."""
        self._archive: tarfile.TarFile | zipfile.ZipFile | None = None
        if path.is_dir():
            return
        try:
            # no `with`, which the linter wants: it stays open as long as this object lives, which reads members from it
            self._archive = zipfile.ZipFile(path) if path.suffix.lower() == ".zip" else tarfile.open(path)  # noqa: SIM115
            weakref.finalize(self, self._archive.close)
            if isinstance(self._archive, zipfile.ZipFile):
                listed = {name.replace("\\", "/"): name for name in self._archive.namelist()}  # some writers err there
                files = {name: stored for name, stored in listed.items() if not name.endswith("/")}
                folders = [name for name in listed if name.endswith("/")]
            else:
                members = self._archive.getmembers()
                files = {m.name: m.name for m in members if m.isfile() or m.islnk() or m.issym()}
                folders = [m.name for m in members if m.isdir()]
                while self._archive.fileobj and self._archive.fileobj.read(2**20):
                    pass  # gzip compares its checksum only at the very end, which lies behind the archive's own
        except (*DAMAGE, OSError) as error:
            raise self._damaged(error) from error
        self._stored = {normpath(name): stored for name, stored in files.items() if _shown(normpath(name))}
        self._folders = {normpath(name) for name in folders if _shown(normpath(name))}

    def describe(self) -> str:
        """What it is, for the manifest: a folder's name, or an archive's with its checksum."""
        return self.path.name if self.path.is_dir() else f"{self.path.name}, sha256 {sha256(self.path)}"

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies directly in a folder on disk; nothing where there is no such folder."""
        try:
            with os.scandir(self.path / folder) as found:  # tells files from folders without asking the disk for each
                return [entry for entry in found if _shown(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._damaged(error) from error

    def _below(self, folder: str, above: tuple[Path, ...]) -> Iterator[str]:
        """Names of all files below a folder on disk. Links are followed, but never back to a folder above."""
        for entry in self._entries(folder):
            name = f"{folder}{entry.name}"
            if _is_folder(entry):
                real = Path(entry.path).resolve() if entry.is_symlink() else above[-1] / entry.name
                if real not in above:
                    yield from self._below(f"{name}/", (*above, real))
            elif entry.is_symlink() or entry.is_file():  # a link that leads nowhere is missed when it is read
                yield name

    def names(self, folder: str = "") -> list[str]:
        """All names that begin with a folder's (which ends in a slash), sorted."""
        if self._archive is None:
            return sorted(self._below(folder, ((self.path / folder).resolve(),)))
        return sorted(name for name in self._stored if name.startswith(folder))

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly inside a folder (which ends in a slash), sorted, empty ones included."""
        if self._archive is None:
            return sorted(entry.name for entry in self._entries(folder) if _is_folder(entry))
        paths = self._folders | {name.rsplit("/", 1)[0] for name in self._stored if "/" in name}
        below = (path.removeprefix(folder) for path in paths if path.startswith(folder) and path != folder)
        return sorted({path.split("/")[0] for path in below})

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Name and bytes of some files in the order in which they are stored: going back in a compressed tar would
        unpack it anew. A folder's files come without their bytes, to be read by whoever needs them."""
        if self._archive is None:
            yield from ((name, None) for name in names)
            return
        wanted = set(names)
        yield from ((name, self.read(name)) for name in self._stored if name in wanted)  # a dict keeps its order

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        try:
            if self._archive is None:
                return (self.path / name).read_bytes()
            stored = self._stored[name]
            if isinstance(self._archive, zipfile.ZipFile):
                return self._archive.read(stored)
            file = self._archive.extractfile(stored)
            if file is None:
                raise KeyError(name)  # a link to a folder
            return file.read()
        except (KeyError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ValueError(f"{self.path} holds no {name}; it is incomplete, get it again") from error
        except (*DAMAGE, OSError) as error:
            raise self._damaged(error) from error

    def text(self, name: str) -> str:
        """A file's text, in UTF-8."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: {name} is no text ({error}); get the dataset again") from error

    def image(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """One image in RGB, whatever mode it is stored in."""
        data = self.read(name)
        try:
            return np.asarray(opened(data))
        except UNREADABLE as error:
            raise ValueError(
                f"{self.path}: the image {name} cannot be read ({error}); get the dataset again"
            ) from error

    def _damaged(self, error: Exception) -> ValueError:
        if isinstance(error, PermissionError):
            return ValueError(f"{error.filename or self.path} must not be read; correct its permissions")
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        return ValueError(f"{self.path} is damaged ({reason}); remove it and get it again")
