"""Table 1 from rows made by hand: two seeds, one infeasible budget, and the authors' order of averaging."""

import math
import re

import pandas as pd
import pytest

from manyexits.artefacts import budgets, frames
from manyexits.artefacts.tables import draw, percent, table1
from manyexits.artefacts.tables.table1 import table
from manyexits.files import rows
from manyexits.study import resolve
from manyexits.study.plan import load

BACKBONE = 100
BUDGETS = ["0.25", "0.5", "1.0", "max"]
NAMES = {"dataset": "digits", "backbone": "tiny", "method": "sdn"}
SMALL = {"experiment": "small", "variant": "", **NAMES}

SHARED = {1: [None, 0.7, 0.8, 0.9], 2: [None, 0.74, 0.86, 0.9]}
SHARED_COST = {1: [None, 48, 90, 105], 2: [None, 50, 94, 105]}
PAPER = {1: [None, 0.7, 0.8, 0.9], 2: [None, 0.73, 0.82, 0.8]}
"""As `evaluate` chooses for each seed by itself: .4 and .6 at half the cost."""
POINTS = {
    # threshold: (cost, accuracy) of seed 1 and of seed 2
    0.2: [(30, 0.5), (30, 0.55)],
    0.4: [(40, 0.7), (45, 0.71)],
    0.6: [(55, 0.8), (43, 0.73)],  # too dear for seed 1 alone, but 49 in the mean
    0.8: [(70, 0.81), (60, 0.82)],
    1.0: [(105, 0.9), (105, 0.8)],
}


def run(seed, identity=SMALL, regime="joint", criterion="confidence", shift=0.0):
    """Rows of a run; with entropy the threshold S falls where T rises."""
    common = {**identity, "regime": regime, "seed": seed, "split": "test", "n": 50}
    made = [
        {"metric": "backbone_cost", "value": BACKBONE, "unit": "FLOPs"},
        {"metric": "accuracy", "exit": 1, "value": 0.5, "cost": 30},
        {"metric": "accuracy", "exit": 2, "value": 0.9, "cost": 105},
    ]
    for place, budget in enumerate(BUDGETS):
        for protocol, values, costs in [("shared", SHARED, SHARED_COST), ("paper", PAPER, SHARED_COST)]:
            value, cost = values[seed][place], costs[seed][place]
            cell = {"protocol": protocol, "criterion": criterion, "budget": budget, "cost": cost}
            made.append({**cell, "metric": "accuracy", "value": None if value is None else value + shift})
            if value is not None:
                made.append({**cell, "metric": "accuracy_low", "value": 0.0})
                made.append({**cell, "metric": "exit_share", "exit": 1, "value": 0.25})
    for threshold, both in POINTS.items():
        t = round(1 - threshold, 1) if criterion == "entropy" else threshold
        cost, value = both[seed - 1]
        point = {"criterion": criterion, "metric": "accuracy", "threshold": t}
        made.append({**point, "protocol": "paper", "value": value + shift, "cost": cost})
        made.append({**point, "protocol": "shared", "budget": 0.5, "value": 0.01, "cost": 1})
    return [{**common, **row} for row in made]


@pytest.fixture
def build(tmp_path):
    """A function that writes runs, one file each, reads them as the pipeline does and makes the table."""

    def make(*runs, experiments=(SMALL,), regimes=("joint",), own="confidence", compared=None, **options):
        paths = [tmp_path / f"{index}.csv" for index in range(len(runs))]
        for path, made in zip(paths, runs, strict=True):
            rows.write(path, made)
        # what a run was made from: its name, method and regime stand for all of it
        published = {r: f"{experiments[0]['experiment']} {r}" for r in regimes}
        named = [each | {"criterion": own, "metric": "accuracy"} for each in experiments]
        named = [each | {"published": published if each["method"] == "sdn" else {}} for each in named]
        told = {"experiments": named, "regimes": list(regimes), "protocols": ["shared", "paper"]}
        told |= {} if compared is None else {"comparisons": compared}
        return table(frames.read(table1, paths, told["experiments"]), told, **options)

    return make


