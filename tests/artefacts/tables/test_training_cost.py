"""What trainings took, and exits at equal training cost, against a hand-computed study."""

import pytest
from trained import written

from manyexits.artefacts import histories
from manyexits.artefacts.tables import training_cost

# joint takes 3 epochs of 1,000 FLOPs, mixed 2 + 3, disjoint 2 + 2
REGIMES = {
    "disjoint": [("backbone", 2, [2]), ("heads", 2, [1, 2])],
    "joint": [("all", 3, [1, 2])],
    "mixed": [("backbone", 2, [2]), ("all", 3, [1, 2])],
}
TOLD = {"experiments": [{"experiment": "small", "variant": "", "metric": "accuracy"}], "regimes": list(REGIMES)}


def made(tmp_path, regimes=REGIMES, seeds=(1, 2)):
    paths, runs = [], []
    for regime, phases in regimes.items():
        for seed in seeds:
            paths += written(tmp_path / f"{regime}{seed}", phases)
            runs.append({"experiment": "small", "variant": "", "regime": regime, "seed": seed})
    return training_cost.table(histories.read(paths, runs, [None] * len(paths)), TOLD)


def test_what_each_phase_took_and_all_of_them(tmp_path):
    lines = made(tmp_path).sections["What the trainings took, means over seeds"]
    found = [
        tuple(line) for line in lines[["regime", "phase", "epochs", "samples", "FLOPs", "device hours"]].to_numpy()
    ]
    assert found == [
        ("disjoint", "backbone", "2", "20", "2 k", "0.01"),
        ("disjoint", "heads", "2", "20", "2 k", "0.01"),
        ("disjoint", "in all", "4", "40", "4 k", "0.02"),
        ("joint", "all", "3", "30", "3 k", "0.01"),
        ("mixed", "backbone", "2", "20", "2 k", "0.01"),
        ("mixed", "all", "3", "30", "3 k", "0.01"),
        ("mixed", "in all", "5", "50", "5 k", "0.02"),
    ]


def test_exits_at_the_end_and_at_the_cost_of_the_cheapest_regime(tmp_path):
    sections = made(tmp_path).sections
    end = sections["Validation accuracy (%) of every exit at the end of training"].set_index("regime")
    equal = sections["Validation accuracy (%) of every exit at equal training cost"].set_index("regime")
    # scores are the epochs so far, in hundredths, and a thousandth for each exit
    assert end.loc["mixed", ["exit 1", "exit 2"]].tolist() == ["5.10 ± 0.00", "5.20 ± 0.00"]
    for regime in REGIMES:  # joint takes 3,000 FLOPs in all, the cheapest
        assert equal.loc[regime, ["exit 1", "exit 2"]].tolist() == ["3.10 ± 0.00", "3.20 ± 0.00"], regime
    assert set(equal["FLOPs"]) == {"3 k"}


def test_an_exit_that_was_not_trained_by_then_has_no_score(tmp_path):
    regimes = {"joint": [("all", 1, [1, 2])], "mixed": [("backbone", 2, [2]), ("all", 1, [1, 2])]}
    equal = made(tmp_path, regimes).sections["Validation accuracy (%) of every exit at equal training cost"]
    assert equal.set_index("regime").loc["mixed", ["exit 1", "exit 2"]].tolist() == ["–", "1.20 ± 0.00"]


def test_one_seed_has_no_deviation(tmp_path):
    lines = made(tmp_path, seeds=(1,)).sections["Validation accuracy (%) of every exit at the end of training"]
    assert not lines.astype(str).apply(lambda column: column.str.contains("±")).to_numpy().any()


@pytest.mark.parametrize(
    ("flops", "shown"),
    [(0, "0"), (999, "999"), (1.5e6, "1.5 M"), (48.7e12, "48.7 T"), (1e15, "1 P"), (2.34e19, "23.4 E")],
)
def test_flops_are_told_to_three_digits(flops, shown):
    assert training_cost.prefixed(flops) == shown
