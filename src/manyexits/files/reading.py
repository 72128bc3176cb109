"""Reading what other stages, or people, wrote: whatever is wrong with a file is one sentence that names it."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from manyexits.files.printable import printable

if TYPE_CHECKING:
    import numpy as np

AGAIN = "make it again"
T = TypeVar("T")


@contextmanager
def reading(path: Path, what: str, remedy: str = AGAIN) -> Iterator[None]:
    """What fails inside the block is the file's fault.

    Args:
        path: of the file.
        what: it should be, as in "valid JSON".
        remedy: what a person can do.

    Raises:
        ValueError: names the file, what is wrong with it and the remedy.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there; {remedy}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or sentence(error)}); {remedy}") from error
    except Exception as error:  # parsers end damaged input in errors of many kinds, and some say nothing
        raise ValueError(f"{path} is no {what} ({sentence(error) or type(error).__name__}); {remedy}") from error


def sentence(error: Exception) -> str:
    """What an error says, in one line; of pydantic's the first, with the key."""
    said = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = "is missing" if first["type"] == "missing" else f"{first['msg'].removeprefix('Value error, ')}"
        said = f"{key}: {said}" if key else said
    return printable(" ".join(said.split()))


def text(path: Path, remedy: str = AGAIN) -> str:
    """A file of UTF-8 text."""
    with reading(path, "UTF-8 text", remedy):
        return path.read_text(encoding="utf-8")


def json_as(path: Path, shape: type[T], remedy: str = AGAIN) -> T:
    """A JSON file of a known shape.

    Args:
        path: of the file.
        shape: type that pydantic checks, such as dict, or a model of its own.
        remedy: what a person can do about a damaged one.
    """
    content = text(path, remedy)
    with reading(path, "valid JSON", remedy):
        found = json.loads(content)
    with reading(path, "file of this kind", remedy):
        return TypeAdapter(shape).validate_python(found)


def rows(path: Path, columns: tuple[str, ...], remedy: str = AGAIN) -> list[dict[str, str]]:
    """A CSV file with exactly these columns, its values as text by their columns."""
    return [dict(zip(columns, row, strict=True)) for row in table(path, columns, remedy)]


def table(path: Path, columns: tuple[str, ...], remedy: str = AGAIN) -> list[list[str]]:
    """A CSV file with exactly these columns, its values as text."""
    with reading(path, "valid CSV", remedy), path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        header = tuple(next(reader, ()))
        if header != columns:
            raise ValueError(f"its columns are {', '.join(header) or 'none'}, not {', '.join(columns)}")
        found = list(reader)
        short = next((row for row in found if len(row) != len(columns)), None)
        if short is not None:  # an empty line is a row of no values
            raise ValueError(f"a row has {len(short)} values, not {len(columns)}")
        return found


def array(path: Path, mapped: bool = False, remedy: str = AGAIN) -> "np.ndarray":
    """A NumPy array; mapped into memory, or read."""
    import numpy as np

    with reading(path, "NumPy array", remedy):
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is an archive of arrays")
        return found


def tensors(
    path: Path, framework: Literal["numpy", "pt"], remedy: str = AGAIN
) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors of a safetensors file by their names, and its metadata."""
    from safetensors import safe_open

    with reading(path, "safetensors file", remedy), safe_open(path, framework=framework) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)
