"""Tables, one file each: `table(frame, told, *, options)` returns a Table from the rows that the module READS.

`told` holds the experiments (identities) and regimes to draw, in order.
"""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import _latex
from manyexits.artefacts.tables._latex import BOLD
from manyexits.files import atomic
from manyexits.files.made import each
from manyexits.study import components

SAMPLE = "sample"
"""Column that only the page has, and committed records never: texts and pictures belong to their publishers."""
FINDING = "finding: "
"""Begins a note that says what was seen: a sentence made from the numbers, which captions repeat."""
PICTURE = re.compile(r"data:image/png;base64,[\w+/=]+")
"""A picture that stands in a cell."""
STYLE = (
    "<style>body { font: 13px/1.5 system-ui, sans-serif; margin: 1.5rem; } h2 { font-size: 1rem; }"
    " table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1rem .2rem 0;"
    " border-bottom: 1px solid #ddd; white-space: nowrap; } ul { color: #444; }"
    " .sample { white-space: normal; min-width: 24rem; } img { min-width: 4rem; image-rendering: pixelated; }</style>"
)


@dataclass
class Table:
    """A table as data and as people read it."""

    data: pd.DataFrame
    """Every number, tidy; fractions."""
    sections: dict[str, pd.DataFrame]
    """Title -> cells as text; percent. An empty one is a dash."""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sections = {title: cells.astype(object).fillna("–") for title, cells in self.sections.items()}

    def markdown(self) -> str:
        """All sections and notes; in all forms a cell between two ** is bold."""
        parts = [
            f"**{title}**\n\n{cells.to_markdown(index=False, disable_numparse=True)}"
            for title, cells in self._written.items()
        ]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def latex(self, label: str, caption: str) -> str:
        """All sections and notes as one float."""
        return _latex.latex(label, caption, self._written, self.notes)

    @property
    def _written(self) -> dict[str, pd.DataFrame]:
        """The sections without samples."""
        return {title: cells.drop(columns=SAMPLE, errors="ignore") for title, cells in self.sections.items()}

    def page(self) -> str:
        """All sections and notes as a page of its own, for the report."""
        parts = [f"<h2>{html.escape(title)}</h2>\n" + _html(cells) for title, cells in self.sections.items()]
        notes = "".join(f"<li>{html.escape(note)}</li>\n" for note in self.notes)
        return f"<!doctype html>\n<meta charset=utf-8>\n{STYLE}\n{chr(10).join(parts)}\n<ul>\n{notes}</ul>\n"


def draw(
    settings: dict[str, Any], inputs: list[Path], comparisons: list[Path], output: Path, beside: Sequence[Path] = ()
) -> None:
    """Make a table and write it as csv, md, tex and html, under the name of `output` whatever its suffix.

    A table that is COMPARED is told a frame of `comparisons`, too, where there are any, and one that reads more BESIDE
    its rows a frame of each kind.
    """
    module = components.module("tables", settings["name"])
    drawn, regimes = settings["experiments"], settings["regimes"]
    frame = frames.read(module, inputs, drawn, each(settings, "rows", inputs), regimes, settings.get("runs", ()))
    told = dict(settings)
    made_by = each(settings, "comparisons", comparisons)
    if comparisons:
        told["comparisons"] = frames.read(frames.COMPARISONS, comparisons, drawn, made_by, regimes)
    told["beside"] = frames.beside(settings, beside)
    made = module.table(frame, told, **settings["options"])
    atomic.write_text(output.with_suffix(".md"), made.markdown())
    atomic.write_text(output.with_suffix(".tex"), made.latex(output.stem, _caption(module)))
    atomic.write_text(output.with_suffix(".html"), made.page())
    atomic.write_text(output.with_suffix(".csv"), made.data.to_csv(index=False))


def _html(cells: pd.DataFrame) -> str:
    """Cells of a section as HTML; a picture in a sample is shown."""
    shown = cells.astype(str).map(html.escape).rename(columns=html.escape)
    if SAMPLE in shown:
        pictured = shown[SAMPLE].str.replace(PICTURE, r'<img src="\g<0>" alt="">', regex=True)
        lines = pictured.str.replace("\n", "<br>")  # pandas would show the former as two letters
        shown[SAMPLE] = "<div class=sample>" + lines + "</div>"
    with pd.option_context("display.max_colwidth", None):  # else long ones are cut
        return BOLD.sub(r"<b>\1</b>", shown.to_html(index=False, border=0, escape=False))


def _caption(module: Any) -> str:
    """What a table shows: the first line of its file, without a number, which LaTeX gives."""
    first = re.sub(r"^Table \d+: ", "", str(module.__doc__).split("\n")[0])
    return first[0].upper() + first[1:]


def percent(mean: float, std: float = math.nan, signed: bool = False) -> str:
    """A fraction in percent, with its deviation where there is one; a dash for an empty one."""
    if math.isnan(mean):
        return "–"
    text = f"{100 * mean:{'+' if signed else ''}.2f}"
    return text if math.isnan(std) else f"{text} ± {100 * std:.2f}"
