"""The paper's claims, each with the test that decides it: yes, no, or not decided at this scale."""

from typing import Any

import pandas as pd

from manyexits.artefacts import claims, frames
from manyexits.artefacts.tables import Table

READS = "rows"
METRICS = ("accuracy", "spearman")
POINTS = ()
BESIDE = ("comparisons", "mode_connectivity", "numerical_rank", "gradient_dominance")

OF_NOTES = "(iv) and (v) are claims of public notes on the paper, two of which disagree about (iv)"


def table(frame: pd.DataFrame, told: dict[str, Any]) -> Table:
    """One line for each claim, experiment and test: what was measured, its interval, and the answer."""
    found = list(claims.verdicts({"rows": frame} | told.get("beside", {}), told))
    order = sorted(range(len(found)), key=lambda index: (found[index].claim, index))
    data = pd.DataFrame(
        [
            {
                "claim": each.claim,
                "experiment": each.experiment,
                "test": each.test,
                "value": each.value,
                "low": each.low,
                "high": each.high,
                "unit": each.unit,
                "n": each.n,
                "line": each.line,
                "side": each.side,
                "answer": each.answer,
            }
            for each in (found[index] for index in order)
        ],
        columns=["claim", "experiment", "test", "value", "low", "high", "unit", "n", "line", "side", "answer"],
    )
    cells = pd.DataFrame(
        {
            "claim": data["claim"],
            "experiment": data["experiment"],
            "test": data["test"],
            "measured [95 %]": [_measured(row) for row in frames.records(data)],
            "over": data["n"],
            "answer": data["answer"],
        }
    )
    notes = [
        "yes: the whole interval lies on the claim's side; no: on the other; not decided: neither, or one seed has no"
        " interval. All tests are our definition [O]",
        "(i) is decided at its worst budget: near the best is at most a point of accuracy, or 0.02 of squared error,"
        " behind; intervals of differences in accuracy are those of `comparisons`, over samples and seeds; all others"
        " Student's t over seeds",
        OF_NOTES,
    ]
    return Table(data, {"Claims": cells}, notes)


def _measured(row: dict[str, Any]) -> str:
    how = ".2f" if row["unit"] == claims.RATIO else "+.2f"
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:{how}}, {row['high']:{how}}]"
    against = f", against {row['line']:g}" if row["line"] else ""
    return f"{row['value']:{how}}{interval} {row['unit']}{against}"
