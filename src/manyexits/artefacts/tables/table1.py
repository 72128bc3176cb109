"""Table 1: accuracy of every experiment and regime at every budget, beside the paper's numbers."""

from typing import Any, Literal

import pandas as pd

from manyexits.artefacts import budgets
from manyexits.artefacts.frames import label
from manyexits.artefacts.tables import Table
from manyexits.files.rows import MEASURES, defined

READS = "rows"
COMPARED = "best"
METRICS = ("accuracy", "spearman", "pearson", "backbone_cost", "promised_cost")
POINTS = ("paper",)

Protocol = Literal["shared", "paper", "geometric", "temperature"]
WHERE_CHOSEN: dict[Protocol, str] = {
    "shared": "one threshold for all exits, chosen on the validation split",
    "paper": "one threshold for all exits, chosen on the test split as the authors do",
    "geometric": "one threshold per exit, chosen on the validation split as MSDNet does",
    "temperature": "one threshold for all exits, each at a temperature of its own, both from the validation split",
}


def table(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocols: list[Literal["shared", "paper", "geometric", "temperature"]] | None = None,
    criteria: list[str] | None = None,
    best: bool = True,
) -> Table:
    """Experiments x regimes x budgets for each protocol: mean ± s.d. over seeds.

    Args:
        frame: rows.
        told: what is drawn.
        protocols: null: all that all its experiments have.
        criteria: of all experiments, side by side; null: each one's own.
        best: whether the best of an experiment's regimes is bold where `comparisons` tell it apart from every other.
    """
    known = told.get("protocols", WHERE_CHOSEN)
    protocols = protocols or [name for name in WHERE_CHOSEN if name in known]
    found = budgets.measured(frame)
    shown_under = [
        (protocol, identity, criterion)
        for protocol in protocols
        for identity in told["experiments"]
        for criterion in criteria or [identity["criterion"]]
    ]
    lines = [
        line
        for protocol, identity, criterion in shown_under
        if defined(protocol, criterion)
        for regime in told["regimes"]
        if (*budgets.names(identity), regime) in found.runs
        for line in budgets.cells(found, identity, regime, protocol, criterion)
    ]
    if not lines:
        raise ValueError(f"{', '.join(protocols)} is defined for no criterion of the experiments; name other protocols")
    data = budgets.with_published(pd.DataFrame(lines))
    data["best"] = budgets.superior(data, told["comparisons"]) if best and "comparisons" in told else False
    shown = " or ".join(dict.fromkeys(MEASURES[identity["metric"]] for identity in told["experiments"]))
    shown, sections = shown[0].upper() + shown[1:], {}
    for protocol in protocols:
        of = data[data["protocol"] == protocol]
        if of.empty:
            continue  # MSDNet's, where no experiment leaves by confidence
        named = " or ".join(dict.fromkeys(of["criterion"]))
        sections[f"{shown}, protocol {protocol}: {WHERE_CHOSEN[protocol]}; criterion {named}"] = budgets.accuracies(of)
        sections[f"Mean cost really spent (% of the backbone's), protocol {protocol}"] = budgets.costs(of)
    left_out = [
        f"{label(identity)} is not under protocol {protocol}, which is defined for confidence alone"
        for protocol, identity, criterion in shown_under
        if not defined(protocol, criterion)
    ]
    return Table(data, sections, budgets.notes(data) + list(dict.fromkeys(left_out)))
