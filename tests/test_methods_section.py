"""README's section on methods and cures against the committed records: every number is computed anew from what each
run answered."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from test_first_screen import BUDGETS, tables

from manyexits.exits import compare, task
from manyexits.exits.answers import read as read_answers

SECTION = "### Methods, heads and cures on photographs\n"
FIRST = "imagenette64-resnet20"
EXPERIMENTS = {
    "`sdn`": FIRST,
    "`ztw`": f"{FIRST}-methods",
    "`pbee`, by patience": f"{FIRST}-methods.pbee",
    "`gpf`": f"{FIRST}-methods.gpf",
    "`l2w`": f"{FIRST}-methods.l2w",
    "`sdn`, heads of one layer more": f"{FIRST}-methods.1L",
    "loss scaling": f"{FIRST}-scaled",
    "linear weights": f"{FIRST}-scaled.linear_weights",
    "gradient equilibrium": f"{FIRST}-scaled.gradient_equilibrium",
}


@pytest.fixture(scope="module")
def section(root) -> str:
    """What stands below the heading."""
    return re.split(r"^#{2,3} ", (root / "README.md").read_text().partition(SECTION)[2], flags=re.MULTILINE)[0]


def runs(root, label: str) -> dict[tuple[str, int], object]:
    """Regime and seed -> folder."""
    folders = (root / "docs/workstation/runs" / EXPERIMENTS[label]).glob("*/s*")
    return {(folder.parent.name, int(folder.name[1:])): folder for folder in sorted(folders)}


@pytest.fixture(scope="module")
def compared(root):
    """Of a method: its other regime and budget -> the row of mixed minus it."""

    def of(label: str) -> dict[tuple[str, str], dict]:
        answers = {run: read_answers(folder / "answers.safetensors")[0] for run, folder in runs(root, label).items()}
        own = ("shared", "patience" if "patience" in label else "confidence")
        shown = {budget: name for name, budget in BUDGETS.items()}
        rows = [row for row in compare.compare(answers, task.of({"classes": 10})) if own == (row["protocol"], row["criterion"])]
        return {
            (row["first"], shown[row["budget"]]): {
                "difference": -100 * row["difference"],
                "low": -100 * row["high"],
                "high": -100 * row["low"],
            }
            for row in rows
            if row["second"] == "mixed"
        }

    return of


def test_every_method_is_there_and_every_difference_is_that_of_the_answers(section, compared):
    heading, *lines = tables(section)[0]
    assert heading == ["method", "mixed −", *BUDGETS]
    told = {}
    for label, other, *cells in lines:
        told.setdefault(label, {})[other] = cells
    assert list(told) == list(EXPERIMENTS)
    for label, of_regimes in told.items():
        found = compared(label)
        assert {(other, shown) for other in of_regimes for shown in BUDGETS} == set(found)
        for (other, shown), row in found.items():
            cell = of_regimes[other][list(BUDGETS).index(shown)]
            assert cell == f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]", (label, other, shown)
