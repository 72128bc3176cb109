"""From written configuration to a valid study: files merged, entries inherited, nulls removed, origin marks true."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from manyexits.study import written
from manyexits.study.components import nearest, shown
from manyexits.study.config import Study
from manyexits.study.recipe import Resources
from manyexits.study.refusals import StudyError, as_key, explain

MARKED = {"recipes", "datasets", "backbones", "placements"}
"""Sections whose entries may say where their values come from."""
UNMARKED = {"extends", "origin", *Resources.model_fields}
"""Keys of such entries that need no mark."""


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
    for section in MARKED - {"recipes"}:
        if isinstance(raw.get(section), dict):
            raw[section] = {
                name: _unmarked(spread(entry)) if isinstance(entry, dict) else entry
                for name, entry in raw[section].items()
            }
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


def spread(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose `origin` is one mark, which is that of every value it states, with a mark for each."""
    mark = entry.get("origin")
    if not isinstance(mark, str):
        return dict(entry)
    return entry | {"origin": {key: mark for key in entry if key not in UNMARKED}}


def remarked(raw: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """A merged configuration in which no changed value carries the mark of the value that it replaces."""
    return raw | {
        section: {name: _remarked(entry, base[section].get(name)) for name, entry in raw[section].items()}
        for section in MARKED
        if isinstance(raw.get(section), dict) and isinstance(base.get(section), dict)
    }


def _remarked(entry: Any, old: Any) -> Any:
    """An entry over one of the same name, where both are mappings: else nothing was replaced."""
    if not isinstance(entry, dict) or not isinstance(old, dict):
        return entry
    new, old = spread(entry), spread(old)
    marks, replaced = new.get("origin") or {}, old.get("origin") or {}
    if not (isinstance(marks, dict) and isinstance(replaced, dict)) or not marks:
        return entry  # a mark that is none is told when the entry is validated
    changed = {key for key in marks if new.get(key) != old.get(key)}
    return new | {"origin": marks | {key: "O" for key in changed if marks[key] == replaced.get(key)}}
