"""Files that appear whole or not at all: written beside their place, flushed, then renamed."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class NoSpaceError(OSError):
    """The disk is full; what was on it before is untouched."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises:
        NoSpaceError: when the disk is full or the quota used up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
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
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
