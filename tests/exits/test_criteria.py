"""Criteria against plain Python, sample by sample; a file more is a criterion more."""

import importlib
import json
import math
import sys

import numpy as np
import pytest
import torch
from conftest import NOBODY
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from manyexits import cli
from manyexits.exits import criteria, predict
from manyexits.exits.criteria import confidence as chunks
from manyexits.exits.criteria.confidence import confidence
from manyexits.exits.criteria.entropy import entropy
from manyexits.exits.policies import Policy
from manyexits.exits.task import Task
from manyexits.study import components

quick = settings(max_examples=50, deadline=None)
some_logits = arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-40, 40))
CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (1.0, 5.0))


def probabilities(logits):
    powers = [math.exp(x) for x in logits]
    return [power / math.fsum(powers) for power in powers]


@quick
@given(some_logits)
def test_confidence_is_the_largest_probability(logits):
    assert confidence(logits) == pytest.approx([max(probabilities(row)) for row in logits.tolist()], abs=1e-12)


@quick
@given(some_logits)
def test_entropy_is_relative_to_that_of_equal_probabilities(logits):
    classes = logits.shape[1]
    expected = [
        -math.fsum(p * math.log(p) for p in probabilities(row) if p > 0) / math.log(classes) if classes > 1 else 0.0
        for row in logits.tolist()
    ]
    assert entropy(logits) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 3, 7, 15, 100])
def test_confidence_does_not_depend_on_how_many_samples_are_taken_at_once(monkeypatch, at_once):
    monkeypatch.setattr(chunks, "CACHED", at_once)
    logits = np.random.default_rng(0).normal(size=(5, 3))
    assert confidence(logits) == pytest.approx([max(probabilities(row)) for row in logits.tolist()], abs=1e-12)


def test_no_samples_have_no_certainty():
    for measure in (confidence, entropy):
        assert measure(np.empty((0, 2, 3))).shape == (0, 2)


def test_all_leading_axes_are_kept():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4))
    for measure in (confidence, entropy):
        assert (measure(logits)[1, 2] == measure(logits[1, 2][None])).all()
        assert measure(logits).shape == (2, 3)


@pytest.mark.filterwarnings("error")
def test_a_class_without_probability_adds_no_entropy():
    logits = np.array([[0.0, 0.0, -np.inf], [0.0, 1e4, -1e4], [0.0, -np.inf, -np.inf]])
    assert entropy(logits) == pytest.approx([math.log(2) / math.log(3), 0.0, 0.0])
    assert confidence(logits) == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.filterwarnings("error")
def test_with_one_class_everything_is_certain():
    logits = np.array([[-3.0], [0.0], [1e4]])
    assert (confidence(logits) == 1).all()
    assert (entropy(logits) == 0).all()


@pytest.mark.parametrize("logits", [[np.nan], [np.nan, 1.0], [1.0, np.nan, 2.0], [np.inf, 0.0]])
def test_logits_that_are_no_numbers_give_no_certainty(logits):
    with np.errstate(invalid="ignore"):
        assert np.isnan(confidence(np.array([logits]))).all()
        assert np.isnan(entropy(np.array([logits]))).all()


def test_single_precision_is_evaluated_in_double():
    logits = np.array([[20.0, 0.0]], dtype=np.float32)
    # single precision would call this certain
    assert 1 - confidence(logits)[0] == pytest.approx(math.exp(-20), rel=1e-6)
    assert entropy(logits)[0] == pytest.approx(21 * math.exp(-20) / math.log(2), rel=1e-6)


# -- scans over the exits ---------------------------------------------------------------------------------------------


def scan(name, task=CLASSES, n_exits=3, patience=None):
    (found,) = (each for each in criteria.named(name, task, n_exits) if each.patience == patience)
    return found


@pytest.mark.parametrize(("name", "measure"), [("confidence", confidence), ("entropy", entropy)])
def test_the_certainty_is_the_confidence_or_the_negative_entropy(name, measure):
    values = measure(np.random.default_rng(0).normal(size=(5, 3, 4)))
    expected = values if name == "confidence" else -values
    assert (criteria.certainties(scan(name), values) == expected).all()


