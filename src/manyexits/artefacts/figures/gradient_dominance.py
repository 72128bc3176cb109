"""Gradient dominance: which exit's loss moves each stage, by regime, and how that changes during training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure

from manyexits.artefacts import dominance, frames, layers
from manyexits.artefacts.figures._exits import ExitColours
from manyexits.artefacts.figures._style import WIDTH

READS = "gradient_dominance"
MOST = 6
"""Regimes of an experiment at most: they stand side by side."""
DIVERGING = "RdBu_r"
"""Colour map of shares, which may be negative: white at 0."""


def figure(frame: pd.DataFrame, told: dict[str, Any]) -> Figure:
    """Per experiment a column for every regime: above the shares of the exits in the gradients of the stages, means
    over the snapshots of its last phase and over seeds; below the exit with the largest share at every snapshot."""
    dominance.whole(frame)
    found = layers.experiments(frame, told)
    made = pyplot.figure(figsize=(WIDTH, 4.4 * len(found)), layout="constrained")
    parts = made.subfigures(len(found), 1, squeeze=False)[:, 0]
    colours = ExitColours(frame["exit"].dropna())
    for part, (name, rows, regimes) in zip(parts, found, strict=True):
        upper, lower = part.subfigures(2, 1, height_ratios=[1, 1.15])
        of = {regime: dominance.last_phase(rows[rows["regime"] == regime]) for regime in regimes}
        shares(upper, of)
        training(lower, of, colours)
        part.suptitle(f"{name} ({frames.seeds(rows)}, n = {int(rows['n'].max()):,})", fontweight="bold")
    return made


def shares(part: SubFigure, of: dict[str, pd.DataFrame]) -> None:
    """Stage x exit for every regime, on one scale that is even about 0."""
    axes = part.subplots(1, len(of), squeeze=False, sharey=True)[0]
    means = {regime: dominance.over_epochs(rows) for regime, rows in of.items()}
    values = np.concatenate([each.to_numpy().ravel() for each in means.values()])
    finite = np.abs(values[np.isfinite(values)])
    limit = max(1.0, float(finite.max())) if len(finite) else 1.0
    for axis, (regime, each) in zip(axes, means.items(), strict=True):
        shown = cells(axis, each, vmin=-100 * limit, vmax=100 * limit, cmap=DIVERGING, scale=100)
        axis.set_title(f"{regime}: phase {of[regime]['phase'].iloc[0]}")
        axis.set_xlabel("exit")
        axis.set_xticks(range(len(each.columns)), labels=[f"{exit_}" for exit_ in each.columns])
    axes[0].set_ylabel("stage")
    part.colorbar(shown, ax=list(axes), label="projection share (%)", aspect=20, pad=0.01)


def training(part: SubFigure, of: dict[str, pd.DataFrame], colours: ExitColours) -> None:
    """Stage x snapshot for every regime: the exit with the largest share."""
    axes = part.subplots(1, len(of), squeeze=False, sharey=True)[0]
    places = {exit_: number for number, exit_ in enumerate(colours.exits)}
    count = len(places)
    norm, shades = BoundaryNorm(np.arange(count + 1) - 0.5, count), ListedColormap([*colours.of.values()])
    for axis, rows in zip(axes, of.values(), strict=True):
        each = dominance.dominant(rows)
        cells(axis, each.replace(places), norm=norm, cmap=shades)
        axis.set_xlabel("epoch of the phase")
        axis.set_xticks(range(len(each.columns)), labels=[f"{epoch:g}" for epoch in each.columns])
    axes[0].set_ylabel("stage")
    colours.bar(part, list(axes), "exit with the largest share")


def cells(axis: Axes, values: pd.DataFrame, scale: float = 1, **how: Any) -> Any:
    """A heat map, the first stage below; cells without a value stay grey."""
    axis.grid(False)
    axis.set_facecolor("#eeeeee")
    stages = [int(stage) for stage in values.index]
    shown = axis.imshow(scale * values.to_numpy(dtype=float), origin="lower", aspect="auto", **how)
    step = -(-len(stages) // 8)
    axis.set_yticks(range(0, len(stages), step), labels=[str(stage) for stage in stages[::step]])
    return shown