@pytest.fixture
def public(tmp_path, monkeypatch):
    """A function that replaces the paper's numbers: (experiment, regime, budget, low, high) each."""

    def replace(*lines):
        head = "artefact,experiment,regime,digest,budget,metric,value_low,value_high,origin,source\n"
        text = "".join(f"table1,{e},{r},{e} {r},{b},accuracy,{low},{high},P,x\n" for e, r, b, low, high in lines)
        (tmp_path / "published.csv").write_text(head + text + "fig3,small,joint,small joint,max,accuracy,.1,.1,P,x\n")
        monkeypatch.setattr(frames, "PUBLISHED", tmp_path / "published.csv")

    return replace


def cell(made, budget, protocol="shared", **keys):
    data = made.data[(made.data["budget"] == budget) & (made.data["protocol"] == protocol)]
    for key, value in keys.items():
        data = data[data[key] == value]
    (found,) = data.to_dict("records")
    return found


def texts(made, protocol):
    (section,) = (cells for title, cells in made.sections.items() if f"protocol {protocol}:" in title)
    return section


def test_mean_deviation_number_and_cost_over_seeds(build):
    found = cell(build(run(1), run(2)), "0.5")
    assert found["mean"] == pytest.approx(0.72)
    assert found["std"] == pytest.approx(math.sqrt(2 * 0.02**2))  # divided by n - 1
    assert found["seeds"] == 2
    assert found["cost_share"] == pytest.approx(0.49)


def test_samples_stand_beside_seeds(build):
    made = build(run(1), run(2))
    assert cell(made, "0.5")["n"] == 50
    assert texts(made, "shared")[["seeds", "n"]].to_numpy().tolist() == [["2", "50"]]


def test_every_cell_is_there_once(build):
    made = build(run(1), run(2), run(1, regime="mixed"), run(2, regime="mixed"), regimes=("mixed", "joint"))
    assert len(made.data) == 2 * 2 * 4
    assert not made.data.duplicated(["experiment", "variant", "regime", "protocol", "budget"]).any()
    assert texts(made, "shared")["regime"].tolist() == ["mixed", "joint"]  # in the order told


def differences(*lines, protocol="shared", budget="0.5"):
    """Comparisons, (first, second, low, high) each."""
    told = {"experiment": "small", "variant": "", "protocol": protocol, "criterion": "confidence", "budget": budget}
    return pd.DataFrame([told | dict(zip(("first", "second", "low", "high"), line, strict=True)) for line in lines])


THREE = ("disjoint", "joint", "mixed")


@pytest.mark.parametrize(
    ("compared", "best"),
    [
        ([("disjoint", "joint", 0.1, 0.2), ("disjoint", "mixed", 0.1, 0.2), ("joint", "mixed", -0.1, 0.2)], "disjoint"),
        ([("disjoint", "joint", -0.2, -0.1), ("joint", "mixed", 0.001, 0.2)], "joint"),  # from either side
        ([("disjoint", "joint", -0.2, -0.1), ("joint", "mixed", 0.0, 0.2)], None),  # 0 is within
        ([("disjoint", "joint", -0.2, -0.1)], None),  # mixed is not compared
        ([], None),
    ],
)
def test_the_best_is_bold_where_its_difference_from_every_other_exceeds_its_interval(build, compared, best):
    runs = [run(seed, regime=regime) for regime in THREE for seed in (1, 2)]
    made = build(*runs, regimes=THREE, compared=differences(*compared) if compared else None)
    bold = [regime for regime in THREE if cell(made, "0.5", regime=regime)["best"]]
    assert bold == ([best] if best else [])
    assert made.data["best"].sum() == len(bold)  # of no other budget and protocol
    cells = texts(made, "shared").set_index("regime")["50 %"].to_dict()
    assert cells == {regime: "**72.00 ± 2.83**" if regime == best else "72.00 ± 2.83" for regime in THREE}
    assert any("bold" in note for note in made.notes) == bool(best)
    assert (r"\textbf{72.00} & \textbf{2.83}" in made.latex("table1", "c")) == bool(best)
    assert ("<b>72.00 ± 2.83</b>" in made.page()) == bool(best)
    assert "**" not in made.page() + made.latex("table1", "c")


