"""Easy and hard samples: which of the test split leave first, and which last.

Our definition; reviewers of the paper asked for them.
"""

import math
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from manyexits.data.excerpts import excerpts
from manyexits.data.prepared import Prepared
from manyexits.exits.answers import Answers

READS = "answers"
COLUMNS = (
    "seed",
    "protocol",
    "criterion",
    "budgets",
    "kind",
    "place",
    "id",
    "label",
    "regime",
    "mean_exit",
    "first_answer",
    "last_answer",
    "sample",
)
"""kind: easy or hard. place: from 1, the easiest or hardest. id: number of the sample in the test split, from 0.
mean_exit: that it leaves with, the mean over so many budgets. first_answer, last_answer: of the first and the last
exit. sample: the beginning of its texts or a small picture, in the first of its rows."""
TEXT = ("protocol", "criterion", "kind", "label", "regime", "first_answer", "last_answer", "sample")
LEFT_OUT = ("sample",)
"""Of the rows that are gathered to be committed: texts and pictures belong to their publishers."""

Run = tuple[str, int, Answers]


def analyse(
    runs: list[Run],
    data: Prepared,
    *,
    n: Annotated[int, Field(ge=1, le=1000)] = 10,
    protocol: Literal["paper", "shared", "geometric", "temperature"] | None = None,
    criterion: str | None = None,
) -> list[dict[str, Any]]:
    """The samples that leave earliest and latest, over all regimes of a seed and all budgets that all of them meet; of
    equals some are drawn.

    Args:
        runs: regime, seed and answers of each.
        data: prepared dataset.
        n: samples of each kind, at most; none is of both.
        protocol: that chose the thresholds; null: `shared`, or its experiment's first.
        criterion: that samples leave by; null: the experiment's own.

    Raises:
        ValueError: when the runs have no thresholds of this protocol and criterion.
    """
    exits, budgets = mean_exits([answers for *_, answers in runs], protocol, criterion)
    easy, hard = ends(ranked(exits.mean(0)), n)
    told = {"protocol": protocol, "criterion": criterion, "budgets": budgets}
    found: list[dict[str, Any]] = []
    for kind, chosen in (("easy", easy), ("hard", hard)):
        for place, (sample, shown) in enumerate(zip(chosen, excerpts(data, chosen), strict=True), start=1):
            for number, (regime, seed, answers) in enumerate(runs):
                found.append(
                    {"seed": seed, **told, "kind": kind, "place": place, "id": sample, "regime": regime}
                    | {
                        "label": named(data, answers.label[sample]),
                        "mean_exit": float(exits[number, sample]),
                        "first_answer": named(data, answers.answer[sample, 0]),
                        "last_answer": named(data, answers.answer[sample, -1]),
                        "sample": shown if number == 0 else None,
                    }
                )
    return found


def mean_exits(
    answers: list[Answers], protocol: str | None, criterion: str | None
) -> tuple[Float[np.ndarray, "r n"], int]:
    """With which exit each sample leaves, by run: the mean over the budgets that all runs meet, and their number."""
    cells = {cell: None for cell in answers[0].left if cell[:2] == (protocol, criterion)}
    common = [cell for cell in cells if all(cell in each.left for each in answers)]
    if not common:
        raise ValueError(
            f"no budget has thresholds of the protocol {protocol} and the criterion {criterion} in all runs; evaluate"
            " them again"
        )
    return np.array([np.mean([each.left[cell] for cell in common], axis=0) for each in answers]), len(common)


def ranked(exits: Float[np.ndarray, " n"]) -> list[int]:
    """Samples from the earliest to the latest; of equals the order is drawn, the same on every call."""
    drawn = np.random.default_rng(0).permutation(len(exits))
    order = np.lexsort((drawn, exits))
    return [int(sample) for sample in order]


def ends(order: list[int], n: int) -> tuple[list[int], list[int]]:
    """The first and the last n of ranked samples, from the ends inwards; fewer where they would meet."""
    return order[: min(n, math.ceil(len(order) / 2))], order[::-1][: min(n, len(order) // 2)]


def named(data: Prepared, answer: Any) -> str:
    """A label or an answer as people read it; a dash for one that is no number."""
    if data.classes is None:
        return f"{answer:.2f}" if math.isfinite(answer) else "–"
    return str(data.manifest["class_names"][answer]) if answer >= 0 else "–"
