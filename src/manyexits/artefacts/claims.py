"""The paper's claims, each with the test that decides it: yes, no, or not decided at this scale; never by eye.

A test gives a number and its 95 % interval. The claim holds where the whole interval lies on its side, it does not
where the whole interval lies on the other, and is not decided else. All tests are our definition.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from manyexits.artefacts import frames, intervals, layers

Frames = dict[str, pd.DataFrame]
"""What is read -> rows: `rows`, `comparisons`, and those analyses that the study has."""
NEAR = {"accuracy": 0.01, "gain": 0.02}
"""How much worse than the best is near it: a point of accuracy, or so much squared error."""
RATIO = "times"
"""Unit of a ratio."""
SCALE = {"accuracy": (100, "points"), "gain": (1, "squared error")}
"""Of what is compared: factor and unit of what is printed."""


@dataclass(frozen=True)
class Verdict:
    """One claim about one experiment."""

    claim: str
    experiment: str
    test: str
    value: float
    low: float
    high: float
    unit: str
    n: str
    """What the interval is over."""
    side: int = 1
    """On which side of the line the claim lies."""
    line: float = 0.0

    @property
    def answer(self) -> str:
        """yes, no or not decided."""
        low, high = sorted((self.side * (self.low - self.line), self.side * (self.high - self.line)))
        if math.isnan(low) or math.isnan(high):
            return "not decided"
        return "yes" if low > 0 else "no" if high < 0 else "not decided"


def verdicts(found: Frames, told: dict[str, Any]) -> Iterator[Verdict]:
    """All claims about all experiments for which there is what their tests read."""
    for identity in told["experiments"]:
        name = frames.label(identity)
        for what, test in TESTS:
            if what in found and len(rows := frames.of(found[what], identity)):
                yield from test(name, rows, identity, told)
    yield from _cures(found["rows"], told)


# -- accuracy at every budget ------------------------------------------------------------------------------------------


def _cells(rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Comparisons under the protocol and the criterion that tables show, both ways round."""
    own = rows[(rows["protocol"] == frames.protocol(told, None)) & (rows["criterion"] == identity["criterion"])]
    turned = own.rename(columns={"first": "second", "second": "first", "low": "high", "high": "low"})
    turned = turned.assign(difference=-turned["difference"], low=-turned["low"], high=-turned["high"])
    return frames.records(pd.concat([own, turned], ignore_index=True))


def _difference(claim: str, name: str, cell: dict[str, Any], side: int, line: float = 0.0) -> Verdict:
    factor, unit = SCALE[cell["metric"]]
    test = f"{cell['first']} − {cell['second']} at {frames.budget(cell['budget'])}"
    value, low, high = (factor * cell[key] for key in ("difference", "low", "high"))
    n = f"{cell['n']:,.0f} test samples, {layers.seeds(int(cell['seeds']))}"
    return Verdict(claim, name, test, value, low, high, unit, n, side, factor * line)


