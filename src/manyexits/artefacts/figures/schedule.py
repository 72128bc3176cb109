"""How long phase 1 should last: accuracy at every budget against the share of one total of epochs that it takes."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps, pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from manyexits.artefacts import frames, schedules
from manyexits.artefacts.figures._style import SURFACE, WIDTH, grid
from manyexits.files.rows import MEASURES

READS = "rows"
SCHEDULED = True
METRICS = ("accuracy", "spearman")
POINTS = ()
COLUMNS = 2
"""Panels side by side."""


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocol: Literal["paper", "shared", "geometric", "temperature"] | None = None,
    criterion: str | None = None,
) -> Figure:
    """One panel per experiment, a line for each budget: means over seeds, each seed as a point.

    Args:
        frame: rows.
        told: what is drawn.
        protocol: that chose the thresholds; null: `shared`, or the first that all its experiments have.
        criterion: of all experiments; null: each one's own.
    """
    under = frames.protocol(told, protocol)
    cells = frame[(frame["protocol"] == under) & frame["exit"].isna() & frame["threshold"].isna()]
    budgets = schedules.budgets(map(str, cells["budget"]))
    shades = colormaps[SURFACE](np.linspace(0, 0.9, len(budgets)))
    colours = dict(zip(budgets, map(tuple, shades), strict=True))
    lines, columns = grid(len(told["experiments"]), COLUMNS)
    made, axes = pyplot.subplots(
        lines, columns, figsize=(WIDTH * (columns + 1) / 3, 2.3 * lines + 0.4), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(told["experiments"]) :]:
        axis.set_visible(False)
    for axis, identity in zip(axes.flat, told["experiments"], strict=False):
        rows = frames.of(cells, identity)
        own = rows[(rows["criterion"] == (criterion or identity["criterion"])) & (rows["metric"] == identity["metric"])]
        panel(axis, own.astype({"budget": str}), identity, colours)
        axis.set_title(f"{schedules.label(identity)}\n{frames.seeds(rows)}, protocol {under}")
        axis.set_ylabel(f"test {MEASURES[identity['metric']]}")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=len(budgets), title="budget")
    return made


def panel(axis: Axes, rows: pd.DataFrame, identity: dict[str, Any], colours: dict[str, Any]) -> None:
    """Lines over the shares of one experiment; a budget that no threshold meets has none.

    A dearer budget's line is thinner, so that one that it covers still shows.
    """
    shares = {regime: 100 * schedules.share(identity, regime) for regime in identity["schedule"]}
    widths = np.linspace(2.5, 0.8, len(colours))
    for (budget, colour), width in zip(colours.items(), widths, strict=True):
        own = rows[(rows["budget"] == budget) & rows["value"].notna()]
        across, values = own["regime"].astype(str).map(shares), 100 * own["value"]
        mean = values.groupby(across).mean()
        axis.plot(across, values, ".", color=colour, markersize=2.5)
        axis.plot(
            mean.index, mean, "o-", color=colour, linewidth=width, markersize=2.4 * width, label=frames.budget(budget)
        )
    axis.set_xticks(sorted(set(shares.values())))
    axis.set_xlabel("share of phase 1 (% of the epochs)")
