"""What the models of config.yaml are made of: names, numbers in their ranges, lists without repetition, and entries
that pick a component by its file name."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from manyexits.study import components, regimes
from manyexits.study.components import Numbers, nearest, shown

_ONE = f"({'|'.join(regimes.OF_REGIMES)})"
RegimePhase = Annotated[
    str, AfterValidator(regimes.check), Field(json_schema_extra={"pattern": rf"^{_ONE}(\+{_ONE})*$"})
]
"""A phase of a regime, or several that take the steps in turns; a method may add its own (`PHASES` in its file)."""
Protocol = Literal["paper", "shared", "geometric", "temperature"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$", max_length=100)]
"""Of an entry; a file or folder bears it, and two of them with a point between where a sweep made it."""
Positive = Annotated[int, Field(ge=1, le=10**9)]
Several = Annotated[int, Field(ge=2, le=10**9)]
"""A number of things."""
Block = Annotated[int, Field(ge=1, le=10**6, strict=True)]
"""A block of a network, or the number of its blocks."""
NotNegative = Annotated[float, Field(ge=0, le=1e4)]
Rate = Annotated[float, Field(ge=1e-12, le=1e4)]
"""What float32 still tells from 0 once it is multiplied."""
Epochs = Annotated[int, Field(ge=1, le=10**6)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""As NumPy, scikit-learn and torch all take it."""


def _fraction(budget: float) -> float:
    if not 0 < budget <= 2:  # NaN, too
        raise ValueError(
            f"{budget:g} is no budget: budgets are fractions of the backbone's cost, above 0 and up to 2;"
            f" write {budget / 100:g} for {budget:g} %"
            if budget > 2
            else f"{budget:g} is no budget: budgets are fractions of the backbone's cost, above 0 and up to 2"
        )
    return budget


Budget = Annotated[float, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": 2}), AfterValidator(_fraction)]
"""A fraction of the backbone's cost."""
Share = Annotated[float, Field(ge=0, le=1)]
Open = Annotated[float, Field(gt=0, lt=1)]
"""A share, but neither none nor all."""
Channels = Annotated[list[Annotated[float, Field(ge=1e-4, le=1)]], Field(min_length=3, max_length=3)]
"""Red, green and blue, as shares of the brightest; none so small that to divide by it overflows."""

T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    if not values:
        raise ValueError("this list must not be empty")
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{shown(twice[0])} appears twice; name each value once")
    return values


Distinct = Annotated[list[T], AfterValidator(_distinct)]
"""A list with at least one value and none twice."""


Mark = Annotated[str, Field(pattern=r"^[PCLO]( .+)?$")]


def _as_is(given: Any) -> Any:
    """A single mark has become one for each field before an entry is validated (`resolve.spread`)."""
    return given


Origin = Annotated[dict[str, Mark], BeforeValidator(_as_is, json_schema_input_type=dict[str, Mark] | Mark)]
"""Key of an entry -> P, C, L or O, and the place or the reason."""


def marks_of_stated(given: Any) -> Any:
    """An entry as it is, unless its `origin` marks what it does not state."""
    origin = given.get("origin") if isinstance(given, dict) else None
    if isinstance(origin, dict) and (unknown := sorted(str(key) for key in origin if key not in given)):
        raise ValueError(f"'origin' marks {', '.join(unknown)}, which the entry does not state")
    return given


class Strict(Numbers):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid")


class Component(Numbers):
    """A named entry that picks a component by its file name and gives it options, all in one flat mapping."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the component, complete with their defaults."""
        return dict(self.__pydantic_extra__ or {})


def check_options(entry: Component, kind: str, name: str) -> None:
    """Replace the raw options of an entry by validated ones."""
    model = components.options(kind, name)
    if taken := sorted(set(model.model_fields) & set(type(entry).model_fields)):
        raise ValueError(
            f"{components.file(kind, name)}: the option {taken[0]} has the name of a key that every entry of its kind"
            " may have; rename it"
        )
    assert entry.__pydantic_extra__ is not None
    for key in entry.__pydantic_extra__:
        if key not in model.model_fields:
            valid = [*type(entry).model_fields, *model.model_fields]
            raise ValueError(f"unknown key {shown(key)}; valid keys: {nearest(key, valid)}")
    checked = model.model_validate(entry.__pydantic_extra__)
    entry.__pydantic_extra__.clear()
    # what is not set is left out: a component's new option that defaults to null changes no run that knows it not
    entry.__pydantic_extra__.update(checked.model_dump(exclude_none=True))
