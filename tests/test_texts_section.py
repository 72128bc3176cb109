"""README's section on texts against the committed records: every number is computed anew from rows and answers."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_first_screen import BUDGETS, tables
from test_methods_section import record

from manyexits.exits import compare, task
from manyexits.exits.answers import read as read_answers

SECTION = "### Messages and sentences\n"
EXPERIMENTS = {
    "20-Newsgroups, linear": "newsgroups-minilm",
    "20-Newsgroups, three layers": "newsgroups-minilm.3L",
    "STS-B, linear": "stsb-minilm",
    "STS-B, three layers": "stsb-minilm.3L",
}
TASKS = {"newsgroups": {"classes": 20}, "stsb": {"scores": [0, 5]}}
METRICS = {"newsgroups": ("accuracy", "confidence"), "stsb": ("spearman", "agreement")}
"""Dataset -> what is shown, and by which criterion samples leave."""
REGIMES = ("disjoint", "joint", "mixed")


@pytest.fixture(scope="module")
def section(root) -> str:
    """What stands below the heading."""
    return re.split(r"^#{2,3} ", (root / "README.md").read_text().partition(SECTION)[2], flags=re.MULTILINE)[0]


def of(label: str) -> str:
    """The dataset of a label's experiment."""
    return EXPERIMENTS[label].partition("-")[0]


def runs(root, label: str) -> dict[tuple[str, int], Path]:
    """Regime and seed -> folder."""
    folders = (root / "docs/workstation/runs" / EXPERIMENTS[label]).glob("*/s*")
    return {(folder.parent.name, int(folder.name[1:])): folder for folder in sorted(folders)}


def rows(root, label: str, regime: str) -> pd.DataFrame:
    """Rows of all seeds, points of sweeps left out."""
    read = [
        pd.read_csv(folder / "rows.csv", dtype={"budget": str})
        for (other, _), folder in runs(root, label).items()
        if other == regime
    ]
    frame = pd.concat(read)
    return frame[(frame["split"] == "test") & (frame["metric"] == METRICS[of(label)][0]) & frame["threshold"].isna()]


def shown(values: pd.Series) -> str:
    """Mean ± standard deviation in percent; a dash where there is none."""
    if values.empty or values.isna().any():
        return "–"
    mean = f"{100 * values.mean():.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * values.std():.1f}"


def scores(root, label: str, regime: str) -> list[str]:
    """Cells of a line: the first and the last exit alone, then the budgets."""
    found = rows(root, label, regime)
    alone = found[found["exit"].notna()]
    cells = found[(found["protocol"] == "shared") & (found["criterion"] == METRICS[of(label)][1])]
    ends = [alone.loc[alone["exit"] == exit_, "value"] for exit_ in (1, alone["exit"].max())]
    return [shown(values) for values in ends] + [
        shown(cells.loc[cells["budget"] == budget, "value"]) for budget in BUDGETS.values()
    ]


@pytest.fixture(scope="module")
def compared(root) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """Label, other regime and budget -> by how much mixed gains more, and the interval."""
    found, names = {}, {budget: name for name, budget in BUDGETS.items()}
    for label in EXPERIMENTS:
        answers = {run: read_answers(folder / "answers.safetensors")[0] for run, folder in runs(root, label).items()}
        own, scale = ("shared", METRICS[of(label)][1]), 100 if of(label) == "newsgroups" else 1
        for row in compare.compare(answers, task.of(TASKS[of(label)])):
            if own == (row["protocol"], row["criterion"]) and row["second"] == "mixed":
                gain, high, low = (-scale * row[name] for name in ("difference", "low", "high"))
                found[label, row["first"], names[row["budget"]]] = gain, low, high
    return found


def test_every_score_is_that_of_the_rows(section, root):
    heading, *lines = tables(section)[0]
    assert heading == ["on, heads", "regime", "first exit", "last exit", *BUDGETS]
    told = {(label, regime): cells for label, regime, *cells in lines}
    assert told == {(label, regime): scores(root, label, regime) for label in EXPERIMENTS for regime in REGIMES}


def test_every_difference_is_that_of_the_answers(section, compared):
    heading, *lines = tables(section)[1]
    assert heading == ["on, heads", "mixed −", *BUDGETS]
    told = {
        (label, other, name): cell for label, other, *cells in lines for name, cell in zip(BUDGETS, cells, strict=True)
    }
    expected = dict.fromkeys(told, "–") | {
        key: f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]" for key, (gain, low, high) in compared.items()
    }
    assert set(told) == {(label, other, name) for label in EXPERIMENTS for other in REGIMES[:2] for name in BUDGETS}
    assert told == expected


