"""Figures draw the numbers of their rows, and look the same in grey."""

import itertools

import matplotlib.colors
import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from manyexits.artefacts import figures
from manyexits.artefacts.figures import _style, budget_curves, calibration, exit_distribution, fig3
from manyexits.artefacts.figures._style import grid
from manyexits.files import rows

IDENTITY = {"experiment": "small", "variant": "", "dataset": "made", "backbone": "tiny", "method": "sdn"}
TOLD = {
    "experiments": [IDENTITY | {"criterion": "confidence", "metric": "accuracy"}],
    "regimes": ["disjoint", "joint", "mixed"],
    "options": {},
}
PAIRS = [("disjoint", "joint"), ("disjoint", "mixed"), ("joint", "mixed")]


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def budget_rows(seeds: list[int]) -> list[dict]:
    """Accuracies that can be told apart: .5 + .1 per regime + .01 per seed + .001 per point."""
    made = []
    for (r, regime), seed in itertools.product(enumerate(TOLD["regimes"]), seeds):
        common = IDENTITY | {"regime": regime, "seed": seed, "split": "test", "n": 50}
        made.append(common | {"metric": "backbone_cost", "value": 1000, "unit": "FLOPs"})
        shared = common | {"protocol": "shared", "criterion": "confidence", "metric": "accuracy"}
        for point in range(5):
            value = 0.5 + 0.1 * r + 0.01 * seed + 0.001 * point
            made.append(shared | {"budget": 0.2 * point, "threshold": 0.1, "value": value, "cost": 200 * point})
        made.append(shared | {"budget": 0.5, "value": 0.9, "cost": 500})
        made.append(shared | {"budget": 0.1})  # infeasible
    return made


def test_budget_curves_draw_means_over_seeds_against_cost_in_percent(tmp_path):
    rows.write(tmp_path / "rows.csv", budget_rows([1, 3]))
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), TOLD)
    (axis,) = [axis for axis in made.axes if axis.get_visible()]
    curves = [line for line in axis.get_lines() if len(line.get_xdata()) == 5]
    assert len(curves) == 3
    for r, curve in enumerate(curves):
        assert curve.get_xdata() == pytest.approx([0, 20, 40, 60, 80])
        assert curve.get_ydata() == pytest.approx([100 * (0.52 + 0.1 * r + 0.001 * point) for point in range(5)])
    bands = [c for c in axis.collections if c.get_paths()]
    deviation = 100 * np.std([0.01, 0.03], ddof=1)
    low, high = bands[0].get_paths()[0].vertices[:, 1].min(), bands[0].get_paths()[0].vertices[:, 1].max()
    assert (low, high) == pytest.approx((52 - deviation, 52.4 + deviation))
    points = [line for line in axis.get_lines() if list(line.get_xdata()) == [50.0]]
    assert len(points) == 3  # the feasible budget of each regime; the infeasible one has no point
    assert axis.get_xlabel() == "mean cost (% of the backbone's FLOPs)"


def test_every_exit_alone_and_the_plain_backbone_are_points(tmp_path):
    alone = []
    for seed, exit_ in itertools.product([1, 3], [1, 2]):
        row = IDENTITY | {"seed": seed, "split": "test", "n": 50, "metric": "accuracy", "exit": exit_}
        value, cost = 0.1 * exit_ + 0.01 * seed, 500 * exit_ + 10
        alone += [row | {"regime": regime, "value": value, "cost": cost} for regime in ("disjoint", "mixed")]
    rows.write(tmp_path / "rows.csv", budget_rows([1, 3]) + alone)
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), TOLD | {"plain": ["disjoint"]})
    points = [line for line in made.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    drawn = [line for line in points if len(line.get_xdata())]
    assert len(drawn) == 2
    for line in drawn:
        assert line.get_xdata() == pytest.approx([51, 101])
        assert line.get_ydata() == pytest.approx([12, 22])
    (star,) = (line for line in made.axes[0].get_lines() if line.get_marker() == "*")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([100], pytest.approx([22]))


def test_panels_have_equal_scales(tmp_path):
    others = [row | {"experiment": "other", "value": row["value"] / 2} for row in budget_rows([1]) if "value" in row]
    rows.write(tmp_path / "rows.csv", budget_rows([1]) + others)
    told = TOLD | {"experiments": [*TOLD["experiments"], TOLD["experiments"][0] | {"experiment": "other"}]}
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), told)
    first, second = made.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    assert (first.get_ylabel(), second.get_ylabel()) == ("test accuracy (%)", "")


