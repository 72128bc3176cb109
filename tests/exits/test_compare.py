"""Paired differences, against what is known of them."""

import json

import numpy as np
import pytest
from scipy import stats

from manyexits import cli
from manyexits.exits import answers
from manyexits.exits.answers import Answers
from manyexits.exits.compare import RESAMPLES, compare, paired
from manyexits.exits.task import Task
from manyexits.files.made import Made

CLASSES, SCORES = Task("classification", 3), Task("regression", 1, (0.0, 5.0))
CELL = ("shared", "confidence", "0.5")


def run(right, k=2, cells=(CELL,)):
    """A run whose last exit, which everybody leaves with, is right where told."""
    right = np.asarray(right)
    answer = np.zeros((len(right), k), dtype=np.int64)
    answer[:, -1] = np.where(right, 1, 2)
    return Answers(np.ones(len(right), dtype=np.int64), answer, {cell: np.full(len(right), k) for cell in cells})


def test_a_difference_by_hand():
    runs = {
        ("joint", 1): run([1, 1, 0, 0]),
        ("joint", 2): run([1, 0, 0, 0]),
        ("mixed", 1): run([1, 1, 1, 1]),
        ("mixed", 2): run([1, 1, 1, 0]),
    }
    (row,) = compare(runs, CLASSES)
    assert row["difference"] == pytest.approx(3 / 8 - 7 / 8)
    told = {key: row[key] for key in ("protocol", "criterion", "budget", "metric", "n", "seeds", "first", "second")}
    assert told == {
        "protocol": "shared",
        "criterion": "confidence",
        "budget": "0.5",
        "metric": "accuracy",
        "n": 4,
        "seeds": 2,
        "first": "joint",
        "second": "mixed",
    }
    assert row["low"] <= row["difference"] <= row["high"]


def test_every_pair_in_every_cell_that_both_have():
    other = ("paper", "entropy", "max")
    runs = {
        ("a", 1): run([1, 0], cells=(CELL, other)),
        ("b", 1): run([1, 1]),
        ("c", 1): run([0, 0], cells=(CELL, other)),
    }
    found = {(row["budget"], row["first"], row["second"]): row["difference"] for row in compare(runs, CLASSES)}
    assert found == {("0.5", "a", "b"): -0.5, ("0.5", "a", "c"): 0.5, ("0.5", "b", "c"): 1.0, ("max", "a", "c"): 0.5}


def test_one_regime_has_nothing_to_be_compared_with():
    assert compare({("joint", 1): run([1, 0])}, CLASSES) == []


def test_equal_runs_do_not_differ():
    (row,) = compare({("a", 1): run([1, 0, 1]), ("b", 1): run([1, 0, 1])}, CLASSES)
    assert [row[key] for key in ("difference", "low", "high", "p")] == [0, 0, 0, 1]


def test_scores_are_compared_by_their_squared_errors():
    runs = {
        (name, 1): Answers(np.array([1.0, 2.0]), np.array([[answer], [2.0]]), {CELL: np.array([1, 1])})
        for name, answer in (("a", 1.0), ("b", 3.0))
    }
    (row,) = compare(runs, SCORES)
    assert (row["metric"], row["difference"]) == ("gain", (0 - -4) / 2)


def test_with_one_seed_the_interval_is_that_of_a_mean_of_samples():
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 2000, p=[0.1, 0.7, 0.2])
    (found,) = paired([values[None]])
    error = values.std() / np.sqrt(len(values))
    assert found["difference"] == values.mean()
    assert found["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    assert paired([values[None] - values.mean()])[0]["p"] == pytest.approx(1, abs=0.05)
    shifted = values - values.mean() + 2 * error
    assert paired([shifted[None]])[0]["p"] == pytest.approx(2 * stats.norm.sf(2), abs=0.01)


@pytest.mark.parametrize("seeds", [2, 4, 8])
def test_the_spread_of_seeds_is_their_standard_error_however_few_they_are(seeds):
    """Every sample differs alike within a seed, so that samples add nothing."""
    of_seed = np.random.default_rng(seeds).normal(size=seeds)
    (found,) = paired([np.repeat(of_seed[:, None], 30, axis=1)])
    generator = np.random.default_rng(0)
    scale = np.sqrt(seeds / (seeds - 1))
    drawn = of_seed.mean() + scale * (generator.choice(of_seed, (200_000, seeds)).mean(1) - of_seed.mean())
    assert drawn.std() == pytest.approx(of_seed.std(ddof=1) / np.sqrt(seeds), rel=0.02)
    low, high = np.quantile(drawn, [0.025, 0.975])
    width = high - low
    assert found["low"] == pytest.approx(low, abs=0.05 * width)
    assert found["high"] == pytest.approx(high, abs=0.05 * width)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """Four seeds and 200 samples, both with effects of their own; true difference 0."""
    draw = np.random.default_rng(7)
    made = [
        0.1 * draw.normal(size=(4, 1)) + draw.normal(size=(1, 200)) + draw.normal(size=(4, 200)) for _ in range(200)
    ]
    found = paired(made)
    inside = np.mean([each["low"] <= 0 <= each["high"] for each in found])
    assert 0.88 <= inside <= 0.99
    assert np.mean([each["p"] < 0.05 for each in found]) == pytest.approx(1 - inside, abs=0.02)


def test_the_draws_do_not_depend_on_what_is_compared_beside():
    one, other = (np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (2, 50)) for seed in (1, 2))
    assert paired([one, other])[0] == paired([one])[0]


def test_a_difference_beyond_every_resample_has_the_smallest_p():
    assert paired([np.ones((1, 10))])[0]["p"] == 2 / (RESAMPLES + 1)


def test_regimes_with_other_seeds_or_samples_are_refused():
    with pytest.raises(ValueError, match=r"b has the seeds \[2\], a \[1\]; name equal ones"):
        compare({("a", 1): run([1]), ("b", 2): run([1])}, CLASSES)
    with pytest.raises(ValueError, match="b/s1 has other test samples than the first run"):
        compare({("a", 1): run([1, 1]), ("b", 1): run([1])}, CLASSES)


def test_the_verb_refuses_answers_of_other_settings_and_another_number_of_them(tmp_path, capsys):
    for name in "ab":
        answers.write(tmp_path / name, run([1, 0]), Made(settings=name * 16, inputs={}))
    settings = {
        "identity": {"experiment": "small", "variant": ""},
        "task": {"classes": 3},
        "runs": [{"regime": "joint", "seed": 1}, {"regime": "mixed", "seed": 1}],
        "made_from": {"answers": ["a" * 16, "b" * 16]},
    }
    call = ["compare", "--settings", json.dumps(settings), "--output", str(tmp_path / "made.csv"), "--answers"]
    paths = [str(tmp_path / name) for name in "ab"]
    assert cli.main([*call, *paths]) == 0
    assert len((tmp_path / "made.csv").read_text().splitlines()) == 2
    assert cli.main([*call, *paths[::-1]]) == 2
    assert "was made by other settings" in capsys.readouterr().err
    assert cli.main([*call, paths[0]]) == 2
    assert "the settings name 2 runs, not 1" in capsys.readouterr().err
