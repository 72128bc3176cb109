"""How far an exit's confidence can be trusted: reliability before and after temperatures, and failure prediction."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from manyexits.artefacts import frames
from manyexits.artefacts.figures._exits import ExitColours
from manyexits.artefacts.figures._style import WIDTH
from manyexits.files.rows import BINS

READS = "rows"
PARTS = ("share", "confidence", "accuracy")
METRICS = ("ece", "failure_auroc", *(f"bin{b}_{part}" for b in range(1, BINS + 1) for part in PARTS))
POINTS = ()
TASKS = ("classification",)
COLUMNS = 4
"""Experiments and regimes side by side."""
BEFORE, AFTER = "", "temperature"
"""Protocols of the rows."""
LEAST = 0.01
"""Share of the samples from which on a bin is drawn: of fewer the accuracy is chance."""
HEIGHT = 1.35
"""Inches of a row."""


def figure(frame: pd.DataFrame, told: dict[str, Any]) -> Figure:
    """Per experiment a column for each regime: reliability of every exit as it is, and at a temperature of its own that
    was fitted on the validation split; the expected calibration error of both; the area under the ROC curve of
    the certainty by which samples leave, as a score for being right. Means over seeds.

    Args:
        frame: rows.
        told: what is drawn.
    """
    columns = [
        (identity, regime, rows[rows["regime"] == regime])
        for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
        for regime in frames.regimes(rows, told["regimes"])
    ]
    colours = ExitColours(frame["exit"].dropna())
    blocks = -(-len(columns) // COLUMNS)
    lines, across = len(ROWS) * blocks, min(COLUMNS, len(columns))
    made, axes = pyplot.subplots(
        lines, across, figsize=(WIDTH, HEIGHT * lines + 0.5), squeeze=False, sharey="row", layout="constrained"
    )
    for axis in axes.flat:
        axis.set_visible(False)
    for place, (identity, regime, rows) in enumerate(columns):
        block, column = divmod(place, across)
        means = averaged(rows, identity["criterion"])
        for row, (named, draw) in enumerate(ROWS.items(), start=len(ROWS) * block):
            axis = axes[row, column]
            axis.set_visible(True)
            draw(axis, means, colours)
            axis.set_ylabel(named if column == 0 else "")
        axes[len(ROWS) * block, column].set_title(f"{frames.label(identity)}\n{regime}, {frames.seeds(rows)}")
    colours.bar(made, axes)
    return made


def averaged(rows: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """Means over seeds, by protocol and exit, a column for each metric; those of certainty under one criterion."""
    own = rows["exit"].notna() & (rows["budget"] == "") & rows["criterion"].isin(["", criterion])
    kept = rows[own].astype({"metric": str, "protocol": str})
    return kept.pivot_table("value", ["protocol", "exit"], "metric", aggfunc="mean")


def reliability(protocol: str) -> Callable[[Axes, pd.DataFrame, ExitColours], None]:
    """Accuracy against confidence, bin by bin, one line for each exit."""

    def draw(axis: Axes, means: pd.DataFrame, colours: ExitColours) -> None:
        axis.plot([0, 100], [0, 100], color="#999999", linewidth=0.8)
        every = frames.records(means.reset_index())
        for row in (each for each in every if each["protocol"] == protocol):
            points = [
                (row[f"bin{b}_confidence"], row[f"bin{b}_accuracy"])
                for b in range(1, BINS + 1)
                if row.get(f"bin{b}_share", 0) >= LEAST
            ]
            there = 100 * pd.DataFrame(points, columns=[0, 1], dtype=float)
            axis.plot(there[0], there[1], ".-", color=colours.of[row["exit"]], markersize=3, linewidth=0.8)
        axis.set(xlim=(0, 100), ylim=(0, 100), xticks=[0, 50, 100], yticks=[0, 50, 100], xlabel="confidence (%)")

    return draw


def errors(axis: Axes, means: pd.DataFrame, colours: ExitColours) -> None:
    """Expected calibration error of every exit, before and after."""
    by_protocol = means["ece"].unstack("protocol")
    for protocol, fill in ((BEFORE, "white"), (AFTER, "black")):
        if protocol in by_protocol:
            own = 100 * by_protocol[protocol]
            axis.plot(own.index, own, "o-", color="black", markerfacecolor=fill, markersize=3, linewidth=0.8)
    axis.axhline(0, linewidth=0)  # a row shares a scale, which begins there
    axis.set(xticks=by_protocol.index, xlabel="exit")


def failures(axis: Axes, means: pd.DataFrame, colours: ExitColours) -> None:
    """How well certainty tells right from wrong, at every exit."""
    own = means["failure_auroc"].unstack("protocol")[BEFORE]
    axis.plot(own.index, 100 * own, "s-", color="black", markersize=3, linewidth=0.8)
    axis.set(ylim=(50, 100), xticks=own.index, xlabel="exit")


ROWS: dict[str, Callable[[Axes, pd.DataFrame, ExitColours], None]] = {
    "accuracy (%)\nas it is": reliability(BEFORE),
    "accuracy (%)\nat temperatures": reliability(AFTER),
    "ECE (%): as it is ○,\nat temperatures ●": errors,
    "AUROC (%)": failures,
}
"""Label of a row of panels -> what is drawn there."""
