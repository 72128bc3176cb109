"""README's section on methods and cures against the committed records: every number is computed anew from what each
run answered."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from test_first_screen import BUDGETS, tables

from manyexits.exits import compare, task
from manyexits.exits.answers import read as read_answers

SECTION = "### Methods, heads and cures on photographs\n"
FIRST = "imagenette64-resnet20"
METHODS = {
    "`sdn`": FIRST,
    "`ztw`": f"{FIRST}-methods",
    "`pbee`, by patience": f"{FIRST}-methods.pbee",
    "`gpf`": f"{FIRST}-methods.gpf",
    "`l2w`": f"{FIRST}-methods.l2w",
    "`sdn`, heads with a convolution": f"{FIRST}-methods.1L",
}
CURES = {
    "loss scaling": f"{FIRST}-scaled",
    "linear weights": f"{FIRST}-scaled.linear_weights",
    "gradient equilibrium": f"{FIRST}-scaled.gradient_equilibrium",
}
EXPERIMENTS = METHODS | CURES


@pytest.fixture(scope="module")
def section(root) -> str:
    """What stands below the heading."""
    return re.split(r"^#{2,3} ", (root / "README.md").read_text().partition(SECTION)[2], flags=re.MULTILINE)[0]


def runs(root, label: str) -> dict[tuple[str, int], Path]:
    """Regime and seed -> folder."""
    folders = (root / "docs/workstation/runs" / EXPERIMENTS[label]).glob("*/s*")
    return {(folder.parent.name, int(folder.name[1:])): folder for folder in sorted(folders)}


@pytest.fixture(scope="module")
def compared(root) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """Label, other regime and budget -> by how many points mixed is above it, and the interval."""
    found, shown = {}, {budget: name for name, budget in BUDGETS.items()}
    for label in EXPERIMENTS:
        answers = {run: read_answers(folder / "answers.safetensors")[0] for run, folder in runs(root, label).items()}
        own = ("shared", "patience" if "patience" in label else "confidence")
        for row in compare.compare(answers, task.of({"classes": 10})):
            if own == (row["protocol"], row["criterion"]) and row["second"] == "mixed":
                gain, high, low = (-100 * row[name] for name in ("difference", "low", "high"))
                found[label, row["first"], shown[row["budget"]]] = gain, low, high
    return found


def test_every_difference_is_that_of_the_answers(section, compared):
    (heading, *lines), *others = tables(section)
    assert not others
    assert heading == ["method", "mixed −", *BUDGETS]
    told = {
        (label, other, shown): cell
        for label, other, *cells in lines
        for shown, cell in zip(BUDGETS, cells, strict=True)
    }
    assert told == {key: f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]" for key, (gain, low, high) in compared.items()}


def test_a_star_stands_exactly_where_the_interval_excludes_zero(section):
    cells = re.findall(r"[+-][\d.]+ \[([+-][\d.]+), ([+-][\d.]+)\]( \*)?", section)
    assert len(cells) == 5 * (len(EXPERIMENTS) + 1)
    assert all(bool(star) == (float(low) > 0 or float(high) < 0) for low, high, star in cells)


@pytest.mark.parametrize(("of", "labels", "other"), [("method", METHODS, "disjoint"), ("cure", CURES, "joint")])
def test_mixed_is_said_to_be_better_exactly_where_it_is_under_all(section, compared, of, labels, other):
    text = " ".join(section.split())
    ((first, second, at),) = re.findall(
        rf"[Uu]nder every {of} \*\*(\w+)\*\* is better than \*\*(\w+)\*\* at ([^.;]+)", text
    )
    assert (first, second) == ("mixed", other)
    better = {shown for shown in BUDGETS if all(compared[label, other, shown][1] > 0 for label in labels)}
    assert {shown for shown in BUDGETS if shown in at} == better


def test_what_no_difference_is_shown_under_is_the_only_one(section, compared):
    not_better = {label for label in METHODS if compared[label, "disjoint", "50 %"][1] <= 0}
    (said,) = re.findall(r"at 50 % not under (`\w+`)", " ".join(section.split()))
    assert not_better == {said}


def test_what_the_thresholds_spend_is_that_of_the_rows(root, section):
    (said,) = re.findall(
        r"threshold for mixed spends (\d+) % of the backbone's FLOPs and that for disjoint (\d+) %",
        " ".join(section.split()),
    )
    for regime, share in zip(("mixed", "disjoint"), said, strict=True):
        rows = pd.read_csv(runs(root, "`ztw`")[regime, 1] / "rows.csv", dtype={"budget": str})
        whole = rows.loc[rows["metric"] == "backbone_cost", "value"].item()
        cell = rows[(rows["protocol"] == "shared") & (rows["criterion"] == "confidence") & (rows["budget"] == "0.5")]
        spent = cell.loc[(cell["metric"] == "accuracy") & cell["threshold"].isna(), "cost"]
        assert f"{100 * spent.item() / whole:.0f}" == share


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_training_costs_are_those_of_the_records(root, section):
    spent: dict[str, dict[str, list[float]]] = {}
    for label in EXPERIMENTS:
        for (regime, _), folder in runs(root, label).items():
            cost = sum(phase["flops_of_phase"] for phase in record(folder)["phases"]) / 1e12
            spent.setdefault(regime, {}).setdefault(label, []).append(cost)
    said = re.findall(
        r"(mixed|disjoint|joint) (?:took )?(\d+)(?: to (\d+))? T(?: FLOPs)?(?: \(`l2w` (\d+) T\))?",
        " ".join(section.split()),
    )
    assert [regime for regime, *_ in said] == ["mixed", "disjoint", "joint"]
    for regime, low, high, l2w in said:
        others = [cost for label, costs in spent[regime].items() for cost in costs if label != "`l2w`"]
        assert (f"{min(others):.0f}", f"{max(others):.0f}") == (low, high or low), regime
        assert not l2w or {f"{cost:.0f}" for cost in spent[regime]["`l2w`"]} == {l2w}


def test_seconds_commit_and_sizes_are_those_of_the_records(root, section):
    text, records = " ".join(section.split()), root / "docs/workstation"
    found = [
        record(file.parent)
        for kind in ("runs", "backbones")
        for file in records.glob(f"{kind}/imagenette64*/**/run.json")
    ]
    (trainings, seconds) = re.findall(r"The (\d+) trainings took ([\d,]+) s of one thread", text)[0]
    spent = {json.dumps(phase): phase["device_seconds"] for told in found for phase in told["phases"]}
    assert (int(trainings), seconds) == (len(found), f"{sum(spent.values()):,.0f}")
    assert {told["commit"][:7] for told in found} == set(re.findall(r"trained at commit (\w{7})", text))
    assert {told["hardware"]["threads"] for told in found} == {1}
    assert ("no phase stopped early" in text) == (not any(p["stopped_early"] for told in found for p in told["phases"]))
    for name, shown in {"python": "Python", "torch": "torch", "torchvision": "torchvision"}.items():
        assert {told["versions"][name] for told in found} == {re.findall(rf"\b{shown} ([\d.]+\d)", text)[0]}
    n = json.loads((records / "data/imagenette64/manifest.json").read_text())["n"]
    assert f"n = {n['test']:,}, thresholds by `shared` on {n['validation']:,} validation photographs" in text
    assert {len(told["exits"]) for told in found if len(told["exits"]) > 1} == {7}  # six heads and the classifier
    lengths = {phase["epochs"] for told in found for phase in told["phases"] if phase["phase"] != "ensemble"}
    assert lengths == {int(*re.findall(r"(\d+) epochs a phase", text))}
    seeds = {label: {seed for _, seed in runs(root, label)} for label in EXPERIMENTS}
    assert seeds == {label: {1} for label in EXPERIMENTS} | {"`sdn`": {1, 2}}
