"""Similarity of the regimes' representations, every block against every other: linear CKA. Beyond the paper."""

from typing import Any

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from manyexits.artefacts import frames, layers
from manyexits.artefacts.figures._style import SURFACE, WIDTH, grid

READS = "similarity"
SHOWN = "cka_debiased"
COLUMNS = 3
"""Panels side by side."""


def figure(frame: pd.DataFrame, told: dict[str, Any]) -> Figure:
    """Per experiment a panel for every pair of regimes and every regime with itself: blocks of the first upwards, those
    of the second across; means over seeds. Where there are two seeds, each regime's under both beside them."""
    found = [
        (frames.label(identity), rows)
        for identity, rows in zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
    ]
    drawn = [pairs(rows) for _, rows in found]
    heights = [1.75 * grid(max(len(own), 1), COLUMNS)[0] + 0.35 for own in drawn]
    made = pyplot.figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts = made.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (name, rows), own in zip(parts, found, drawn, strict=True):
        panels(part, own)
        part.suptitle(f"{name} ({frames.seeds(rows)}, n = {int(rows['n'].max()):,})", fontweight="bold")
    return made


def pairs(rows: pd.DataFrame) -> list[tuple[tuple[str, str, bool], pd.DataFrame]]:
    """Two regimes and whether they are of two seeds -> mean CKA of every block with every other."""
    view = layers.last(rows.rename(columns={"first_block": "block"}))["view"].iloc[0]
    own = rows[(rows["metric"] == SHOWN) & (rows["view"] == view)]
    own = own.assign(across=own["seed"] != own["second_seed"])
    found = []
    for (across, first, second), each in own.groupby(["across", "first", "second"], sort=False):
        means = each.pivot_table(
            index="first_block", columns="second_block", values="value", aggfunc="mean", dropna=False
        )
        found.append(((first, second, bool(across)), means))
    return found


def panels(part: SubFigure, found: list[tuple[tuple[str, str, bool], pd.DataFrame]]) -> None:
    """All panels of one experiment, with one colour bar."""
    lines, columns = grid(len(found), COLUMNS)
    axes = part.subplots(lines, columns, squeeze=False)
    for axis, ((first, second, across), means) in zip(axes.flat, found, strict=False):
        shown = panel(axis, means)
        axis.set_title(f"{first}, two seeds" if across else first if first == second else f"{first} – {second}")
        axis.set_ylabel(f"{first}, block")
        axis.set_xlabel(f"{second}, block")
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    part.colorbar(shown, ax=axes, label="CKA", aspect=30, pad=0.01)


def panel(axis: Axes, means: pd.DataFrame) -> Any:
    """One pair; blocks without a value are left white."""
    axis.grid(False)
    first, second = means.index.to_numpy(), means.columns.to_numpy()
    extent = (second[0] - 0.5, second[-1] + 0.5, first[0] - 0.5, first[-1] + 0.5)
    shown = axis.imshow(means, origin="lower", extent=extent, vmin=0, vmax=1, cmap=SURFACE, aspect="auto")
    for ticks, blocks in ((axis.set_xticks, second), (axis.set_yticks, first)):
        step = -(-len(blocks) // 8)
        ticks([int(block) for block in blocks[::step]])
    return shown
