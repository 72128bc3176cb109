"""Finding and reading what publishers ship: a folder, a tar or zip archive (for the datasets hub see hub.py)."""

import bz2
import errno
import gzip
import lzma
import os
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from posixpath import normpath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from manyexits.data.photographs import UNREADABLE, opened
from manyexits.files.provenance import sha256

MOST_BYTES = 2**28
"""Of a file in a folder or archive, which is read into memory as a whole."""
MOST_HEADER = 2**20
"""Of a tar archive's long names and attributes, which stand in members of their own."""
HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
SYSTEM = ("__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information")
"""Folders that file servers and systems keep beside people's own, such as thumbnails, in lower case."""
PACKERS = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
"""First bytes of an archive that cannot be read here -> who packed it."""
COMPRESSED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""First bytes of a compressed file, which may be a tar archive -> what reads it."""
MOST_FOLDERS = 20
"""Folders of a level that are looked into for what was unpacked one level too deep."""
METHODS = {9: "Deflate64", 95: "XZ", 93: "Zstandard", 98: "PPMd"}
"""Number of a way to compress members of a zip archive -> its name."""
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError),
    *(OverflowError, MemoryError),  # sizes and places that no file has
)
"""What the archives' readers raise over changed bytes, besides OSError."""


def locate(root: Path, candidates: Iterable[str]) -> Path | None:
    """The first candidate that exists below root."""
    return next((path for path in map(partial(place, root), candidates) if path.exists()), None)


def place(root: Path, name: str) -> Path:
    """Where a candidate lies: below root, or where an absolute path says, ~ expanded."""
    return root / Path(name).expanduser()


def missing(dataset: str, root: Path, candidates: Iterable[str], where: str) -> ValueError:
    """The error for an absent dataset: where it was looked for, and where to get it."""
    looked = " or ".join(str(place(root, name)) for name in candidates)
    return ValueError(
        f"{dataset} is missing: looked for {looked}; get it from {where} and put it there,"
        " or set data_root in config.yaml (or MANYEXITS_DATA_ROOT) to the folder that holds it"
    )


