"""thresholds.json: the cells that calibration chose, as evaluation reads them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from manyexits.files.made import Made
from manyexits.files.reading import json_as


class Cell(BaseModel):
    """One protocol, criterion and budget; see `calibrate.choose`."""

    protocol: Literal["paper", "shared", "geometric", "temperature"]
    criterion: str
    budget: float | Literal["max"]
    chosen_on: Literal["validation", "test"]
    inclusive: bool
    thresholds: list[float | Literal["nobody", "everybody"]] | None
    patience: int | None = None
    temperatures: list[Annotated[float, Field(gt=0)]] | None = None


class Thresholds(BaseModel):
    """The file."""

    criteria: list[str]
    cells: list[Cell]
    made: Made | None = None


def read(path: Path, n_exits: int) -> Thresholds:
    """Read what `calibrate` wrote.

    Raises:
        ValueError: when it is damaged, or of a network with another number of exits.
    """
    found = json_as(path, Thresholds)
    for cell in found.cells:
        if cell.criterion not in found.criteria:
            raise ValueError(f"{path}: a cell is of {cell.criterion!r}, which its criteria lack; make it again")
        if cell.thresholds is not None and len(cell.thresholds) != n_exits - 1:
            wrong = f"{len(cell.thresholds) + 1} exits, and the costs {n_exits}"
            raise ValueError(f"{path} has thresholds of {wrong}; let the workflow make both again")
    return found


def told(found: Thresholds) -> list[dict[str, Any]]:
    """The cells as `calibrate` wrote them."""
    return [cell.model_dump(exclude_unset=True) for cell in found.cells]