def test_a_regime_alone_is_no_best(build):
    assert not build(run(1), compared=differences(("a", "b", 0.1, 0.2))).data["best"].any()


def test_of_an_infeasible_budget_nothing_is_the_best(build):
    runs = [run(1, regime=regime) for regime in ("joint", "mixed")]
    compared = differences(("joint", "mixed", 0.1, 0.2), budget="0.25")
    assert not build(*runs, regimes=("joint", "mixed"), compared=compared).data["best"].any()


def test_paper_averages_over_seeds_before_it_chooses(build):
    found = cell(build(run(1), run(2)), "0.5", "paper")
    # chosen for each seed by itself it would be the mean of .7 and .73
    assert found["mean"] == pytest.approx((0.8 + 0.73) / 2)
    assert found["std"] == pytest.approx(math.sqrt(2 * 0.035**2))
    assert found["cost_share"] == pytest.approx((0.55 + 0.43) / 2)
    assert found["seeds"] == 2


def test_cells_of_single_seeds_take_no_part_in_the_average(build):
    # at the full cost .8 fits (65 in the mean) and 1.0 does not
    assert cell(build(run(1), run(2)), "1.0", "paper")["mean"] == pytest.approx((0.81 + 0.82) / 2)


def test_one_seed_by_itself_cannot_afford_that(build):
    found = cell(build(run(1)), "0.5", "paper")
    assert (found["mean"], found["cost_share"]) == pytest.approx((0.7, 0.4))


def test_papers_max_is_the_last_exit(build):
    found = cell(build(run(1), run(2)), "max", "paper")
    assert (found["mean"], found["seeds"], found["cost_share"]) == pytest.approx((0.85, 2, 1.05))


def test_entropy_takes_the_smallest_threshold_that_fits_the_mean_cost(build):
    runs = [[*run(seed, criterion="confidence"), *run(seed, criterion="entropy")] for seed in (1, 2)]
    for row in [*runs[0], *runs[1]]:
        if row.get("criterion") == "confidence":
            row["value"] = 0.0  # confidence must not be looked at
    made = build(*runs, criteria=["entropy"])
    assert cell(made, "0.5", "paper")["mean"] == pytest.approx((0.8 + 0.73) / 2)
    assert cell(made, "0.5", "shared")["mean"] == pytest.approx(0.72)
    assert set(made.data["criterion"]) == {"entropy"}
    assert all("criterion entropy" in title for title in made.sections if title.startswith("Accuracy"))


@pytest.mark.parametrize("protocol", ["shared", "paper"])
def test_an_infeasible_budget_is_an_empty_cell_with_a_note(build, protocol):
    made = build(run(1), run(2), protocols=[protocol])
    found = cell(made, "0.25", protocol)
    assert all(math.isnan(found[key]) for key in ("mean", "std", "cost_share"))
    assert found["seeds"] == 0
    assert texts(made, protocol)["25 %"].tolist() == ["–"]
    (note,) = (note for note in made.notes if "infeasible" in note)
    assert "small, budget 25 %" in note
    assert "30.0 % of the backbone" in note


