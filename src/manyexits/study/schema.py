"""JSON schema of config.yaml and its overlays, for editors.

What is written is not yet what the models describe: overlays and `extends` supply keys, so none is required, and null
removes one.
"""

from typing import Any

from manyexits.study.config import Study

INHERITING = ("StatedRecipe", "Experiment")
"""Entries that may extend another one."""


def schema() -> dict[str, Any]:
    """The schema, as `manyexits schema` prints it."""
    made = _as_written(Study.model_json_schema())
    for name in INHERITING:
        about = "Entry of the same section whose keys are inherited."
        made["$defs"][name]["properties"]["extends"] = {"type": "string", "description": about}
    return made


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
