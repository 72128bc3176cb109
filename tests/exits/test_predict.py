"""What is kept of the outputs of every exit."""

import math

import numpy as np
import pytest
from conftest import NOBODY

from manyexits.exits import criteria, predict
from manyexits.exits.criteria.confidence import confidence
from manyexits.exits.criteria.entropy import entropy
from manyexits.exits.task import Task

CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (1.0, 5.0))


@pytest.mark.parametrize("n", [0, 1, 6])
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_criterion_of_the_task_keeps_what_it_reads(n, k, classes):
    logits = np.random.default_rng(0).normal(size=(n, k, classes)).astype(np.float32)
    labels = np.zeros(n, dtype=np.int64)
    found = predict.predictions(logits, labels, Task("classification", classes))
    assert list(found) == ["label", "answer", "confidence", "entropy"]
    assert (found["answer"] == logits.argmax(-1)).all()
    assert (found["confidence"] == confidence(logits)).all()
    assert (found["entropy"] == entropy(logits)).all()


@pytest.mark.parametrize("n", [0, 1, 6])
def test_of_scores_the_answers_are_kept(n):
    outputs = np.random.default_rng(0).normal(size=(n, 3, 1)).astype(np.float32)
    found = predict.predictions(outputs, np.zeros(n), SCORES)
    assert list(found) == ["label", "answer"]
    assert (found["answer"] == outputs[..., 0]).all()


@pytest.mark.parametrize("task", [CLASSES, SCORES])
def test_what_was_written_is_read_again(tmp_path, task):
    outputs = np.random.default_rng(0).normal(size=(6, 3, task.outputs)).astype(np.float32)
    by_split = {split: predict.predictions(outputs, np.arange(6), task) for split in predict.SPLITS}
    predict.write(tmp_path / "p.safetensors", by_split, NOBODY)
    scans = {name: criteria.named(name, task, 3) for name in criteria.names(task)}
    found, by = predict.read(tmp_path / "p.safetensors", scans, task, 3)
    assert by == NOBODY
    for split in predict.SPLITS:
        assert {name: values.tolist() for name, values in found[split].items()} == {
            name: values.tolist() for name, values in by_split[split].items()
        }


@pytest.mark.parametrize("task", [CLASSES, SCORES])
def test_samples_with_something_that_is_no_number_are_counted(task):
    outputs = np.ones((4, 3, task.outputs), dtype=np.float32)
    labels = np.ones(4, dtype=np.int64)
    assert predict.nan_samples(predict.predictions(outputs, labels, task)) == 0
    outputs[0, 0] = outputs[0, 1] = outputs[2, 2] = np.nan
    assert predict.nan_samples(predict.predictions(outputs, labels, task)) == 2


def test_one_score_that_is_no_number_counts_as_wrong_by_the_whole_span():
    (scan, *_) = criteria.named("agreement", SCORES, 2)
    arrays = {"label": np.array([2.0, 3.0]), "answer": np.array([[math.nan, 2.5], [3.0, 3.5]], dtype=np.float32)}
    found = predict.scored(arrays, scan, SCORES)
    assert found.gain.tolist() == [[-16, -0.25], [0, -0.25]]
    assert not (found.certain[0] > -math.inf).any()


def test_gains_are_numbers_in_double_precision():
    (scan,) = criteria.named("patience", CLASSES, 2)
    found = predict.scored({"label": np.array([2]), "answer": np.array([[1, 2]])}, scan, CLASSES)
    assert (found.gain.dtype, found.gain.tolist()) == (np.float64, [[0, 1]])
    assert (found.certain.dtype, found.certain.tolist()) == (np.float64, [[1, 1]])