def test_a_budget_that_meets_the_first_exit_but_no_threshold_is_told_so(build):
    runs = run(1), run(2)
    for row in [*runs[0], *runs[1]]:
        if row.get("budget") == BUDGETS[1] and row["protocol"] == "shared" and "threshold" not in row:
            row["value"] = row["cost"] = None
    made = build(*runs, protocols=["shared", "paper"])
    told = "– small, budget 50 %, protocol shared: infeasible: no threshold that is tried meets it"
    assert told in made.notes
    assert sum("50 %" in note for note in made.notes) == 1


def test_feasible_cells_have_no_note(build):
    made = build(run(1), run(2))
    assert set(made.data.loc[made.data["budget"] != "0.25", "note"]) == {""}
    assert sum("infeasible" in note for note in made.notes) == 1  # both protocols say the same


def test_one_seed_has_no_deviation(build):
    made = build(run(1))
    assert math.isnan(cell(made, "0.5")["std"])
    assert cell(made, "0.5")["seeds"] == 1
    line = texts(made, "shared").iloc[0]
    assert (line["50 %"], line["Max"], line["seeds"]) == ("70.00", "90.00", "1")


def test_two_seeds_are_printed_with_their_deviation(build):
    line = texts(build(run(1), run(2)), "shared").iloc[0]
    assert (line["50 %"], line["100 %"], line["Max"]) == ("72.00 ± 2.83", "83.00 ± 4.24", "90.00 ± 0.00")
    assert line["seeds"] == "2"


def test_a_regime_that_an_experiment_lacks_is_no_line(build):
    other = {**SMALL, "experiment": "other"}
    runs = [run(1), run(1, regime="mixed"), run(1, other)]
    made = build(*runs, experiments=(SMALL, other), regimes=("joint", "mixed"))
    lines = texts(made, "shared")[["experiment", "regime"]].to_numpy().tolist()
    assert lines == [["small", "joint"], ["small", "mixed"], ["other", "joint"]]


def test_each_experiment_is_read_under_its_own_criterion(build):
    runs = [run(seed, criterion="patience") for seed in (1, 2)]
    made = build(*runs, own="patience")
    assert set(made.data["criterion"]) == {"patience"}
    assert cell(made, "0.5", "paper")["mean"] == pytest.approx((0.8 + 0.73) / 2)  # patience rises as confidence does
    assert "criterion" not in texts(made, "shared")  # one for all stands in the title