answers = st.tuples(st.integers(0, 6), st.integers(1, 6))


@quick
@given(st.data())
def test_patience_counts_equal_answers_in_a_row(data):
    given_ = data.draw(arrays(int, answers, elements=st.integers(0, 2)))
    expected = []
    for row in given_.tolist():
        counts = []
        for k, answer in enumerate(row):
            counts.append(counts[-1] + 1 if k and answer == row[k - 1] else 1)
        expected.append(counts)
    assert criteria.certainties(scan("patience"), given_).tolist() == expected


@quick
@given(st.data(), st.integers(1, 5))
def test_agreement_is_minus_the_widest_of_the_last_gaps(data, patience):
    given_ = data.draw(arrays(np.float32, answers, elements=st.sampled_from([0.0, 0.25, 1.5, 4.0])))
    expected = []
    for row in given_.tolist():
        gaps = [abs(a - b) for a, b in zip(row[1:], row, strict=False)]
        expected.append([-max(gaps[k - patience : k]) if k >= patience else -math.inf for k in range(len(row))])
    found = criteria.certainties(scan("agreement", SCORES, 6, patience), given_)
    assert found.tolist() == expected


@pytest.mark.parametrize("patience", [1, 2])
def test_answers_that_are_no_numbers_never_leave(patience):
    given_ = np.array([[math.nan, 1, 1, math.nan, math.nan]])
    found = criteria.certainties(scan("agreement", SCORES, 5, patience), given_)[0]
    assert not (found[[0, 3, 4]] > -math.inf).any()


def test_outputs_that_are_no_numbers_give_no_answer_and_have_no_patience():
    task = Task("classification", 2)
    outputs = np.array([[math.nan, 0.0], [0.0, math.nan], [1.0, 0.0], [0.0, 1.0]])
    answers = task.answers(outputs)
    assert answers.tolist() == [-1, -1, 0, 1]
    assert torch.equal(task.answers(torch.from_numpy(outputs)), torch.from_numpy(answers))
    found = criteria.certainties(scan("patience"), np.array([[-1, -1, 0, 0], [1, 1, -1, 1]]))
    assert np.isnan(found).tolist() == [[True, True, False, False], [False, False, True, False]]
    assert (found[0, 2:].tolist(), found[1, [0, 1, 3]].tolist()) == ([1, 2], [1, 2, 1])


def test_the_points_that_the_protocol_paper_tries():
    for name in ("confidence", "entropy"):
        assert scan(name).points.tolist() == np.linspace(0, 1, 100).tolist()
    assert scan("patience", n_exits=4).points.tolist() == [0, 1, 2, 3]
    assert scan("agreement", SCORES, 3, 1).points.tolist() == np.linspace(0, 4, 100).tolist()


@pytest.mark.parametrize("n_exits", [1, 2, 5])
def test_agreement_has_a_scan_for_each_number_of_gaps(n_exits):
    assert [each.patience for each in criteria.named("agreement", SCORES, n_exits)] == [1, 2, 3, 4][
        : max(n_exits - 1, 1)
    ]


def test_the_same_samples_of_every_part_stay():
    carry = (np.arange(3), np.arange(6).reshape(3, 2))
    kept = criteria.some(carry, np.array([True, False, True]))
    assert [part.tolist() for part in kept] == [[0, 2], [[0, 1], [4, 5]]]
    assert criteria.some((), np.array([True])) == ()


# -- found by name ----------------------------------------------------------------------------------------------------


def test_criteria_are_found_by_task():
    assert criteria.names(CLASSES) == ["confidence", "entropy", "patience"]
    assert criteria.names(SCORES) == ["agreement"]


@pytest.mark.parametrize(("name", "task"), [("patients", CLASSES), ("agreement", CLASSES), ("entropy", SCORES)])
def test_an_unknown_criterion_is_refused_with_those_that_there_are(name, task):
    with pytest.raises(ValueError, match=f"no criterion '{name}' for {task.name}; valid names: .*(patience|agreement)"):
        criteria.named(name, task, 3)


def test_the_tasks_of_a_criterion_are_read_without_importing_it():
    for name in components.names("criteria"):
        assert (
            components.constant("criteria", name, "TASKS", ())
            == importlib.import_module(f"manyexits.exits.criteria.{name}").TASKS
        )


