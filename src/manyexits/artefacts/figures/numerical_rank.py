"""Numerical rank against depth, regimes side by side."""

from typing import Annotated, Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure
from pydantic import Field

from manyexits.artefacts import frames, layers
from manyexits.artefacts.figures._depth import CEILING, lines
from manyexits.artefacts.figures._style import WIDTH, looks

READS = "numerical_rank"
MEASURED = {"rank": "numerical rank", "stable_rank": "stable rank", "effective_rank": "effective rank"}
"""Measure -> how people read it."""


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """One row of panels per experiment, one for each measure: means over seeds, each seed as a point; the rank's
    ceiling as a dashed line.

    Args:
        frame: rows of the analysis.
        told: what is drawn.
        colours: regime -> hue, in place of its own.
    """
    appearance = looks(told["regimes"], colours)
    found = layers.experiments(frame, told)
    made, axes = pyplot.subplots(
        len(found), len(MEASURED), figsize=(WIDTH, 1.9 * len(found) + 0.4), squeeze=False, layout="constrained"
    )
    for row, (name, rows, regimes) in zip(axes, found, strict=True):
        own = {regime: appearance[regime] for regime in regimes}
        for axis, (metric, title) in zip(row, MEASURED.items(), strict=True):
            lines(axis, rows[rows["metric"] == metric], own)
            axis.set_ylabel(title)
        ranks = rows[rows["metric"] == "rank"]
        for _, view in ranks.groupby("view", sort=False):
            ceiling = view.groupby("block")["ceiling"].max()
            row[0].plot(ceiling.index, ceiling, label="at most", **CEILING)
        for axis in row:
            axis.set_ylim(bottom=0)
        row[0].set_title(f"{name}\n{frames.seeds(rows)}, n = {int(rows['n'].max()):,}")
    told_once = {
        label: handle for axis in axes[:, 0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    made.legend(told_once.values(), told_once, loc="outside lower center", ncols=4)
    return made
