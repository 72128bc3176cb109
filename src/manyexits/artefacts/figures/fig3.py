"""Figure 3: where the regimes lie in the loss landscape, and the straight lines between them."""

import math
import textwrap
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from pydantic import Field

from manyexits.artefacts import frames
from manyexits.artefacts.figures._style import SURFACE, WIDTH, Look, looks, others

READS = "mode_connectivity"
MOST = 6
"""Regimes of an experiment at most: every pair of them has its line in a legend."""
LEVELS = 24
MEASURED = {
    "train_loss": "training loss (nats)",
    "test_accuracy": "test accuracy (%)",
    "test_gain": "negative squared error, test",
}
SQUARED = "training loss (squared error)"
"""How the loss of a regression is called."""
REGIMES = ("disjoint", "joint", "mixed")
"""What a plane goes through."""
PANEL = 1.8
"""Width of a plane in inches, of which three and a colour bar make the page."""
LEAST = 0.01
"""Nats from which on barriers stand on a logarithmic scale; what is below is noise of the re-estimated statistics."""
ROOM = 0.1
"""Of a plane's width, what a contour's label takes."""
BAR = 18
"""Characters of a line beside a colour bar, as many as a low plane has room for."""
AROUND, LINES, LEGENDS = 0.36, 1.9, 0.75
"""Inches: above and below a row of planes, for the row of lines and barriers, for the title and both legends."""


