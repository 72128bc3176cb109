"""costs.json: what leaving at each exit costs a sample, as calibration and evaluation read it."""

from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Int
from pydantic import BaseModel, Field

from manyexits.files.made import Made
from manyexits.files.reading import json_as

Flops = Annotated[int, Field(ge=0)]


class CountedExit(BaseModel):
    """One exit."""

    cost: Flops


class Counted(BaseModel):
    """What is read of the file."""

    backbone: Annotated[int, Field(gt=0)]
    """Cost of the backbone with its own classifier in FLOPs: budget 100 %."""
    exits: Annotated[list[CountedExit], Field(min_length=1)]
    made: Made | None = None

    @property
    def of_exits(self) -> Int[np.ndarray, " k"]:
        """C_1..C_K in FLOPs."""
        return np.array([exit_.cost for exit_ in self.exits], dtype=np.int64)


def read(path: Path) -> Counted:
    """Read what `count_flops` wrote.

    Raises:
        ValueError: when it is damaged, or its exits do not become dearer.
    """
    found = json_as(path, Counted)
    if (np.diff(found.of_exits) < 0).any():
        raise ValueError(f"{path}: a later exit costs less than an earlier one; make it again")
    return found
