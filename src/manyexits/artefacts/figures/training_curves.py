"""How every exit learned: its score on validation after every epoch, phases side by side."""

from typing import Any, Literal

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from manyexits.artefacts import frames
from manyexits.artefacts.figures._exits import ExitColours
from manyexits.artefacts.figures._style import WIDTH, grid

READS = "history"
COLUMNS = 3
"""Panels side by side."""
AGAINST = {"epochs": ("epoch", 1), "flops": ("training FLOPs (P)", 1e15)}
"""What is spent -> how people read it, and its unit."""
SCORES = {"accuracy": ("validation accuracy (%)", 100), "spearman": ("negative squared error", 1)}
"""Metric of tables -> what trainings measure, and by what it is multiplied."""


def figure(frame: pd.DataFrame, told: dict[str, Any], *, against: Literal["epochs", "flops"] = "epochs") -> Figure:
    """One panel per experiment and regime, a line for each exit and seed; a vertical line where a phase begins. Panels
    of one measure have equal scales.

    Args:
        frame: histories.
        told: what is drawn.
        against: what stands across: epochs, or the FLOPs that were spent.
    """
    panels = [
        (identity, regime, rows[rows["regime"] == regime])
        for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
        for regime in frames.regimes(rows, told["regimes"])
    ]
    colours = ExitColours(frame["exit"])
    lines, columns = grid(len(panels), COLUMNS)
    made, axes = pyplot.subplots(
        lines, columns, figsize=(WIDTH, 2.0 * lines + 0.5), squeeze=False, layout="constrained"
    )
    label, unit = AGAINST[against]
    measures = [identity["metric"] for identity, _, _ in panels]
    for axis, (identity, regime, rows) in zip(axes.flat, panels, strict=False):
        panel(axis, spent(rows, against) / unit, rows, colours, SCORES[identity["metric"]][1])
        axis.set_title(f"{frames.label(identity)}, {regime}\n{frames.seeds(rows)}")
        axis.set_xlabel(label)
        if against == "epochs":
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for measure in dict.fromkeys(measures):
        equal([axis for axis, own in zip(axes.flat, measures, strict=False) if own == measure])
    for place, (axis, measure) in enumerate(zip(axes.flat, measures, strict=False)):
        if place % columns == 0 or measures[place - 1] != measure:
            axis.set_ylabel(SCORES[measure][0])
        else:
            axis.tick_params(labelleft=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    colours.bar(made, axes)
    return made


def spent(rows: pd.DataFrame, against: str) -> pd.Series:
    """What was spent at the end of every row's epoch: FLOPs, or epochs of all phases so far."""
    if against == "flops":
        return rows["flops"]
    took = rows.drop_duplicates(["seed", "place"]).set_index(["seed", "place"])["epochs"]
    before = took.groupby("seed").cumsum() - took
    return rows["epoch"] + before.loc[list(zip(rows["seed"], rows["place"], strict=True))].to_numpy()


def equal(axes: list[Axes]) -> None:
    """The same range of scores for all of them."""
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def panel(axis: Axes, across: pd.Series, rows: pd.DataFrame, colours: ExitColours, factor: int) -> None:
    """Scores of every exit under every seed, a line for each phase."""
    for _, own in rows.groupby(["seed", "place", "exit"], sort=False):
        colour = colours.of[own["exit"].iloc[0]]
        axis.plot(across[own.index], factor * own["score"], color=colour, linewidth=0.7)
    first = rows["seed"] == rows["seed"].iloc[0]
    for place in sorted(rows["place"].unique())[1:]:
        axis.axvline(across[first & (rows["place"] < place)].max(), color="#999999", linewidth=0.8)
