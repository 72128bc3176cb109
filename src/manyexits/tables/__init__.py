"""Tables, one file each: `table(frame, told, *, options)` returns a Table from the rows that the module READS.

`told` holds the experiments (identities) and regimes to draw, in order.
"""

import importlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from manyexits import atomic, frames


@dataclass
class Table:
    """A table as data and as people read it."""

    data: pd.DataFrame
    """Every number, tidy; fractions."""
    sections: dict[str, pd.DataFrame]
    """Title -> cells as text; percent."""
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """All sections and notes."""
        parts = [
            f"**{title}**\n\n{cells.to_markdown(index=False, disable_numparse=True)}"
            for title, cells in self.sections.items()
        ]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """All sections as tabular environments with booktabs; notes as comments."""
        parts = [f"% {title}\n{_latex(cells)}" for title, cells in self.sections.items()]
        return "\n".join([*parts, *(f"% {note}" for note in self.notes)]) + "\n"


def _latex(cells: pd.DataFrame) -> str:
    escaped = cells.map(lambda text: str(text).replace("%", r"\%").replace("_", r"\_").replace("±", r"$\pm$"))
    escaped.columns = [str(name).replace("%", r"\%").replace("_", r"\_") for name in cells.columns]
    return escaped.to_latex(index=False, escape=False)


def draw(settings: dict[str, Any], inputs: list[Path], output: Path) -> None:
    """Make a table and write it as csv, md and tex, under the name of `output` whatever its suffix."""
    module = importlib.import_module(f"manyexits.tables.{settings['name']}")
    made = module.table(frames.read(module.READS, inputs), settings, **settings["options"])
    atomic.write_text(output.with_suffix(".md"), made.markdown())
    atomic.write_text(output.with_suffix(".tex"), made.latex())
    atomic.write_text(output.with_suffix(".csv"), made.data.to_csv(index=False))


def percent(mean: float, std: float = math.nan, signed: bool = False) -> str:
    """A fraction in percent, with its deviation where there is one; a dash for an empty one."""
    if math.isnan(mean):
        return "–"
    text = f"{100 * mean:{'+' if signed else ''}.2f}"
    return text if math.isnan(std) else f"{text} ± {100 * std:.2f}"
