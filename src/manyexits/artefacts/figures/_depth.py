"""Lines over a network's blocks, one for each regime: what figures of measures of layers share."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from manyexits.artefacts.figures._style import Look
from manyexits.artefacts.layers import READ_BY_HEADS

CEILING: dict[str, Any] = {"color": "#999999", "linestyle": (0, (3, 2)), "linewidth": 0.8}


def lines(axis: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    """Means over seeds of every regime against depth, and each seed as a point; a second view thinner."""
    views = list(dict.fromkeys(rows["view"]))
    for regime, look in appearance.items():
        for view in views:
            own = rows[(rows["regime"] == regime) & (rows["view"] == view)]
            beside = view == "tapped" and len(views) > 1
            label = f"{regime}, {READ_BY_HEADS}" if beside else regime
            mean = own.groupby("block")["value"].mean()
            how = {"color": look.colour, "linestyle": look.line, "linewidth": 0.6 if beside else 1.1}
            axis.plot(mean.index, mean, label=label if len(own) else None, **how)
            axis.plot(own["block"], own["value"], look.marker, color=look.colour, markersize=1.5 if beside else 2.5)
    blocks(axis)


def blocks(axis: Axes) -> None:
    """Whole numbers of blocks below."""
    axis.set_xlabel("block")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
