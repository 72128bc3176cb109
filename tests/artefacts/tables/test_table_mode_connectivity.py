"""The table of barriers from rows made by hand."""

import math

import pytest

from manyexits.analysis.mode_connectivity import COLUMNS
from manyexits.artefacts import frames
from manyexits.artefacts.tables import mode_connectivity
from manyexits.artefacts.tables.mode_connectivity import table
from manyexits.files import rows

TOLD = {"experiments": [], "regimes": []}


def pair(first, second, seeds, barriers, distance, experiment="small", variant="", n=40, path="straight"):
    """Rows of the line between two runs: barriers of all exits, their distance, and a point that is no barrier."""
    ends = {
        "experiment": experiment,
        "variant": variant,
        "first": first,
        "second": second,
        "seed": seeds[0],
        "second_seed": seeds[1],
        "path": path,
    }
    made = [{"part": "line", "t": 0.5, "exit": 1, "metric": "train_loss", "value": 9.0, "n": n}]
    made += [
        {"part": "barrier", "exit": k, "metric": "barrier", "value": value, "n": n}
        for k, value in enumerate(barriers, start=1)
    ]
    if distance is not None:
        made.append({"part": "barrier", "metric": "distance", "value": distance})
    return [ends | row for row in made]


@pytest.fixture
def build(tmp_path):
    """A function that writes pairs, one file each, reads them as the pipeline does and makes the table."""

    def make(*pairs):
        paths = [tmp_path / f"{index}.csv" for index in range(len(pairs))]
        for path, made in zip(paths, pairs, strict=True):
            rows.write(path, made, ("experiment", "variant", *COLUMNS))
        named = {(made[0]["experiment"], made[0]["variant"]): made[0] | {"metric": "accuracy"} for made in pairs}
        told = TOLD | {"experiments": list(named.values())}
        return table(frames.read(mode_connectivity, paths, drawn=told["experiments"]), told)

    return make


def lines(made):
    (cells,) = made.sections.values()
    return cells.to_dict("records")


TWO_SEEDS = (
    pair("disjoint", "joint", (1, 1), [0.1, 0.3], 8.0),
    pair("disjoint", "joint", (2, 2), [0.2, 0.5], 9.0),
)
CONTROL = pair("disjoint", "disjoint", (1, 2), [1.0, 2.0], 31.0)


def test_barriers_and_distance_over_seeds(build):
    (line,) = lines(build(*TWO_SEEDS))
    assert line == {
        "experiment": "small",
        "between": "disjoint – joint",
        "distance": "8.500 ± 0.707",
        "exit 1": "0.150 ± 0.071",
        "exit 2 (last)": "0.400 ± 0.141",
        "pairs": "2",
    }


def test_the_data_hold_the_same_numbers(build):
    data = build(*TWO_SEEDS).data
    assert len(data) == 3  # the point on the line is none of them
    last = data[(data["metric"] == "barrier") & (data["exit"] == 2)].iloc[0]
    assert last["mean"] == pytest.approx(0.4)
    assert last["std"] == pytest.approx(math.sqrt(2 * 0.1**2))
    assert last["pairs"] == 2
    assert data.loc[data["metric"] == "distance", "exit"].isna().all()


def test_one_pair_has_no_deviation(build):
    (line,) = lines(build(TWO_SEEDS[0]))
    assert (line["exit 1"], line["distance"], line["pairs"]) == ("0.100", "8.000", "1")


def test_two_seeds_of_one_regime_are_the_control(build):
    made = build(*TWO_SEEDS, CONTROL)
    assert [line["between"] for line in lines(made)] == ["disjoint – joint", "disjoint, two seeds"]
    assert lines(made)[1]["exit 2 (last)"] == "2.000"
    assert not any("no control" in note for note in made.notes)
    assert made.data.groupby("between")["control"].unique().map(list).to_dict() == {
        "disjoint – joint": [False],
        "disjoint, two seeds": [True],
    }


def test_without_a_second_seed_the_table_says_so(build):
    assert "no control: one seed" in build(TWO_SEEDS[0]).notes


def test_exits_stand_in_their_order(build):
    many = [value / 10 for value in range(11)]
    (line,) = lines(build(pair("disjoint", "joint", (1, 1), many, 1.0)[::-1]))
    names = [f"exit {k}" for k in range(1, 11)] + ["exit 11 (last)"]
    assert list(line) == ["experiment", "between", "distance", *names, "pairs"]
    assert [line[name] for name in names] == [f"{value:.3f}" for value in many]


def test_one_exit_is_the_last(build):
    (line,) = lines(build(pair("disjoint", "joint", (1, 1), [0.25], 1.0)))
    assert line["exit 1 (last)"] == "0.250"


def test_experiments_and_variants_are_lines_of_their_own(build):
    made = build(
        pair("disjoint", "joint", (1, 1), [0.1, 0.2], 1.0),
        pair("disjoint", "joint", (1, 1), [0.3, 0.4], 2.0, variant="NA"),
        pair("disjoint", "joint", (1, 1), [0.5], 3.0, experiment="other"),
    )
    assert [line["experiment"] for line in lines(made)] == ["small", "small.NA", "other"]
    assert [line["exit 2 (last)"] for line in lines(made)] == ["0.200", "0.400", "–"]
    assert [line["exit 1 (last)"] for line in lines(made)] == ["–", "–", "0.500"]


def test_the_note_tells_every_number_of_images(build):
    assert any("on 40 training samples" in note for note in build(*TWO_SEEDS).notes)
    made = build(TWO_SEEDS[0], pair("disjoint", "joint", (1, 1), [0.5], 3.0, experiment="other", n=512))
    assert any("on 40 or 512 training samples" in note for note in made.notes)


def test_it_renders(build):
    made = build(*TWO_SEEDS, CONTROL)
    assert "| 0.150 ± 0.071 | 0.400 ± 0.141" in made.markdown()
    assert r"8.500 & 0.707 & 0.150 & 0.071 & 0.400 & 0.141 & 2 \\" in made.latex("x", "x")


def test_matched_lines_and_the_curve_are_lines_of_their_own_without_a_distance(build):
    made = build(
        *TWO_SEEDS,
        pair("disjoint", "joint", (1, 1), [0.0, 0.1], None, path="matched"),
        pair("joint", "mixed", (1, 1), [0.0, 0.05], None, path="curve"),
    )
    assert [(line["between"], line["distance"], line["exit 2 (last)"]) for line in lines(made)] == [
        ("disjoint – joint", "8.500 ± 0.707", "0.400 ± 0.141"),
        ("disjoint – joint, matched", "–", "0.100"),
        ("joint – mixed, curve", "–", "0.050"),
    ]
    assert any(note.startswith("matched: ") for note in made.notes)
    assert any(note.startswith("curve: ") for note in made.notes)
    (finding,) = [note for note in made.notes if note.startswith("finding: ")]
    assert finding == (
        "finding: small, barrier of the last exit: disjoint – joint 0.400 ± 0.141, disjoint – joint, matched 0.100,"
        " joint – mixed, curve 0.050"
    )


def test_the_data_hold_intervals_of_the_means(build):
    data = build(*TWO_SEEDS).data
    last = data[(data["metric"] == "barrier") & (data["exit"] == 2)].iloc[0]
    # Student's t with one degree of freedom: 12.706 times the standard error
    assert last["high"] - last["mean"] == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert last["mean"] - last["low"] == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert build(TWO_SEEDS[0]).data["low"].isna().all()