def _shown(name: str) -> bool:
    """Whether a file or folder is meant to be seen: systems add their own, such as macOS's ._a.jpeg and __MACOSX."""
    return not any(part.startswith(".") or part.lower() in SYSTEM for part in name.split("/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that leads in a circle is none."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


class _UnpackError(ValueError):
    """A file that may be whole, but cannot be read here."""


class _TooLargeError(ValueError):
    """A file that would fill the memory."""


class _Header(tarfile.TarInfo):
    """A tar's header whose extension, which tarfile reads as a whole, fits into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        header = super().frombuf(buf, encoding, errors)
        if header.type in HEADERS and header.size > MOST_HEADER:
            raise ValueError(f"a header has {header.size:,} bytes, and none more than {MOST_HEADER:,}")
        return header


class Members:
    """Files of a folder or archive by their relative names, read without extracting anything; hidden ones are none.

    Raises:
        ValueError: from every method, when the archive is damaged or a file is not in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: dict[str, str] = {}
        """Name -> the archive's own form of it, which may begin with "./", in the order in which they are stored."""
        self._members: dict[str, tarfile.TarInfo] = {}
        """A tar's members by its own names: it would look each of them up from its end."""
        self._archive: tarfile.TarFile | zipfile.ZipFile | None = None
        if path.is_dir():
            return
        self._check_packer()
        try:
            # no `with`: it stays open as long as this object lives, which reads members from it
            self._archive = zipfile.ZipFile(path) if self._begins(b"PK") else self._tar()
            weakref.finalize(self, self._archive.close)
            if isinstance(self._archive, zipfile.ZipFile):
                self._check_methods(self._archive)
                listed = {name.replace("\\", "/"): name for name in self._archive.namelist()}  # some writers err there
                files = {name: stored for name, stored in listed.items() if not name.endswith("/")}
                folders = [name for name in listed if name.endswith("/")]
            else:
                members = self._archive.getmembers()
                self._members = {m.name: m for m in members}  # the last of equal names, as tarfile takes it
                files = {m.name: m.name for m in members if m.isfile() or m.islnk() or m.issym()}
                folders = [m.name for m in members if m.isdir()]
                while self._archive.fileobj and self._archive.fileobj.read(2**20):
                    pass  # gzip compares its checksum only at the very end, which lies behind the archive's own
        except _UnpackError:
            raise
        except (*DAMAGE, OSError) as error:
            raise self._damaged(error) from error
        self._stored = {normpath(name): stored for name, stored in files.items() if _shown(normpath(name))}
        self._folders = {normpath(name) for name in folders if _shown(normpath(name))}

    def _begins(self, magic: bytes) -> bool:
        """Whether the file's first bytes are these: its content tells what it is, whatever its name."""
        try:
            with self.path.open("rb") as file:
                return file.read(len(magic)) == magic
        except OSError as error:
            raise self._damaged(error) from error

    def _check_packer(self) -> None:
        for magic, packer in PACKERS.items():
            if self._begins(magic):
                raise self._packed(f"packed by {packer}")

    def _check_methods(self, archive: zipfile.ZipFile) -> None:
        for member in archive.infolist():
            if member.flag_bits & 1:
                raise self._packed("encrypted")
            if member.compress_type not in READ_METHODS:
                method = METHODS.get(member.compress_type, f"method {member.compress_type}")
                raise self._packed(f"packed by {method}")

    def _packed(self, how: str) -> _UnpackError:
        return _UnpackError(f"{self.path} is {how}, which cannot be read here: unpack it and name the folder")

    def _tar(self) -> tarfile.TarFile:
        """The archive, unless whole bytes are none."""
        try:
            return tarfile.open(self.path, tarinfo=_Header)
        except tarfile.ReadError as error:
            if self._is_whole():
                raise _UnpackError(
                    f"{self.path} is neither a zip nor a tar archive; get it again, or unpack it and name the folder"
                ) from error
            raise

    def _is_whole(self) -> bool:
        """Whether nothing shows that bytes were lost: it is not empty, and is uncompressed to its end."""
        uncompress = next((opener for magic, opener in COMPRESSED.items() if self._begins(magic)), None)
        if uncompress is None:
            return self.path.stat().st_size > 0
        try:
            with uncompress(self.path) as file:
                while file.read(2**20):
                    pass
        except (*DAMAGE, OSError):
            return False
        return True

    def inside(self, *wanted: str) -> str:
        """The folder, with a slash at its end, in which all of these lie: the top, else the first of up to three
        levels further down, since many unpack an archive into a folder of its own name; the top where there is none."""
        level = [""]
        for _ in range(4):
            for folder in level:
                if all(self.has(f"{folder}{name}") for name in wanted):
                    return folder
            level = [f"{folder}{name}/" for folder in level for name in self.folders(folder)[:MOST_FOLDERS]]
        return ""

    def has(self, name: str) -> bool:
        """Whether a file, or a folder (whose name ends in a slash), is there."""
        if self._archive is None:
            return (self.path / name).is_dir() if name.endswith("/") else (self.path / name).is_file()
        return name in self._stored or (name.endswith("/") and any(each.startswith(name) for each in self._stored))

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
        for name in (name for name in self._stored if name in wanted):  # a dict keeps its order
            try:
                data = self.read(name)
            except _TooLargeError:
                yield name, None  # whoever reads it meets this error again
            else:
                yield name, data

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        try:
            if self._archive is None:
                self._check_size(name, (self.path / name).stat().st_size)
                return (self.path / name).read_bytes()
            stored = self._stored[name]
            if isinstance(self._archive, zipfile.ZipFile):
                size = self._archive.getinfo(stored).file_size
                self._check_size(name, size)
                with self._archive.open(stored) as packed:
                    return packed.read(size + 1)  # no more is unpacked, however much there is
            file = self._archive.extractfile(self._members[stored])
            if file is None:
                raise KeyError(name)  # a link to a folder
            self._check_size(name, file.seek(0, os.SEEK_END))
            file.seek(0)
            return file.read()
        except _TooLargeError:
            raise
        except (KeyError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ValueError(f"{self.path} holds no {name}; it is incomplete, get it again") from error
        except (*DAMAGE, OSError) as error:
            raise self._damaged(error) from error

    def _check_size(self, name: str, size: int) -> None:
        if size > MOST_BYTES:
            raise _TooLargeError(
                f"{self.path}: {name} has {size:,} bytes, and no file of a dataset more than {MOST_BYTES:,}"
            )

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
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place before the start
            return ValueError(f"{error.filename or self.path} cannot be read now ({error.strerror}); try again")
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        return ValueError(f"{self.path} is damaged ({reason}); get it again")