def test_variants_share_a_panel_where_it_is_asked_for(tmp_path):
    variants = ["", "deep", "late"]
    made_of = [row | {"variant": variant} for variant in variants for row in budget_rows([1])]
    rows.write(tmp_path / "rows.csv", [*made_of, *(row | {"experiment": "other"} for row in budget_rows([1]))])
    named = [*(("small", variant) for variant in variants), ("other", "")]
    told = TOLD | {
        "experiments": [TOLD["experiments"][0] | {"experiment": name, "variant": variant} for name, variant in named]
    }
    apart = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), told)
    assert len([axis for axis in apart.axes if axis.get_visible()]) == 4
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), told, overlay=True)
    first, second = (axis for axis in made.axes if axis.get_visible())
    curves = [line for line in first.get_lines() if len(line.get_xdata()) == 5]
    assert len(curves) == 3 * 3
    assert len({line._dash_pattern[1] and tuple(line._dash_pattern[1]) for line in curves}) == 3
    assert len({line.get_color() for line in curves}) == 3
    assert len([line for line in second.get_lines() if len(line.get_xdata()) == 5]) == 3
    assert [text.get_text() for text in made.legends[0].get_texts()][:6] == [
        *TOLD["regimes"],
        "base",
        "deep",
        "late",
    ]


