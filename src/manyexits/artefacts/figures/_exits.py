"""Colours that tell exits apart, from dark to light with their depth."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure

from manyexits.artefacts.figures._style import SURFACE


class ExitColours:
    """A colour for every exit that a figure shows, the same in all of its panels."""

    def __init__(self, exits: Iterable[float]) -> None:
        self.exits = sorted(set(exits))
        shades = colormaps[SURFACE](np.linspace(0, 1, len(self.exits)))
        self.of = dict(zip(self.exits, map(tuple, shades), strict=True))

    def bar(self, made: Figure | SubFigure, axes: Any, label: str = "exit") -> None:
        """The key, below these panels."""
        count = len(self.exits)
        shown = ScalarMappable(BoundaryNorm(np.arange(count + 1) - 0.5, count), ListedColormap([*self.of.values()]))
        bar = made.colorbar(shown, ax=axes, location="bottom", aspect=60, shrink=0.6, pad=0.02)
        bar.set_ticks(range(count), labels=[f"{exit_:.0f}" for exit_ in self.exits])
        bar.set_label(label)
