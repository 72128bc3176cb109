"""Accuracy against cost: every regime as a curve, seeds as a band, the budgets of the tables as marked points."""

from dataclasses import dataclass
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
LINE = [*frames.NAMES, "criterion", "metric", "regime"]
NOTHING = pd.DataFrame({"mean": [], "std": [], "cost": []})


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
    means = averaged(frame)
    for axis, identity, rows in zip(axes.flat, experiments, frames.each(frame, experiments), strict=False):
        own = {regime: appearance[regime] for regime in frames.regimes(rows, told["regimes"])}
        panel(axis, rows, means, own, criterion or identity["criterion"], identity["metric"])
        axis.set_title(frames.label(identity))
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=regime)
        for regime, look in appearance.items()
    ]
    axes[0, 0].legend(handles=handles, loc="lower right", title="regime")
    return made


@dataclass(frozen=True)
class Means:
    """Over seeds, under the protocol `shared`, by experiment, variant, criterion, metric and regime."""

    points: dict[Any, pd.DataFrame]
    """Of the sweep."""
    cells: dict[Any, pd.DataFrame]
    """Of the budgets."""


def averaged(frame: pd.DataFrame) -> Means:
    """Average everything in one pass: a study may have hundreds of panels."""
    shared = frame[frame["protocol"] == "shared"]
    swept = shared["threshold"].notna()
    points = shared[swept].assign(limit=shared.loc[swept, "budget"].astype(str).astype(float))
    cells = shared[~swept & shared["exit"].isna()]
    means = frames.over_seeds(points, [*LINE, "limit"]), frames.over_seeds(cells, [*LINE, "budget"])
    return Means(*(dict(tuple(each.dropna(subset="mean").groupby(LINE, sort=False))) for each in means))


def panel(
    axis: Axes, frame: pd.DataFrame, means: Means, appearance: dict[str, Look], criterion: str, metric: str
) -> None:
    """Curves of one experiment, whose rows these are."""
    shared = frame[(frame["protocol"] == "shared") & (frame["criterion"] == criterion) & (frame["metric"] == metric)]
    names = tuple(frame[list(frames.NAMES)].iloc[0])
    backbone = float(frame.loc[frame["metric"] == "backbone_cost", "value"].iloc[0])
    seeds = frame["seed"].nunique()
    for regime, look in appearance.items():
        line = (*names, criterion, metric, regime)
        curve, cells = means.points.get(line, NOTHING), means.cells.get(line, NOTHING)
        x, y, spread = 100 * curve["cost"] / backbone, 100 * curve["mean"], 100 * curve["std"].fillna(0)
        axis.plot(x, y, color=look.colour, linestyle=look.line, label=regime)
        axis.fill_between(x, y - spread, y + spread, color=look.colour, alpha=0.2, linewidth=0)
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
