"""Components are files: a dataset, backbone family, method, criterion, analysis, table or figure is found by its name.

The Snakefile has to know which components exist and which options they take, but importing them would import torch
into every parse. So their source is read instead: options are the keyword-only arguments of the one function that
every component of a kind defines, and become a pydantic model. `module` alone imports one.
"""

import ast
import difflib
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from manyexits.files.digests import digest


@dataclass(frozen=True)
class Kind:
    """What the files of one folder have in common."""

    folder: str
    """Below the package."""
    entry: str
    """The function whose keyword-only arguments are the component's options."""
    given: tuple[str, ...]
    """Its other arguments."""
    functions: dict[str, str] = field(default_factory=dict)
    """Others that each file defines -> the option that they are given, where the file has it."""
    constants: tuple[str, ...] = ()
    """Literals that each file assigns."""
    further: tuple[str, ...] = ()
    """Literals that a file may assign; VERSION is one of every kind."""
    instead: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Constant -> options and constants that make it unnecessary."""


KINDS = {
    "readers": Kind(
        "data/readers",
        "load",
        ("root", "hub", "workers"),
        {"places": "path"},
        ("TITLE", "HOME", "LICENCE", "SIZE", "SAMPLES", "SIDE"),
        ("OWN", "RELEASES", "TEXTS", "TOKENS"),
        {"SIDE": ("pixels", "TEXTS")},
    ),
    "backbones": Kind("models/backbones", "build", ("outputs",), further=("READS",)),
    "methods": Kind("models/methods", "build", ("outputs",), further=("TASKS", "TEACHES")),
    "analysis": Kind(
        "analysis",
        "analyse",
        ("runs", "data"),
        constants=("COLUMNS",),
        further=("READS", "TEXT", "LEFT_OUT", "PAIRS", "LEAST"),
    ),
    "criteria": Kind("exits/criteria", "scans", ("task", "n_exits"), constants=("TASKS",)),
    "tables": Kind(
        "artefacts/tables",
        "table",
        ("frame", "told"),
        constants=("READS",),
        further=("MOST", "COMPARED", "BESIDE", "TASKS", "SCHEDULED"),
    ),
    "figures": Kind(
        "artefacts/figures", "figure", ("frame", "told"), constants=("READS",), further=("MOST", "TASKS", "SCHEDULED")
    ),
}
TASKS = ("classification", "regression")


def _texts(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(each, str) and each for each in value)


_TEXT = ("a text that is not empty", lambda value: isinstance(value, str) and bool(value.strip()))
_NUMBER = ("a whole number from 1 on", lambda value: type(value) is int and value >= 1)
_TRUTH = ("True or False", lambda value: isinstance(value, bool))
CONSTANTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("TITLE", "HOME", "LICENCE", "SIZE", "READS", "COMPARED"), _TEXT),
    **dict.fromkeys(("SIDE", "LEAST", "MOST", "TEXTS", "TOKENS", "VERSION"), _NUMBER),
    **dict.fromkeys(("OWN", "PAIRS", "TEACHES", "SCHEDULED"), _TRUTH),
    "SAMPLES": (f"{_NUMBER[0]}, or None", lambda value: value is None or _NUMBER[1](value)),
    **dict.fromkeys(
        ("COLUMNS", "TEXT", "LEFT_OUT", "RELEASES", "BESIDE"),
        ("a tuple of names, each once", lambda value: _texts(value) and len(set(value)) == len(value)),
    ),
    "TASKS": (f"a tuple of {' and '.join(TASKS)}", lambda value: _texts(value) and set(value) <= set(TASKS)),
}
"""Literal -> what it must be, in words and as a check."""

_PACKAGE = Path(__file__).parent.parent
_TYPES = {"Literal": Literal, "Annotated": Annotated, "Field": Field}


class Numbers(BaseModel):
    """A model that takes no truth value for a number: pydantic would read `epochs: true` as 1."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if any(isinstance(each, bool) for each in values):
            kind = cls.model_fields[str(info.field_name)].annotation
            if kind is not bool and bool not in get_args(kind):
                raise ValueError(
                    f"{str(value).lower()} is no value for this key; YAML reads yes, no, on and off so, too"
                )
        return value