def test_beside_other_methods_a_base_is_called_by_its_own(tmp_path):
    rows.write(tmp_path / "rows.csv", [row | {"variant": each} for each in ("", "ztw") for row in budget_rows([1])])
    base = TOLD["experiments"][0]
    told = TOLD | {"experiments": [base | {"method": "sdn"}, base | {"variant": "ztw", "method": "ztw"}]}
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), told, overlay=True)
    assert [text.get_text() for text in made.legends[0].get_texts()][3:5] == ["sdn", "ztw"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_figures_have_the_size_in_which_they_are_printed_and_no_smaller_text_than_6_points(tmp_path, count):
    named = [f"e{index}" for index in range(count)]
    rows.write(tmp_path / "rows.csv", [row | {"experiment": name} for name in named for row in budget_rows([1, 3])])
    told = TOLD | {"experiments": [TOLD["experiments"][0] | {"experiment": name} for name in named]}
    with _style.style():
        frame = pd.concat([connectivity([1, 2], True).assign(experiment=name) for name in named[:3]], ignore_index=True)
        of_planes = told | {"experiments": told["experiments"][:3]}
        drawn = [budget_curves.figure(rows.read([tmp_path / "rows.csv"]), told), fig3.figure(frame, of_planes)]
        for made in drawn:
            _style.place(made)
            assert made.get_figwidth() <= 6.75
            texts = [text for text in made.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
            assert min(text.get_fontsize() for text in texts) >= 6
            inside = made.bbox
            for axis in made.findobj(Axes):
                if axis.get_visible():
                    box = axis.get_tightbbox()
                    assert box.x0 >= inside.x0 - 1
                    assert box.x1 <= inside.x1 + 1


def test_one_seed_has_no_band_and_says_so(tmp_path):
    rows.write(tmp_path / "rows.csv", budget_rows([1]))
    made = budget_curves.figure(rows.read([tmp_path / "rows.csv"]), TOLD)
    assert made.axes[0].get_title() == "small\none seed; n = 50"


def connectivity(seeds: list[int], control: bool) -> pd.DataFrame:
    """A bowl of a plane, arches as lines."""
    made = []
    for seed in seeds:
        common = {"experiment": "small", "variant": "", "seed": seed}
        for x, y, exit_ in itertools.product((0.0, 1.0, 2.0), (0.0, 1.0, 2.0), (1, 2)):
            for metric, value in (("train_loss", 0.1 + x**2 + y**2), ("test_accuracy", 1 / (1 + x + y))):
                made.append(common | {"part": "plane", "x": x, "y": y, "exit": exit_, "metric": metric, "value": value})
        for regime, place in zip(("disjoint", "joint", "mixed"), ((0.5, 1.5), (1.5, 0.0), (0.0, 0.0)), strict=True):
            made.append(common | {"part": "anchor", "first": regime, "x": place[0], "y": place[1]})
        for first, second in PAIRS:
            made += between(common, first, second, seed)
    if control:
        made += between({"experiment": "small", "variant": "", "seed": 1}, "disjoint", "disjoint", 2)
    return pd.DataFrame(made)


def between(common: dict, first: str, second: str, second_seed: int) -> list[dict]:
    ends = common | {"path": "straight", "first": first, "second": second, "second_seed": second_seed, "n": 9}
    made = [
        ends | {"part": "line", "t": t, "exit": exit_, "metric": "train_loss", "value": 0.1 + t * (1 - t)}
        for t in (0.0, 0.5, 1.0)
        for exit_ in (1, 2)
    ]
    return made + [ends | {"part": "barrier", "exit": k, "metric": "barrier", "value": 0.25 * k} for k in (1, 2)]


def drawn_planes(made) -> list:
    return [axis for axis in made.findobj(Axes) if axis.get_title() in ("last exit", "exit 1")]


def test_figure_3_shows_the_three_regimes_on_every_plane_and_every_pair_as_a_line():
    made = fig3.figure(connectivity([1, 2], control=True), TOLD)
    planes = drawn_planes(made)
    assert len(planes) == 4  # two exits, loss and accuracy
    for axis in planes:
        places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.get_lines()]
        assert places == [(0.5, 1.5), (1.5, 0.0), (0.0, 0.0)]
    lines = next(axis for axis in made.findobj(Axes) if "between runs" in axis.get_title())
    assert len(lines.get_lines()) == 3 * 2 + 1
    planes_legend, pairs_legend = (
        [text.get_text() for text in part.legends[0].get_texts()] for part in made.findobj(SubFigure) if part.legends
    )
    assert planes_legend == ["disjoint", "joint", "mixed"]
    assert set(pairs_legend) == {
        "disjoint – joint",
        "disjoint – mixed",
        "joint – mixed",
        "disjoint, two seeds",
    }


def test_figure_3_has_equal_scales_and_one_colour_scale_for_each_row():
    made = fig3.figure(connectivity([1, 2], control=True), TOLD)
    planes = drawn_planes(made)
    assert {axis.get_aspect() for axis in planes} == {1.0}
    for row, (low, high) in zip((planes[:2], planes[2:]), ((0.1, 8.1), (20, 100)), strict=True):
        assert {axis.get_xlim() for axis in row} == {(0.0, 2.0)}
        for axis in row:
            filled = axis.collections[0]
            assert (filled.norm.vmin, filled.norm.vmax) == pytest.approx((low, high))
    bars = {axis.get_ylabel(): axis for axis in made.findobj(Axes) if axis.get_ylabel() in fig3.MEASURED.values()}
    assert set(bars) == {"training loss (nats)", "test accuracy (%)"}
    for metric, bar in bars.items():
        ticks = [text.get_text() for text in bar.get_yticklabels()]
        assert len(ticks) == len(set(ticks)) > 2, metric


def test_labels_of_contours_lie_inside_their_plane_and_apart():
    frame = connectivity([1, 2], control=True)
    accuracy = (frame["part"] == "plane") & (frame["metric"] == "test_accuracy")
    frame.loc[accuracy, "value"] = 0.5 + 0.2 * np.sin(2 * frame["x"][accuracy]) * np.cos(3 * frame["y"][accuracy])
    labelled = 0
    for axis in drawn_planes(fig3.figure(frame, TOLD)):
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        room = fig3.ROOM * (right - left)
        places = [text.get_position() for text in axis.texts]
        labelled += len(places)
        assert all(left < x - room / 2.1 and x + room / 2.1 < right for x, _ in places)
        assert all(low < y - room / 2.1 and y + room / 2.1 < high for _, y in places)
        assert all(np.hypot(a - c, b - d) > room / 1.05 for (a, b), (c, d) in itertools.combinations(places, 2))
    assert labelled > 2


def test_small_barriers_can_be_read_beside_large_ones():
    frame = connectivity([1, 2], control=True)
    small = (frame["part"] == "barrier") & (frame["second"] == "mixed")
    frame.loc[small, "value"] = 0.02
    frame.loc[(frame["part"] == "barrier") & ~small, "value"] = 3.0
    made = fig3.figure(frame, TOLD)
    axis = next(axis for axis in made.findobj(Axes) if axis.get_ylabel() == "barrier (nats)")
    bottom, zero = (axis.transAxes.transform((0, 0))[1], axis.transData.transform((1, 0))[1])
    little, much = (axis.transData.transform((1, value))[1] for value in (0.02, 3.0))
    assert bottom == pytest.approx(zero)
    assert little - zero > 0.2 * (much - zero)


def test_figure_3_says_when_there_is_no_control():
    made = fig3.figure(connectivity([1], control=False), TOLD)
    assert any("no control: one seed" in axis.get_title() for axis in made.findobj(Axes))


def test_a_flat_surface_can_be_drawn():
    frame = connectivity([1], control=False)
    frame.loc[frame["part"] == "plane", "value"] = 1.0
    fig3.figure(frame, TOLD)


def test_equal_rows_give_equal_files(tmp_path):
    rows.write(tmp_path / "rows.csv", budget_rows([1, 2]))
    settings = TOLD | {"name": "budget_curves"}
    for name in ("a", "b"):
        figures.draw(settings, [tmp_path / "rows.csv"], tmp_path / f"{name}.pdf")
    for suffix in ("pdf", "png", "svg"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second
        assert len(first) > 5_000


def lightness(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_regimes_differ_in_grey_in_line_and_in_marker():
    looks = _style.looks(["disjoint", "joint", "mixed"], {})
    for first, second in itertools.combinations(looks.values(), 2):
        assert abs(lightness(first.colour) ** (1 / 2.2) - lightness(second.colour) ** (1 / 2.2)) > 0.2
        assert first.line != second.line
        assert first.marker != second.marker


def test_further_regimes_have_looks_of_their_own_and_colours_can_be_chosen():
    looks = _style.looks(["mixed", "alternating", "late"], {"mixed": "#123456"})
    assert looks["mixed"].colour == "#123456"
    assert len({look.colour for look in looks.values()}) == 3


def test_with_many_seeds_every_line_between_runs_runs_forward():
    frame = connectivity([1, 2, 3], control=False)
    controls = [
        between({"experiment": "small", "variant": "", "seed": first}, "disjoint", "disjoint", second)
        for first, second in itertools.combinations((1, 2, 3), 2)
    ]
    made = fig3.figure(pd.concat([frame, *map(pd.DataFrame, controls)], ignore_index=True), TOLD)
    lines = next(axis for axis in made.findobj(Axes) if "between runs" in axis.get_title()).get_lines()
    assert len(lines) == 3 * 3 + 3
    assert all((np.diff(line.get_xdata()) > 0).all() for line in lines)


def test_no_label_of_a_contour_stands_on_the_mark_of_a_run():
    frame = connectivity([1], control=False)
    place = drawn_planes(fig3.figure(frame, TOLD))[0].texts[0].get_position()
    frame.loc[(frame["part"] == "anchor") & (frame["first"] == "mixed"), ["x", "y"]] = place
    made = fig3.figure(frame, TOLD)
    made.draw_without_rendering()
    for axis in drawn_planes(made):
        assert not [text for text in axis.texts if text.get_window_extent().contains(*axis.transData.transform(place))]


def test_without_a_plane_the_panels_say_so():
    frame = connectivity([1], control=False)
    made = fig3.figure(frame[~frame["part"].isin(["plane", "anchor"])], TOLD)
    assert any("no plane" in text.get_text() for axis in made.findobj(Axes) for text in axis.texts)


def test_a_plane_of_one_line_of_points_is_refused():
    frame = connectivity([1], control=False)
    with pytest.raises(ValueError, match="the plane of train_loss at exit 2 has 1 x 3 points, too few for a surface"):
        fig3.figure(frame[(frame["part"] != "plane") | (frame["x"] == 0)], TOLD)


def test_a_loss_that_overflows_at_a_corner_leaves_the_rest_of_the_plane():
    frame = connectivity([1], control=False)
    frame.loc[frame.index[frame["part"] == "plane"][0], "value"] = np.inf
    made = fig3.figure(frame, TOLD)
    made.canvas.draw()


def test_who_leaves_where_is_a_colour_and_how_often_right_a_number(tmp_path):
    made = []
    for regime, seed in itertools.product(TOLD["regimes"], [1, 2]):
        common = IDENTITY | {"regime": regime, "seed": seed, "split": "test", "n": 50}
        made += [
            common | {"metric": "oracle_accuracy", "value": 0.9},
            common | {"metric": "overthinking", "value": 0.08},
        ]
        shared = common | {"protocol": "shared", "criterion": "confidence"}
        made.append(shared | {"budget": 0.1, "metric": "accuracy"})  # infeasible
        made.append(shared | {"budget": 0.5, "metric": "accuracy", "value": 0.7, "cost": 500})
        for exit_, (share, right) in enumerate(
            [(0.1 + 0.1 * seed, 0.6 + 0.1 * seed), (0.9 - 0.1 * seed, None)], start=1
        ):
            cell = shared | {"budget": 0.5, "exit": exit_}
            made += [
                cell | {"metric": "exit_share", "value": share},
                cell | {"metric": "exit_accuracy", "value": right},
            ]
    rows.write(tmp_path / "rows.csv", made)
    drawn = exit_distribution.figure(rows.read([tmp_path / "rows.csv"]), TOLD)
    panels = [axis for axis in drawn.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == [
        f"small, {regime}\noracle 90.0 %, overthinking 8.0 %" for regime in TOLD["regimes"]
    ]
    for axis in panels:
        (image,) = axis.get_images()
        assert np.isnan(np.ma.filled(image.get_array().astype(float), np.nan)[0]).all()
        assert image.get_array()[1].tolist() == pytest.approx([0.25, 0.75])
        assert [text.get_text() for text in axis.texts] == ["75"]  # of .7 and .8; where nobody is right has no number
        assert [label.get_text() for label in axis.get_yticklabels()] == ["10 %", "50 %"]
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2"]


def test_reliability_errors_and_failure_prediction_are_those_of_the_rows(tmp_path):
    made = []
    for regime, seed, exit_ in itertools.product(TOLD["regimes"], [1, 2], [1, 2]):
        common = IDENTITY | {"regime": regime, "seed": seed, "split": "test", "n": 50, "exit": exit_}
        for protocol, shift in (("", 0.0), ("temperature", 0.2)):
            own = common | {"protocol": protocol}
            bins = {"bin3_share": 0.5, "bin3_confidence": 0.2, "bin3_accuracy": 0.3 + 0.1 * seed + shift}
            bins |= {"bin9_share": 0.005, "bin9_confidence": 0.6, "bin9_accuracy": 0.0, "ece": 0.1 * exit_ - shift / 4}
            made += [own | {"metric": metric, "value": value} for metric, value in bins.items()]
        for criterion, value in (("confidence", 0.7 + 0.1 * exit_), ("entropy", 0.1)):
            made.append(common | {"criterion": criterion, "metric": "failure_auroc", "value": value})
    rows.write(tmp_path / "rows.csv", made)
    drawn = calibration.figure(rows.read([tmp_path / "rows.csv"]), TOLD)
    for column in range(3):
        before, after, errors, failures = (drawn.axes[3 * row + column] for row in range(4))
        for axis, accuracy in ((before, 45), (after, 65)):  # the mean over seeds; the small bin is left out
            curves = [line for line in axis.get_lines() if line.get_marker() == "."]
            assert [curve.get_xydata().tolist() for curve in curves] == [[[20, pytest.approx(accuracy)]]] * 2
        marked = [line.get_ydata().tolist() for line in errors.get_lines() if line.get_marker() == "o"]
        assert marked == [pytest.approx([10, 20]), pytest.approx([5, 15])]
        assert failures.get_lines()[0].get_ydata().tolist() == pytest.approx([80, 90])


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_panels_stand_in_few_lines_and_leave_few_places_empty(most):
    for panels in range(1, 30):
        lines, columns = grid(panels, most)
        assert columns <= most
        assert lines == -(-panels // most)
        assert lines * columns - panels < min(lines, most)
    assert grid(4, 3) == (2, 2)