TOY = """
import numpy as np
from manyexits.exits.criteria import Criterion

TASKS = ("classification", "regression")


def scans(task, n_exits):
    return [Criterion("toy", "largest", lambda outputs: outputs.max(-1), 1.0, np.arange(4.0), at)]


def at(values, carry):
    return values, carry
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A file dropped into the folder of criteria."""
    folder = tmp_path / "criteria"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setattr(criteria, "__path__", [*criteria.__path__, str(folder)])
    importlib.invalidate_caches()
    yield
    sys.modules.pop("manyexits.exits.criteria.toy", None)
    monkeypatch.delattr(criteria, "toy", raising=False)


def judged(folder, told, names):
    """thresholds.json and rows.csv of the predictions in a folder, through the command line."""
    costs = {"backbone": 4, "exits": [{"cost": cost} for cost in (1, 2, 4)]}
    (folder / "costs.json").write_text(json.dumps(costs))
    read = ["--predictions", str(folder / "p.safetensors"), "--costs", str(folder / "costs.json")]
    calibrated = {"task": told, "protocols": ["paper", "shared"], "criteria": names, "budgets": [0.1, 0.5]}
    out = str(folder / "thresholds.json")
    done = cli.main(["calibrate", "--settings", json.dumps(calibrated), *read, "--output", out])
    if done:
        return done, None
    identity = dict.fromkeys(("experiment", "dataset", "backbone", "method", "regime"), "e") | {
        "variant": "",
        "seed": 1,
    }
    evaluated = {"task": told, "identity": identity}
    rows = str(folder / "rows.csv")
    done = cli.main(["evaluate", "--settings", json.dumps(evaluated), *read, "--thresholds", out, "--output", rows])
    assert done == 0
    return json.loads((folder / "thresholds.json").read_text())["cells"], (folder / "rows.csv").read_text()


def written(folder, task, n=20):
    generator = np.random.default_rng(0)
    by_split = {}
    for split in predict.SPLITS:
        outputs = generator.integers(0, 4, (n, 3, task.outputs)).astype(np.float32)
        labels = generator.integers(0, 3, n) if task.name == "classification" else generator.uniform(1, 5, n)
        by_split[split] = predict.predictions(outputs, labels, task)
    predict.write(folder / "p.safetensors", by_split, NOBODY)
    return by_split


@pytest.mark.parametrize(("task", "told"), [(CLASSES, {"classes": 3}), (SCORES, {"scores": [1, 5]})])
def test_a_file_in_the_folder_is_a_criterion_from_prediction_to_rows(toy, tmp_path, task, told):
    assert "toy" in criteria.names(task)
    assert written(tmp_path, task)["test"]["largest"].shape == (20, 3)
    cells, rows = judged(tmp_path, told, ["toy"])
    assert {cell["criterion"] for cell in cells} == {"toy"}
    assert any(cell["thresholds"] for cell in cells)
    assert ",toy,0.5," in rows
    leaves, _ = Policy("toy", (2.0, 2.0), task=task).leaves(1, np.array([[1.0], [3.0]]))
    assert leaves.tolist() == [False, True]


def test_predictions_without_an_array_that_a_criterion_reads_name_file_array_and_remedy(tmp_path, request, capsys):
    written(tmp_path, CLASSES)
    request.getfixturevalue("toy")
    done, _ = judged(tmp_path, {"classes": 3}, ["confidence", "toy"])
    assert done == 2
    told = capsys.readouterr().err
    assert "p.safetensors lacks the array validation.largest that the criterion toy reads" in told
    assert "predict again" in told


@pytest.mark.parametrize(("task", "told"), [(CLASSES, {"classes": 3}), (SCORES, {"scores": [1, 5]})])
@pytest.mark.parametrize("n", [1, 20])
def test_every_criterion_of_a_task_goes_from_prediction_to_rows(tmp_path, task, told, n):
    written(tmp_path, task, n)
    names = criteria.names(task)
    cells, rows = judged(tmp_path, told, names)
    assert {cell["criterion"] for cell in cells} == set(names)
    for metric in task.metrics:
        assert f",{metric}," in rows
