"""Which samples leave first and which last, against ranks by hand and a naive loop."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import NOBODY
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.analysis import _runs, easy_and_hard
from manyexits.analysis.easy_and_hard import analyse, mean_exits, ranked
from manyexits.data import prepared as dataset
from manyexits.exits.answers import Answers, write

UNDER = {"protocol": "shared", "criterion": "confidence"}
NAMES = ["low", "mid", "high"]


def answers(left, labels=None, k=3, **more):
    """Of one run whose samples leave with these exits, by budget; every exit answers the class of its number."""
    n = len(next(iter(left.values())))
    cells = {("shared", "confidence", budget): np.array(exits) for budget, exits in left.items()} | more.get(
        "cells", {}
    )
    found = np.tile(np.arange(k), (n, 1))
    return Answers(np.zeros(n, dtype=np.int64) if labels is None else np.array(labels), found, cells)


@pytest.fixture
def data(prepared):
    """Sixty test images."""
    made = dataset.read(prepared)
    return dataclasses.replace(made, manifest=made.manifest | {"class_names": NAMES})


def test_the_mean_is_over_the_budgets_that_all_runs_meet():
    one = answers({"0.25": [1, 1, 3], "0.5": [1, 2, 3], "max": [3, 3, 3]})
    other = answers({"0.5": [2, 2, 2], "max": [1, 2, 3]}, cells={("paper", "confidence", "0.25"): np.array([3, 3, 3])})
    exits, budgets = mean_exits([one, other], "shared", "confidence")
    assert budgets == 2
    assert exits.tolist() == [[2, 2.5, 3], [1.5, 2, 2.5]]


@pytest.mark.parametrize("under", [("geometric", "confidence"), ("shared", "entropy")])
def test_runs_without_such_thresholds_are_refused(under):
    with pytest.raises(ValueError, match=f"protocol {under[0]} and the criterion {under[1]} in all runs"):
        mean_exits([answers({"max": [1]})], *under)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30))
def test_samples_are_ranked_by_their_exits_each_once_and_always_alike(exits):
    order = ranked(np.array(exits, dtype=np.float64))
    assert sorted(order) == list(range(len(exits)))
    assert [exits[sample] for sample in order] == sorted(exits)
    assert order == ranked(np.array(exits, dtype=np.float64))


def test_of_equals_some_are_drawn():
    order = ranked(np.ones(100))
    assert order != sorted(order)


def test_rows_of_two_regimes_by_hand(data):
    exits = np.ones(60, dtype=np.int64)
    exits[7], exits[11], exits[30:] = 3, 2, 2
    exits[5] = 1
    one = answers({"max": exits}, labels=data.test.labels)
    two = answers({"max": np.where(np.arange(60) == 7, 3, 1)}, labels=data.test.labels)
    rows = analyse([("joint", 4, one), ("mixed", 4, two)], data, n=1, **UNDER)
    assert set().union(*rows) == set(easy_and_hard.COLUMNS)
    hard = [row for row in rows if row["kind"] == "hard"]
    assert [(row["id"], row["regime"], row["mean_exit"], row["place"], row["seed"]) for row in hard] == [
        (7, "joint", 3, 1, 4),
        (7, "mixed", 3, 1, 4),
    ]
    assert {row["label"] for row in hard} == {NAMES[data.test.labels[7]]}
    assert (hard[0]["first_answer"], hard[0]["last_answer"]) == ("low", "high")
    assert hard[0]["sample"].startswith("data:image/png")
    assert hard[1]["sample"] is None
    easy = [row for row in rows if row["kind"] == "easy"]
    assert {row["mean_exit"] for row in easy} == {1}
    assert len({row["id"] for row in easy}) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.randoms(use_true_random=False))
def test_no_sample_is_easy_and_hard_and_no_easy_one_leaves_later(size, n, random):
    exits = [random.randint(1, 3) for _ in range(size)]
    order = ranked(np.array(exits, dtype=np.float64))
    easy, hard = easy_and_hard.ends(order, n)
    assert not set(easy) & set(hard)
    assert len(easy) == min(n, -(-size // 2))
    assert len(hard) == min(n, size // 2)
    assert all(exits[a] <= exits[b] for a in easy for b in hard)
    assert [exits[sample] for sample in hard] == sorted(exits, reverse=True)[: len(hard)]


@pytest.mark.parametrize(
    ("manifest", "answer", "expected"),
    [
        ({"settings": {"classes": 3}, "class_names": NAMES}, 1, "mid"),
        ({"settings": {"classes": 3}, "class_names": NAMES}, -1, "–"),
        ({"settings": {"scores": [0, 5]}}, 2.345, "2.35"),
        ({"settings": {"scores": [0, 5]}}, float("nan"), "–"),
    ],
    ids=json.dumps,
)
def test_answers_as_people_read_them(data, manifest, answer, expected):
    assert easy_and_hard.named(dataclasses.replace(data, manifest=manifest), answer) == expected


def test_answers_are_read_where_they_are_of_the_prepared_test_split(data, tmp_path):
    labels = data.test.labels.copy()
    read = _runs.READ["answers"]({}, data, "auto")
    write(tmp_path / "own", answers({"max": [1] * 60}, labels), NOBODY)
    found, by = read(tmp_path / "own")
    assert found.label.tolist() == labels.tolist()
    assert by == NOBODY
    labels[3] = (labels[3] + 1) % 3
    write(tmp_path / "other", answers({"max": [1] * 60}, labels), NOBODY)
    with pytest.raises(ValueError, match="has other labels than the prepared test split; evaluate the run again"):
        read(tmp_path / "other")