def figure(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] | None = None,
) -> Figure:
    """Per experiment loss and accuracy on the plane at the last, the middle and the first exit; then the loss of the
    last exit on the lines between runs, and every exit's barrier."""
    experiments, appearance = told["experiments"], looks(told["regimes"], colours)
    found = [frames.of(frame, identity) for identity in experiments]
    shares = [_planes_height(rows) for rows in found]
    heights = [2 * (AROUND + share) + LINES + LEGENDS for share in shares]
    made = pyplot.figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts = made.subfigures(len(experiments), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, identity, rows, share in zip(parts, experiments, found, shares, strict=True):
        part.suptitle(f"{frames.label(identity)} (planes: seed {int(rows['seed'].min())})", fontweight="bold")
        upper, lower = part.subfigures(2, 1, height_ratios=[2 * (AROUND + share) + LEGENDS / 2, LINES + LEGENDS / 2])
        regression = (rows["metric"] == "test_gain").any()
        named = MEASURED | ({"train_loss": SQUARED} if regression else {})
        planes(upper, rows, appearance, named)
        between(lower, rows, named["train_loss"])
    return made


def _planes_height(rows: pd.DataFrame) -> float:
    """Inches that a plane of the usual width is high at equal scales, within what a page can hold."""
    plane = rows[rows["part"] == "plane"]
    across, up = (np.ptp(plane[axis]) if len(plane) else 0.0 for axis in ("x", "y"))
    return float(np.clip(PANEL * up / across if across > 0 else PANEL / 2, PANEL / 4, 1.5 * PANEL))


def planes(part: SubFigure, rows: pd.DataFrame, appearance: dict[str, Look], named: dict[str, str]) -> None:
    """Two rows of planes, each with one colour scale: the loss, and what is measured on the test split."""
    last = int(rows["exit"].max())
    exits = list(dict.fromkeys([last, (last + 1) // 2, 1]))
    axes = part.subplots(2, len(exits), squeeze=False, sharex=True, sharey=True)
    of_seed = rows[rows["seed"] == rows["seed"].min()]
    anchors = frames.records(of_seed[of_seed["part"] == "anchor"])
    marks = [(anchor["x"], anchor["y"]) for anchor in anchors]
    score = "test_gain" if (rows["metric"] == "test_gain").any() else "test_accuracy"
    for line, metric in zip(axes, ("train_loss", score), strict=True):
        points = of_seed[(of_seed["part"] == "plane") & (of_seed["metric"] == metric) & of_seed["exit"].isin(exits)]
        scale = Scale(points["value"].to_numpy(), metric)
        drawn = [
            plane(axis, points[points["exit"] == exit_], scale, f"{metric} at exit {exit_}", marks)
            for axis, exit_ in zip(line, exits, strict=True)
        ]
        for axis, exit_ in zip(line, exits, strict=True):
            axis.set_title(f"{'last exit' if exit_ == last else f'exit {exit_}'}")
            for anchor in anchors:
                look = appearance[anchor["first"]]
                axis.plot(
                    anchor["x"], anchor["y"], look.marker, color=look.colour, markersize=5, markeredgecolor="white"
                )
        if any(drawn):
            scale.bar(part, next(filter(None, drawn)), list(line), named[metric])
        line[0].set_ylabel("towards disjoint")
    for axis in axes[1]:
        axis.set_xlabel("distance, from mixed to joint")
    if anchors:
        part.legend(
            handles=[_point(anchor["first"], appearance) for anchor in anchors], loc="outside upper right", ncols=3
        )


def _point(regime: str, appearance: dict[str, Look]) -> Line2D:
    look = appearance[regime]
    return Line2D([], [], marker=look.marker, color=look.colour, linestyle="", markeredgecolor="white", label=regime)


class Scale:
    """Colours that a row of planes shares: a loss falls into the light on a logarithmic scale, a score rises into
    it."""

    def __init__(self, values: np.ndarray, metric: str) -> None:
        self.logarithmic = metric == "train_loss"
        self.factor = 100 if metric == "test_accuracy" else 1
        finite = self.shown(values).compressed()
        low, high = (finite.min(), finite.max()) if len(finite) else (1.0, 1.0)
        self.low, self.high = low, max(high, low + 1e-6 * abs(low) + 1e-9)  # a flat surface still has a scale
        spaced = np.geomspace if self.logarithmic else np.linspace
        self.levels = spaced(self.low, self.high, LEVELS)
        self.colours = f"{SURFACE}_r" if self.logarithmic else SURFACE
        self.norm = (LogNorm if self.logarithmic else Normalize)(self.low, self.high)

    def shown(self, values: np.ndarray) -> np.ma.MaskedArray:
        """Values in the units of the scale; a loss may overflow far outside."""
        return np.ma.masked_invalid(np.maximum(values, 1e-6) if self.logarithmic else self.factor * values)

    @property
    def ticks(self) -> list[float]:
        """Few round values, which the contours have, too."""
        finer = [LogLocator(), LogLocator(subs=(1, 2, 5))] if self.logarithmic else []
        for locator in [*finer, MaxNLocator(5)]:
            inside = [tick for tick in locator.tick_values(self.low, self.high) if self.low <= tick <= self.high]
            if len(inside) > 2:
                break
        return inside

    def bar(self, part: SubFigure, filled: Any, axes: list[Axes], label: str) -> None:
        """The colour bar of a row."""
        bar = part.colorbar(filled, ax=axes, aspect=15, pad=0.01)
        bar.set_ticks(self.ticks, labels=[f"{tick:g}" for tick in self.ticks])
        bar.minorticks_off()
        bar.set_label(textwrap.fill(label, BAR))


def plane(axis: Axes, points: pd.DataFrame, scale: Scale, of: str, marks: list[tuple[float, float]]) -> Any:
    """The first seed's surface as filled contours, labelled where no mark will stand; None where there is none.

    Raises:
        ValueError: when it has too few points.
    """
    grid = points.pivot(index="y", columns="x", values="value")
    axis.grid(False)
    if not np.isfinite(grid.to_numpy()).any():
        axis.annotate(
            "no plane: it needs\ndisjoint, joint and mixed", (0.05, 0.4), xycoords="axes fraction", fontsize=6
        )
        return None
    if min(grid.shape) < 2:
        raise ValueError(
            f"--inputs: the plane of {of} has {grid.shape[1]} x {grid.shape[0]} points, too few for a surface; let the"
            " workflow make the file again"
        )
    x, y, z = grid.columns.to_numpy(), grid.index.to_numpy(), scale.shown(grid.to_numpy())
    filled = axis.contourf(
        x, y, z, levels=scale.levels, cmap=SURFACE + ("_r" if scale.logarithmic else ""), norm=scale.norm
    )
    lines = axis.contour(x, y, z, levels=scale.ticks, colors="white", linewidths=0.5)
    tried = axis.clabel(lines, inline=False)  # where labels would stand; a label that is kept then cuts its line
    places = _apart([text.get_position() for text in tried], axis, marks)
    for text in tried:
        text.remove()
    axis.clabel(lines, fontsize=6, fmt="%g", manual=places)
    axis.set_aspect("equal")
    return filled


def _apart(
    places: list[tuple[float, float]], axis: Axes, marks: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Those of the places where a label touches neither the frame nor a mark nor an earlier one."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    room = ROOM * (right - left)
    kept: list[tuple[float, float]] = []
    for x, y in places:
        inside = min(x - left, right - x, y - low, high - y) > room / 2
        if inside and all(math.dist((x, y), other) > room for other in [*marks, *kept]):
            kept.append((x, y))
    return kept


def between(part: SubFigure, rows: pd.DataFrame, loss: str) -> None:
    """Lines and barriers of all pairs of runs, with one legend; barriers once more where units were matched."""
    straight, matched = rows[rows["path"] != "matched"], rows[rows["path"] == "matched"]
    axes = part.subplots(1, 3 if len(matched) else 2)
    looks_ = dict(zip(pairs(straight), _pair_looks(len(pairs(straight))), strict=True))
    lines(axes[0], straight, int(rows["exit"].max()), looks_, loss)
    barriers(axes[1], straight, looks_)
    axes[1].set_title("every exit:\nlargest rise above the straight line")
    if len(matched):
        barriers(axes[2], matched, looks_)
        axes[2].set_title("units of the second network\nin the order of the first's")
        low, high = zip(axes[1].get_ylim(), axes[2].get_ylim(), strict=True)
        for axis in axes[1:]:
            axis.set_ylim(min(low), max(high))
    axes[1].set_ylabel(f"barrier ({loss.partition('(')[2]}")
    handles, labels = axes[0].get_legend_handles_labels()
    part.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=2.4, columnspacing=1)


def pairs(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Label of a pair of runs -> its rows: regimes of one seed, the curve between two, seeds of one regime."""
    rows = rows[rows["second"].notna()]
    within, across = rows[rows["seed"] == rows["second_seed"]], rows[rows["seed"] != rows["second_seed"]]
    found = {
        f"{a} – {b}" + (", curve" if path == "curve" else ""): group
        for (path, a, b), group in within.groupby(["path", "first", "second"], sort=False)
    }
    return found | {f"{a}, two seeds": group for a, group in across.groupby("first", sort=False)}


def lines(axis: Axes, rows: pd.DataFrame, last: int, appearance: dict[str, Look], loss: str) -> None:
    """Loss of the last exit between runs: one line per pair of runs."""
    on_lines = rows[(rows["part"] == "line") & (rows["metric"] == "train_loss") & (rows["exit"] == last)]
    for name, group in pairs(on_lines).items():
        look = appearance[name]
        for number, (_, runs) in enumerate(group.groupby(["seed", "second_seed"])):
            label = name if number == 0 else None
            axis.plot(runs["t"], runs["value"], color=look.colour, linestyle=look.line, label=label)
    told = [f"n = {int(on_lines['n'].max()):,}"]
    told += [] if (rows["seed"] != rows["second_seed"])[rows["second"].notna()].any() else [frames.no_control(rows)]
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("t, from the first run to the second")
    axis.set_ylabel(loss)
    axis.set_title("last exit, between runs\n" + "; ".join(told))


def barriers(axis: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    """Barrier of every exit: mean over pairs of runs, each pair as a point. The scale is linear next to zero and
    logarithmic above, so that small ones can be read beside the control's."""
    of_exits = rows[(rows["part"] == "barrier") & (rows["metric"] == "barrier")]
    for name, group in pairs(of_exits).items():
        look, mean = appearance[name], group.groupby("exit")["value"].mean()
        axis.plot(mean.index, mean, color=look.colour, linestyle=look.line, label=name)
        axis.plot(group["exit"], group["value"], look.marker, color=look.colour, markersize=2.5)
    axis.set_xlabel("exit")
    axis.set_xticks(sorted(rows["exit"].dropna().unique()))
    positive = of_exits["value"][of_exits["value"] > 0]
    linear = 10.0 ** math.floor(math.log10(positive.min())) if len(positive) else 1.0
    axis.set_yscale("symlog", linthresh=max(linear, LEAST))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ylim(0, 1.6 * max(of_exits["value"].max(), LEAST))  # room for the topmost marker


def _pair_looks(count: int) -> list[Look]:
    """Looks for pairs of runs, apart from those of regimes."""
    first, second, third, fourth, *rest = others(max(count, 4))
    return [fourth, first, second, third, *rest][:count]
