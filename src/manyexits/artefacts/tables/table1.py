"""Table 1: accuracy of every experiment and regime at every budget, beside the paper's numbers."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd

from manyexits.artefacts import frames
from manyexits.artefacts.frames import label
from manyexits.artefacts.tables import Table, percent

READS = "rows"

WHERE_CHOSEN = {
    "shared": "one threshold for all exits, chosen on the validation split",
    "paper": "one threshold for all exits, chosen on the test split as the authors do",
    "geometric": "one threshold per exit, chosen on the validation split as MSDNet does",
}


def table(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocols: list[Literal["shared", "paper", "geometric"]] | None = None,
    criterion: str | None = None,
) -> Table:
    """Experiments x regimes x budgets for each protocol: mean ± s.d. over seeds.

    Args:
        frame: rows.
        told: what is drawn.
        protocols: `shared` and `paper` by default.
        criterion: of all experiments; null: each one's own.
    """
    protocols = protocols or ["shared", "paper"]
    lines = [
        cells(frames.of(frame, identity), identity, regime, protocol, criterion or identity["criterion"])
        for protocol in protocols
        for identity in told["experiments"]
        if criterion or defined(protocol, identity["criterion"])
        for regime in frames.regimes(frame, identity, told["regimes"])
    ]
    if not lines:
        raise ValueError(f"{', '.join(protocols)} is defined for no criterion of the experiments; name other protocols")
    data = with_published(pd.concat(lines, ignore_index=True))
    shown = " or ".join(dict.fromkeys(frames.MEASURES[identity["metric"]] for identity in told["experiments"]))
    shown, sections = shown[0].upper() + shown[1:], {}
    for protocol in protocols:
        of = data[data["protocol"] == protocol]
        named = " or ".join(dict.fromkeys(of["criterion"]))
        sections[f"{shown}, protocol {protocol}: {WHERE_CHOSEN[protocol]}; criterion {named}"] = accuracies(of)
        sections[f"Mean cost really spent (% of the backbone's), protocol {protocol}"] = costs(of)
    return Table(data, sections, notes(data))


def defined(protocol: str, criterion: str) -> bool:
    """Whether a protocol chooses thresholds of a criterion: MSDNet's does so for confidence alone."""
    return protocol != "geometric" or criterion == "confidence"


def cells(frame: pd.DataFrame, identity: dict[str, Any], regime: str, protocol: str, criterion: str) -> pd.DataFrame:
    """One line of the table: the cell of every budget.

    Raises:
        ValueError: when the runs have no such cells.
    """
    measured = frame["metric"].isin([identity["metric"], "backbone_cost"])
    runs = frame[(frame["regime"] == regime) & measured]
    backbone = float(runs.loc[runs["metric"] == "backbone_cost", "value"].iloc[0])
    chosen = runs[(runs["protocol"] == protocol) & (runs["criterion"] == criterion)]
    if chosen.empty:
        raise ValueError(
            f"{label(identity)} was not evaluated under protocol {protocol} and criterion {criterion};"
            " name them in protocols and in the experiment's criteria, or ask the table for others"
        )
    found = frames.over_seeds(chosen[chosen["threshold"].isna()], ["budget"])
    if protocol == "paper":
        found = averaged_first(found, chosen[chosen["threshold"].notna()], backbone)
    first = runs[(runs["exit"] == 1) & (runs["metric"] == identity["metric"])]["cost"].iloc[0]
    found["cost_share"] = found.pop("cost") / backbone
    infeasible = (
        f"infeasible, no threshold meets it: the first exit costs {100 * first / backbone:.1f} % of the backbone"
    )
    found["note"] = np.where(found["mean"].isna(), infeasible, "")
    names = {key: identity[key] for key in ("experiment", "variant", "dataset", "backbone", "method")}
    found = found.assign(**names, regime=regime, protocol=protocol, criterion=criterion)
    return found[[*names, "regime", "protocol", "criterion", "budget", "n", "mean", "std", "cost_share", "note"]]


