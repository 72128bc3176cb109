"""What samples were answered: written small, read whole, damaged files refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from manyexits.exits import answers
from manyexits.exits.answers import Answers
from manyexits.files.made import Made

BY = Made(settings="0" * 16, inputs={})
CELL = ("shared", "confidence", "0.25")


def some(n=5, k=3, classes=10):
    draw = np.random.default_rng(0)
    left = {CELL: draw.integers(1, k + 1, n), ("paper", "entropy", "max"): np.full(n, k)}
    return Answers(draw.integers(0, classes, n), draw.integers(-1, classes, (n, k)), left)


@given(st.integers(1, 40), st.integers(1, 5), st.sampled_from([2, 127, 128, 1000, 40_000]))
def test_what_is_written_is_read(tmp_path_factory, n, k, classes):
    made, path = some(n, k, classes), tmp_path_factory.mktemp("a") / "answers.safetensors"
    answers.write(path, made, BY)
    found, by = answers.read(path)
    assert by == BY
    assert np.array_equal(found.label, made.label)
    assert np.array_equal(found.answer, made.answer)
    assert {cell: left.tolist() for cell, left in found.left.items()} == {
        cell: left.tolist() for cell, left in made.left.items()
    }
    expected = [made.answer[i, made.left[CELL][i] - 1] for i in range(n)]
    assert found.of(CELL).tolist() == expected


def test_a_run_of_4000_samples_and_15_cells_takes_less_than_100_kb(tmp_path):
    made = some(4000, 7)
    left = {("shared", "confidence", str(cell)): made.left[CELL] for cell in range(15)}
    answers.write(tmp_path / "a.safetensors", Answers(made.label, made.answer, left), BY)
    assert (tmp_path / "a.safetensors").stat().st_size < 100_000


def test_scores_keep_their_numbers(tmp_path):
    made = Answers(np.array([0.5, 2.25]), np.array([[0.25, np.nan], [1e-300, 5.0]]), {CELL: np.array([1, 2])})
    answers.write(tmp_path / "a.safetensors", made, BY)
    found, _ = answers.read(tmp_path / "a.safetensors")
    assert np.array_equal(found.answer, made.answer, equal_nan=True)
    assert found.of(CELL).tolist() == [0.25, 5.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": None}, "lacks the array label"),
        ({"answer": None}, "lacks the array answer"),
        ({"label": np.zeros(4)}, r"holds labels \(4,\) and answers \(5, 3\)"),
        ({"answer": np.zeros(5)}, r"holds labels \(5,\) and answers \(5,\)"),
        ({"other": np.zeros(5)}, "holds an array 'other'"),
        ({"left.shared": np.ones(5)}, "holds an array 'left.shared'"),
        ({"left.shared.confidence.0.25": np.zeros(5, dtype=np.int8)}, "not of exits 1 to 3"),
        ({"left.shared.confidence.0.25": np.full(5, 4, dtype=np.int8)}, "not of exits 1 to 3"),
        ({"left.shared.confidence.0.25": np.ones(5)}, "not of exits 1 to 3"),
        ({"left.shared.confidence.0.25": np.ones(4, dtype=np.int8)}, "not of exits 1 to 3"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, change, said):
    path = tmp_path / "a.safetensors"
    answers.write(path, some(), BY)
    arrays = load_file(path) | change
    save_file({name: array for name, array in arrays.items() if array is not None}, path)
    with pytest.raises(ValueError, match=said) as refused:
        answers.read(path)
    assert "evaluate it again" in str(refused.value)
    assert "\n" not in str(refused.value)