class Options(Numbers):
    """The options of one component, as its entry function declares them."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)


def shown(value: Any) -> str:
    """What somebody wrote, as a sentence may quote it: never long, and nothing in it that a terminal would act upon."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def nearest(name: str, valid: list[str], at_most: int = 40) -> str:
    """The valid names as one phrase, the nearest to `name` first; of more than so many, how many are left out."""
    close = difflib.get_close_matches(name, valid, n=at_most, cutoff=0.0)
    left_out = f" and {len(valid) - len(close):,} others" if len(valid) > len(close) else ""
    written = [each if each.isprintable() else shown(each) for each in close]
    return (", ".join(written) or "none") + left_out


def names(kind: str) -> list[str]:
    """Names of the components of a kind: the file names of its folder."""
    return sorted(path.stem for path in (_PACKAGE / KINDS[kind].folder).glob("*.py") if not path.stem.startswith("_"))


def module(kind: str, name: str) -> ModuleType:
    """A component, imported. (Criteria, which must not need pydantic, are found by their own package.)

    Raises:
        ValueError: when it cannot be.
    """
    _parse(kind, name)  # what it lacks is said in one sentence
    try:
        return importlib.import_module(f"manyexits.{KINDS[kind].folder.replace('/', '.')}.{name}")
    except (ImportError, SyntaxError) as error:  # some mistakes of syntax show when it is compiled
        raise ValueError(
            f"{file(kind, name)} cannot be imported ({error}); correct it, or install what it needs"
        ) from error


@cache
def options(kind: str, name: str) -> type[Options]:
    """The model of a component's options, read from its entry function without importing it.

    Raises:
        ValueError: when there is no such component, or its file is not what files of its kind are.
    """
    entry = _functions(_parse(kind, name))[KINDS[kind].entry]
    fields: dict[str, Any] = {}
    for argument, default in zip(entry.args.kwonlyargs, entry.args.kw_defaults, strict=True):
        where = f"{file(kind, name)}: the option {argument.arg} of {entry.name}"
        if argument.annotation is None:
            raise ValueError(f"{where} has no type; annotate it")
        with _readable(where):
            annotation = eval(ast.unparse(argument.annotation), dict(_TYPES))  # our own source, no user input
            fields[argument.arg] = (annotation, ... if default is None else ast.literal_eval(default))
    with _readable(f"{file(kind, name)}: the options of {entry.name}"):
        model = create_model(f"{kind}_{name}", __base__=Options, __doc__=ast.get_docstring(entry), **fields)
        model.model_rebuild()
    return model


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Say in one sentence what cannot be read without importing it, or only with a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except Exception as error:  # a type or default that makes no sense can fail anywhere
        reason = " ".join(str(error).partition("For further information")[0].split())
        raise ValueError(
            f"{what} cannot be read without importing the file ({reason});"
            " use built-in types, Literal and Annotated[…, Field(…)], literal defaults, and no names that begin with _"
        ) from error


def constant(kind: str, name: str, key: str, default: Any) -> Any:
    """A literal module constant of a component, read without importing it."""
    constants = _constants(_parse(kind, name))
    return _literal(kind, name, key, constants[key]) if key in constants else default


def _literal(kind: str, name: str, key: str, assigned: ast.expr) -> Any:
    try:
        return ast.literal_eval(assigned)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file(kind, name)}: {key} must be a literal, since it is read without importing") from error


def version(kind: str, name: str) -> int:
    """A component's VERSION, bumped by hand when what it computes changes; 1 where its file states none."""
    found: int = constant(kind, name, "VERSION", 1)
    return found


def versions(**used: list[str]) -> dict[str, Any]:
    """What a job's settings say of the components that it uses: their versions, where these are not the first.

    A component that was edited so that it computes something else, and says so, reruns exactly what uses it.
    """
    found = {f"{kind}/{name}": version(kind, name) for kind, names in used.items() for name in names}
    later = {component: version for component, version in found.items() if version > 1}
    return {"versions": later} if later else {}


