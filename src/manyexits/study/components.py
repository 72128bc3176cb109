"""Components are files: a dataset, backbone family, method, analysis, table or figure is found by its file name.

The Snakefile has to know which components exist and which options they take, but importing them would import torch
into every parse. So their source is read instead: options are the keyword-only arguments of the one function that
every component of a kind defines, and become a pydantic model.
"""

import ast
import difflib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

ENTRY = {
    "readers": "load",
    "backbones": "build",
    "methods": "build_heads",
    "analysis": "analyse",
    "tables": "table",
    "figures": "figure",
}
"""Kind of component -> the function that each of its files defines."""

FOLDERS = {
    "readers": "data/readers",
    "backbones": "models/backbones",
    "methods": "models/methods",
    "analysis": "analysis",
    "tables": "artefacts/tables",
    "figures": "artefacts/figures",
}
"""Kind of component -> its folder in the package."""

_PACKAGE = Path(__file__).parent.parent
_TYPES = {"Literal": Literal, "Annotated": Annotated, "Field": Field}


class Options(BaseModel):
    """The options of one component, as its entry function declares them."""

    model_config = ConfigDict(extra="forbid")


def nearest(name: str, valid: list[str], at_most: int | None = None) -> str:
    """The valid names as one phrase, the nearest to `name` first; all of them, or so many."""
    close = difflib.get_close_matches(name, valid, n=at_most or len(valid) or 1, cutoff=0.0)
    return ", ".join(close) if close else "none"


def names(kind: str) -> list[str]:
    """Names of the components of a kind: the file names of its folder."""
    return sorted(path.stem for path in (_PACKAGE / FOLDERS[kind]).glob("*.py") if not path.stem.startswith("_"))


def _parse(kind: str, name: str) -> ast.Module:
    if name not in names(kind):
        raise ValueError(f"there is no {name!r} among the {kind}; valid names: {nearest(name, names(kind))}")
    return ast.parse((_PACKAGE / FOLDERS[kind] / f"{name}.py").read_text(encoding="utf-8"))


@cache
def options(kind: str, name: str) -> type[Options]:
    """The model of a component's options, read from its entry function without importing it.

    Raises:
        ValueError: when there is no such component, or its file lacks the entry function.
    """
    functions = (node for node in _parse(kind, name).body if isinstance(node, ast.FunctionDef))
    entry = next((node for node in functions if node.name == ENTRY[kind]), None)
    if entry is None:
        raise ValueError(f"{kind}/{name}.py must define the function {ENTRY[kind]}")
    fields: dict[str, Any] = {}
    for argument, default in zip(entry.args.kwonlyargs, entry.args.kw_defaults, strict=True):
        assert argument.annotation is not None, f"{kind}/{name}.py: option {argument.arg} lacks a type"
        annotation = eval(ast.unparse(argument.annotation), dict(_TYPES))  # our own source, no user input
        fields[argument.arg] = (annotation, ... if default is None else ast.literal_eval(default))
    return create_model(f"{kind}_{name}", __base__=Options, __doc__=ast.get_docstring(entry), **fields)


def constant(kind: str, name: str, key: str, default: Any) -> Any:
    """A literal module constant of a component, read without importing it."""
    for node in _parse(kind, name).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == key for t in node.targets):
            return ast.literal_eval(node.value)
    return default


def docstring(kind: str, name: str, function: str) -> str:
    """The first line of what a component says about one of its functions, read without importing it.

    Raises:
        ValueError: when it has no such function, or it says nothing.
    """
    for node in _parse(kind, name).body:
        if isinstance(node, ast.FunctionDef) and node.name == function and (text := ast.get_docstring(node)):
            return text.splitlines()[0]
    raise ValueError(f"{kind}/{name}.py must define the function {function} with a docstring")