def test_criteria_stand_side_by_side(build):
    runs = [[*run(seed, criterion="confidence"), *run(seed, criterion="entropy", shift=0.01)] for seed in (1, 2)]
    for own in runs:
        del own[len(own) // 2 :][:3]  # what is the same under both stands once
    made = build(*runs, criteria=["entropy", "confidence"])
    found = texts(made, "shared")
    assert found["criterion"].tolist() == ["entropy", "confidence"]
    assert found["50 %"].tolist() == ["73.00 ± 2.83", "72.00 ± 2.83"]


def promise(seed, budget, cost, protocol="shared"):
    of_run = {**SMALL, "regime": "joint", "seed": seed, "split": "test", "n": 10}
    cell = {"protocol": protocol, "criterion": "confidence", "budget": budget}
    return {**of_run, **cell, "metric": "promised_cost", "value": cost, "unit": "FLOPs"}


def test_the_drift_is_what_a_cost_exceeds_its_promise_by(build):
    made = build(*([*run(seed), promise(seed, 0.5, 45 + seed), promise(seed, 1.0, 200)] for seed in (1, 2)))
    assert cell(made, "0.5")["promised_share"] == pytest.approx(0.465)  # of a cost of 0.49, means over seeds
    (spent,) = (cells for title, cells in made.sections.items() if "cost" in title and "shared" in title)
    assert spent.iloc[0]["50 %"] == "49.00 (+2.50)"
    assert spent.iloc[0]["100 %"].endswith(f"({100 * cell(made, '1.0')['cost_share'] - 200:+.2f})")
    assert "(" not in spent.iloc[0]["Max"]  # of which no promise is told
    assert sum("drift" in note for note in made.notes) == 1
    assert not [note for note in build(run(1), run(2)).notes if "drift" in note]


def test_a_criterion_that_was_not_evaluated_is_refused(build):
    with pytest.raises(ValueError, match="small was not evaluated under protocol paper and criterion entropy; name"):
        build(run(1), protocols=["paper"], criteria=["entropy"])


@pytest.mark.parametrize(("place", "what"), [(0, "the backbone"), (1, "the first exit")])
def test_rows_that_tell_no_cost_are_refused(build, place, what):
    made = run(1)
    del made[place]
    with pytest.raises(ValueError, match=f"small, joint: no row tells the cost of {what}; evaluate its runs again"):
        build(made)


def test_variants_are_lines_of_their_own(build):
    named = {**SMALL, "variant": "NA"}
    made = build(run(1), run(1, identity=named, shift=-0.1), experiments=(SMALL, named))
    assert texts(made, "shared")["experiment"].tolist() == ["small", "small.NA"]
    assert texts(made, "shared")["50 %"].tolist() == ["70.00", "60.00"]


def test_an_interval_has_a_difference_only_outside(build, public):
    public(("small", "joint", 0.5, 0.70, 0.75), ("small", "joint", 1.0, 0.80, 0.81), ("small", "joint", "max", 0.95, 1))
    made = build(run(1), run(2))
    assert cell(made, "0.5")["difference"] == 0
    assert cell(made, "1.0")["difference"] == pytest.approx(0.83 - 0.81)
    assert cell(made, "max")["difference"] == pytest.approx(0.9 - 0.95)
    assert (cell(made, "1.0")["published_low"], cell(made, "1.0")["published_high"]) == (0.80, 0.81)
    assert cell(made, "1.0")["origin"] == "P"


def test_without_a_published_value_there_is_no_difference(build, public):
    public(("small", "mixed", 1.0, 0.8, 0.8), ("other", "joint", 1.0, 0.8, 0.8))
    made = build(run(1), run(2))
    assert made.data["difference"].isna().all()
    assert not {"paper, 100 %", "difference"} & set(texts(made, "shared").columns)


def test_an_infeasible_cell_has_no_difference(build, public):
    public(("small", "joint", 0.25, 0.6, 0.6))
    assert math.isnan(cell(build(run(1), run(2)), "0.25")["difference"])


def test_the_papers_column_prints_the_budget_that_it_names(build, public):
    public(("small", "joint", 0.5, 0.1, 0.1), ("small", "joint", 1.0, 0.80, 0.8123))
    line = texts(build(run(1), run(2)), "shared").iloc[0]
    assert (line["paper, 100 %"], line["difference"]) == ("80.00 to 81.23 [P]", "+1.77")


def test_a_line_without_a_published_value_has_a_dash_where_another_has_one(build, public):
    public(("small", "joint", 1.0, 0.8, 0.8))
    made = build(run(1), run(1, regime="mixed"), regimes=("joint", "mixed"))
    assert texts(made, "shared")["paper, 100 %"].tolist() == ["80.00 [P]", "–"]


def test_a_single_published_value_is_printed_once(build, public):
    public(("small", "joint", 1.0, 0.85, 0.85))
    line = texts(build(run(1), run(2)), "shared").iloc[0]
    assert (line["paper, 100 %"], line["difference"]) == ("85.00 [P]", "-2.00")


MINE = {"dataset": "cifar100", "backbone": "resnet34", "recipes": "cifar100-resnet"}
CHANGES = {
    "nothing": ({}, True),
    "its name": ({"experiments": {"mine": MINE, "cifar100-resnet34": None}}, True),
    "its placement": ({"experiments": {"cifar100-resnet34": {"placement": "authors"}}}, True),
    "where its data lie": ({"datasets": {"cifar100": {"path": "elsewhere"}}}, True),
    "minutes of its jobs": ({"recipes": {"cifar100-resnet": {"minutes": 5}}}, True),
    "a recipe": ({"recipes": {"cifar100-resnet": {"epochs": 2}}}, False),
    "the backbone": ({"backbones": {"resnet34": {"width": 8}}}, False),
    "the dataset": ({"experiments": {"cifar100-resnet34": {"dataset": "digits"}}}, False),
    "the method": ({"experiments": {"cifar100-resnet34": {"method": "pbee"}}}, False),
    "what a regime is": ({"regimes": {"mixed": ["all", "all"]}}, False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_papers_numbers_belong_to_what_is_the_papers_and_not_to_a_name(root, what):
    change, belong = CHANGES[what]
    read = resolve.read([root / "config.yaml"])
    drawn = {"tables": {"table1": {"experiments": "all"}}, "figures": {}}
    plan = load(resolve.merge(read | drawn, change))
    told = {each["experiment"]: each for each in plan.job("table", name="table1").settings["experiments"]}
    ours = told["mine" if what == "its name" else "cifar100-resnet34"]["published"]["mixed"]
    assert (ours in set(frames.published(["table1"])["digest"])) == belong


def test_the_papers_numbers_are_fractions_told_once():
    found = frames.published(budgets.OF_BUDGETS)
    assert len(found) > 0
    assert not found.duplicated(["experiment", "regime", "budget"]).any()
    assert not found.duplicated(["digest", "budget"]).any()
    assert (found["value_low"].fillna(found["value_high"]) <= found["value_high"]).all()
    assert found["value_low"].dropna().between(0.3, 1).all()
    assert found["value_high"].between(0.3, 1).all()
    assert set(found["origin"]) <= {"P", "C", "L"}


def test_a_value_that_is_only_said_not_to_be_more_has_no_lower_end(build, public):
    public(("small", "joint", 1.0, "", 0.9), ("small", "mixed", 1.0, "", 0.7))
    made = build(run(1), run(2, regime="mixed"), regimes=("joint", "mixed"))
    assert list(texts(made, "shared")["paper, 100 %"]) == ["up to 90.00 [P]", "up to 70.00 [P]"]
    mean = cell(made, "1.0", regime="mixed")["mean"]
    assert cell(made, "1.0", regime="joint")["difference"] == 0
    assert cell(made, "1.0", regime="mixed")["difference"] == pytest.approx(mean - 0.7)


def test_pearson_s_correlation_stands_in_brackets_behind_spearman_s(build):
    def scored(seed):
        of_answers = [row for row in run(seed) if row["metric"] == "accuracy"]
        beside = [
            row | {"metric": "pearson", "value": row["value"] and row["value"] + seed / 100} for row in of_answers
        ]
        return [row | {"metric": row["metric"].replace("accuracy", "spearman")} for row in run(seed)] + beside

    plain, made = build(run(1), run(2)), build(scored(1), scored(2))
    for protocol in ("shared", "paper"):
        expected, found = cell(plain, "0.5", protocol), cell(made, "0.5", protocol)
        assert (found["mean"], found["std"]) == (expected["mean"], expected["std"])
        assert found["pearson"] == pytest.approx(expected["mean"] + 0.015)
        assert math.isnan(expected["pearson"])
        (before,), (text,) = texts(plain, protocol)["50 %"], texts(made, protocol)["50 %"]
        assert text == f"{before} ({100 * found['pearson']:.2f})"
    assert any("Pearson's (× 100)" in note for note in made.notes)
    assert not any("Pearson" in note for note in plain.notes)


def test_markdown_has_a_line_for_each_run_and_all_notes(build):
    made = build(run(1), run(2), protocols=["shared"])
    text = made.markdown()
    header, _, line = [line for line in text.splitlines() if line.startswith("|")][:3]
    assert [part.strip() for part in header.strip("|").split("|")] == texts(made, "shared").columns.tolist()
    assert [part.strip() for part in line.strip("|").split("|")] == texts(made, "shared").iloc[0].tolist()
    assert all(f"- {note}\n" in text for note in made.notes)


def test_latex_is_one_float_with_caption_and_label(build):
    named = {**SMALL, "experiment": "vit_t"}
    regimes = ["dis_joint", "joint"]
    runs = [run(seed, named, regime) for regime in regimes for seed in (1, 2)]
    made = build(*runs, experiments=[named], regimes=regimes)
    text = made.latex("mine", "At 25 % & more")
    assert not re.search(r"(?<!\\)[%_]", text.split("\n", 1)[1])
    for part in (r"\begin{table*}", r"\end{table*}", r"\caption{At 25 \% \& more}", r"\label{tab:mine}"):
        assert text.count(part) == 1
    assert r"\multirow{2}{*}{vit\_t} & dis\_joint & -- & 72.00 & 2.83" in text
    assert "\n & joint & " in text
    assert r"\multicolumn{2}{c}{50 \%} & \multicolumn{2}{c}{100 \%}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4  # accuracies, costs of two protocols
    for spec, body in re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL):
        columns = len(re.findall("[lr]", re.sub(r"@\{.*?\}", "", spec)))
        for line in re.findall(r"^.* \\\\$", body, re.MULTILINE):
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == columns


def test_four_files_are_written(tmp_path):
    for seed in (1, 2):
        rows.write(tmp_path / f"{seed}.csv", run(seed))
    named = SMALL | {"criterion": "confidence", "metric": "accuracy"}
    told = {"name": "table1", "experiments": [named], "regimes": ["joint"], "options": {"protocols": ["paper"]}}
    draw(told, [tmp_path / "1.csv", tmp_path / "2.csv"], [], tmp_path / "out" / "table1.csv")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"table1.{suffix}" for suffix in ("csv", "md", "tex", "html")
    }
    data = pd.read_csv(tmp_path / "out" / "table1.csv")
    assert data["protocol"].tolist() == ["paper"] * 4
    assert data.loc[data["budget"] == "0.5", "mean"].iloc[0] == pytest.approx(0.765)
    assert "76.50" in (tmp_path / "out" / "table1.md").read_text()
    assert "76.50" in (tmp_path / "out" / "table1.tex").read_text()
    assert re.search(r"<td>76\.50[^<]*</td>", (tmp_path / "out" / "table1.html").read_text())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.12345,), "12.35"),
        ((0.5, 0.0123), "50.00 ± 1.23"),
        ((0.5, math.nan), "50.00"),
        ((math.nan, math.nan), "–"),
        ((0.01, math.nan, True), "+1.00"),
        ((-0.01, math.nan, True), "-1.00"),
        ((1.0,), "100.00"),
        ((0.0,), "0.00"),
    ],
)
def test_fractions_are_printed_in_percent(arguments, text):
    assert percent(*arguments) == text


def test_costs_really_spent_stand_beside_the_accuracies(build):
    made = build(run(1), run(2), protocols=["shared"])
    (spent,) = [cells for title, cells in made.sections.items() if title.startswith("Mean cost really spent")]
    shares = made.data.set_index("budget")["cost_share"]
    for budget, column in (("1.0", "100 %"), ("max", "Max")):
        assert spent[column].tolist() == [f"{100 * shares[budget]:.2f}"]


@pytest.mark.parametrize(("variant", "change", "beside"), [("authors", {}, True), ("ztw", {"method": "ztw"}, False)])
def test_the_papers_value_stands_beside_other_placements_but_not_beside_other_methods(
    build, public, variant, change, beside
):
    public(("small", "joint", 1.0, 0.8, 0.8))
    other = SMALL | {"variant": variant} | change
    made = build(run(1), run(1, other), experiments=[SMALL, other])
    found = made.data[made.data["budget"] == "1.0"].set_index("variant")["published_low"]
    assert found[""].notna().all()
    assert found[variant].notna().all() == beside
