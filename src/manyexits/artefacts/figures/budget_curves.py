"""Accuracy against cost: every regime as a curve, seeds as a band, the budgets of the tables as marked points."""

from typing import Annotated, Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pydantic import Field

from manyexits.artefacts import frames
from manyexits.artefacts.figures._style import Look, looks

READS = "rows"
METRICS = ("accuracy", "spearman", "backbone_cost")
POINTS = ("shared",)
COLUMNS = 3
"""Panels side by side."""


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    criterion: str | None = None,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """One panel per experiment, under the protocol `shared` and a criterion: one for all, or each experiment's own."""
    experiments, appearance = told["experiments"], looks(told["regimes"], colours)
    columns = min(COLUMNS, len(experiments))
    lines = -(-len(experiments) // columns)
    made, axes = pyplot.subplots(
        lines, columns, figsize=(3.6 * columns, 3.0 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(experiments) :]:
        axis.set_visible(False)
    for axis, identity, rows in zip(axes.flat, experiments, frames.each(frame, experiments), strict=False):
        own = {regime: appearance[regime] for regime in frames.regimes(rows, told["regimes"])}
        panel(axis, rows, own, criterion or identity["criterion"], identity["metric"])
        axis.set_title(frames.label(identity))
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=regime)
        for regime, look in appearance.items()
    ]
    axes[0, 0].legend(handles=handles, loc="lower right", title="regime")
    return made


def panel(axis: Axes, frame: pd.DataFrame, appearance: dict[str, Look], criterion: str, metric: str) -> None:
    """Curves of one experiment."""
    shared = frame[(frame["protocol"] == "shared") & (frame["criterion"] == criterion) & (frame["metric"] == metric)]
    backbone = float(frame.loc[frame["metric"] == "backbone_cost", "value"].iloc[0])
    seeds = frame["seed"].nunique()
    for regime, look in appearance.items():
        rows = shared[shared["regime"] == regime]
        points = rows[rows["threshold"].notna()]
        curve = frames.over_seeds(points.assign(limit=points["budget"].astype(str).astype(float)), ["limit"])
        x, y, spread = 100 * curve["cost"] / backbone, 100 * curve["mean"], 100 * curve["std"].fillna(0)
        axis.plot(x, y, color=look.colour, linestyle=look.line, label=regime)
        axis.fill_between(x, y - spread, y + spread, color=look.colour, alpha=0.2, linewidth=0)
        cells = frames.over_seeds(rows[rows["threshold"].isna() & rows["exit"].isna()], ["budget"]).dropna(
            subset="mean"
        )
        axis.plot(
            100 * cells["cost"] / backbone,
            100 * cells["mean"],
            look.marker,
            color=look.colour,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
    axis.axvline(100, color="#999999", linewidth=0.8, zorder=0)
    axis.set_xlabel("mean cost (% of the backbone's FLOPs)")
    axis.set_ylabel(f"test {frames.MEASURES[metric]}")
    n = int(shared["n"].max())
    band = f"band: ± 1 s.d. of {seeds} seeds" if seeds > 1 else "one seed"
    axis.annotate(
        f"{band}; n = {n:,}; points: budgets", (0.02, 0.02), xycoords="axes fraction", fontsize=6, color="#555555"
    )
