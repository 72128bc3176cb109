"""Tidy rows survive the way through a CSV file unchanged."""

from pathlib import Path

import numpy as np
import pytest

from manyexits.analysis.mode_connectivity import COLUMNS
from manyexits.artefacts import frames
from manyexits.artefacts.tables import mode_connectivity, table1
from manyexits.files import rows
from manyexits.files.made import each

IDENTITY = {
    "experiment": "small",
    "variant": "",
    "dataset": "digits",
    "backbone": "tiny",
    "method": "sdn",
    "regime": "joint",
    "seed": 1,
}


def through_file(folder, *many, name="rows.csv"):
    rows.write(folder / name, [IDENTITY | row for row in many])
    return rows.read([folder / name])


def test_the_columns_come_back_in_order(tmp_path):
    assert tuple(through_file(tmp_path, {"metric": "accuracy"}).columns) == rows.COLUMNS


def test_a_row_comes_back(tmp_path):
    row = {"split": "test", "protocol": "paper", "criterion": "confidence", "budget": 0.25, "exit": 2}
    row |= {"threshold": 0.5, "metric": "accuracy", "value": 0.75, "unit": "fraction", "n": 450, "cost": 1730368}
    found = through_file(tmp_path, row).iloc[0].to_dict()
    assert found == IDENTITY | row | {"budget": "0.25"}


def test_what_is_not_told_is_empty_text_or_no_number(tmp_path):
    found = through_file(tmp_path, {"metric": "accuracy", "value": None}).iloc[0]
    for column in ("variant", "split", "protocol", "criterion", "budget", "unit"):
        assert found[column] == ""
    for column in ("exit", "threshold", "value", "n", "cost"):
        assert np.isnan(found[column])


def test_a_value_that_is_no_number_is_no_number(tmp_path):
    found = through_file(tmp_path, {"value": float("nan"), "cost": float("inf")}, {"value": 0.5}).iloc[0]
    assert np.isnan(found["value"])
    assert found["cost"] == float("inf")


@pytest.mark.parametrize("name", ["1e5", "NA", "nan", "null", "None", "007", "0.50", "True", "a,b", 'say "so"', " "])
def test_names_stay_text(tmp_path, name):
    texts = ("experiment", "variant", "dataset", "backbone", "method", "regime", "protocol", "metric", "budget")
    found = through_file(tmp_path, dict.fromkeys(texts, name)).iloc[0]
    assert [found[column] for column in texts] == [name] * len(texts)
    assert len(frames.of(rows.read([tmp_path / "rows.csv"]), {"experiment": name, "variant": name})) == 1


@pytest.mark.parametrize("name", ["1e5", "NA", "null"])
def test_names_stay_text_in_analyses(tmp_path, name):
    path = tmp_path / "analysis.csv"
    rows.write(path, [{"experiment": name, "variant": name, "value": 1.5}], ("experiment", "variant", *COLUMNS))
    found = frames.read(mode_connectivity, [path], [{"experiment": name, "variant": name}])
    assert len(frames.of(found, {"experiment": name, "variant": name})) == 1
    assert found["value"].tolist() == [1.5]
    assert np.isnan(found["exit"]).all()


def test_an_experiment_without_a_variant_is_found_in_an_analysis(tmp_path):
    path = tmp_path / "analysis.csv"
    rows.write(path, [{"experiment": "small", "variant": "", "value": 1}], ("experiment", "variant", *COLUMNS))
    small = {"experiment": "small", "variant": ""}
    assert len(frames.of(frames.read(mode_connectivity, [path], [small]), small)) == 1


def test_numbers_keep_all_their_digits(tmp_path):
    values = np.random.default_rng(0).random(500) * 10.0 ** np.arange(-250, 250)
    found = through_file(tmp_path, *({"value": float(value), "cost": value} for value in values))
    assert found["value"].tolist() == values.tolist()
    assert found["cost"].tolist() == values.tolist()


