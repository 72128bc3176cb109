"""What the models of config.yaml are made of: names, numbers in their ranges, lists without repetition, and entries
that pick a component by its file name."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from manyexits.study import components
from manyexits.study.components import nearest

RegimePhase = Literal["backbone", "all", "heads"]
"""A phase of a regime; a method may add one of its own (`PHASES` in its file)."""
Protocol = Literal["paper", "shared", "geometric"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Channels = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3, max_length=3)]

T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    if not values:
        raise ValueError("this list must not be empty")
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]!r} appears twice; name each value once")
    return values


Distinct = Annotated[list[T], AfterValidator(_distinct)]
"""A list with at least one value and none twice."""


class Strict(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid")


class Component(BaseModel):
    """A named entry that picks a component by its file name and gives it options, all in one flat mapping."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the component, complete with their defaults."""
        return dict(self.__pydantic_extra__ or {})


def check_options(entry: Component, kind: str, name: str) -> None:
    """Replace the raw options of an entry by validated ones."""
    model = components.options(kind, name)
    assert entry.__pydantic_extra__ is not None
    for key in entry.__pydantic_extra__:
        if key not in model.model_fields:
            valid = [*type(entry).model_fields, *model.model_fields]
            raise ValueError(f"unknown key {key!r}; valid keys: {nearest(key, valid)}")
    checked = model.model_validate(entry.__pydantic_extra__)
    entry.__pydantic_extra__.clear()
    # what is not set is left out: a component's new option that defaults to null changes no run that knows it not
    entry.__pydantic_extra__.update(checked.model_dump(exclude_none=True))