@cache
def source(kind: str, name: str) -> str:
    """Digest of a component's file, and of what its siblings share with it: equal exactly when no character changed."""
    folder = _PACKAGE / KINDS[kind].folder
    shared = [*folder.glob("_*.py"), *folder.parent.glob("*.py"), folder / f"{name}.py"]
    texts = [path.read_text(encoding="utf-8") for path in sorted(shared)]
    return digest(texts)


def docstring(kind: str, name: str, function: str) -> str:
    """The first line of what a component says about one of its functions, read without importing it.

    What its package says about the default counts, unless the component puts something of its own in its place.

    Raises:
        ValueError: when there is no such function, or it says nothing.
    """
    own = _parse(kind, name)
    replaced = any(isinstance(node, ast.keyword) and node.arg == function for node in ast.walk(own))
    package = ast.parse((_PACKAGE / KINDS[kind].folder / "__init__.py").read_text(encoding="utf-8"))
    for tree in (own,) if replaced else (own, package):
        for node in ast.walk(tree):  # also inside of `build`
            if isinstance(node, ast.FunctionDef) and node.name == function and (text := ast.get_docstring(node)):
                return text.splitlines()[0]
    raise ValueError(f"{file(kind, name)} must define the function {function} with a docstring")


def about(kind: str, name: str) -> str:
    """What a component's file says of itself at its top, read without importing it.

    Raises:
        ValueError: when it says nothing.
    """
    if text := ast.get_docstring(_parse(kind, name)):
        return text
    raise ValueError(f"{file(kind, name)} must begin with a docstring that says what it is")


def file(kind: str, name: str) -> str:
    """Where a component stands in the checkout."""
    return f"src/manyexits/{KINDS[kind].folder}/{name}.py"


@cache
def _parse(kind: str, name: str) -> ast.Module:
    """The source of a component that has all that its kind asks for."""
    if name not in names(kind):
        raise ValueError(f"there is no {shown(name)} among the {kind}; valid names: {nearest(name, names(kind))}")
    about, path = KINDS[kind], _PACKAGE / KINDS[kind].folder / f"{name}.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8-sig"))
    except (SyntaxError, UnicodeDecodeError) as error:
        where = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        line = f"{where}{error.msg}" if isinstance(error, SyntaxError) else "it is no UTF-8"
        raise ValueError(f"{file(kind, name)} is no valid Python ({line}); correct it") from error
    functions, constants = _functions(tree), _constants(tree)
    for function in (about.entry, *about.functions):
        if function not in functions:
            raise ValueError(f"{file(kind, name)} must define the function {function}")
    entry = functions[about.entry]
    if not _takes(entry, len(about.given), len(about.given)):
        given = ", ".join(about.given)
        raise ValueError(f"{file(kind, name)}: {entry.name} takes {given}, then options behind a *, each by its name")
    stated = {argument.arg for argument in entry.args.kwonlyargs}
    for function, option in about.functions.items():
        there = int(option in stated)
        if not _takes(functions[function], there, 1) or functions[function].args.kwonlyargs:
            raise ValueError(f"{file(kind, name)}: {function} takes {f'the option {option}' if there else 'nothing'}")
    for key in about.constants:
        if key not in constants and not {*about.instead.get(key, ())} & (stated | set(constants)):
            raise ValueError(f"{file(kind, name)} must assign the constant {key}")
    for key in (*about.constants, *about.further, "VERSION"):
        what, is_it = CONSTANTS[key]
        if key in constants and not is_it(found := _literal(kind, name, key, constants[key])):
            raise ValueError(f"{file(kind, name)}: {key} must be {what}, not {shown(found)}")
    return tree


def _takes(function: ast.FunctionDef, least: int, most: int) -> bool:
    """Whether a function can be called with some arguments by their place, neither needs more nor takes any number."""
    arguments = function.args
    named = len(arguments.posonlyargs) + len(arguments.args)
    return (
        least <= named <= most
        and named - len(arguments.defaults) <= least
        and not (arguments.vararg or arguments.kwarg)
    )


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Names that are assigned at the top of a module, with or without a type."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None:
            found |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    return found
