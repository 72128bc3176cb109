"""Every claim's test against numbers made by hand, on each side of its line and across it."""

import math

import pandas as pd
import pytest
from scipy.stats import t

from manyexits.artefacts import claims, intervals
from manyexits.artefacts.claims import Verdict, verdicts

IDENTITY = {
    "experiment": "small",
    "variant": "",
    "dataset": "d",
    "backbone": "b",
    "method": "sdn",
    "criterion": "confidence",
    "metric": "accuracy",
}
TOLD = {"experiments": [IDENTITY], "protocols": ["shared"]}
NAMES = {"experiment": "small", "variant": ""}
ROW = NAMES | {
    "regime": "",
    "seed": 1,
    "protocol": "shared",
    "criterion": "confidence",
    "budget": "max",
    "metric": "accuracy",
}


def found(told=TOLD, **frames):
    """Start of a claim and test -> verdict."""
    given = {"rows": pd.DataFrame([ROW | {"exit": None, "threshold": None, "value": 0.5}])} | {
        name: pd.DataFrame(rows) for name, rows in frames.items()
    }
    return {(each.claim.partition(" ")[0], each.test): each for each in verdicts(given, told)}


def cell(first, second, budget, low, high, metric="accuracy", **more):
    told = {"protocol": "shared", "criterion": "confidence", "budget": budget, "metric": metric}
    return (
        NAMES
        | told
        | {
            "first": first,
            "second": second,
            "difference": (low + high) / 2,
            "low": low,
            "high": high,
            "n": 100,
            "seeds": 2,
        }
        | more
    )


@pytest.mark.parametrize(
    ("low", "high", "side", "line", "answer"),
    [
        (0.1, 0.2, 1, 0, "yes"),
        (-0.2, -0.1, 1, 0, "no"),
        (-0.1, 0.1, 1, 0, "not decided"),
        (0.0, 0.1, 1, 0, "not decided"),
        (0.1, 0.2, -1, 0, "no"),
        (-0.2, -0.1, -1, 0, "yes"),
        (1.1, 1.2, 1, 1, "yes"),
        (0.8, 0.9, -1, 1, "yes"),
        (math.nan, math.nan, 1, 0, "not decided"),
    ],
)
def test_an_answer_is_that_of_the_whole_interval(low, high, side, line, answer):
    assert Verdict("c", "e", "t", (low + high) / 2, low, high, "u", "n", side, line).answer == answer


@pytest.mark.parametrize(
    ("worst", "answer"),
    [
        ((-0.009, 0.02), "yes"),
        ((-0.02, 0.01), "not decided"),
        ((-0.05, -0.011), "no"),
        ((-0.05, -0.009), "not decided"),
    ],
)
def test_mixed_is_near_the_best_where_its_worst_budget_is_within_a_point(worst, answer):
    rows = [cell("mixed", "joint", "0.25", 0.01, 0.03), cell("disjoint", "mixed", "max", -worst[1], -worst[0])]
    told = found(comparisons=rows)["(i)", "mixed − disjoint at Max"]
    assert told.answer == answer
    assert (told.low, told.high) == pytest.approx((100 * worst[0], 100 * worst[1]))
    assert told.n == "100 test samples, 2 seeds"


def test_one_budget_that_fails_counts_more_than_a_wider_one_that_does_not_decide():
    rows = [cell("mixed", "joint", "0.25", -0.5, 0.5), cell("mixed", "joint", "max", -0.04, -0.02)]
    assert found(comparisons=rows)["(i)", "mixed − joint at Max"].answer == "no"


def test_ends_are_read_at_the_lowest_budget_and_without_a_limit():
    rows = [
        cell("disjoint", "joint", "0.5", 0.01, 0.02),
        cell("disjoint", "joint", "0.25", -0.03, -0.01),
        cell("disjoint", "joint", "max", 0.01, 0.02),
        cell("joint", "mixed", "max", -0.01, 0.01),
    ]
    told = found(comparisons=rows)
    assert told["(ii)", "disjoint − joint at 25 %"].answer == "yes"
    assert told["(ii)", "joint − mixed at Max"].answer == "not decided"


@pytest.mark.parametrize("change", [{"protocol": "paper"}, {"criterion": "entropy"}])
def test_other_protocols_and_criteria_decide_nothing(change):
    assert not found(comparisons=[cell("disjoint", "joint", "0.25", -0.03, -0.01) | change])


def barrier(first, second, seed, value, path="straight", exit_=2, second_seed=None):
    told = {"part": "barrier", "metric": "barrier", "path": path, "exit": exit_, "value": value}
    return NAMES | told | {"first": first, "second": second, "seed": seed, "second_seed": second_seed or seed}


