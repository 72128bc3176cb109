"""Who leaves where: the share of the samples at every exit under every budget, and how often they are right there."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from manyexits.artefacts import frames
from manyexits.artefacts.figures._style import SURFACE, WIDTH, grid

READS = "rows"
METRICS = ("accuracy", "spearman", "exit_share", "exit_accuracy", "oracle_accuracy", "overthinking")
POINTS = ()
COLUMNS = 3
"""Panels side by side."""
ROW = 0.17
"""Inches of a budget's row."""
DARK = 0.45
"""Share from which on a cell is so light that its number is black."""
SCALE = Normalize(0, 1)


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocol: Literal["paper", "shared", "geometric", "temperature"] | None = None,
    criterion: str | None = None,
) -> Figure:
    """One panel per experiment and regime: budgets downwards, exits across; a cell's colour is the share of the samples
    that leave there, its number how many % of them are right, means over seeds.

    Above it: what the best choice of exits would reach (oracle), and how many samples an earlier exit answers rightly
    and the last one wrongly (overthinking).

    Args:
        frame: rows.
        told: what is drawn.
        protocol: that chose the thresholds; null: `shared`, or the first that all its experiments have.
        criterion: of all experiments; null: each one's own.
    """
    under = frames.protocol(told, protocol)
    panels = [
        (identity, regime, rows[rows["regime"] == regime])
        for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
        for regime in frames.regimes(rows, told["regimes"])
    ]
    budgets = frame.loc[frame["budget"] != "", "budget"].nunique()
    lines, columns = grid(len(panels), COLUMNS)
    made, axes = pyplot.subplots(
        lines, columns, figsize=(WIDTH, lines * (budgets * ROW + 0.75) + 0.3), squeeze=False, layout="constrained"
    )
    for axis, (identity, regime, rows) in zip(axes.flat, panels, strict=False):
        cells = rows[(rows["protocol"] == under) & (rows["criterion"] == (criterion or identity["criterion"]))]
        panel(axis, cells)
        axis.set_title(f"{frames.label(identity)}, {regime}\n{beside(rows)}")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("budget")
    bar = made.colorbar(ScalarMappable(SCALE, SURFACE), ax=axes, location="bottom", aspect=60, shrink=0.6, pad=0.02)
    seeds = " or ".join(dict.fromkeys(frames.seeds(rows) for _, _, rows in panels))
    bar.set_label(f"share of those who leave at an exit; numbers: % of them that are right (protocol {under}, {seeds})")
    bar.ax.xaxis.set_major_formatter("{x:.0%}")
    return made


def panel(axis: Axes, cells: pd.DataFrame) -> None:
    """Shares as colours and accuracies as numbers, of one experiment and regime."""
    means = {
        metric: own.groupby(["budget", "exit"], sort=False, observed=True)["value"].mean().unstack("exit")
        for metric, own in cells[cells["exit"].notna()].groupby("metric", observed=True)
    }
    axis.grid(False)
    axis.tick_params(length=0)
    if "exit_share" not in means:  # no threshold meets any budget
        axis.set_axis_off()
        return
    # a budget that no threshold meets is an empty row
    shares = means["exit_share"].reindex(list(dict.fromkeys(cells.loc[cells["exit"].isna(), "budget"])))
    right = means["exit_accuracy"].reindex_like(shares).to_numpy(dtype=float)
    axis.imshow(shares.to_numpy(), cmap=SURFACE, norm=SCALE, aspect="auto")
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        accuracy = right[row, column]
        if share > 0 and not np.isnan(accuracy):
            colour = "black" if share > DARK else "white"
            axis.text(column, row, f"{100 * accuracy:.0f}", ha="center", va="center", fontsize=6, color=colour)
    axis.set_yticks(range(len(shares)), [frames.budget(str(budget)) for budget in shares.index])
    axis.set_xticks(range(shares.shape[1]), [f"{exit_:.0f}" for exit_ in shares.columns])
    axis.set_xlabel("exit")


def beside(rows: pd.DataFrame) -> str:
    """What no threshold changes."""
    means = rows[rows["budget"] == ""].groupby("metric", observed=True)["value"].mean()
    told = {"oracle_accuracy": "oracle", "overthinking": "overthinking"}
    return ", ".join(f"{name} {100 * means[metric]:.1f} %" for metric, name in told.items())
