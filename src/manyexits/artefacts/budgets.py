"""Cells of budget tables: what every experiment and regime comes to at every budget, and how its lines are printed."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.frames import label
from manyexits.artefacts.tables import percent

Line = tuple[Any, ...]
"""Experiment, variant, regime; of cells and points protocol and criterion, too."""
Records = list[dict[str, Any]]
Columns = dict[str, np.ndarray]
"""MEANS of what would be too many records."""
MEANS = ("mean", "std", "n", "cost", "pearson")

OF_BUDGETS = ("table1", "table6")
"""The paper's tables of accuracies at budgets, of which numbers are public."""


@dataclass(frozen=True)
class Measured:
    """Means over seeds of everything that the table prints, by its line."""

    runs: set[Line]
    """Experiment, variant and regime of all rows."""
    backbone: dict[Any, float]
    """Cost of the backbone in FLOPs."""
    first: dict[Any, float]
    """Cost of the first exit in FLOPs."""
    samples: dict[Any, float]
    """Number of test samples."""
    promised: dict[Line, float]
    """Mean cost in FLOPs on the split that the thresholds were chosen on, by line and budget, where rows tell it."""
    cells: dict[Line, Records]
    """One record for each budget."""
    points: dict[Line, Columns]
    """Of the protocol `paper`, an entry for each threshold, the cheapest first."""


def measured(frame: pd.DataFrame) -> Measured:
    """Find everything in one pass: a study may have thousands of lines."""
    run, line = [*frames.NAMES, "regime"], [*frames.NAMES, "regime", "protocol", "criterion"]
    gained, pointed = frame["metric"].isin(["accuracy", "spearman", "pearson"]), frame["threshold"].notna()
    of_backbone = frame[frame["metric"] == "backbone_cost"].groupby(run, sort=False)["value"].first()
    promised = frame[frame["metric"] == "promised_cost"].groupby([*line, "budget"], observed=True)["value"].mean()
    first = frame[gained & (frame["exit"] == 1)].groupby(run, sort=False)["cost"].first()
    cells = _over_seeds(frame[gained & frame["exit"].isna() & ~pointed], [*line, "budget"])
    swept = _over_seeds(frame[gained & (frame["protocol"] == "paper") & pointed], [*line, "threshold"])
    swept = swept.sort_values("cost", kind="stable")
    runs = set(frame[run].drop_duplicates().itertuples(index=False, name=None))
    samples = frame.groupby(run, sort=False)["n"].first().dropna()
    by_line = _by_line(cells, line), _columns_by_line(swept, line)
    return Measured(runs, dict(of_backbone), dict(first), dict(samples), dict(promised), *by_line)