def test_a_star_stands_exactly_where_the_interval_excludes_zero(section, compared):
    cells = re.findall(r"[+-][\d.]+ \[([+-][\d.]+), ([+-][\d.]+)\]( \*)?", section)
    assert len(cells) == len(compared)
    assert all(bool(star) == (float(low) > 0 or float(high) < 0) for low, high, star in cells)


def test_sizes_seeds_versions_and_seconds_are_those_of_the_records(root, section):
    text, records = " ".join(section.split()), root / "docs/workstation"
    for name, dataset in (("newsgroups2000", "messages"), ("stsb-minilm", "pairs")):
        n = json.loads((records / f"data/{name}/manifest.json").read_text())["n"]
        assert (
            f"{n['train']:,} {dataset} to train on, {n['validation']:,} for validation, {n['test']:,} to test" in text
        )
    found = [
        record(file.parent)
        for kind, pattern in (("runs", "*minilm*/**/run.json"), ("backbones", "*/minilm/**/run.json"))
        for file in records.glob(f"{kind}/{pattern}")
    ]
    trainings, seconds = re.findall(r"The (\d+) trainings took ([\d,]+) s of one thread", text)[0]
    spent = {json.dumps(phase): phase["device_seconds"] for told in found for phase in told["phases"]}
    assert (int(trainings), seconds) == (len(found), f"{sum(spent.values()):,.0f}")
    assert {told["commit"][:7] for told in found} == set(re.findall(r"trained at commit (\w{7})", text))
    assert {told["hardware"]["threads"] for told in found} == {1}
    for name, said in {"python": "Python", "torch": "torch"}.items():
        assert {told["versions"][name] for told in found} == {re.findall(rf"\b{said} ([\d.]+\d)", text)[0]}
    seeds = {label: sorted({seed for _, seed in runs(root, label)}) for label in EXPERIMENTS}
    told = dict(re.findall(r"(20-Newsgroups|STS-B) with (one seed|two seeds)", text))
    assert {label: {1: "one seed", 2: "two seeds"}[len(own)] for label, own in seeds.items()} == {
        label: told[label.partition(",")[0]] for label in EXPERIMENTS
    }


def test_training_costs_are_those_of_the_records(root, section):
    text = " ".join(section.split())
    said = {
        name: dict(zip(REGIMES, costs, strict=True))
        for name, *costs in re.findall(
            r"On (20-Newsgroups|STS-B) disjoint took (\d+) T FLOPs, joint (\d+) T and mixed (\d+) T", text
        )
    }
    for label in EXPERIMENTS:
        if not label.endswith("linear"):
            continue
        for (regime, _), folder in runs(root, label).items():
            cost = sum(phase["flops_of_phase"] for phase in record(folder)["phases"]) / 1e12
            assert f"{cost:.0f}" == said[label.partition(",")[0]][regime]


def test_mixed_is_said_to_be_better_or_worse_exactly_where_it_is(section, compared):
    text = " ".join(section.split())
    assert "**mixed** is better than **joint** in every cell." in text
    assert all(low > 0 for (_, other, _), (_, low, _) in compared.items() if other == "joint")
    against = {key: value for key, value in compared.items() if key[1] == "disjoint"}
    better = {(label, name) for (label, _, name), (_, low, _) in against.items() if low > 0}
    worse = {(label, name) for (label, _, name), (*_, high) in against.items() if high < 0}
    linear, deep = "20-Newsgroups, linear", "20-Newsgroups, three layers"
    assert (
        "better on messages at 50 % and 75 % with linear heads, at 75 %, 100 % and no limit with three layers" in text
    )
    assert better == {(linear, "50 %"), (linear, "75 %"), (deep, "75 %"), (deep, "100 %"), (deep, "no limit")}
    assert "worse on messages at 25 % with three layers and on sentences at 50 % with both heads" in text
    assert worse == {(deep, "25 %"), ("STS-B, linear", "50 %"), ("STS-B, three layers", "50 %")}


def test_epochs_are_those_of_the_records(root, section):
    text = " ".join(section.split())
    lengths = {"newsgroups": int(*re.findall(r"in %, (\d+) epochs a phase", text))}
    lengths["stsb"] = int(*re.findall(r"× 100, (\d+) epochs a phase", text))
    heads = int(*re.findall(r"Frozen heads learn for (\d+) epochs", text))
    assert "No phase stopped early." in text
    for label in EXPERIMENTS:
        for folder in runs(root, label).values():
            for phase in record(folder)["phases"]:
                assert phase["epochs"] == (heads if phase["phase"] == "heads" else lengths[of(label)])
                assert not phase["stopped_early"]


def test_the_last_exit_of_mixed_reaches_80_on_sentences(root, section):
    """Under every seed, at least what the study set out to reach."""
    last = rows(root, "STS-B, linear", "mixed")
    values = last.loc[last["exit"] == last["exit"].max(), "value"].to_numpy()
    assert np.all(values >= 0.80)