def test_numbers_of_an_analysis_keep_all_their_digits(tmp_path):
    values = np.random.default_rng(1).random(500)
    small = {"experiment": "small", "variant": ""}
    rows.write(tmp_path / "a.csv", [small | {"value": value} for value in values], ("experiment", "variant", *COLUMNS))
    assert frames.read(mode_connectivity, [tmp_path / "a.csv"], [small])["value"].tolist() == values.tolist()


def test_files_are_put_one_after_the_other(tmp_path):
    through_file(tmp_path, {"seed": 2, "value": 0.5}, {"seed": 2, "exit": 1}, name="b.csv")
    through_file(tmp_path, {"seed": 1, "value": 0.25}, name="a.csv")
    found = rows.read([tmp_path / "b.csv", tmp_path / "a.csv"])
    assert found["seed"].tolist() == [2, 2, 1]
    assert found.index.tolist() == [0, 1, 2]


def test_two_files_of_one_run_are_refused_since_it_would_count_twice(tmp_path):
    through_file(tmp_path, {"seed": 1, "value": 0.25}, name="a.csv")
    through_file(tmp_path, {"seed": 1, "value": 0.75}, name="b.csv")
    for second in ("a.csv", "b.csv"):
        with pytest.raises(ValueError, match=rf"a\.csv and .*{second} hold rows of one run"):
            rows.read([tmp_path / "a.csv", tmp_path / second])


@pytest.mark.parametrize("what", ["rows", "mode_connectivity"])
@pytest.mark.parametrize("foreign", [{"experiment": "other", "variant": ""}, {"experiment": "small", "variant": "v"}])
def test_an_experiment_that_is_not_drawn_is_refused(tmp_path, what, foreign):
    module = {"rows": table1, "mode_connectivity": mode_connectivity}[what]
    columns = rows.COLUMNS if what == "rows" else ("experiment", "variant", *COLUMNS)
    small = {key: IDENTITY[key] for key in ("experiment", "variant")}
    values = {key: value for key, value in IDENTITY.items() if key in columns} | {"metric": "accuracy", "value": 0.5}
    for name, identity in (("own", small), ("other", foreign)):
        rows.write(tmp_path / f"{name}.csv", [values | identity], columns)
    assert len(frames.read(module, [tmp_path / "own.csv"], [small])) == 1
    with pytest.raises(ValueError, match=r"--inputs: there are rows of '(other|small\.v)', which is not drawn"):
        frames.read(module, [tmp_path / "own.csv", tmp_path / "other.csv"], [small])


OURS, OTHERS = "0123456789abcdef", "fedcba9876543210"


@pytest.mark.parametrize("what", ["rows", "mode_connectivity"])
def test_rows_that_other_settings_made_are_refused(tmp_path, what):
    module = {"rows": table1, "mode_connectivity": mode_connectivity}[what]
    columns = rows.COLUMNS if what == "rows" else ("experiment", "variant", *COLUMNS)
    small = {key: IDENTITY[key] for key in ("experiment", "variant")}
    values = {"metric": "accuracy"} | IDENTITY
    made = [{key: value for key, value in values.items() if key in columns} | {"value": value} for value in (0.5, 1.0)]
    for name, by in (("ours", OURS), ("others", OTHERS), ("older", None)):
        rows.write(tmp_path / f"{name}.csv", made, columns, by)
    header, *lines = (tmp_path / "ours.csv").read_text().splitlines()
    (tmp_path / "mixed.csv").write_text("\n".join([header, lines[0], lines[1].replace(OURS, OTHERS)]))
    for name, expected in (("ours", OURS), ("older", OURS), ("others", None), ("others", OTHERS)):
        frame = frames.read(module, [tmp_path / f"{name}.csv"], [small], [expected])
        assert list(frame.columns) == list(columns)
        assert frame["value"].tolist() == [0.5, 1]
    for name in ("others", "mixed"):
        with pytest.raises(ValueError, match=rf"{name}\.csv was made by other settings \({OTHERS}\) than .*\({OURS}\)"):
            frames.read(module, [tmp_path / f"{name}.csv"], [small], [OURS])


