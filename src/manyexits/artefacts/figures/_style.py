"""One look for all figures. Regimes differ in lightness, line and marker as well as in hue, so that a grey print or a
reader who sees few colours loses nothing (hues: Okabe and Ito)."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before the import, which a notebook's own backend would end, and a matplotlibrc that is not UTF-8, or asks for a
# locale that is not there
os.environ["MPLBACKEND"] = "agg"
os.environ["MATPLOTLIBRC"] = os.devnull
with chdir(Path(__file__).parent):  # one in the working folder would come first
    import matplotlib as mpl
    import matplotlib.figure


@dataclass(frozen=True)
class Look:
    """How a regime is drawn."""

    colour: str
    line: Any
    """matplotlib's line style: a name, or (offset, lengths)."""
    marker: str


LOOKS = {
    "disjoint": Look("#e69f00", (0, (1, 1)), "^"),
    "joint": Look("#0072b2", (0, (4, 1.5)), "s"),
    "mixed": Look("#000000", "solid", "o"),
}
OTHERS = [
    Look("#cc79a7", "dashdot", "D"),
    Look("#009e73", (0, (8, 1)), "v"),
    Look("#56b4e9", "dashed", "P"),
    Look("#d55e00", "dotted", "X"),
]
WIDTH = 6.75
"""Inches of a two-column page: figures are drawn in the size in which they are printed, text in 6 points or more."""
SURFACE = "cividis"
"""Colour map whose lightness rises evenly."""


def others(count: int) -> list[Look]:
    """So many looks whose lines all differ: behind the four above, their hues and a dash with more and more dots."""
    found = OTHERS[:count]
    for index in range(len(OTHERS), count):
        again = OTHERS[index % len(OTHERS)]
        found.append(Look(again.colour, (0, (5, 1) + (1, 1) * (index - len(OTHERS) + 2)), again.marker))
    return found


def looks(regimes: list[str], colours: dict[str, str] | None = None) -> dict[str, Look]:
    """A look for every regime; `colours` replaces hues."""
    free = iter(others(len(regimes)))
    found = {regime: LOOKS.get(regime) or next(free) for regime in regimes}
    return {
        regime: Look((colours or {}).get(regime, look.colour), look.line, look.marker) for regime, look in found.items()
    }


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib for every figure, over its defaults: a user's own matplotlibrc changes nothing."""
    settings: Any = {
        "figure.dpi": 150,
        "savefig.dpi": 300,
        "font.size": 7,
        "axes.titlesize": 7,
        "axes.labelsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.1,
        "pdf.fonttype": 42,
        "svg.hashsalt": "manyexits",
        "svg.fonttype": "path",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


def grid(panels: int, most: int) -> tuple[int, int]:
    """Lines and columns of so many panels: as few lines as at `most` side by side, no more columns than these need."""
    lines = -(-panels // most)
    return lines, -(-panels // lines)


def place(figure: mpl.figure.Figure) -> None:
    """Place a figure's panels for good: once, and not anew for each of its files."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)  # "none" would leave a placeholder, for which every file is drawn twice
