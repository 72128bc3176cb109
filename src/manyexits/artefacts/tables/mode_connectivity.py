"""The claims of Figure 3 as numbers: the barrier between every two runs, for each exit."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import Table

READS = "mode_connectivity"


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """Barriers of the training loss on straight lines, mean ± standard deviation over seeds, and distances."""
    barriers = frame[frame["part"] == "barrier"].copy()
    barriers["between"] = [_pair(row) for row in frames.records(barriers)]
    barriers["control"] = barriers["seed"] != barriers["second_seed"]
    columns = {"mean": ("value", "mean"), "std": ("value", "std"), "pairs": ("value", "count")}
    by = ["experiment", "variant", "between", "control", "metric", "exit"]
    data = barriers.groupby(by, sort=False, dropna=False).agg(**columns).reset_index()
    data["exit"] = data["exit"].astype("Int64")
    lines = []
    for (experiment, variant, between), group in data.groupby(["experiment", "variant", "between"], sort=False):
        line = {"experiment": frames.label({"experiment": experiment, "variant": variant}), "between": between}
        distances = group[group["metric"] == "distance"]
        if distances.empty:
            raise ValueError(f"{line['experiment']}: there is no distance between {between}; analyse it again")
        distance = distances.iloc[0]
        line["distance"] = _number(distance["mean"], distance["std"])
        exits = group[group["metric"] == "barrier"].sort_values("exit")
        for row in frames.records(exits):
            last = " (last)" if row["exit"] == exits["exit"].max() else ""
            line[f"exit {row['exit']}{last}"] = _number(row["mean"], row["std"])
        line["pairs"] = str(distance["pairs"])
        lines.append(line)
    numbers = frame.loc[frame["metric"] == "barrier", "n"].astype(int).unique()
    points = frame.loc[frame["part"] == "line", "t"].nunique()
    notes = [
        "barrier: largest rise of the mean cross-entropy above the straight line between its ends,"
        f" at {points} points, on {' or '.join(str(n) for n in sorted(numbers))} training images",
        "distance: Euclidean, of the backbones' parameters; mean ± standard deviation over pairs of runs",
    ]
    if not data["control"].any():
        notes.append(frames.no_control(frame))
    return Table(data, {"Barriers between runs, in nats": pd.DataFrame(lines).fillna("–")}, notes)


def _pair(row: dict[str, Any]) -> str:
    if row["seed"] == row["second_seed"]:
        return f"{row['first']} – {row['second']}"
    return f"control: {row['first']}, two seeds"


def _number(mean: float, std: float) -> str:
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"
