"""What every regime's training took, and how good its exits are at equal training cost."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.tables import Table, percent

READS = "history"

SCORES = {"accuracy": "accuracy (%)", "spearman": "negative squared error × 100"}
"""Metric of tables -> what trainings measure."""
ENOUGH = 1 + 1e-9
"""Over what was spent: means of whole numbers are rounded."""
RUN = [*frames.NAMES, "regime"]
UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
"""FLOPs -> prefix."""
NOTES = [
    "FLOPs: a backward pass counts twice the forward pass of what learns; validation is not counted; a phase 1 that"
    " regimes share counts in each of them",
    "end: at the best epoch of the last phase, whose weights are kept",
    "equal cost: after the last epoch until which a regime had spent no more FLOPs than the experiment's cheapest one"
    " takes in all; –: the exit had not been trained by then",
]


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """What each phase took, and every exit's validation score: at the end of training, and at equal training cost.

    Args:
        frame: histories.
        told: what is drawn.
    """
    took, ends, equal = [], [], []
    for rows in frames.each(frame, told["experiments"]):
        of = [rows[rows["regime"] == regime] for regime in frames.regimes(rows, told["regimes"])]
        least = min(own.groupby("seed")["flops"].max().mean() for own in of)
        took += [phases(own) for own in of]
        ends += [scores(own[(own["place"] == own["place"].max()) & (own["epoch"] == own["best_epoch"])]) for own in of]
        equal += [at_cost(own, least * ENOUGH) for own in of]
    parts = {"phase": took, "end": ends, "equal cost": equal}
    data = pd.concat([pd.concat(each).assign(part=part) for part, each in parts.items()], ignore_index=True)
    measured = " or ".join(dict.fromkeys(SCORES[identity["metric"]] for identity in told["experiments"]))
    sections = {
        "What the trainings took, means over seeds": costs(data[data["part"] == "phase"]),
        f"Validation {measured} of every exit at the end of training": exits(data[data["part"] == "end"]),
        f"Validation {measured} of every exit at equal training cost": exits(data[data["part"] == "equal cost"]),
    }
    return Table(data, sections, NOTES)


def phases(rows: pd.DataFrame) -> pd.DataFrame:
    """What each phase of one regime took, means over seeds."""
    each = rows.drop_duplicates(["seed", "place"])
    columns = {"samples": "samples_of_phase", "flops": "flops_of_phase"}
    means = {name: (columns.get(name, name), "mean") for name in ("epochs", "samples", "flops", "device_seconds")}
    grouped = each.groupby([*RUN, "place", "phase"], sort=False)
    return grouped.agg(**means, stopped_early=("stopped_early", "sum"), seeds=("seed", "nunique")).reset_index()


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean score of every exit over seeds, of one row for each seed and exit; and what was spent by then."""
    grouped = rows.groupby([*RUN, "exit"], sort=True)
    columns = {"mean": ("score", "mean"), "std": ("score", "std"), "flops": ("flops", "mean")}
    return grouped.agg(**columns, seeds=("seed", "nunique")).reset_index()


def at_cost(rows: pd.DataFrame, flops: float) -> pd.DataFrame:
    """The same after the last epoch until which no more was spent; of exits that were trained by then under all seeds.

    A regime whose first epoch alone costs more has none.
    """
    last = rows[rows["flops"] <= flops].groupby(["seed", "exit"], sort=False)["samples"].transform("max")
    found = scores(rows.loc[last.index][rows.loc[last.index, "samples"] == last])
    return found[found["seeds"] == rows["seed"].nunique()]


def costs(data: pd.DataFrame) -> pd.DataFrame:
    """One line for each phase, and one for all where there are several."""
    found = []
    for (experiment, variant, regime), rows in data.groupby(RUN, sort=False):
        label = frames.label({"experiment": experiment, "variant": variant})
        own = frames.records(rows)
        if len(own) > 1:
            summed = ("epochs", "samples", "flops", "device_seconds")
            own.append({"phase": "in all"} | {name: rows[name].sum() for name in summed})
        for row in own:
            line = {"experiment": label, "regime": regime, "phase": row["phase"], "epochs": f"{row['epochs']:g}"}
            line |= {"samples": f"{row['samples']:,.0f}", "FLOPs": prefixed(row["flops"])}
            found.append(line | {"device hours": f"{row['device_seconds'] / 3600:.3g}"})
    return pd.DataFrame(found)


def prefixed(flops: float) -> str:
    """FLOPs to three digits."""
    unit, prefix = next(((unit, prefix) for unit, prefix in UNITS if flops >= unit), UNITS[-1])
    return f"{flops / unit:.3g} {prefix}".strip()


def exits(data: pd.DataFrame) -> pd.DataFrame:
    """One line for each experiment and regime, a column for each exit."""
    found = []
    for (experiment, variant, regime), rows in data.groupby(RUN, sort=False):
        line = {"experiment": frames.label({"experiment": experiment, "variant": variant}), "regime": regime}
        line |= {"FLOPs": prefixed(rows["flops"].max())}
        found.append(
            line | {f"exit {row['exit']:.0f}": percent(row["mean"], row["std"]) for row in frames.records(rows)}
        )
    lines = pd.DataFrame(found).fillna("–")
    names = [str(name) for name in lines]
    ordered = sorted((name for name in names if name.startswith("exit ")), key=lambda name: int(name.split()[1]))
    return lines[[*(name for name in names if name not in ordered), *ordered]]