def _best(name: str, rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> Iterator[Verdict]:
    """Mixed is the best or near it at every budget: nowhere is another regime better by more than is near."""
    cells = _cells(rows, identity, told)
    if mixed := [cell for cell in cells if cell["first"] == "mixed"]:
        line = -NEAR[mixed[0]["metric"]]
        # decided by its worst cell: the claim fails if one does, and holds if the one with the lowest end does
        failed = [cell for cell in mixed if cell["high"] < line]
        worst = min(failed or mixed, key=lambda cell: cell["low"])
        yield _difference("(i) mixed is the best, or near the best", name, worst, 1, line)


def _ends(name: str, rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> Iterator[Verdict]:
    """Disjoint suffers at the lowest budget that both meet, joint at Max."""
    cells = _cells(rows, identity, told)
    between = {(cell["first"], cell["second"], cell["budget"]): cell for cell in cells}
    low = [key for key in between if key[:2] == ("disjoint", "joint") and key[2] != "max"]
    if low:
        lowest = min(low, key=lambda key: float(key[2]))
        yield _difference("(ii) disjoint suffers at low budgets", name, between[lowest], -1)
    if cell := between.get(("joint", "mixed", "max")):
        yield _difference("(ii) joint suffers at high budgets", name, cell, -1)


# -- over seeds --------------------------------------------------------------------------------------------------------


def _over_seeds(claim: str, name: str, test: str, values: pd.Series, unit: str, **more: Any) -> Iterator[Verdict]:
    """A mean over seeds with its interval; of one seed there is none, and nothing is decided."""
    values = values.dropna()
    if values.empty:
        return
    turn: Callable[[float], float] = more.pop("turn", lambda value: value)
    low, high = intervals.of_means(*(pd.Series([each]) for each in (values.mean(), values.std(), float(len(values)))))
    numbers = (turn(float(values.mean())), turn(float(low.iloc[0])), turn(float(high.iloc[0])))
    yield Verdict(claim, name, test, *numbers, unit, layers.seeds(len(values)), **more)


def _basins(name: str, rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> Iterator[Verdict]:
    """Joint lies behind a higher barrier from mixed than disjoint does, also once units are matched."""
    own = rows[(rows["part"] == "barrier") & (rows["metric"] == "barrier") & (rows["seed"] == rows["second_seed"])]
    own = own[own["exit"] == own["exit"].max()]
    unit = "nats" if identity["metric"] == "accuracy" else "squared error"
    for path, told_ in (("straight", ""), ("matched", ", units matched")):
        of = own[own["path"] == path]
        pairs = of.assign(pair=of["first"] + " – " + of["second"]).pivot_table(
            index="seed", columns="pair", values="value", dropna=False
        )
        if {"joint – mixed", "disjoint – mixed"} <= set(pairs):
            test = f"barrier of the last exit, joint – mixed less disjoint – mixed{told_}"
            values = pairs["joint – mixed"] - pairs["disjoint – mixed"]
            yield from _over_seeds("(iii) joint lies in a basin of its own", name, test, values, unit)


def _ranks(name: str, rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> Iterator[Verdict]:
    """Ratios of the regimes' ranks in the last third of the blocks: geometric means over these."""
    own = rows[rows["metric"] == "rank"]
    own = own[own["view"] == layers.last(own)["view"].iloc[0]]
    deep = own[own["block"] > own["block"].max() * 2 / 3]
    logs = deep.assign(value=np.log(deep["value"].where(deep["value"] > 0)))
    means = logs.pivot_table(index="seed", columns="regime", values="value", dropna=False)
    for claim, one, other, side in (
        ("(iv) joint has a lower rank in deep layers", "joint", "mixed", -1),
        ("(iv) exits that act on the backbone raise its rank in deep layers", "mixed", "disjoint", 1),
    ):
        if {one, other} <= set(means):
            test = f"rank in the last third of the blocks, {one} over {other}"
            values = means[one] - means[other]
            yield from _over_seeds(claim, name, test, values, RATIO, side=side, line=1.0, turn=math.exp)


def _gradients(name: str, rows: pd.DataFrame, identity: dict[str, Any], told: dict[str, Any]) -> Iterator[Verdict]:
    """Middle exits have more of joint's gradients than their number; mixed's are shared out more evenly."""
    own = rows[(rows["phase"] == "all") & (rows["epoch"] > 0) & rows["regime"].isin(["joint", "mixed"])]
    middle = _by_stage(own[own["metric"] == "projection_share"], _of_middle, least=3)
    if "joint" in middle:
        test = "projection share of the middle third of the exits behind a stage, less their share of these exits"
        claim = "(v) joint's gradients are dominated by the middle exits"
        yield from _over_seeds(claim, name, test, 100 * middle["joint"], "points")
    even = _by_stage(own[own["metric"] == "norm_share"], _evenness, least=2)
    if {"joint", "mixed"} <= set(even):
        test = "entropy of the norm shares over its largest, mixed less joint"
        values = even["mixed"] - even["joint"]
        yield from _over_seeds("(v) mixed's gradients are balanced", name, test, 100 * values, "points")


def _by_stage(rows: pd.DataFrame, measure: Callable[[np.ndarray], float], least: int) -> pd.DataFrame:
    """Seed x regime: means over stages with so many exits behind them, and over snapshots."""
    found = []
    for (seed, regime, *_), each in rows.dropna(subset=["value"]).groupby(["seed", "regime", "epoch", "stage"]):
        values = each.sort_values("exit")["value"].to_numpy()
        if len(values) >= least:
            found.append({"seed": seed, "regime": regime, "value": measure(values)})
    if not found:
        return pd.DataFrame()
    return pd.DataFrame(found).pivot_table(index="seed", columns="regime", values="value", dropna=False)


def _of_middle(shares: np.ndarray) -> float:
    places = (np.arange(len(shares)) + 0.5) / len(shares)
    middle = (places >= 1 / 3) & (places < 2 / 3)
    return float(shares[middle].sum() - middle.mean())


def _evenness(shares: np.ndarray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum() / np.log(len(shares)))


# -- cures of joint training -------------------------------------------------------------------------------------------


def _cures(rows: pd.DataFrame, told: dict[str, Any]) -> Iterator[Verdict]:
    """Joint with a cure reaches less than mixed without one: the mean over the budgets that both meet."""
    for cured in (identity for identity in told["experiments"] if identity["method"] in CURES):
        for plain in (identity for identity in told["experiments"] if identity["method"] == PLAIN):
            if any(cured[key] != plain[key] for key in ("dataset", "backbone", "metric")):
                continue
            both = [_scores(rows, identity, regime, told) for identity, regime in ((plain, "mixed"), (cured, "joint"))]
            if any(each.empty for each in both):
                continue
            differences = (both[0] - both[1]).dropna(axis=1, how="all")
            seeds = differences.dropna(how="all")
            test = f"mixed − joint with {cured['method']}, mean over {len(differences.columns)} budgets"
            claim, name = "(vi) loss and gradient scaling do not replace mixed", frames.label(plain)
            yield from _over_seeds(claim, name, test, 100 * seeds.mean(axis=1), "points")


PLAIN, CURES = "sdn", ("loss_scaling", "linear_weights", "gradient_equilibrium")
"""Methods, by their names in the study."""


def _scores(rows: pd.DataFrame, identity: dict[str, Any], regime: str, told: dict[str, Any]) -> pd.DataFrame:
    """Seed x budget: the score in the cells that tables print."""
    own = frames.of(rows, identity)
    own = own[
        (own["regime"] == regime)
        & (own["protocol"] == frames.protocol(told, None))
        & (own["criterion"] == identity["criterion"])
        & (own["metric"] == identity["metric"])
        & own["exit"].isna()
        & own["threshold"].isna()
    ]
    return own.astype({"budget": str}).pivot_table(index="seed", columns="budget", values="value", dropna=False)


TESTS: list[tuple[str, Callable[..., Iterator[Verdict]]]] = [
    ("comparisons", _best),
    ("comparisons", _ends),
    ("mode_connectivity", _basins),
    ("numerical_rank", _ranks),
    ("gradient_dominance", _gradients),
]
"""What a test reads -> the test."""
