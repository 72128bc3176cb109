"""JSON schema of config.yaml and its overlays, for editors.

What is written is not yet what the models describe: overlays and `extends` supply keys, so none is required, and null
removes one.
"""

import ast
import inspect
import textwrap
from typing import Any

from pydantic import BaseModel

from manyexits.study import config, entries, recipe

INHERITING = ("StatedRecipe", "Experiment")
"""Entries that may extend another one."""


def schema() -> dict[str, Any]:
    """The schema, as `manyexits schema` prints it."""
    made = config.Study.model_json_schema()
    described = {name: model for module in (config, entries, recipe) for name, model in vars(module).items()}
    for name, node in (("Study", made), *made["$defs"].items()):
        told = _docstrings(described[name])
        for field, inner in node["properties"].items():
            inner |= {"description": told[field]} if field in told else {}
    made = _as_written(made)
    for name in INHERITING:
        about = "Entry of the same section whose keys are inherited."
        made["$defs"][name]["properties"]["extends"] = {"type": "string", "description": about}
    return made


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands right under each field of a model, in its source.

    pydantic could read it, too, but would do so whenever the study is imported, which is a tenth of what that takes.
    """
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner.__module__.startswith("manyexits."):
            (class_,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
            assert isinstance(class_, ast.ClassDef)
            for field, below in zip(class_.body, class_.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    assert isinstance(below.value, ast.Constant)
                    found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def _as_written(node: Any) -> Any:
    """A schema whose properties and entries are all optional and may be null."""
    if isinstance(node, list):
        return [_as_written(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _as_written(inner) for key, inner in node.items() if key != "required"}
    for key in ("properties", "patternProperties"):
        if key in changed:
            changed[key] = {name: _nullable(inner) for name, inner in changed[key].items()}
    if isinstance(changed.get("additionalProperties"), dict):
        changed["additionalProperties"] = _nullable(changed["additionalProperties"])
    return changed


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    about = {"description": node["description"]} if "description" in node else {}
    return {"anyOf": [node, {"type": "null"}], **about}
