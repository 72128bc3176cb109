"""Mutual information of every block's noisy activations with inputs and labels, regimes side by side."""

from typing import Any

import pandas as pd

from manyexits.artefacts import frames, layers
from manyexits.artefacts.tables import FINDING, Table

READS = "mutual_information"
QUANTITIES = ("I(X;T)", "I(T;Y)")


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """One section for each experiment and quantity, one line for each block: lower and upper bound at the middle one of
    the noise's variances, means over seeds. The data hold all variances, InfoNCE's estimate and the intervals."""
    frames.whole(frame, (*frames.NAMES, "value", "low", "high", "explained", "note"))
    data = frame.groupby(
        [*frames.NAMES, "view", "block", "noise", "quantity", "bound", "regime"], sort=False, dropna=False
    ).agg(
        mean=("value", "mean"),
        std=("value", "std"),
        seeds=("value", "count"),
        low=("low", "mean"),
        high=("high", "mean"),
        ceiling=("ceiling", "mean"),
        note=("note", "first"),
    )
    sections, findings = {}, []
    for name, rows, regimes in layers.experiments(frame, told):
        noise = middle(rows)
        shown = rows[rows["noise"] == noise]
        for quantity in QUANTITIES:
            own = shown[shown["quantity"] == quantity]
            title = f"{name}, {quantity} in nats, at most {own['ceiling'].max():.2f}; noise {noise:g}"
            sections[title] = lines(own, regimes)
        findings += [finding(name, rows[rows["quantity"] == quantity], quantity, regimes) for quantity in QUANTITIES]
    samples = " or ".join(f"{n:,}" for n in sorted(frame["n"].astype(int).unique()))
    width = (frame["high"] - frame["low"]).max() / 2
    notes = [
        f"T: the block's activations on {samples} samples of the test split, centred, along"
        f" {frame['components'].max():.0f} principal components at most, divided by one number per layer so that a"
        " component has a mean variance of 1, and Gaussian noise of the variance that is named [O]",
        "lower – upper bound of I(X;T) from kernels over pairs of samples [L: Kolchinsky and Tracey]; I(T;Y): the same"
        " inside the classes taken away, an estimate and no bound [O]; means over seeds",
        f"95 % bootstrap intervals over samples are ± {width:.2f} nats wide at most; they stand in the data",
        *layers.reasons(frame[frame["bound"] == "upper"]),
        *filter(None, findings),
    ]
    return Table(data.reset_index(), sections, notes)


def middle(rows: pd.DataFrame) -> float:
    """The middle one of the noise's variances."""
    found = sorted(rows["noise"].unique())
    return float(found[len(found) // 2])


def lines(rows: pd.DataFrame, regimes: list[str]) -> pd.DataFrame:
    """One line for each block: both bounds under every regime."""
    means = layers.over_seeds(rows, "view", "block", "regime", "bound")
    found = []
    for _, own in means.groupby(["view", "block"], sort=False):
        by = {(row["regime"], row["bound"]): layers.number(row["mean"], float("nan")) for row in frames.records(own)}
        line = {"block": layers.place(own, rows)}
        for regime in regimes:
            low, high = (by.get((regime, bound), "–") for bound in ("lower", "upper"))
            line[regime] = low if low == high else f"{low} – {high}"
        found.append(line)
    return pd.DataFrame(found)


def finding(name: str, rows: pd.DataFrame, quantity: str, regimes: list[str]) -> str:
    """Whether the regimes have one ranking after the last block, whatever the noise and the bound."""
    own = layers.last(rows[rows["bound"] != "infonce"].dropna(subset=["value"]))
    if len(regimes) < 2 or own.empty:
        return ""
    rankings: dict[str, list[str]] = {}
    for (noise, bound), each in own.groupby(["noise", "bound"], sort=False):
        means = each.groupby("regime", sort=False)["value"].mean().sort_values(ascending=False, kind="stable")
        rankings.setdefault(" > ".join(means.index), []).append(f"{bound} at {noise:g}")
    begin = f"{FINDING}{name}, {quantity} after block {own['block'].iloc[0]}"
    if len(rankings) == 1:
        return f"{begin} ranks {next(iter(rankings))}, under every noise and bound ({frames.seeds(own)})"
    told = "; ".join(f"{ranking} ({', '.join(where)})" for ranking, where in rankings.items())
    return f"{begin} has no ranking of its own, it depends on noise and bound: {told} ({frames.seeds(own)})"
