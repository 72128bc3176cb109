"""Figure 3: where the regimes lie in the loss landscape, and the straight lines between them."""

from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from pydantic import Field

from manyexits.artefacts import frames
from manyexits.artefacts.figures._style import SURFACE, Look, looks, others

READS = "mode_connectivity"
MOST = 6
"""Regimes of an experiment at most: every pair of them has its line in a legend."""
LEVELS = 15
MEASURED = {"train_loss": "training loss (nats)", "test_accuracy": "test accuracy (%)"}


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """Two rows per experiment: loss and accuracy on the plane at the last, the middle and the first exit; then the
    loss of the last exit on the lines between runs, and every exit's barrier."""
    experiments, appearance = told["experiments"], looks(told["regimes"], colours)
    made = pyplot.figure(figsize=(12.5, 5.4 * len(experiments)), layout="constrained")
    parts = made.subfigures(len(experiments), 1, squeeze=False)[:, 0]
    for part, identity in zip(parts, experiments, strict=True):
        rows = frames.of(frame, identity)
        seed = int(rows["seed"].min())
        part.suptitle(f"{frames.label(identity)} (planes: seed {seed})", fontsize=10, fontweight="bold")
        panels(part.subplots(2, 4), rows, appearance)
    return made


def panels(axes: np.ndarray, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    """The eight panels of one experiment."""
    last = int(rows["exit"].max())
    exits = list(dict.fromkeys([last, (last + 1) // 2, 1]))
    for line, metric in zip(axes, ("train_loss", "test_accuracy"), strict=True):
        for axis, exit_ in zip(line[:3], exits, strict=False):
            plane(axis, rows, exit_, metric, appearance, last)
        for axis in line[len(exits) : 3]:
            axis.set_visible(False)
        line[0].set_ylabel("distance (towards disjoint)")
    lines(axes[0, 3], rows, last)
    barriers(axes[1, 3], rows)


def plane(axis: Axes, rows: pd.DataFrame, exit_: int, metric: str, appearance: dict[str, Look], last: int) -> None:
    """The first seed's surface as filled contours, with the three regimes on it."""
    of_seed = rows[rows["seed"] == rows["seed"].min()]
    points = of_seed[(of_seed["part"] == "plane") & (of_seed["exit"] == exit_) & (of_seed["metric"] == metric)]
    grid = points.pivot(index="y", columns="x", values="value")
    x, y = grid.columns.to_numpy(), grid.index.to_numpy()
    axis.set_title(f"{'last exit' if exit_ == last else f'exit {exit_}'}: {MEASURED[metric]}")
    axis.set_xlabel("distance (mixed to joint)")
    axis.grid(False)
    if not np.isfinite(grid.to_numpy()).any():
        axis.annotate("no plane: it needs disjoint, joint and mixed", (0.05, 0.5), xycoords="axes fraction", fontsize=7)
        return
    if min(grid.shape) < 2:
        raise ValueError(
            f"--inputs: the plane of {metric} at exit {exit_} has {grid.shape[1]} x {grid.shape[0]} points, too few for"
            " a surface; let the workflow make the file again"
        )
    surface(axis, x, y, grid.to_numpy(), logarithmic=metric == "train_loss")
    for anchor in frames.records(of_seed[of_seed["part"] == "anchor"]):
        look, place = appearance[anchor["first"]], (anchor["x"], anchor["y"])
        axis.plot(*place, look.marker, color=look.colour, markersize=7, markeredgecolor="white")
        box = {"boxstyle": "round,pad=0.15", "facecolor": "#333333", "linewidth": 0, "alpha": 0.7}
        right = anchor["x"] > x.mean()
        axis.annotate(
            anchor["first"],
            place,
            xytext=(-6 if right else 6, 7),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=7,
            color="white",
            bbox=box,
        )


def surface(axis: Axes, x: np.ndarray, y: np.ndarray, z: np.ndarray, logarithmic: bool) -> None:
    """Filled contours with their scale: a loss falls into the light on a logarithmic one, an accuracy rises into it."""
    z = np.ma.masked_invalid(np.maximum(z, 1e-6) if logarithmic else 100 * z)  # a loss may overflow far outside
    low, high = z.min(), max(z.max(), z.min() * (1 + 1e-6) + 1e-9)  # a flat surface still has a scale
    levels = np.geomspace(low, high, LEVELS) if logarithmic else np.linspace(low, high, LEVELS)
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high)
    filled = axis.contourf(x, y, z, levels=levels, cmap=SURFACE + ("_r" if logarithmic else ""), norm=norm)
    axis.contour(x, y, z, levels=levels[::3], colors="white", linewidths=0.4)
    bar = axis.figure.colorbar(filled, ax=axis, aspect=25)
    ticks = levels[:: LEVELS // 4]
    bar.set_ticks(list(ticks), labels=[f"{tick:.2g}" if logarithmic else f"{tick:.3g}" for tick in ticks])
    bar.ax.tick_params(labelsize=6)
    bar.minorticks_off()


def pairs(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Label of a pair of runs -> its rows; the two-seed control last."""
    within, across = rows[rows["seed"] == rows["second_seed"]], rows[rows["seed"] != rows["second_seed"]]
    found = {f"{a} – {b}": group for (a, b), group in within.groupby(["first", "second"], sort=False)}
    control = across[across["second_seed"].notna()]
    return found | {f"control: {a}, two seeds": group for a, group in control.groupby("first", sort=False)}


def lines(axis: Axes, rows: pd.DataFrame, last: int) -> None:
    """Loss of the last exit between runs: one line per seed."""
    on_lines = rows[(rows["part"] == "line") & (rows["metric"] == "train_loss") & (rows["exit"] == last)]
    found = pairs(on_lines)
    for look, (name, group) in zip(_pair_looks(len(found)), found.items(), strict=True):
        for number, (_, runs) in enumerate(group.groupby(["seed", "second_seed"])):
            label = name if number == 0 else None
            axis.plot(runs["t"], runs["value"], color=look.colour, linestyle=look.line, label=label)
    if not any(name.startswith("control") for name in found):
        axis.annotate(frames.no_control(rows), (0.02, 0.02), xycoords="axes fraction", fontsize=7)
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("t, from the first run to the second")
    axis.set_ylabel("training loss (nats)")
    axis.set_title(f"last exit, between runs (n = {int(on_lines['n'].max()):,})")
    axis.legend(loc="upper center", ncols=2, fontsize=6, handlelength=1.8, columnspacing=0.8, borderaxespad=0.2)


def barriers(axis: Axes, rows: pd.DataFrame) -> None:
    """Barrier of every exit: mean over seeds, each seed as a point."""
    found = pairs(rows[(rows["part"] == "barrier") & (rows["metric"] == "barrier")])
    for look, (name, group) in zip(_pair_looks(len(found)), found.items(), strict=True):
        mean = group.groupby("exit")["value"].mean()
        axis.plot(mean.index, mean, color=look.colour, linestyle=look.line, label=name)
        axis.plot(group["exit"], group["value"], look.marker, color=look.colour, markersize=3.5)
    axis.set_xlabel("exit")
    axis.set_xticks(sorted(rows["exit"].dropna().unique()))
    axis.set_ylabel("barrier (nats)")
    axis.set_title("rise above the straight line, every exit")
    axis.set_ylim(bottom=0)


def _pair_looks(count: int) -> list[Look]:
    """Looks for pairs of runs, apart from those of regimes."""
    first, second, third, fourth, *rest = others(max(count, 4))
    return [fourth, first, second, third, *rest][:count]
