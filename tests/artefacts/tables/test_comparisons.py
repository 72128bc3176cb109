"""The table of differences between regimes."""

import pytest

from manyexits.artefacts import frames
from manyexits.artefacts.tables import comparisons
from manyexits.files import rows

IDENTITY = {"experiment": "small", "variant": "", "criterion": "confidence", "metric": "accuracy"}
TOLD = {"experiments": [IDENTITY], "regimes": ["joint", "mixed"], "protocols": ["paper", "shared"]}
ROW = {
    "experiment": "small",
    "variant": "",
    "protocol": "shared",
    "criterion": "confidence",
    "budget": "0.25",
    "metric": "accuracy",
    "n": 800,
    "seeds": 2,
    "first": "joint",
    "second": "mixed",
    "difference": -0.0337,
    "low": -0.0601,
    "high": -0.005,
    "p": 0.02,
}


def drawn(tmp_path, *changes, **options):
    rows.write(tmp_path / "made.csv", [ROW | change for change in changes], rows.COMPARED)
    return comparisons.table(frames.read(comparisons, [tmp_path / "made.csv"], TOLD["experiments"]), TOLD, **options)


def test_a_cell_is_the_difference_in_points_with_its_interval(tmp_path):
    made = drawn(tmp_path, {}, {"budget": "max", "low": -0.07, "high": 0.0012}, {"protocol": "paper", "difference": 9})
    ((title, cells),) = made.sections.items()
    assert title == "Difference of accuracies in points, protocol shared, first regime minus second"
    assert cells.to_dict("records") == [
        {
            "experiment": "small",
            "difference": "joint − mixed",
            "25 %": "-3.37 [-6.01, -0.50]*",
            "Max": "-3.37 [-7.00, +0.12]",
            "n": "800",
            "seeds": "2",
        }
    ]
    assert made.data["protocol"].unique().tolist() == ["shared"]


def test_protocols_and_criteria_are_chosen(tmp_path):
    changes = ({}, {"protocol": "paper"}, {"criterion": "entropy", "difference": 0.5, "low": 0.4, "high": 0.6})
    made = drawn(tmp_path, *changes, protocols=["paper", "shared"])
    assert [title.split(",")[1] for title in made.sections] == [" protocol shared", " protocol paper"]
    (cells,) = drawn(tmp_path, *changes, criterion="entropy").sections.values()
    assert cells["25 %"].tolist() == ["+50.00 [+40.00, +60.00]*"]


def test_scores_are_told_in_their_own_unit(tmp_path):
    ((title, cells),) = drawn(tmp_path, {"metric": "gain", "low": -0.5, "high": 0.5}).sections.items()
    assert title.startswith("Difference of negative squared errors")
    assert cells["25 %"].tolist() == ["-0.03 [-0.50, +0.50]"]


def test_one_seed_says_what_its_interval_leaves_out(tmp_path):
    assert not any("one seed" in note for note in drawn(tmp_path, {}).notes)
    assert any("one seed" in note for note in drawn(tmp_path, {"seeds": 1}).notes)


def test_a_measure_that_nobody_compares_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--inputs: there are differences of 'x'; let the workflow make the files"):
        drawn(tmp_path, {"metric": "x"})


def test_nothing_that_was_compared_is_said(tmp_path):
    with pytest.raises(ValueError, match="no cell was compared under geometric and this criterion; name others"):
        drawn(tmp_path, {}, protocols=["geometric"])


@pytest.mark.parametrize("column", [key for key in ROW if key not in ("experiment", "variant")])
def test_a_difference_that_is_not_told_whole_is_refused(tmp_path, column):
    with pytest.raises(ValueError, match=rf"made\.csv .*a row lacks its {column}"):
        drawn(tmp_path, {}, {column: None})


@pytest.mark.parametrize("budget", ["x", "-", "0.5 %"])
def test_a_budget_that_is_no_number_is_refused(tmp_path, budget):
    with pytest.raises(ValueError, match=f"'{budget}' is no budget"):
        drawn(tmp_path, {}, {"budget": budget})
