"""Accuracy against cost: every regime as a curve, seeds as a band; budgets, single exits and the plain backbone as
points."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pydantic import Field

from manyexits.artefacts import frames
from manyexits.artefacts.figures._style import WIDTH, Look, grid, looks, others
from manyexits.files.rows import MEASURES

READS = "rows"
METRICS = ("accuracy", "spearman", "backbone_cost")
POINTS = ("shared",)
COLUMNS = 3
"""Panels side by side."""
LINE = [*frames.NAMES, "criterion", "metric", "regime"]
Kwargs = dict[str, Any]
NOTHING = pd.DataFrame({"mean": [], "std": [], "cost": []})


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    criterion: str | None = None,
    overlay: bool = False,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """One panel per experiment, under the protocol `shared` and a criterion: one for all, or each experiment's own.

    Panels have equal scales; where they show different measures, equal ones across.

    Args:
        frame: rows.
        told: what is drawn.
        criterion: of all experiments; null: each one's own.
        overlay: whether an experiment and its variants share a panel; lines then tell variants apart.
        colours: of regimes.
    """
    experiments, appearance = told["experiments"], looks(told["regimes"], colours)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for identity in experiments:
        groups[identity["experiment"] if overlay else frames.label(identity)].append(identity)
    strokes = _strokes(experiments) if overlay else {}
    lines, columns = grid(len(groups), COLUMNS)
    one_measure = len({identity["metric"] for identity in experiments}) == 1
    made, axes = pyplot.subplots(
        lines,
        columns,
        figsize=(WIDTH * (columns + 1) / (COLUMNS + 1), 2.2 * lines + 0.3),
        squeeze=False,
        sharex=True,
        sharey=one_measure,
        layout="constrained",
    )
    means = averaged(frame)
    for place, (title, members) in enumerate(groups.items()):
        axis, drawn = axes.flat[place], frames.each(frame, members)
        for identity, rows in zip(members, drawn, strict=True):
            own = {regime: appearance[regime] for regime in frames.regimes(rows, told["regimes"])}
            if overlay:
                own = {regime: replace(look, line=strokes[identity["variant"]]) for regime, look in own.items()}
            plain = [regime for regime in own if regime in told.get("plain", ())]
            panel(axis, rows, means, own, criterion or identity["criterion"], identity["metric"], plain)
        axis.set_title(f"{title}\n{note(drawn[0])}")
        if place % columns == 0 or not one_measure:
            axis.set_ylabel(f"test {MEASURES[members[0]['metric']]}")
        if place + columns >= len(groups):
            axis.set_xlabel("mean cost (% of the backbone's FLOPs)")
            axis.xaxis.set_tick_params(labelbottom=True)
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    made.legend(
        handles=[*keys(appearance, strokes, _base(experiments)), *KINDS], loc="outside lower center", ncols=2 * columns
    )
    return made


def _strokes(experiments: list[dict[str, Any]]) -> dict[str, Any]:
    """A line for each variant; the base's is solid."""
    variants = dict.fromkeys(identity["variant"] for identity in experiments if identity["variant"])
    return {"": "solid"} | {variant: look.line for variant, look in zip(variants, others(len(variants)), strict=True)}


def _base(experiments: list[dict[str, Any]]) -> str:
    """What the base is called beside its variants: by its method, where they are methods."""
    methods = {identity["method"] for identity in experiments if not identity["variant"]}
    by_method = all(identity["variant"] == identity["method"] for identity in experiments if identity["variant"])
    return " or ".join(sorted(methods)) if by_method else "base"


def keys(appearance: dict[str, Look], strokes: dict[str, Any], base: str) -> list[Line2D]:
    """What tells regimes apart, and variants by their lines where they share a panel."""
    alone: Any = "none"
    regimes = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=alone if strokes else look.line,
            marker=look.marker,
            markersize=4,
            label=regime,
        )
        for regime, look in appearance.items()
    ]
    variants = strokes if len(strokes) > 1 else {}
    return regimes + [
        Line2D([], [], color="#777777", linestyle=line, label=variant or base) for variant, line in variants.items()
    ]


