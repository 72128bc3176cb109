"""How long phase 1 should last: one total of epochs, shared out between it and what follows."""

import math
from typing import Any, Literal

import pandas as pd

from manyexits.artefacts import budgets, frames, schedules
from manyexits.artefacts.tables import Table, percent
from manyexits.files.rows import MEASURES

READS = "rows"
COMPARED = "best"
SCHEDULED = True
METRICS = ("accuracy", "spearman", "pearson", "backbone_cost", "promised_cost")
POINTS = ("paper",)


def table(
    frame: pd.DataFrame,
    told: dict[str, Any],
    *,
    protocol: Literal["paper", "shared", "geometric", "temperature"] | None = None,
    criterion: str | None = None,
    best: bool = True,
) -> Table:
    """Regimes by the share of phase 1 x budgets: mean ± s.d. over seeds, and the cost really spent.

    Args:
        frame: rows.
        told: what is drawn.
        protocol: that chose the thresholds; null: `shared`, or the first that all its experiments have.
        criterion: of all experiments; null: each one's own.
        best: whether the best of an experiment's regimes is bold where `comparisons` tell it apart from every other.
    """
    under, found = frames.protocol(told, protocol), budgets.measured(frame)
    cells = pd.DataFrame(
        cell | {"share": schedules.share(identity, regime), "total": identity["schedule"][regime][1]}
        for identity in told["experiments"]
        for regime in schedules.ordered(identity, identity["schedule"])
        for cell in budgets.cells(found, identity, regime, under, criterion or identity["criterion"])
    )
    data = budgets.with_published(cells)
    data["best"] = budgets.superior(data, told["comparisons"]) if best and "comparisons" in told else False
    measure = " or ".join(dict.fromkeys(MEASURES[identity["metric"]] for identity in told["experiments"]))
    named = " or ".join(dict.fromkeys(data["criterion"]))
    sections = {
        f"{measure[0].upper()}{measure[1:]}, protocol {under}, criterion {named}": with_shares(
            data, budgets.accuracies(data)
        ),
        "Mean cost really spent (% of the backbone's)": with_shares(data, budgets.costs(data)),
    }
    return Table(data, sections, notes(data))


def with_shares(data: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """The share of phase 1 beside the regime's name."""
    each = data.drop_duplicates(["experiment", "variant", "regime"])
    told = [f"{100 * row['share']:g} % of {row['total']}" for row in frames.records(each)]
    lines.insert(list(lines.columns).index("regime") + 1, "phase 1, epochs", told)
    return lines


def notes(data: pd.DataFrame) -> list[str]:
    """Those of cells, what the total counts, and where the largest mean lies."""
    found = budgets.notes(data)
    found.append("the total counts the epochs in which the backbone learns; a frozen backbone's come beside it")
    for (experiment, variant), rows in data.groupby(list(frames.NAMES), sort=False):
        name = frames.label({"experiment": experiment, "variant": variant})
        told = [largest(frames.records(cells)) for _, cells in rows.groupby("budget", sort=False)]
        found.append(f"{name}, share of phase 1 with the largest mean: {'; '.join(filter(None, told))}")
    return found


def largest(cells: list[dict[str, Any]]) -> str:
    """Where a budget's largest mean lies, and whether it is a finding; nothing where no threshold meets the budget."""
    met = [cell for cell in cells if not math.isnan(cell["mean"])]
    if not met:
        return ""
    top = max(met, key=lambda cell: cell["mean"])
    shown = "" if top["best"] else ", not told apart from every other"
    return f"{frames.budget(top['budget'])}: {100 * top['share']:g} % ({percent(top['mean'])}{shown})"
