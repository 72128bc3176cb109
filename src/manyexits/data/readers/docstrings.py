"""Docstrings of packages that are installed beside this one: which package one is of, how many arguments its function
has, or how near two of them live.

Nothing is downloaded and nothing imported: the packages' files are read as text. What names a package is masked.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field
from sklearn.model_selection import train_test_split

from manyexits.data.raw import Raw, TextPart

TITLE = "docstrings of installed packages"
HOME = "the packages, which are installed"
LICENCE = "those of the packages (BSD, matplotlib's)"
SIZE = "nothing to download"
SAMPLES = None
TEXTS = 2
"""At most."""
PACKAGES = {
    "matplotlib": r"matplotlib|pyplot|plt|mpl",
    "numpy": r"numpy|np",
    "pandas": r"pandas|pd",
    "scipy": r"scipy",
    "sklearn": r"sklearn|scikit-learn|scikits?",
    "torch": r"pytorch|torch",
}
"""Package -> the names that are masked in every docstring."""
MASK = "package"
MASKED = re.compile(rf"(?i)\b({'|'.join(PACKAGES.values())})\b")
LEAST = 40
"""Characters below which a docstring says nothing."""
NEAR = 3
"""Score of two in one file; 2: in one folder, 1: in one package, 0: in two."""
MANY = 8
"""Arguments; more count as so many."""


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Found(NamedTuple):
    """One docstring."""

    package: str
    folder: str
    file: str
    text: str
    arguments: int | None
    """Named arguments of its function, the object itself left out; None for a class."""


def places(path: str = "") -> tuple[str, ...]:
    """Nowhere: they come with packages."""
    return ()


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    ask: Literal["package", "arguments", "nearness"] = "package",
    most: Annotated[int, Field(ge=10, le=100_000)] = 2000,
    test: Annotated[float, Field(gt=0, lt=1)] = 0.25,
) -> Raw:
    """Docstrings of functions, methods and classes, those of tests left out.

    Args:
        root, hub, workers: as for every dataset.
        ask: package: each is a sample, its package the class; arguments: each of a function is one, its score the
            number of arguments, from 0 to 8 or more; nearness: two are one, with a score of 0, another package, to 3,
            the same file, which a small network that begins from nothing does not learn.
        most: docstrings of a package at most.
        test: share that is set aside, in the packages' shares, seed 42 [O]; no docstring is in pairs of both parts.
    """
    everything = {each.text: each for package in PACKAGES for each in _of_package(package, most)}
    found = list(everything.values())  # some packages copy from others
    numbers = np.array([list(PACKAGES).index(each.package) for each in found], dtype=np.int64)
    train, held_out = train_test_split(np.arange(len(found)), test_size=test, stratify=numbers, random_state=42)
    versions = ", ".join(f"{_distribution(package)} {metadata.version(_distribution(package))}" for package in PACKAGES)
    make = {"package": _singly, "arguments": _counted, "nearness": _in_pairs}[ask]
    first, second = (make([found[place] for place in np.sort(places_)]) for places_ in (train, held_out))
    names = list(PACKAGES) if ask == "package" else []
    return Raw(first, second, names, f"docstrings of {versions}", LICENCE)


def _distribution(package: str) -> str:
    return {"sklearn": "scikit-learn"}.get(package, package)


def _of_package(package: str, most: int) -> list[Found]:
    """So many docstrings of a package, each once, of files that are spread over it."""
    spec = util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    top = Path(spec.origin).parent
    found: dict[str, Found] = {}
    there = (path.relative_to(top) for path in top.rglob("*.py"))
    files = sorted(there, key=lambda file: hashlib.sha256(file.as_posix().encode()).digest())
    for file in (file for file in files if not any("test" in part for part in file.parts)):
        for text, arguments in _of_file(top / file):
            found.setdefault(text, Found(package, f"{package}/{file.parent}", f"{package}/{file}", text, arguments))
        if len(found) >= most:
            break
    return list(found.values())[:most]


def _of_file(path: Path) -> list[tuple[str, int | None]]:
    """Masked docstrings of a file's functions, methods and classes, and how many arguments each has."""
    nodes = _definitions(ast.parse(path.read_text(encoding="utf-8")))
    found = [(MASKED.sub(MASK, ast.get_docstring(node) or ""), _arguments(node)) for node in nodes]
    return [each for each in found if len(each[0]) >= LEAST]


def _definitions(node: Any) -> Iterator[Definition]:
    """What is defined below a statement; `ast.walk` would look into every expression, too."""
    for child in node.body:
        if isinstance(child, Definition):
            yield child
        if hasattr(child, "body"):
            yield from _definitions(child)


def _arguments(node: Definition) -> int | None:
    if isinstance(node, ast.ClassDef):
        return None
    told = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    return len(told) - (told[:1] in (["self"], ["cls"])) + len(node.args.kwonlyargs)


def _singly(found: list[Found]) -> TextPart:
    """Each docstring with the number of its package."""
    labels = [list(PACKAGES).index(each.package) for each in found]
    return TextPart([(each.text,) for each in found], np.array(labels, dtype=np.int64))


def _counted(found: list[Found]) -> TextPart:
    """Each docstring of a function with the number of its arguments."""
    counted = [(each.text, min(each.arguments, MANY)) for each in found if each.arguments is not None]
    return TextPart([(text,) for text, _ in counted], np.array([n for _, n in counted], dtype=np.float64))


def _in_pairs(found: list[Found]) -> TextPart:
    """As many pairs as docstrings: each with one that is drawn for every score in turn, seed 42."""
    generator = np.random.default_rng(42)
    of = {name: [getattr(each, name) for each in found] for name in ("package", "folder", "file")}
    members: dict[str, dict[str, list[int]]] = {name: {} for name in of}
    for name, values in of.items():
        for place, value in enumerate(values):
            members[name].setdefault(value, []).append(place)
    texts, scores = [], []
    for place, each in enumerate(found):
        score = place % (NEAR + 1)
        within = ["package", "folder", "file"][score - 1] if score else None
        nearer = ["package", "folder", "file", None][score]
        circle = members[within][of[within][place]] if within else range(len(found))
        able = [
            other for other in circle if other != place and (nearer is None or of[nearer][other] != of[nearer][place])
        ]
        if able:
            texts.append((each.text, found[able[generator.integers(len(able))]].text))
            scores.append(float(score))
    return TextPart(texts, np.array(scores))
