"""Files that appear whole or not at all: written beside their place, flushed, then renamed."""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO


class NoSpaceError(OSError):
    """The disk is full; what was on it before is untouched."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    What a killed process left of an earlier attempt vanishes, too.

    Raises:
        NoSpaceError: when the disk is full or the quota used up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path)
    temporary = _beside(path)
    try:
        with _marked(temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(
                error.errno,
                f"no space left while writing {path}; free some and start again, nothing earlier is lost",
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name that no other process has, in whatever container: process ids are not enough."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


@contextmanager
def _marked(temporary: Path) -> Iterator[None]:
    """A file that is being written: its lock ends with its writer, however that ends."""
    while True:
        file = os.open(temporary, os.O_CREAT | os.O_RDWR, 0o666)
        _lock(file)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), temporary.stat()):
                break
        os.close(file)  # cleared away between its making and its locking
    try:
        yield
    finally:
        os.close(file)


def _clear(path: Path) -> None:
    """Remove what dead processes left of a file; what others are writing just now stays."""
    for left in path.parent.glob(f".{escape(path.name)}.*.part"):
        with suppress(FileNotFoundError):
            file = os.open(left, os.O_RDWR)
            try:
                if _lock(file):
                    left.unlink()
            finally:
                os.close(file)


def _lock(file: int) -> bool:
    """Whether a file's lock is ours now; where the file system knows no locks, nothing is cleared."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Let `fill` write to an open binary file that then becomes `path`.

    The file can be read too: into one for writing alone NumPy writes by a way that does not say that the disk is full.
    """
    with replacing(path) as temporary, temporary.open("w+b") as file:
        fill(file)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write(path, lambda file: file.write(text.encode("utf-8")))


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON, keys in the order given."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """JSON as `write_json` writes it."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