def test_a_basin_is_a_difference_of_barriers_with_students_interval():
    rows = [
        barrier(*pair, seed, value + 0.1 * seed * (pair[0] == "joint"))
        for seed in (1, 2, 3)
        for pair, value in ((("joint", "mixed"), 2.0), (("disjoint", "mixed"), 0.5))
    ]
    rows += [barrier("disjoint", "mixed", 1, 9.0, exit_=1), barrier("joint", "joint", 1, 9.0, second_seed=2)]
    rows += [barrier("joint", "mixed", 1, 0.6, "matched"), barrier("disjoint", "mixed", 1, 0.5, "matched")]
    told = found(mode_connectivity=rows)
    straight = told["(iii)", "barrier of the last exit, joint – mixed less disjoint – mixed"]
    assert straight.value == pytest.approx(1.7)  # 1.6, 1.7, 1.8
    assert straight.high - straight.value == pytest.approx(0.1 / math.sqrt(3) * t.ppf(0.975, 2))
    assert (straight.answer, straight.n) == ("yes", "3 seeds")
    matched = told["(iii)", "barrier of the last exit, joint – mixed less disjoint – mixed, units matched"]
    assert (matched.value, matched.answer, matched.n) == (pytest.approx(0.1), "not decided", "one seed")


def rank(regime, seed, block, value, view="output"):
    return NAMES | {
        "metric": "rank",
        "view": view,
        "regime": regime,
        "seed": seed,
        "block": block,
        "value": value,
        "note": None,
    }


def test_ranks_are_compared_in_the_last_third_by_their_ratio():
    rows = [
        rank(regime, seed, block, base * (1.0 if block < 5 else factor) * 2**block)
        for seed, factor in ((1, 0.5), (2, 0.52))
        for regime, base, factor in (("joint", 10, factor), ("mixed", 10, 1.0), ("disjoint", 10, 0.9))
        for block in range(1, 7)
    ]
    told = found(numerical_rank=rows)
    lower = told["(iv)", "rank in the last third of the blocks, joint over mixed"]
    assert lower.value == pytest.approx(math.sqrt(0.5 * 0.52))
    assert lower.answer == "yes"
    higher = told["(iv)", "rank in the last third of the blocks, mixed over disjoint"]
    assert higher.value == pytest.approx(1 / 0.9)
    assert higher.answer == "yes"  # the same ratio under both seeds


def shares(regime, seed, values, metric="projection_share", stage=1, epoch=1, phase="all"):
    about = {"regime": regime, "seed": seed, "phase": phase, "epoch": epoch, "stage": stage, "metric": metric}
    return [NAMES | about | {"exit": k, "value": value} for k, value in enumerate(values, start=1)]


def test_middle_exits_are_those_of_the_middle_third():
    rows = [row for seed in (1, 2) for row in shares("joint", seed, [0.1, 0.1, 0.3, 0.3, 0.1, 0.1])]
    rows += [row for seed in (1, 2) for row in shares("joint", seed, [9, 9], stage=6)]  # no middle among two
    rows += [row for seed in (1, 2) for row in shares("joint", seed, [0, 0, 1, 0, 0, 0], epoch=0)]  # before training
    test = "projection share of the middle third of the exits behind a stage, less their share of these exits"
    told = found(gradient_dominance=rows)["(v)", test]
    assert told.value == pytest.approx(100 * (0.6 - 1 / 3))
    assert told.answer == "yes"


def test_balance_is_the_entropy_of_norm_shares():
    rows = []
    for seed in (1, 2):
        rows += shares("mixed", seed, [0.25] * 4, "norm_share") + shares("joint", seed, [0.5, 0.5, 0, 0], "norm_share")
    told = found(gradient_dominance=rows)["(v)", "entropy of the norm shares over its largest, mixed less joint"]
    assert told.value == pytest.approx(50)


def test_a_cure_is_compared_with_mixed_over_the_budgets_that_both_meet():
    cured = IDENTITY | {"experiment": "cured", "method": "loss_scaling"}
    told = TOLD | {"experiments": [IDENTITY, cured]}
    common = {"exit": None, "threshold": None}
    rows = [
        ROW
        | common
        | {"experiment": name, "regime": regime, "seed": seed, "budget": budget, "value": value + 0.01 * seed}
        for seed in (1, 2)
        for name, regime, budget, value in (
            ("small", "mixed", "0.5", 0.7),
            ("small", "mixed", "max", 0.8),
            ("cured", "joint", "max", 0.75),
            ("cured", "mixed", "max", 0.9),
        )
    ]
    (verdict,) = verdicts({"rows": pd.DataFrame(rows)}, told)
    assert verdict.test == "mixed − joint with loss_scaling, mean over 1 budgets"
    assert verdict.value == pytest.approx(5)
    other = told | {"experiments": [IDENTITY, cured | {"backbone": "another"}]}
    assert not list(verdicts({"rows": pd.DataFrame(rows)}, other))


def test_of_one_value_there_is_no_interval():
    low, high = intervals.of_means(pd.Series([1.0]), pd.Series([math.nan]), pd.Series([1]))
    assert low.isna().all()
    assert high.isna().all()


def test_every_test_reads_something_that_the_table_declares():
    from manyexits.artefacts.tables import claims as table

    assert {what for what, _ in claims.TESTS} <= set(table.BESIDE)
