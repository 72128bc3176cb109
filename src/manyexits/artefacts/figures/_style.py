"""One look for all figures. Regimes differ in lightness, line and marker as well as in hue, so that a grey print or a
reader who sees few colours loses nothing (hues: Okabe and Ito)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

mpl.use("agg")


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
    Look("#009e73", "solid", "v"),
    Look("#56b4e9", "dashed", "P"),
    Look("#d55e00", "dotted", "X"),
]
SURFACE = "cividis"
"""Colour map whose lightness rises evenly."""


def looks(regimes: list[str], colours: dict[str, str] | None = None) -> dict[str, Look]:
    """A look for every regime; `colours` replaces hues."""
    free = iter(OTHERS * len(regimes))
    found = {regime: LOOKS.get(regime) or next(free) for regime in regimes}
    return {
        regime: Look((colours or {}).get(regime, look.colour), look.line, look.marker) for regime, look in found.items()
    }


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib for every figure."""
    settings: Any = {
        "figure.dpi": 150,
        "savefig.dpi": 200,
        "savefig.bbox": "tight",
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.4,
        "pdf.fonttype": 42,
        "svg.hashsalt": "manyexits",
        "svg.fonttype": "path",
    }
    with mpl.rc_context(settings):
        yield
