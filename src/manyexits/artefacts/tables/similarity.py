"""Similarity of the regimes' representations at equal depth: linear CKA. Beyond the paper."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames, layers
from manyexits.artefacts.tables import FINDING, Table

READS = "similarity"
SHOWN = "cka_debiased"


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """One section for each experiment, one line for each block: pairs of regimes of one seed, and seeds of one regime,
    mean ± standard deviation over them. The data hold every block against every other."""
    frame = frame.assign(between=[pair(row) for row in frames.records(frame)])
    by = ("view", "first_block", "second_block", "between", "metric")
    data = layers.over_seeds(frame, *by).rename(columns={"seeds": "pairs"})
    sections, notes = {}, []
    both = zip(told["experiments"], frames.each(frame, told["experiments"]), strict=True)
    for identity, rows in both:
        name = frames.label(identity)
        own = rows[(rows["metric"] == SHOWN) & (rows["first_block"] == rows["second_block"])]
        own = own[(own["first"] != own["second"]) | (own["seed"] != own["second_seed"])]
        if own.empty:
            notes.append(f"{name}: one regime and one seed have no other to be compared with")
            continue
        own = own.rename(columns={"first_block": "block"})
        order = list(dict.fromkeys(own["between"]))
        means = layers.over_seeds(own, "view", "block", "between")
        sections[f"{name}, CKA of equal blocks"] = layers.lines(means, "between", order, 3)
        notes += layers.reasons(own)
        notes.append(finding(name, layers.last(means)))
    samples = " or ".join(f"{n:,}" for n in sorted(frame["n"].astype(int).unique()))
    about = [
        f"linear CKA [L: Kornblith et al.], without the bias of few samples [L: Nguyen et al.], on {samples} samples of"
        " the test split in evaluation mode; 1: equal up to rotation and scale",
        "regimes of one seed share their initial weights, and disjoint and mixed their phase 1; mean ± standard"
        " deviation over pairs of runs",
    ]
    return Table(data, sections, about + notes)


def pair(row: dict[str, Any]) -> str:
    """Two runs as people read them."""
    if row["seed"] != row["second_seed"]:
        return f"{row['first']}, two seeds"
    return row["first"] if row["first"] == row["second"] else f"{row['first']} – {row['second']}"


def finding(name: str, last: pd.DataFrame) -> str:
    """How alike the last blocks are, as a sentence from the numbers."""
    told = [f"{row['between']} {layers.number(row['mean'], row['std'])}" for row in frames.records(last)]
    return f"{FINDING}{name}, CKA after block {last['block'].iloc[0]}: {', '.join(told)}"