BUDGET: Kwargs = {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
EXIT: Kwargs = {"markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}
PLAIN: Kwargs = {"marker": "*", "markersize": 7, "color": "#444444", "markeredgewidth": 0, "linestyle": "none"}
KINDS = [
    Line2D([], [], linestyle="none", marker="o", color="#777777", label="a budget", **BUDGET),
    Line2D([], [], linestyle="none", marker="o", color="#777777", label="one exit alone", **EXIT),
    Line2D([], [], label="the plain backbone", **PLAIN),
]
"""What the points mean, whatever their regime."""


@dataclass(frozen=True)
class Means:
    """Over seeds, under the protocol `shared`, by experiment, variant, criterion, metric and regime."""

    points: dict[Any, pd.DataFrame]
    """Of the sweep."""
    cells: dict[Any, pd.DataFrame]
    """Of the budgets."""
    exits: dict[Any, pd.DataFrame]
    """Of each exit alone, whatever the criterion, which is empty here."""


def averaged(frame: pd.DataFrame) -> Means:
    """Average everything in one pass: a study may have hundreds of panels."""
    shared = frame[frame["protocol"] == "shared"]
    swept = shared["threshold"].notna()
    points = shared[swept].assign(limit=shared.loc[swept, "budget"].astype(str).astype(float))
    cells = shared[~swept & shared["exit"].isna()]
    alone = frame[(frame["protocol"] == "") & frame["exit"].notna()]
    means = [
        frames.over_seeds(points, [*LINE, "limit"]),
        frames.over_seeds(cells, [*LINE, "budget"]),
        frames.over_seeds(alone, [*LINE, "exit"]),
    ]
    return Means(*(dict(tuple(each.dropna(subset="mean").groupby(LINE, sort=False))) for each in means))


def panel(
    axis: Axes,
    frame: pd.DataFrame,
    means: Means,
    appearance: dict[str, Look],
    criterion: str,
    metric: str,
    plain: list[str],
) -> None:
    """Curves of one experiment, whose rows these are.

    Args:
        axis: to draw on.
        frame: its rows.
        means: of all experiments.
        appearance: of its regimes.
        criterion, metric: that are drawn.
        plain: regimes that leave the backbone as phase 1 made it: their last exit is the plain backbone.
    """
    names = tuple(frame[list(frames.NAMES)].iloc[0])
    backbone = float(frame.loc[frame["metric"] == "backbone_cost", "value"].iloc[0])
    for regime, look in appearance.items():
        line, alone = (*names, criterion, metric, regime), (*names, "", metric, regime)
        curve, cells = means.points.get(line, NOTHING), means.cells.get(line, NOTHING)
        exits = means.exits.get(alone, NOTHING)
        x, y, spread = 100 * curve["cost"] / backbone, 100 * curve["mean"], 100 * curve["std"].fillna(0)
        axis.plot(x, y, color=look.colour, linestyle=look.line, label=regime)
        axis.fill_between(x, y - spread, y + spread, color=look.colour, alpha=0.2, linewidth=0)
        for points, how in ((exits, EXIT), (cells, BUDGET)):
            axis.plot(100 * points["cost"] / backbone, 100 * points["mean"], look.marker, color=look.colour, **how)
        if regime in plain and len(exits):
            axis.plot([100], [100 * exits["mean"].iloc[-1]], zorder=3, **PLAIN)
    axis.axvline(100, color="#999999", linewidth=0.8, zorder=0)


def note(frame: pd.DataFrame) -> str:
    """What a reader has to know of a panel, above it."""
    seeds = frames.seeds(frame)
    band = seeds if seeds == "one seed" else f"band: ± 1 s.d. of {seeds}"
    return f"{band}; n = {int(frame['n'].max()):,}"
