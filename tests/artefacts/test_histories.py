"""Histories of trainings: their phases, what each took, and whose they are."""

import json

import pytest
from trained import SETTINGS, written

from manyexits.artefacts import histories
from manyexits.artefacts.figures import training_curves
from manyexits.files.digests import whose
from manyexits.files.provenance import sha256

RUN = {"experiment": "small", "variant": "", "regime": "mixed", "seed": 1}


MIXED = [("backbone", 2, [2]), ("all", 3, [1, 2])]


def test_every_epoch_knows_its_phase_and_what_that_took(tmp_path):
    found = histories.read(written(tmp_path, MIXED), [RUN], [None, None])
    assert list(found["place"]) == [1, 1, *[2] * 6]
    assert list(found["epochs"]) == [2, 2, *[3] * 6]
    assert list(found["flops_of_phase"]) == [2000, 2000, *[3000] * 6]
    assert list(found["score"])[-2:] == pytest.approx([0.051, 0.052])
    assert set(found["regime"]) == {"mixed"}


# phases of one epoch, or of one name, are told apart all the same
@pytest.mark.parametrize(
    "phases",
    [
        [("all", 1, [1, 2])],
        [("all", 1, [1, 2]), ("all", 1, [1, 2])],
        [("backbone", 1, [2]), ("all", 1, [1, 2]), ("heads", 1, [1, 2])],
        [("all", 3, [1, 2]), ("all", 2, [1, 2])],
    ],
)
def test_a_phase_begins_where_epochs_count_from_one(tmp_path, phases):
    found = histories.read(written(tmp_path, phases), [RUN], [None, None])
    epochs = found[found["exit"] == 2].groupby("place")["epoch"].count()
    assert list(epochs) == [count for _, count, _ in phases]


def test_a_history_that_is_not_its_records_is_refused(tmp_path):
    files = written(tmp_path / "one", MIXED, outputs_sha256={"history.csv": "0" * 64})
    with pytest.raises(ValueError, match=r"history.csv is not the one that .*run.json tells of"):
        histories.read(files, [RUN], [None, None])
    files = written(tmp_path / "two", MIXED)
    told = json.loads(files[1].read_text())
    files[1].write_text(json.dumps(told | {"phases": told["phases"][1:]}))
    with pytest.raises(ValueError, match="has other phases than its record tells of"):
        histories.read(files, [RUN], [None, None])
    files = written(tmp_path / "three", MIXED)
    assert len(histories.read(files, [RUN], [whose(SETTINGS)] * 2)) == 8
    with pytest.raises(ValueError, match="was made by other settings"):
        histories.read(files, [RUN], ["0" * 16] * 2)
    with pytest.raises(ValueError, match="1 runs have 2 files, and 1 are given"):
        histories.read(files[:1], [RUN], [None])


def test_a_history_with_other_columns_is_refused(tmp_path):
    history, record = written(tmp_path, MIXED)
    history.write_text(history.read_text().replace("samples", "images"))
    told = json.loads(record.read_text()) | {"outputs_sha256": {"history.csv": sha256(history)}}
    record.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="is no history of a training"):
        histories.read([history, record], [RUN], [None, None])


def test_epochs_of_later_phases_stand_behind_those_before(tmp_path):
    found = histories.read(written(tmp_path, MIXED), [RUN], [None, None])
    last = found[found["exit"] == 2]
    assert list(training_curves.spent(found, "epochs")[last.index]) == [1, 2, 3, 4, 5]
    assert list(training_curves.spent(found, "flops")[last.index]) == [1000, 2000, 3000, 4000, 5000]
    told = {"experiments": [{"experiment": "small", "variant": "", "metric": "accuracy"}], "regimes": ["mixed"]}
    (axis,) = [axis for axis in training_curves.figure(found, told).axes if axis.get_title()]
    lines = [line for line in axis.get_lines() if len(line.get_xdata()) > 1 and line.get_color() != "#999999"]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2], [3, 4, 5], [3, 4, 5]]
    assert lines[0].get_ydata().tolist() == pytest.approx([1.2, 2.2])
    (begin,) = [line for line in axis.get_lines() if line.get_color() == "#999999"]
    assert list(begin.get_xdata()) == [2, 2]


def test_panels_of_one_measure_have_equal_scales_and_no_others(tmp_path):
    runs = [RUN | {"experiment": name} for name in ("a", "b", "c")]
    files = [file for run in runs for file in written(tmp_path / run["experiment"], MIXED)]
    found = histories.read(files, runs, [None] * len(files))
    found.loc[found["experiment"] == "b", "score"] *= 3
    measures = {"a": "accuracy", "b": "accuracy", "c": "spearman"}
    drawn = [{"experiment": name, "variant": "", "metric": metric} for name, metric in measures.items()]
    made = training_curves.figure(found, {"experiments": drawn, "regimes": ["mixed"]})
    first, second, third = [axis for axis in made.axes if axis.get_title()]
    assert first.get_ylim() == second.get_ylim()
    assert third.get_ylim()[1] < first.get_ylim()[1] / 100
    labels = [axis.get_ylabel() for axis in (first, second, third)]
    assert labels == ["validation accuracy (%)", "", "negative squared error"]
