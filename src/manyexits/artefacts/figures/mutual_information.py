"""Mutual information against depth: of the activations with the inputs, and with the labels."""

from typing import Annotated, Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from pydantic import Field

from manyexits.artefacts import frames, layers
from manyexits.artefacts.figures._depth import CEILING, blocks
from manyexits.artefacts.figures._style import WIDTH, Look, looks

READS = "mutual_information"
QUANTITIES = ("I(X;T)", "I(T;Y)")


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """Per experiment a row for each quantity and a panel for each noise: from the lower to the upper bound, means over
    seeds; InfoNCE's estimates as points; what no estimate can pass as a dashed line.

    Args:
        frame: rows of the analysis.
        told: what is drawn.
        colours: regime -> hue, in place of its own.
    """
    appearance = looks(told["regimes"], colours)
    found = layers.experiments(frame, told)
    made = pyplot.figure(figsize=(WIDTH, 3.9 * len(found) + 0.3), layout="constrained")
    parts = made.subfigures(len(found), 1, squeeze=False)[:, 0]
    for part, (name, rows, regimes) in zip(parts, found, strict=True):
        one = layers.last(rows)["view"].iloc[0]
        panels(part, rows[rows["view"] == one], {regime: appearance[regime] for regime in regimes})
        part.suptitle(f"{name} ({frames.seeds(rows)}, n = {int(rows['n'].max()):,})", fontweight="bold")
    return made


def panels(part: SubFigure, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    """All panels of one experiment, with one legend."""
    noises = sorted(rows["noise"].unique())
    axes = part.subplots(len(QUANTITIES), len(noises), squeeze=False, sharex=True, sharey="row")
    for line, quantity in zip(axes, QUANTITIES, strict=True):
        for axis, noise in zip(line, noises, strict=True):
            own = rows[(rows["quantity"] == quantity) & (rows["noise"] == noise)]
            panel(axis, own, appearance)
            axis.set_title(f"noise {noise:g}")
        line[0].set_ylabel(f"{quantity} (nats)")
    for axis in axes[-1]:
        blocks(axis)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    part.legend(handles, labels, loc="outside lower center", ncols=6)


def panel(axis: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    """One quantity under one noise: a band for every regime."""
    for regime, look in appearance.items():
        of_regime = rows[rows["regime"] == regime]
        means = of_regime.pivot_table(index="block", columns="bound", values="value", dropna=False)
        if {"lower", "upper"} <= set(means):
            axis.fill_between(means.index, means["lower"], means["upper"], color=look.colour, alpha=0.15, linewidth=0)
            axis.plot(means.index, means["upper"], color=look.colour, linestyle=look.line, label=regime)
            axis.plot(means.index, means["lower"], color=look.colour, linestyle=look.line, linewidth=0.6)
        if "infonce" in means:
            label = "InfoNCE" if regime == next(iter(appearance)) else None
            axis.plot(means.index, means["infonce"], look.marker, color=look.colour, markersize=2.5, label=label)
    for bound, ceiling in rows.groupby(rows["bound"] == "infonce")["ceiling"].max().items():
        axis.axhline(ceiling, label=None if bound else "at most", **CEILING)
    axis.set_ylim(bottom=0)
