"""README's first screen against the committed records: every number and every comparison is computed anew."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from manyexits.exits import compare, task
from manyexits.exits.answers import read as read_answers
from manyexits.study import resolve
from manyexits.study.plan import load

EXPERIMENT, DATASET = "imagenette48-resnet20", "imagenette48"
BUDGETS = {"25 %": "0.25", "50 %": "0.5", "75 %": "0.75", "100 %": "1.0", "no limit": "max"}
UNITS = {"T": 1e12, "P": 1e15}


@pytest.fixture(scope="module")
def screen(root) -> str:
    """What stands above the first heading of a section."""
    return (root / "README.md").read_text().split("\n## ")[0]


@pytest.fixture(scope="module")
def records(root) -> Path:
    return root / "docs/workstation"


@pytest.fixture(scope="module")
def runs(root):
    """Regime and seed of every run."""
    plan = load(resolve.read([root / "config.yaml", root / "workflow/overlays/workstation.yaml"]))
    return [(names["regime"], names["seed"]) for names in plan.runs.of(EXPERIMENT)]


def tables(screen: str) -> list[list[list[str]]]:
    """Cells of each table, the heading first."""
    found = [block.splitlines() for block in screen.split("\n\n") if block.startswith("| ")]
    return [
        [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]
        for lines in found
    ]


@pytest.fixture(scope="module")
def accuracy(records, runs) -> dict[tuple[str, str], list[float]]:
    """Regime and budget -> accuracy of each seed, in %."""
    found: dict[tuple[str, str], list[float]] = {}
    for regime, seed in runs:
        frame = pd.read_csv(records / f"runs/{EXPERIMENT}/{regime}/s{seed}/rows.csv", dtype={"budget": str})
        cells = frame[(frame["metric"] == "accuracy") & (frame["protocol"] == "shared") & frame["threshold"].isna()]
        cells = cells[cells["criterion"] == "confidence"].set_index("budget")["value"]
        for shown, budget in BUDGETS.items():
            found.setdefault((regime, shown), []).append(100 * cells[budget])
    return found


def test_every_accuracy_is_that_of_the_rows(screen, accuracy, runs):
    heading, *lines = tables(screen)[0]
    assert heading[-5:] == list(BUDGETS)
    assert [line[0] for line in lines] == list(dict.fromkeys(regime for regime, _ in runs))
    for regime, *_, a, b, c, d, e in lines:
        for shown, cell in zip(BUDGETS, (a, b, c, d, e), strict=True):
            values = accuracy[regime, shown]
            assert cell == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}", (regime, shown)


def phases(records, regime: str, seed: int) -> list[dict]:
    """What a run took, with the phase 1 that it shares."""
    told = json.loads((records / f"runs/{EXPERIMENT}/{regime}/s{seed}/run.json").read_text())
    return told["phases"]


def test_every_training_cost_is_that_of_the_records(screen, records, runs):
    heading, *lines = tables(screen)[0]
    assert heading[1:3] == ["epochs", "training FLOPs"]
    for regime, epochs, cost, *_ in lines:
        of_seeds = [phases(records, regime, seed) for name, seed in runs if name == regime]
        assert {" + ".join(str(phase["epochs"]) for phase in found) for found in of_seeds} == {epochs}
        spent = {sum(phase["flops_of_phase"] for phase in found) for found in of_seeds}
        number, unit = cost.split()
        assert len(spent) == 1
        assert f"{spent.pop() / UNITS[unit]:.3g}" == number


@pytest.fixture(scope="module")
def compared(records, runs) -> dict[tuple[str, str, str], dict]:
    """Pair and budget -> difference and interval, from what every run answered."""
    files = {run: records / f"runs/{EXPERIMENT}/{run[0]}/s{run[1]}/answers.safetensors" for run in runs}
    answers = {run: read_answers(file)[0] for run, file in files.items()}
    shown = {budget: name for name, budget in BUDGETS.items()}
    rows = [
        row
        for row in compare.compare(answers, task.of({"classes": 10}))
        if (row["protocol"], row["criterion"]) == ("shared", "confidence")
    ]
    return {(row["first"], row["second"], shown[row["budget"]]): row for row in rows}


def test_every_difference_is_that_of_the_answers(screen, compared, accuracy):
    (shown_table,) = tables(screen)[1:]
    heading, *lines = shown_table
    assert heading[1:] == list(BUDGETS)
    for pair, *cells in lines:
        first, second = pair.split(" − ")
        for shown, cell in zip(BUDGETS, cells, strict=True):
            turned = (first, second, shown) not in compared
            row = compared[(second, first, shown) if turned else (first, second, shown)]
            sign = -1 if turned else 1
            difference = 100 * sign * row["difference"]
            low, high = sorted(100 * sign * row[end] for end in ("low", "high"))
            assert difference == pytest.approx(np.mean(accuracy[first, shown]) - np.mean(accuracy[second, shown]))
            assert cell == f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]", (pair, shown)


def superior(compared) -> set[tuple[str, str, str]]:
    """Better, worse and budget, where the interval excludes 0."""
    better = {(first, second, shown) for (first, second, shown), row in compared.items() if row["low"] > 0}
    return better | {(second, first, shown) for (first, second, shown), row in compared.items() if row["high"] < 0}


def test_best_and_worst_are_said_exactly_where_they_are_shown(screen, compared, runs):
    regimes, better = list(dict.fromkeys(regime for regime, _ in runs)), superior(compared)
    shown = set()
    for regime in regimes:
        others = [other for other in regimes if other != regime]
        for budget in BUDGETS:
            if all((regime, other, budget) in better for other in others):
                shown.add((regime, "best", budget))
            if all((other, regime, budget) in better for other in others):
                shown.add((regime, "worst", budget))
    text = " ".join(screen.split())
    said = re.findall(r"\*\*([\w-]+)\*\* is the (best|worst) at ([^.;:]+)", text)
    claims = {(regime, word, budget) for regime, word, at in said for budget in BUDGETS if budget in at}
    assert claims == shown
    assert len(re.findall(r"\b(best|worst)\b", text.replace("best epochs are", ""))) == len(said)


def test_better_is_said_only_where_the_interval_excludes_zero(screen, compared):
    text = " ".join(screen.split())
    said = re.findall(r"\*\*([\w-]+)\*\* is better than \*\*([\w-]+)\*\* at ([^.;:]+)", text)
    claims = {(first, second, budget) for first, second, at in said for budget in BUDGETS if budget in at}
    assert bool(claims) == bool(superior(compared))
    assert claims <= superior(compared)
    assert len(re.findall(r"is better than", text)) == len(said)


def test_the_highest_mean_is_that_of_the_rows(screen, accuracy, runs):
    text, regimes = " ".join(screen.split()), list(dict.fromkeys(regime for regime, _ in runs))
    means = {key: np.mean(values) for key, values in accuracy.items()}
    highest = {budget: max(regimes, key=lambda regime: means[regime, budget]) for budget in BUDGETS}
    said = re.findall(r"([\w-]+) has the highest mean at ([^.;:]+)", text)
    for regime, at in said:
        budgets = BUDGETS if at == "every budget" else [budget for budget in BUDGETS if budget in at]
        assert {highest[budget] for budget in budgets} == {regime}


def test_a_ratio_of_training_costs_is_that_of_the_table(screen):
    costs = {line[0]: float(line[2].split()[0]) for line in tables(screen)[0][1:]}
    ratios = {"twice": 2, "as many as": 1}
    text = " ".join(screen.split())
    said = re.findall(r"\*\*([\w-]+)\*\* trained with (twice|as many as) the FLOPs of \*\*([\w-]+)\*\*", text)
    assert said
    for first, ratio, second in said:
        assert costs[first] / costs[second] == pytest.approx(ratios[ratio], rel=0.01)


def test_what_was_spent_of_the_budget_is_that_of_the_rows(screen, records, runs):
    frame = pd.read_csv(records / "tables/table1.csv", dtype={"budget": str})
    cells = frame[(frame["protocol"] == "shared") & (frame["budget"] == "1.0")].set_index("regime")["cost_share"]
    (said,) = re.findall(r"spends less than it may \(([^)]*)\)", " ".join(screen.split()))
    told = dict(re.findall(r"([\w-]+) (\d+) %", said))
    assert told == {regime: f"{100 * cells[regime]:.0f}" for regime in told}
    assert set(told) == {regime for regime, _ in runs}


def test_seconds_and_commits_are_those_of_the_records(screen, records):
    text = " ".join(screen.split())
    folders = (records / f"runs/{EXPERIMENT}", records / f"backbones/{DATASET}")
    found = [json.loads(file.read_text()) for folder in folders for file in folder.rglob("run.json")]
    (trainings, seconds) = re.findall(r"The (\d+) trainings took ([\d,]+) s of one thread", text)[0]
    assert int(trainings) == len(found)
    spent = {json.dumps(phase): phase["device_seconds"] for told in found for phase in told["phases"]}
    assert f"{sum(spent.values()):,.0f}" == seconds  # a phase 1 that runs share counts once
    (commit,) = re.findall(r"trained at commit (\w{7})", text)
    assert {told["commit"][:7] for told in found} == {commit}


def test_samples_seeds_and_epochs_are_those_of_the_records(screen, records, runs):
    text = " ".join(screen.split())
    splits = json.loads((records / f"data/{DATASET}/manifest.json").read_text())["n"]
    for split, told in (("train", "{:,} to train on"), ("validation", "{:,} for validation"), ("test", "n = {:,}")):
        assert told.format(splits[split]) in text
    assert f"of {len({seed for _, seed in runs})} seeds" in text
    trained = [phase for run in runs for phase in phases(records, *run)]
    limits = sorted({phase["epochs"] for phase in trained})
    (stated,) = re.findall(r"best epochs are ([^)]*)\)", text)
    best = {n: sorted(phase["best_epoch"] for phase in trained if phase["epochs"] == n) for n in limits}
    assert stated == ", ".join(f"{best[n][0]} to {best[n][-1]} of {n}" for n in limits)
    assert ("no phase stopped early" in text) == (not any(phase["stopped_early"] for phase in trained))


def test_the_photographs_are_those_of_the_records(screen, records):
    splits = json.loads((records / f"data/{DATASET}/manifest.json").read_text())["n"]
    assert f"on {sum(splits.values()):,} of Imagenette's" in " ".join(screen.split())


def test_the_share_of_the_training_cost_is_that_of_the_table(screen):
    costs = {line[0]: float(line[2].split()[0]) for line in tables(screen)[0][1:]}
    assert "which trained with two thirds of its FLOPs" in " ".join(screen.split())
    assert costs["disjoint"] / costs["mixed"] == pytest.approx(2 / 3, abs=0.02)


def test_every_pair_of_regimes_was_compared(compared, runs):
    regimes = dict.fromkeys(regime for regime, _ in runs)
    assert {key[:2] for key in compared} == set(combinations(regimes, 2))