def averaged_first(cells: pd.DataFrame, points: pd.DataFrame, backbone: float) -> pd.DataFrame:
    """The authors' order: average score and cost over seeds at each threshold, then take the strictest that fits [C].

    Cost rises with strictness whatever the criterion, and where it stays nobody's exit changes. The deviation is that
    over seeds at this threshold. Max needs no threshold: it is the last exit.
    """
    swept = frames.over_seeds(points, ["threshold"]).sort_values("cost", kind="stable")
    lines = []
    for cell in frames.records(cells):
        if cell["budget"] != "max":
            fitting = swept[swept["cost"] <= float(cell["budget"]) * backbone]
            empty = {"mean": np.nan, "std": np.nan, "n": 0, "cost": np.nan}
            cell |= frames.records(fitting.drop(columns="threshold"))[-1] if len(fitting) else empty
        lines.append(cell)
    return pd.DataFrame(lines).astype({"n": int})


def with_published(data: pd.DataFrame) -> pd.DataFrame:
    """The paper's value beside each cell that has one, and the difference, 0 inside its interval.

    It stands beside variants, too, that differ in placement alone – the paper's is not public – but not beside other
    methods or criteria.
    """
    public = frames.published("table1").rename(columns={"value_low": "published_low", "value_high": "published_high"})
    public = public.assign(budget=public["budget"].astype(str))
    columns = ["experiment", "regime", "budget", "published_low", "published_high", "origin"]
    data = data.merge(public[columns], how="left", on=["experiment", "regime", "budget"])
    parts = ["dataset", "backbone", "method"]
    base = data[data["variant"] == ""].drop_duplicates("experiment").set_index("experiment")[parts]
    same = (data[parts] == base.reindex(data["experiment"]).set_axis(data.index)).all(axis=1)
    told = ["published_low", "published_high", "origin"]
    data[told] = data[told].where(same & (data["criterion"] == "confidence"))
    nearest = data["mean"].clip(data["published_low"], data["published_high"])
    return data.assign(difference=(data["mean"] - nearest).where(data["published_low"].notna()))


def accuracies(data: pd.DataFrame) -> pd.DataFrame:
    """One line per experiment and regime, one column per budget, and the paper's value."""
    lines = []
    several = data["criterion"].nunique() > 1
    for line, group in _lines(data):
        line |= {"criterion": group["criterion"].iloc[0]} if several else {}
        for cell in frames.records(group):
            line[_budget(cell["budget"])] = percent(cell["mean"], cell["std"])
        line["seeds"] = str(group["n"].max())
        known = frames.records(group[(group["budget"] == "1.0") & group["published_low"].notna()])
        line["paper, 100 %"] = f"{_interval(known[0])} [{known[0]['origin']}]" if known else "–"
        line["difference"] = percent(known[0]["difference"], signed=True) if known else "–"
        lines.append(line)
    return pd.DataFrame(lines)


def costs(data: pd.DataFrame) -> pd.DataFrame:
    """One line per experiment and regime, one column per budget: what a sample cost on average."""
    return pd.DataFrame(
        line | {_budget(cell["budget"]): percent(cell["cost_share"]) for cell in frames.records(group)}
        for line, group in _lines(data)
    )


def _lines(data: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for _, group in data.groupby(["experiment", "variant", "regime"], sort=False):
        first = frames.records(group)[0]
        yield {"experiment": label(first), "regime": first["regime"]}, group


def _budget(budget: str) -> str:
    return "Max" if budget == "max" else f"{100 * float(budget):g} %"


def _interval(row: dict[str, Any]) -> str:
    low, high = (f"{100 * row[key]:.2f}" for key in ("published_low", "published_high"))
    return low if low == high else f"{low} to {high}"


def notes(data: pd.DataFrame) -> list[str]:
    """What a reader has to know."""
    found = [
        "mean ± standard deviation over seeds on the test split; budgets are fractions of the backbone's cost",
        "difference: ours minus the paper's; the paper's thresholds were chosen on the test split (protocol paper)",
    ]
    for row in frames.records(data[data["note"] != ""].drop_duplicates(["experiment", "variant", "budget"])):
        found.append(f"– {label(row)}, budget {_budget(row['budget'])}: {row['note']}")
    return found