def test_as_many_files_are_given_as_the_settings_name():
    settings = {"made_from": {"rows": [OURS, OTHERS]}}
    paths = [Path("a.csv"), Path("b.csv"), Path("c.csv")]
    assert each(settings, "rows", paths[:2]) == [OURS, OTHERS]
    assert each({}, "rows", paths) == [None, None, None]
    for given in (paths, paths[:1], []):
        with pytest.raises(ValueError, match=rf"made_from\.rows names 2 files, but {len(given)} are given; give those"):
            each(settings, "rows", given)


def test_a_file_without_rows_has_its_columns(tmp_path):
    rows.write(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == ",".join(rows.COLUMNS) + "\n"
    assert len(rows.read([tmp_path / "none.csv"])) == 0


def test_an_unknown_column_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(AssertionError, match=r"unknown columns {'accuracy'}"):
        rows.write(tmp_path / "rows.csv", [{"accuracy": 1.0}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["missing", "further", "order"])
def test_a_file_with_other_columns_is_refused(tmp_path, change):
    columns = {
        "missing": rows.COLUMNS[:-1],
        "further": (*rows.COLUMNS, "colour"),
        "order": (rows.COLUMNS[1], rows.COLUMNS[0], *rows.COLUMNS[2:]),
    }[change]
    path = tmp_path / "old.csv"
    rows.write(path, [IDENTITY], columns)
    with pytest.raises(
        ValueError, match=r"old\.csv is no file of rows \(it has other columns than this version writes\); remove it"
    ) as refused:
        rows.read([path])
    assert "\n" not in str(refused.value)


def test_history_has_columns_of_its_own(tmp_path):
    rows.write(
        tmp_path / "history.csv", [{"phase": "all", "epoch": 1, "train_loss": None}], (*rows.HISTORY, "accuracy")
    )
    assert (tmp_path / "history.csv").read_text().splitlines()[1] == "all,1,,,,,,,"


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("value", "x", "value is no number; a column of text stands in the analysis's TEXT"),
        ("t", "True", "t is no number"),
        ("x", "1" * 30, "x is no number"),
        ("exit", "1.5", "a row's exit is no whole number"),
        ("n", "inf", "a row's n is no whole number"),
        ("seed", "1e300", "a row's seed is no whole number"),
    ],
)
def test_a_cell_of_an_analysis_that_its_column_cannot_hold_is_refused(tmp_path, column, cell, said):
    small = {"experiment": "small", "variant": ""}
    rows.write(tmp_path / "a.csv", [small | {column: cell}], ("experiment", "variant", *COLUMNS))
    with pytest.raises(ValueError, match=said):
        frames.read(mode_connectivity, [tmp_path / "a.csv"], [small])


@pytest.mark.parametrize(
    ("module", "columns", "column"),
    [
        (mode_connectivity, ("experiment", "variant", *COLUMNS), "first"),
        (mode_connectivity, ("experiment", "variant", *COLUMNS), "second"),
        (table1, rows.COLUMNS, "regime"),
    ],
)
def test_rows_of_a_regime_that_is_not_drawn_are_refused(tmp_path, module, columns, column):
    small = {"experiment": "small", "variant": ""}
    row = small | {"metric": "accuracy", "seed": 1, "regime": "joint", "first": "joint", "second": "joint"}
    given = [{key: value for key, value in each.items() if key in columns} for each in (row, row | {column: "-1"})]
    for name, lines in (("known", given[:1]), ("unknown", given[1:])):
        rows.write(tmp_path / f"{name}.csv", lines, columns)
    assert len(frames.read(module, [tmp_path / "known.csv"], [small], regimes=["joint"])) == 1
    with pytest.raises(ValueError, match="--inputs: there are rows of the regime '-1', which is not drawn"):
        frames.read(module, [tmp_path / "unknown.csv"], [small], regimes=["joint"])


def test_regimes_with_names_like_numbers_stay_text_in_analyses(tmp_path):
    small = {"experiment": "small", "variant": ""}
    rows.write(tmp_path / "a.csv", [small | {"first": "007", "value": 1}], ("experiment", "variant", *COLUMNS))
    assert frames.read(mode_connectivity, [tmp_path / "a.csv"], [small])["first"].tolist() == ["007"]
