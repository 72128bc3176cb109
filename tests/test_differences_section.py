"""README's section on why the regimes differ against the committed records: every number is computed anew."""

import json
import re

import pandas as pd
import pytest

ON = {"photographs": "imagenette64-resnet20", "sentences": "stsb-minilm"}


@pytest.fixture(scope="module")
def records(root):
    return root / "docs/workstation"


@pytest.fixture(scope="module")
def section(root):
    text = (root / "README.md").read_text()
    return text.partition("### Why the regimes differ")[2].partition("\n## ")[0]


def analysed(records, analysis, experiment):
    """All rows of an analysis."""
    files = (records / "analyses" / analysis / experiment).glob("*.csv")
    return pd.concat([pd.read_csv(file) for file in files])


def test_the_table_is_that_of_the_claims(section, records):
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| ("
    ]
    lines = (records / "tables/claims.md").read_text().splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:3] == "| ("]
    names = {experiment: on for on, experiment in ON.items()}
    expected = [[cells[0], names[cells[1]], *cells[2:4], cells[5]] for cells in found if cells[1] in names]
    assert shown == expected
    assert len(shown) > 15


def barriers(records, experiment):
    """Those of the last exit: of each pair of regimes and path, and each seed."""
    frame = analysed(records, "mode_connectivity", experiment)
    return frame[(frame["metric"] == "barrier") & (frame["exit"] == frame["exit"].max())]


def height(rows, first, second, path="straight"):
    """Mean ± standard deviation over the seeds, or that between two of them."""
    of = rows[(rows["path"] == path) & (rows[["first", "second"]].apply(set, axis=1) == {first, second})]
    values = of.loc[(of["seed"] == of["second_seed"]) == (first != second), "value"]
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def test_every_barrier_is_that_of_the_analysis(section, records):
    text, own = " ".join(section.split()), barriers(records, ON["photographs"])
    said = re.findall(r"from (\w+) to (\w+) by (\d+\.\d+(?: ± \d+\.\d+)?)", text)
    assert len(said) == 3
    for first, second, told in said:
        assert height(own, first, second) == told, (first, second)
    assert f"a curve halves it ({height(own, 'joint', 'mixed', 'curve')})" in text
    within = own[own["seed"] == own["second_seed"]]
    by = within.pivot_table(index=["first", "second", "seed"], columns="path", values="value")
    assert (by["matched"] - by["straight"]).abs().max() < 0.0005  # matching moves none of it
    other = barriers(records, ON["sentences"])
    both = f"{height(other, 'disjoint', 'mixed')} and {height(other, 'joint', 'mixed')} squared error"
    assert f"on sentences it is {both}" in text
    assert f"the curve has {height(other, 'joint', 'mixed', 'curve')}" in text
    for experiment in ON.values():
        frame = analysed(records, "mode_connectivity", experiment)
        assert f"the lines of {frame.loc[frame['part'] == 'line', 't'].nunique()} points" in text


def test_ratios_of_ranks_are_those_of_the_analysis(section, records):
    text = " ".join(section.split())
    told = re.findall(r"(\d\.\d+) ± (\d\.\d+) of (?:mixed's|it) on (\w+)", text)
    assert [on for *_, on in told] == ["photographs", "sentences"]
    for mean, std, on in told:
        frame = analysed(records, "numerical_rank", ON[on])
        last = frame[(frame["metric"] == "rank") & (frame["block"] == frame["block"].max())]
        by = last.pivot_table(index="seed", columns="regime", values="value")
        ratio = by["joint"] / by["mixed"]
        assert (f"{ratio.mean():.2f}", f"{ratio.std():.2f}") == (mean, std)


def findings(records, name):
    lines = (records / f"tables/{name}.md").read_text().splitlines()
    return [line.removeprefix("- finding: ") for line in lines if line.startswith("- finding: ")]


def test_what_is_said_of_information_is_what_the_table_finds(section, records):
    fixed = [each for each in findings(records, "mutual_information") if "under every noise and bound" in each]
    assert [each.split(" after")[0] for each in fixed] == ["stsb-minilm, I(X;T)"]
    assert "but for one: I(X;T) on sentences" in " ".join(section.split())


def test_what_is_said_of_gradients_is_what_the_tables_find(section, records):
    told = {each.split(": ")[0]: each for each in findings(records, "gradient_dominance")}
    assert told["imagenette64-resnet20, joint"].endswith("exit 5 in 3, exit 6 in 5")
    assert told["imagenette64-resnet20, mixed"].endswith("exit 6 in 8")
    assert "exit 6 of 7 in 5 of 8 stages under joint and in 8 of 8 under mixed" in " ".join(section.split())
    claims = pd.read_csv(records / "tables/claims.csv")
    answers = claims[claims["claim"].str.startswith("(v) ")].groupby("claim")["answer"].agg(list)
    assert sorted(answers["(v) joint's gradients are dominated by the middle exits"]) == ["not decided", "yes"]
    assert "yes" not in answers["(v) mixed's gradients are balanced"]


def test_sizes_and_commits_are_those_of_the_records(section, records):
    text = " ".join(section.split())
    trained = [file for name in ON.values() for file in (records / "runs" / name).rglob("run.json")]
    made = [file for name in ON.values() for file in records.glob(f"analyses/*/{name}/*.json")]
    kept = [file for file in made if "easy_and_hard" not in str(file)]
    of_lines = [file for file in kept if f"mode_connectivity/{ON['sentences']}" in str(file)]
    for files, word in (
        (trained, "trained at"),
        ([file for file in kept if file not in of_lines], "analysed at"),
        (of_lines, "the lines and the plane of STS-B at"),
    ):
        commits = {json.loads(file.read_text())["commit"][:7] for file in files}
        assert commits == set(re.findall(rf"{word} commit (\w{{7}})", text))
    counted = {on: analysed(records, "numerical_rank", name)["n"].unique().tolist() for on, name in ON.items()}
    assert f"n is {counted['photographs'][0]:,} test photographs and {counted['sentences'][0]:,} pairs" in text
    probed = {int(analysed(records, "gradient_dominance", name)["n"].max()) for name in ON.values()}
    assert f"{probed.pop()} training samples for gradients" in text
    assert not probed
