"""Answers, gains and scores worked out by hand; NumPy arrays and tensors alike."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from manyexits.exits import task
from manyexits.exits.task import Task

CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (0.0, 5.0))
ANSWERS, LABELS = np.array([[2.0, 3.5], [4.0, 1.0]]), np.array([2.5, 3.0])
make = pytest.mark.parametrize("make", [np.asarray, torch.tensor])


def test_settings_tell_the_task():
    assert task.of({"classes": 3, "backbone": {}}) == CLASSES
    assert task.of({"scores": [0, 5]}) == SCORES


@pytest.mark.parametrize("settings", [{}, {"classes": 2, "scores": [0, 1]}])
def test_settings_with_no_task_or_two_are_refused(settings):
    with pytest.raises(ValueError, match="either `classes: <number>` or `scores:"):
        task.of(settings)


def test_the_first_metric_is_the_one_that_is_printed():
    assert (CLASSES.metrics[0], CLASSES.gained) == ("accuracy", "accuracy")
    assert (SCORES.metrics[0], SCORES.gained) == ("spearman", "gain")


@make
def test_the_answer_is_the_largest_output_or_the_output_itself(make):
    assert CLASSES.answers(make([[[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]])).tolist() == [[1, 0]]
    assert Task("classification", 1).answers(make([[0.5], [-1.0]])).tolist() == [0, 0]
    assert SCORES.answers(make([[[0.5], [1.5]]])).tolist() == [[0.5, 1.5]]


@make
def test_the_gain_is_being_right_or_the_negative_squared_error(make):
    assert CLASSES.gain(make([[1, 0], [2, 2]]), make([1, 2])).tolist() == [[1, 0], [1, 1]]
    assert SCORES.gain(make(ANSWERS.tolist()), make(LABELS.tolist())).tolist() == [[-0.25, -1.0], [-1.0, -4.0]]


def test_a_score_is_right_within_a_half():
    assert SCORES.right(ANSWERS, LABELS).tolist() == [[True, False], [False, False]]
    assert CLASSES.right(np.array([[1, 0]]), np.array([1])).tolist() == [[True, False]]
    assert CLASSES.right(np.empty((0, 2)), np.empty(0)).shape == (0, 2)


def test_scores_by_hand():
    assert CLASSES.score("accuracy", np.array([1, 2, 0]), np.array([1, 1, 0])) == 2 / 3
    answers, labels = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    assert SCORES.score("mse", answers, labels) == 5 / 3
    # ranks 1 2 3 and 1 3 2; deviations (-4, -1, 5) / 3 and (-1, 1, 0)
    assert SCORES.score("spearman", answers, labels) == pytest.approx(0.5)
    assert SCORES.score("pearson", answers, labels) == pytest.approx(1 / (42 / 9 * 2) ** 0.5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("answers", [[1.0, 1.0, 1.0], [np.nan, 1.0, 2.0]])
@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_without_two_different_answers_there_is_no_correlation(answers, metric):
    assert np.isnan(SCORES.score(metric, np.array(answers), np.array([1.0, 2.0, 3.0])))
    assert np.isnan(SCORES.score(metric, np.array([1.0, 2.0, 3.0]), np.ones(3)))
    assert np.isnan(SCORES.score(metric, np.array([1.0]), np.array([2.0])))


def test_importing_the_task_stays_light():
    code = "import sys, manyexits.exits.evaluate; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