def _over_seeds(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means over seeds of what is printed first, and of Pearson's correlation, empty beside an accuracy."""
    beside = frame["metric"] == "pearson"
    pearson = frame[beside].groupby(by, sort=False, observed=True)["value"].mean().rename("pearson")
    return frames.over_seeds(frame[~beside], by).join(pearson, on=by)


def _by_line(frame: pd.DataFrame, line: list[str]) -> dict[Line, Records]:
    found: dict[Line, Records] = defaultdict(list)
    for record in frames.records(frame):
        found[tuple(record[key] for key in line)].append(record)
    return found


def _columns_by_line(frame: pd.DataFrame, line: list[str]) -> dict[Line, Columns]:
    return {key: {name: group[name].to_numpy() for name in MEANS} for key, group in frame.groupby(line, sort=False)}


def names(identity: dict[str, Any]) -> Line:
    """Experiment and variant."""
    return tuple(identity[name] for name in frames.NAMES)


def cells(found: Measured, identity: dict[str, Any], regime: str, protocol: str, criterion: str) -> Records:
    """One line of the table: the cell of every budget.

    Raises:
        ValueError: when the runs have no such cells, or no costs.
    """
    run = (*names(identity), regime)
    line = (*run, protocol, criterion)
    if line not in found.cells:
        raise ValueError(
            f"{label(identity)} was not evaluated under protocol {protocol} and criterion {criterion};"
            " name them in protocols and in the experiment's criteria, or ask the table for others"
        )
    for what, known in (
        ("the cost of the backbone", found.backbone),
        ("the cost of the first exit", found.first),
        ("the number of samples", found.samples),
    ):
        if run not in known:
            raise ValueError(f"{label(identity)}, {regime}: no row tells {what}; evaluate its runs again")
    backbone = found.backbone[run]
    chosen = found.cells[line]
    if protocol == "paper":
        chosen = averaged_first(chosen, found.points.get(line), backbone)
    of_line = {key: identity[key] for key in ("experiment", "variant", "dataset", "backbone", "method")}
    of_line |= {"regime": regime, "protocol": protocol, "criterion": criterion}
    return [
        {
            **of_line,
            **{key: cell[key] for key in ("budget", "mean", "std", "pearson")},
            "seeds": cell["n"],
            "n": int(found.samples[run]),
            "cost_share": cell["cost"] / backbone,
            "promised_share": found.promised.get((*line, cell["budget"]), math.nan) / backbone,
            "note": infeasible(cell["budget"], found.first[run] / backbone) if math.isnan(cell["mean"]) else "",
            "digest": identity.get("published", {}).get(regime, ""),
        }
        for cell in chosen
    ]


def infeasible(budget: str, first: float) -> str:
    """Why a budget has no cell.

    Args:
        budget: as a share of the backbone's cost.
        first: that of the first exit.
    """
    if float(budget) < first:
        return f"infeasible, no threshold meets it: the first exit costs {100 * first:.1f} % of the backbone"
    return "infeasible: no threshold that is tried meets it"


def averaged_first(cells: Records, swept: Columns | None, backbone: float) -> Records:
    """The authors' order: average score and cost over seeds at each threshold, then take the strictest that fits [C].

    Cost rises with strictness whatever the criterion, and where it stays nobody's exit changes. The deviation is that
    over seeds at this threshold. Max needs no threshold: it is the last exit.
    """
    found = []
    for cell in cells:
        if cell["budget"] == "max":
            found.append(cell)
            continue
        point = dict.fromkeys(MEANS, math.nan) | {"n": 0}
        if swept is not None and (fitting := bisect_right(swept["cost"], float(cell["budget"]) * backbone)):
            point = {name: swept[name][fitting - 1].item() for name in MEANS}
        found.append(cell | point)
    return found


def with_published(data: pd.DataFrame) -> pd.DataFrame:
    """The paper's value beside each cell that has one, and the difference, 0 inside its interval.

    A run is the paper's by what it was made from, not by its name: data, backbone, method and recipes. Its placement is
    not public, and its rule is confidence.
    """
    public = frames.published(OF_BUDGETS).rename(columns={"value_low": "published_low", "value_high": "published_high"})
    public = public.assign(budget=public["budget"].astype(str))
    told = ["published_low", "published_high", "origin"]
    data = data.merge(public[["digest", "budget", *told]], how="left", on=["digest", "budget"]).drop(columns="digest")
    data[told] = data[told].where(data["criterion"] == "confidence")
    nearest = data["mean"].clip(data["published_low"], data["published_high"])
    return data.assign(difference=(data["mean"] - nearest).where(data["published_high"].notna()))


def superior(data: pd.DataFrame, compared: pd.DataFrame) -> list[bool]:
    """For each cell whether its regime is better than every other one: the 95 % interval of each difference excludes 0.

    Args:
        data: cells.
        compared: differences of regimes, each with its interval.
    """
    better: set[Line] = set()
    for row in frames.records(compared):
        cell = (*names(row), row["protocol"], row["criterion"], row["budget"])
        better |= {(*cell, row["first"], row["second"])} if row["low"] > 0 else set()
        better |= {(*cell, row["second"], row["first"])} if row["high"] < 0 else set()
    cells = [(*names(row), row["protocol"], row["criterion"], row["budget"]) for row in frames.records(data)]
    regimes: dict[Line, list[str]] = defaultdict(list)
    for cell, regime, mean in zip(cells, data["regime"], data["mean"], strict=True):
        regimes[cell] += [] if math.isnan(mean) else [regime]
    return [
        len(regimes[cell]) > 1 and all((*cell, regime, other) in better for other in regimes[cell] if other != regime)
        for cell, regime in zip(cells, data["regime"], strict=True)
    ]


def accuracies(data: pd.DataFrame) -> pd.DataFrame:
    """One line per experiment and regime, one column per budget, and the paper's value."""
    lines = []
    for line, group in _lines(data):
        for cell in group:
            text = percent(cell["mean"], cell["std"])
            text += "" if math.isnan(cell["pearson"]) else f" ({percent(cell['pearson'])})"
            line[frames.budget(cell["budget"])] = f"**{text}**" if cell["best"] else text
        line["seeds"] = str(max(cell["seeds"] for cell in group))
        line["n"] = f"{group[0]['n']:,}"
        known = [cell for cell in group if cell["budget"] == "1.0" and not math.isnan(cell["published_high"])]
        if known:
            line["paper, 100 %"] = f"{_interval(known[0])} [{known[0]['origin']}]"
            line["difference"] = percent(known[0]["difference"], signed=True)
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def costs(data: pd.DataFrame) -> pd.DataFrame:
    """One line per experiment and regime, one column per budget: what a sample cost on average, and its drift."""
    return pd.DataFrame(
        line | {frames.budget(cell["budget"]): percent(cell["cost_share"]) + drift(cell) for cell in group}
        for line, group in _lines(data)
    )


def drift(cell: dict[str, Any]) -> str:
    """How far the cost went beyond what the validation split promised, in percentage points; nothing if none did."""
    if math.isnan(cell["promised_share"]):
        return ""
    return f" ({percent(cell['cost_share'] - cell['promised_share'], signed=True)})"


def _lines(data: pd.DataFrame) -> Iterator[tuple[dict[str, str], Records]]:
    several = data["criterion"].nunique() > 1
    for (*_, regime, criterion), cells in _by_line(data, ["experiment", "variant", "regime", "criterion"]).items():
        line = {"experiment": label(cells[0]), "regime": regime}
        yield line | ({"criterion": criterion} if several else {}), cells


def _interval(row: dict[str, Any]) -> str:
    low, high = (f"{100 * row[key]:.2f}" for key in ("published_low", "published_high"))
    if math.isnan(row["published_low"]):
        return f"up to {high}"
    return low if low == high else f"{low} to {high}"


def notes(data: pd.DataFrame) -> list[str]:
    """What a reader has to know."""
    found = [
        "mean ± standard deviation over seeds on the n samples of the test split; budgets are fractions of the"
        " backbone's cost",
    ]
    if data["promised_share"].notna().any():
        found.append(
            "in brackets behind a cost: its drift, by how many points it is more than the same thresholds cost on the"
            " validation split, which chose them"
        )
    if data["pearson"].notna().any():
        found.append("in brackets behind Spearman's correlation: Pearson's (× 100) of the same answers")
    if data["published_high"].notna().any():
        found.append(
            "difference: ours minus the paper's; the paper's thresholds were chosen on the test split (protocol paper)"
        )
    if data["best"].any():
        found.append(
            "bold: better than every other regime of the experiment, whose differences have 95 % intervals without 0"
            " (table comparisons); under the protocol paper these are of each run's own thresholds"
        )
    empty = data[data["note"] != ""]
    for (*named, budget, note), group in empty.groupby([*frames.NAMES, "budget", "note"], sort=False):
        protocols = group["protocol"].unique()
        under = f", protocol {' and '.join(protocols)}" if len(protocols) < data["protocol"].nunique() else ""
        identity = dict(zip(frames.NAMES, named, strict=True))
        found.append(f"– {label(identity)}, budget {frames.budget(str(budget))}{under}: {note}")
    return found
