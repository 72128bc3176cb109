"""From written configuration to a valid study: files merged, entries inherited, nulls removed, origin marks true."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from manyexits.study import written
from manyexits.study.components import nearest, shown
from manyexits.study.config import Study
from manyexits.study.recipe import Recipe
from manyexits.study.refusals import StudyError, as_key, explain


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Overlay over base, deeply; lists and values are replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read(paths: Iterable[Path]) -> dict[str, Any]:
    """Configuration files merged in order, as Snakemake merges them.

    Raises:
        StudyError: for a missing file, or one that is no UTF-8 or no YAML mapping, or has a key twice.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = merge(merged, written.load(path))
    return merged


def resolve(raw: dict[str, Any]) -> Study:
    """The validated study of a merged configuration.

    Raises:
        StudyError: one sentence with the key and the remedy.
    """
    raw = dict(raw)
    for section, entries in raw.items():
        for name in entries if isinstance(entries, dict) else ():
            if not isinstance(name, str) or not name.isprintable():
                raise StudyError(
                    f"{as_key(section)}.{as_key(name)}: a name is text (got {shown(name)}); write it in quotes, or"
                    " rename it"
                )
    for section in ("recipes", "experiments"):
        if isinstance(raw.get(section), dict):
            entries = {name: entry for name, entry in raw[section].items() if entry is not None}
            raw[section] = {name: _inherit(section, entries, name, ()) for name in entries}
    try:
        return Study.model_validate(_without_nulls(raw))
    except ValidationError as error:
        raise StudyError(explain(error, Study)) from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _inherit(section: str, entries: dict[str, Any], name: str, children: tuple[str, ...]) -> dict[str, Any]:
    """An entry over those that it extends. What it states anew, or removes by null, loses the inherited origin mark."""
    if name in children:
        raise StudyError(
            f"{section}.{name}.extends: a loop, {' -> '.join([*children, name])}; remove one of these links"
        )
    if len(children) > written.DEEPEST:
        raise StudyError(
            f"{section}.{name}: entries extend one another over more than {written.DEEPEST} links; shorten the chain"
        )
    own = entries[name]
    if not isinstance(own, dict):
        raise StudyError(f"{section}.{name} must be a mapping of keys (got {shown(own)})")
    own = spread(own) if section == "recipes" else dict(own)
    parent = own.pop("extends", None)
    if parent is None:
        return _unmarked(own)
    if not isinstance(parent, str) or parent not in entries:
        names = nearest(str(parent), [str(entry) for entry in entries])
        raise StudyError(f"{section}.{name}.extends: there is no {shown(parent)}; valid names: {names}")
    inherited = _inherit(section, entries, parent, (*children, name))
    if section == "experiments":  # the sweeps of a base are its own
        inherited.pop("vary", None)
        inherited.pop("vary_seeds", None)
    elif isinstance(inherited.get("origin"), dict):
        inherited["origin"] = {field: mark for field, mark in inherited["origin"].items() if field not in own}
    return _unmarked(merge(inherited, own))


def _unmarked(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without the origin marks of what null removes from it."""
    if not isinstance(entry.get("origin"), dict):
        return entry
    removed = {key for key, value in entry.items() if value is None}
    return entry | {"origin": {field: mark for field, mark in entry["origin"].items() if field not in removed}}


def spread(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose `origin` is one mark, which is that of every value it states, with a mark for each."""
    mark = recipe.get("origin")
    if not isinstance(mark, str):
        return dict(recipe)
    return recipe | {"origin": {field: mark for field in recipe if field in Recipe.model_fields}}


def remarked(raw: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """A merged configuration in which no changed value of a recipe carries the mark of the value that it replaces."""
    recipes, before = raw.get("recipes"), base.get("recipes")
    if not isinstance(recipes, dict) or not isinstance(before, dict):
        return raw
    marked = dict(recipes)
    for name, recipe in recipes.items():
        old = before.get(name)
        if isinstance(recipe, dict) and isinstance(old, dict):
            recipe, old = spread(recipe), spread(old)
            marks, replaced = recipe.get("origin") or {}, old.get("origin") or {}
            if not (isinstance(marks, dict) and isinstance(replaced, dict)):
                continue  # said when it is validated
            changed = {field for field in marks if recipe.get(field) != old.get(field)}
            ours = {field: "O" for field in changed if marks[field] == replaced.get(field)}
            marked[name] = recipe | {"origin": marks | ours}
    return raw | {"recipes": marked}
