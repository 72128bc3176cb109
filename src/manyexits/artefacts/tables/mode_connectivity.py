"""The claims of Figure 3 as numbers: the barrier between every two runs, for each exit."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames, intervals
from manyexits.artefacts.tables import FINDING, Table

READS = "mode_connectivity"
PATHS = {"straight": "", "matched": ", matched", "curve": ", curve"}
"""Path between two runs -> how it is named behind them."""
UNITS = {"accuracy": "nats", "spearman": "squared error"}
"""Metric of an experiment -> unit of its loss."""


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """Barriers of the training loss between runs, on straight lines, on those after the units were matched and on the
    curve: mean ± standard deviation over pairs of runs, and distances."""
    barriers = frame[frame["part"] == "barrier"].copy()
    barriers["between"] = [_pair(row) for row in frames.records(barriers)]
    barriers["control"] = barriers["seed"] != barriers["second_seed"]
    by = ["experiment", "variant", "between", "path", "control", "metric", "exit"]
    columns = {"mean": ("value", "mean"), "std": ("value", "std"), "pairs": ("value", "count")}
    data = barriers.groupby(by, sort=False, dropna=False).agg(**columns).reset_index()
    data["low"], data["high"] = intervals.of_means(data["mean"], data["std"], data["pairs"])
    data["exit"] = data["exit"].astype("Int64")
    units = {frames.label(identity): UNITS[identity["metric"]] for identity in told["experiments"]}
    lines: dict[str, list[dict[str, str]]] = {}
    for (experiment, variant, between), group in data.groupby(["experiment", "variant", "between"], sort=False):
        name = frames.label({"experiment": experiment, "variant": variant})
        lines.setdefault(units[name], []).append(_line(name, str(between), group))
    sections = {f"Barriers between runs, in {unit}": _ordered(pd.DataFrame(own)) for unit, own in lines.items()}
    return Table(data, sections, notes(frame, data))


def _ordered(cells: pd.DataFrame) -> pd.DataFrame:
    """Exits in their order, the pairs behind them; networks may have different numbers of exits."""
    names = [str(name) for name in cells if str(name).startswith("exit ")]
    exits = sorted(names, key=lambda name: (int(name.split()[1]), name))
    return cells[["experiment", "between", "distance", *exits, "pairs"]]


def _line(name: str, between: str, group: pd.DataFrame) -> dict[str, str]:
    line = {"experiment": name, "between": between}
    distances = group[group["metric"] == "distance"]
    if distances.empty and (group["path"] == "straight").any():
        raise ValueError(f"{name}: there is no distance between {between}; analyse it again")
    line["distance"] = "–" if distances.empty else _number(distances.iloc[0]["mean"], distances.iloc[0]["std"])
    exits = group[group["metric"] == "barrier"].sort_values("exit")
    for row in frames.records(exits):
        last = " (last)" if row["exit"] == exits["exit"].max() else ""
        line[f"exit {row['exit']}{last}"] = _number(row["mean"], row["std"])
    return line | {"pairs": str(exits["pairs"].max() if len(exits) else distances.iloc[0]["pairs"])}


def notes(frame: pd.DataFrame, data: pd.DataFrame) -> list[str]:
    """What a reader has to know, and what was seen."""
    numbers = frame.loc[frame["metric"] == "barrier", "n"].astype(int).unique()
    points = frame.loc[frame["part"] == "line", "t"].nunique()
    found = [
        "barrier: largest rise of the mean loss above the straight line between the losses of both ends,"
        f" at {points} points, on {' or '.join(str(n) for n in sorted(numbers))} training samples",
        "distance: Euclidean, of the backbones' parameters; mean ± standard deviation over pairs of runs, whose 95 %"
        " intervals (Student's t) stand in the data",
    ]
    if (data["path"] == "matched").any():
        found.append(
            "matched: the second network's units in the order that fits the first's best [L: Ainsworth et al.]; what"
            " stays of a barrier then is no matter of numbering"
        )
    if (data["path"] == "curve").any():
        found.append("curve: a quadratic Bezier curve, bent so that the loss along it is low [L: Garipov et al.]")
    if not data["control"].any():
        found.append(frames.no_control(frame))
    exits = data[data["metric"] == "barrier"]
    last = exits[exits["exit"] == exits.groupby(list(frames.NAMES))["exit"].transform("max")]
    for (experiment, variant), rows in last.groupby(list(frames.NAMES), sort=False):
        told = [f"{row['between']} {_number(row['mean'], row['std'])}" for row in frames.records(rows)]
        name = frames.label({"experiment": experiment, "variant": variant})
        found.append(f"{FINDING}{name}, barrier of the last exit: {', '.join(told)}")
    return found


def _pair(row: dict[str, Any]) -> str:
    if row["path"] not in PATHS:
        raise ValueError(
            f"--inputs: there are barriers on a path {row['path']!r}; let the workflow make the files again"
        )
    path = PATHS[row["path"]]
    if row["seed"] == row["second_seed"]:
        return f"{row['first']} – {row['second']}{path}"
    return f"{row['first']}, two seeds{path}"


def _number(mean: float, std: float) -> str:
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"
