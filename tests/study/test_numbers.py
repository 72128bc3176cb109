"""Every number in the configuration has a finite range and a unit: what lies outside is refused by its key, whichever
field of whichever entry or component it is."""

import copy
import math
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from conftest import SMALL

from manyexits.study import components
from manyexits.study.components import KINDS
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError
from manyexits.study.schema import schema

UNITS = (
    "number of|share|fraction|probability|rate|seeds?|factor|norm|parameter|pixels|degrees|minutes|GiB|samples|label"
    r" units|\[0, 1\]|height and width|width|channels|blocks|layers|points|images|resolutions|photographs|attention"
    "|as for `sdn`"
)
ENTRIES = {
    "Guarantees": ("guarantees",),
    "Represented": ("representations",),
    "DatasetEntry": ("datasets", "digits"),
    "Experiment": ("experiments", "small"),
    "Placement": ("placements", "first"),
    "StatedRecipe": ("recipes", "quick"),
}
"""Model -> an entry of the small study that is one."""
SECTIONS = {
    "readers": ("datasets", "source", {"classes": 10}),
    "backbones": ("backbones", "family", {}),
    "methods": ("methods", "kind", {}),
    "analysis": ("analyses", None, {}),
    "tables": ("tables", None, {"experiments": ["small"]}),
    "figures": ("figures", None, {"experiments": ["small"]}),
}
"""Kind of component -> section of the entries that name it, under which key, and what they have to state."""
NEEDED = {
    "folder": {"path": "photographs"},
    "msdnet": {"layers": [1, 1]},
    "resnet": {"groups": [1, 1]},
    "timm": {"name": "vit_tiny_patch16_224"},
}
"""Options without a default."""


@dataclass
class Number:
    """One number that the configuration may state."""

    path: tuple[str, ...]
    """Keys that lead to it."""
    told: str
    """What is said of it."""
    leaf: dict[str, Any]
    """Its JSON schema."""
    wrap: Any
    """Puts a value in its place among others."""
    entry: dict[str, Any] = field(default_factory=dict)
    """What its entry states beside it."""

    @property
    def low(self):
        return self.leaf.get("minimum", self.leaf.get("exclusiveMinimum"))

    @property
    def high(self):
        return self.leaf.get("maximum", self.leaf.get("exclusiveMaximum"))

    def stated(self, raw, value):
        """A study that states this value."""
        changed = copy.deepcopy(raw)
        inner = changed
        for key in self.path[:-1]:
            inner = inner.setdefault(key, {})
        inner |= copy.deepcopy(self.entry) | {self.path[-1]: self.wrap(value)}
        if self.path[0] == "recipes":
            inner["origin"][self.path[-1]] = "O"
        return changed


def leaves(node, wrap=lambda value: value):
    """The numbers in a key's schema, each with what puts a value in its place."""
    for inner in node.get("anyOf", []):
        yield from leaves(inner, wrap)
    if node.get("type") == "array":
        yield from leaves(node["items"], lambda value: wrap([value] * max(1, node.get("minItems", 1))))
    if node.get("type") == "object" and "additionalProperties" in node:
        yield from leaves(node["additionalProperties"], lambda value: wrap({9: value}))
    if node.get("type") in ("number", "integer"):
        yield node, wrap


def of_entries():
    everything = schema()
    for name, model in (("Study", everything), *everything["$defs"].items()):
        place = () if name == "Study" else ENTRIES.get(name, (name,))
        for key, node in model["properties"].items():
            for leaf, wrap in leaves(node):
                yield Number((*place, key), node.get("description", ""), leaf, wrap)


def of_components():
    for kind, (section, picks, needed) in SECTIONS.items():
        for name in components.names(kind):
            model = components.options(kind, name)
            entry = needed | NEEDED.get(name, {}) | ({picks: name} if picks else {})
            for key, node in model.model_json_schema()["properties"].items():
                told = re.search(rf"^.*\b{key}\b.*(\n {{4,}}.*)*", model.__doc__ or "", re.MULTILINE)
                for leaf, wrap in leaves(node):
                    yield Number((section, name, key), told[0] if told else "", leaf, wrap, entry)


NUMBERS = [*of_entries(), *of_components()]
every = pytest.mark.parametrize("number", NUMBERS, ids=[".".join(number.path) for number in NUMBERS])


def test_all_models_and_kinds_of_components_are_looked_at():
    assert set(SECTIONS) == set(KINDS) - {"criteria"}  # these have no options
    found = {number.path[0] for number in NUMBERS}
    assert found == {"seeds", "budgets", *(place[0] for place in ENTRIES.values()), "backbones", "methods", "analyses"}
    told = {".".join(number.path) for number in NUMBERS}
    assert {"recipes.quick.clip", "datasets.imagenette.per_class", "placements.first.after"} <= told


@every
def test_a_number_has_a_finite_range_and_a_unit(number):
    assert math.isfinite(number.low)
    assert math.isfinite(number.high)
    assert re.search(UNITS, number.told, re.IGNORECASE), number.told


def beyond(number):
    """Values outside of a range, and what is no number."""
    yield from (
        math.inf,
        -math.inf,
        math.nan,
        1e30,
        10**30,
        10**400,
        "nan",
        "inf",
        "1e999",
        "many",
        True,
        [[]],
        {"a": 1},
    )
    yield from (number.low - 1, number.high + 1)
    yield from (number.leaf[key] for key in ("exclusiveMinimum", "exclusiveMaximum") if key in number.leaf)


@every
def test_what_is_out_of_range_is_refused_by_its_key(raw, number):
    for value in beyond(number):
        with pytest.raises(StudyError) as caught:
            load(number.stated(raw, value))
        assert str(caught.value).startswith(".".join(number.path)), value
        assert "\n" not in str(caught.value)


def said(raw):
    """What a study is refused for; nothing where it is accepted."""
    try:
        load(raw)
    except StudyError as error:
        return str(error)
    return ""


@every
def test_the_range_includes_its_ends(number):
    """What is refused there is refused for another reason, such as a batch that the devices cannot divide."""
    for end in ("minimum", "maximum"):
        if end in number.leaf:
            assert "should be" not in said(number.stated(yaml.safe_load(SMALL), number.leaf[end]))
