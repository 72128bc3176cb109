"""Whatever the dry run accepts can be drawn: studies by chance, their predictions made up, every table and figure."""

import re
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from conftest import NETWORK, SMALL
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.axes import Axes
from trained import written as trained

from manyexits.analysis import easy_and_hard, gradient_dominance, mode_connectivity
from manyexits.artefacts import figures, frames, tables
from manyexits.artefacts.figures._style import style
from manyexits.batches.views import blank_images
from manyexits.data.images import Images
from manyexits.data.prepared import Prepared
from manyexits.exits import calibrate, compare, criteria, evaluate, guarantee, predict, task
from manyexits.exits.answers import Answers
from manyexits.exits.representations import Activations, Representations
from manyexits.files import rows
from manyexits.models import build
from manyexits.models.network import MultiExit
from manyexits.models.snapshots import Moment
from manyexits.study import components
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError
from manyexits.study.regimes import PHASES


def draw_table(told, paths, output, comparisons=(), beside=()):
    """A table of these rows and comparisons, and of what else it reads."""
    tables.draw(told, paths, list(comparisons), output, list(beside))


DRAW = {"tables": draw_table, "figures": figures.draw}
K, N = 3, 30
COSTS, BACKBONE = np.array([400, 800, 1100]), 1000


# -- what the stages before would leave -------------------------------------------------------------------------------


@cache
def predicted(classes, scores):
    """Task, validation and test predictions of an imaginary network that is surer and better at later exits."""
    generator = np.random.default_rng(0)
    told = task.of({"classes": classes} if scores is None else {"scores": scores})
    found = []
    for _ in predict.SPLITS:
        if scores is None:
            labels = generator.integers(0, classes, N)
            outputs = generator.standard_normal((N, K, classes))
            outputs[np.arange(N), :, labels] += np.linspace(0.5, 3, K)
        else:
            labels = generator.uniform(*scores, N)
            outputs = labels[:, None, None] + generator.standard_normal((N, K, 1)) * np.linspace(3, 1, K)[:, None]
        found.append(predict.predictions(outputs.astype(np.float32), labels, told))
        if scores is None:
            found[-1]["tempered"] = found[-1]["confidence"] ** 2
    return told, *found


@cache
def evaluated(classes, scores, names, protocols, budgets):
    """Rows of such a network, without identity, and what its test samples were answered."""
    told, validation, test = predicted(classes, scores)
    scans = {name: criteria.named(name, told, K) for name in names}
    cells = []
    for protocol in protocols:
        for name, own in scans.items():
            if rows.defined(protocol, name):
                read = calibrate.read_under(protocol, own)
                scored = [[predict.scored(each, scan, told) for scan in read] for each in (validation, test)]
                cells += calibrate.choose(protocol, own, budgets, *scored, COSTS, BACKBONE)
    left_at = evaluate.leaving(cells, told, scans, test)
    found = evaluate.evaluate(cells, told, scans, validation, test, left_at, COSTS, BACKBONE)
    return found, Answers(test["label"], test["answer"], left_at)


@cache
def compared(asked, runs):
    """Rows of the differences between such networks, without identity."""
    told, *_ = predicted(*asked[:2])
    return compare.compare(dict.fromkeys(runs, evaluated(*asked)[1]), told)


class Surface(mode_connectivity.Surface):
    """A bowl over networks that are points."""

    def __init__(self, models, data, n_probe, n_batchnorm, n_test):
        self.model = SMALL_NETWORK
        self.vectors = [
            torch.from_numpy(np.random.default_rng(index).standard_normal(5)) for index in range(len(models))
        ]
        self.flat = [each.numpy() for each in self.vectors]
        self.n_probe, self.test, self.views = min(n_probe, N), range(N), None
        self.score = {None: "test_gain"}.get(data.classes, "test_accuracy")

    def beside(self, vector):
        return super().beside(self.vectors[-1])

    def at(self, weights):
        far = float(np.linalg.norm(sum(weight * self.vectors[index].numpy() for index, weight in weights.items())))
        return mode_connectivity.Point(0.1 + far * np.arange(1, K + 1), 1 / (1 + far * np.arange(1, K + 1)))


SMALL_NETWORK = build.network(NETWORK, blank_images(8, 8), seed=0)
"""Whose units can be matched; else nobody looks at it."""


@contextmanager
def imaginary():
    """Mode connectivity between networks that are points."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mode_connectivity, "Surface", Surface)
        patched.setattr(mode_connectivity._curve, "bent", lambda *_, **__: torch.zeros(5))
        yield


def asked_of(job, plan):
    """What decides on what the runs of one `evaluate` or `compare` leave."""
    entry = plan.runs.experiment(job.names["experiment"])
    labels = {"classes": None, "scores": None} | plan.runs.dataset(job.names["experiment"]).task
    scores = tuple(labels["scores"]) if labels["scores"] else None
    criteria_ = tuple(plan.study.criteria(entry))
    return labels["classes"], scores, criteria_, tuple(plan.study.protocols_of(entry)), tuple(plan.study.budgets)


def rows_of(job, plan):
    """The rows of one `evaluate`, `compare` or `analyse`."""
    told = job.settings
    if job.stage == "evaluate":
        return [told["identity"] | row for row in evaluated(*asked_of(job, plan))[0]]
    identity = {key: told["identity"][key] for key in ("experiment", "variant")}
    if job.stage == "guarantee":
        labels = {"classes": None, "scores": None} | plan.runs.dataset(job.names["experiment"]).task
        asked, validation, test = predicted(labels["classes"], None)
        scan, *_ = criteria.named(told["criterion"], asked, K)
        found = guarantee.guarantee(asked, scan, validation, test, COSTS, told["tolerated"], told["delta"])
        return [told["identity"] | {"backbone_cost": BACKBONE} | row for row in found]
    if job.stage == "compare":
        runs = tuple((run["regime"], run["seed"]) for run in told["runs"])
        return [identity | row for row in compared(asked_of(job, plan), runs)]
    if told["analysis"] in ("numerical_rank", "mutual_information", "similarity"):
        made = [(run["regime"], run["seed"], represented(run["regime"], run["seed"])) for run in told["runs"]]
        module = components.module("analysis", told["analysis"])
        return [identity | row for row in module.analyse(made, data_of(job, plan), **told["options"])]
    if told["analysis"] == "gradient_dominance":
        trained = [(run, plan.job("train", experiment=job.names["experiment"], **run)) for run in told["runs"]]
        return [identity | row for both in trained for row in shared_out(*both)]
    if told["analysis"] == "easy_and_hard":
        found = evaluated(*asked_of(job, plan))[1]
        answered = [(run["regime"], run["seed"], found) for run in told["runs"]]
        return [identity | row for row in easy_and_hard.analyse(answered, data_of(job, plan), **told["options"])]
    models = [(run["regime"], run["seed"], SMALL_NETWORK) for run in told["runs"]]
    steps = mode_connectivity.analyse(models, data_of(job, plan), **told["options"])
    return [identity | row for step in steps for row in step()]


@cache
def represented(regime, seed):
    """Activations of an imaginary network of three blocks, of which one is constant where the seed is 3."""
    drawn = np.random.default_rng([len(regime), seed])
    layers = {}
    for block in range(1, 4):
        points = drawn.standard_normal((N, 5)) * (0 if (seed, block) == (3, 2) else 1)
        points -= points.mean(0)
        inner = points @ points.T / max(1, np.abs(points @ points.T).max())
        spectrum = np.linalg.svd(points, compute_uv=False) ** 2 / (N - 1)
        layers["output", block] = Activations(block, "output", 9, 5, spectrum, points[:, :3], inner)
    return Representations(np.arange(N) % 3, np.arange(N), layers)


def shared_out(run, trained):
    """Rows of shares in made-up gradients at two moments of every phase of a training."""
    model, drawn = object.__new__(MultiExit), np.random.default_rng(run["seed"])
    object.__setattr__(model, "blocks", [1, 2, 3])
    for place, told in enumerate(trained.settings["phases"]):
        for epoch in trained.settings["snapshots"]:
            exits = Moment(place, told["phase"], epoch).exits(K)
            weights = np.isin(np.arange(K) + 1, [exit_ for own in exits for exit_ in own]).astype(float)
            behind = np.arange(K) >= np.arange(3)[:, None]  # exits of stages
            gradients = drawn.standard_normal((3, K, 9)) * (behind * weights)[:, :, None] * (epoch > 0)
            inner = [each @ each.T for each in gradients]
            found = gradient_dominance.shares(model, inner, [np.sqrt(np.diag(each)) for each in inner], weights)
            about = run | {"place": place, "phase": told["phase"], "epoch": epoch, "n": N}
            yield from (about | row for row in found)


def data_of(job, plan):
    """A prepared dataset of small black images."""
    labels = plan.runs.dataset(job.names["experiment"]).task
    images = Images(np.zeros((N, 2, 2, 3), dtype=np.uint8), np.zeros(N, dtype=np.int64), np.arange(N))
    manifest = {"settings": {"classes": None, "scores": None} | labels, "class_names": [*map(str, range(10))]}
    return Prepared(manifest, images, images, images)


def read_by(plan, kind, name, what="rows"):
    """The jobs whose rows a table or figure reads, or the comparisons beside them; of histories the trainings."""
    by_file = {each.writes[0]: each for each in plan.of("evaluate", "guarantee", "compare", "analyse")}
    by_file |= {each.writes[1]: each for each in plan.of("train")}
    read = plan.job(kind.removesuffix("s"), name=name).reads.get(what, [])
    return [by_file[file] for file in read if not file.endswith("run.json")]


def histories_of(jobs, plan, folder):
    """Histories and records of trainings."""
    found = []
    for number, job in enumerate(jobs):
        entry, regime = plan.runs.experiment(job.names["experiment"]), job.names["regime"]
        first = ["backbone"] if plan.runs.pretrained(job.names["experiment"], regime) else []
        phases = [*first, *plan.study.later_phases(regime, entry)]
        exits = [[K] if phase == "backbone" else list(range(1, K + 1)) for phase in phases]
        told = [(phase, 2, own) for phase, own in zip(phases, exits, strict=True)]
        found += trained(folder / f"run{number}", told, settings=job.settings)
    return found


def columns(kind, name):
    """Columns of those rows."""
    return columns_of(components.module(kind, name).READS)


def columns_of(reads):
    """Columns of rows of a kind."""
    own = {"rows": rows.COLUMNS, "comparisons": rows.COMPARED, "guarantees": rows.GUARANTEED}
    return own.get(reads) or ("experiment", "variant", *components.constant("analysis", reads, "COLUMNS", ()))


def drawn(plan, kind, name, folder):
    """A table or figure of what its inputs would hold."""
    job, module = plan.job(kind.removesuffix("s"), name=name), components.module(kind, name)
    if module.READS == "history":
        paths, told = histories_of(read_by(plan, kind, name), plan, folder), dict(job.settings)
        frame = frames.read(module, paths, told["experiments"], runs=told["runs"])
        return getattr(module, kind.removesuffix("s"))(frame, told, **told["options"])
    found = [row for each in read_by(plan, kind, name) for row in rows_of(each, plan)]
    rows.write(folder / "rows.csv", found, columns(kind, name))
    frame, told = frames.read(module, [folder / "rows.csv"], job.settings["experiments"]), dict(job.settings)
    if beside := [row for each in read_by(plan, kind, name, "comparisons") for row in rows_of(each, plan)]:
        rows.write(folder / "comparisons.csv", beside, rows.COMPARED)
        told["comparisons"] = frames.read(frames.COMPARISONS, [folder / "comparisons.csv"], told["experiments"])
    paths = []
    for number, each in enumerate(read_by(plan, kind, name, "beside")):
        paths.append(folder / f"beside{number}.csv")
        rows.write(paths[-1], rows_of(each, plan), columns_of(told["beside"][number]))
    told["beside"] = frames.beside(told | {"made_from": {}}, paths)
    return getattr(module, kind.removesuffix("s"))(frame, told, **job.settings["options"])


# -- studies by chance ------------------------------------------------------------------------------------------------

REGIMES = {
    "disjoint": ["backbone", "heads"],
    "joint": ["all"],
    "mixed": ["backbone", "all"],
    "a": ["all", "all"],
    "b": ["all", "heads"],
    "c": ["backbone", "all", "heads"],
    "d": ["backbone", "heads", "all"],
    "e": ["all", "backbone"],
    "f": ["all", "heads", "all"],
    "g": ["backbone", "backbone", "all"],
    "h": ["backbone", "backbone", "heads"],
    "i": ["all", "all", "all"],
}
CRITERIA = ["confidence", "entropy", "patience", "agreement"]
PROTOCOLS = ["paper", "shared", "geometric", "temperature"]


def some(values, least=1, most=None):
    return st.lists(st.sampled_from(values), min_size=least, max_size=most or len(values), unique=True)


def maybe(strategy):
    return st.one_of(st.none(), strategy)


@st.composite
def experiments(draw):
    """An experiment whose parts fit; one in a few is a regression."""
    scores = draw(st.integers(0, 3)) == 0
    method = "sdn" if scores else draw(st.sampled_from(["sdn", "sdn", "pbee", "ztw"]))
    vary = draw(st.sampled_from([None, {"placement": ["first"]}, {"method": ["sdn"] if scores else ["ztw", "pbee"]}]))
    patient = "pbee" in (method, *(vary or {}).get("method", []))
    criteria = None if scores else draw(maybe(some(CRITERIA[:3])))
    if patient and "patience" not in (criteria or []):
        criteria = [*(criteria or []), "patience"]
    stated = {
        "dataset": "scores" if scores else "digits",
        "method": method,
        "regimes": draw(some([*REGIMES][:3]) | some([*REGIMES])),
        "criteria": criteria,
        "protocols": draw(maybe(some(PROTOCOLS))),
        "seeds": draw(maybe(some([1, 2, 3]))),
        "snapshots": draw(maybe(some([0, 1, 2]))),
        "vary": vary,
        "vary_seeds": draw(maybe(some([4, 5]))),
    }
    return {key: value for key, value in stated.items() if value is not None}


@st.composite
def studies(draw):
    """The parts of a study that decide on what tables and figures find; now and then one asks for what is not there."""
    made = {"one": draw(experiments()), "two": draw(maybe(experiments()))}
    made |= {"protocols": draw(some(PROTOCOLS))}
    budgets = st.sampled_from([1e-3, 0.25, 0.399, 0.4, 1.0, 1.1, 2.0])
    made["budgets"] = draw(st.lists(budgets, min_size=1, max_size=3, unique=True))
    there = [name for name in ("one", "two") if made[name]]
    for name, options in OPTIONS.items():
        if draw(st.booleans()):
            able = [
                base for base in there if name not in ("calibration", "guarantees") or made[base]["dataset"] == "digits"
            ]
            if not able:
                continue
            bases = draw(some(able))
            stated = {"experiments": draw(st.sampled_from([bases, "all"] if able == there else [bases]))}
            sweeps = [key for base in bases for key in made[base].get("vary", {})]
            stated |= {"sweep": draw(st.sampled_from(sweeps))} if sweeps and draw(st.booleans()) else {}
            seen = {
                "protocols": made["protocols"],
                "protocol": made["protocols"],
                "criterion": [each for base in bases for each in made[base].get("criteria", CRITERIA)],
                "criteria": [each for base in bases for each in made[base].get("criteria", CRITERIA)],
                "overlay": [True, False],
                "against": ["epochs", "flops"],
                "best": [False, True],
                "colours": [regime for base in bases for regime in made[base]["regimes"]],
            }
            for option in options:
                if draw(st.integers(0, 2)) == 0:
                    found = draw(some(list(dict.fromkeys(seen[option]))))
                    how = {"protocols": found, "criteria": found, "colours": dict.fromkeys(found, "#123456")}
                    stated[option] = how.get(option, found[0])
            made[name] = stated
    return made


OPTIONS = {
    "table1": ("protocols", "criteria", "best"),
    "comparisons": ("protocols", "criterion"),
    "guarantees": (),
    "training_cost": (),
    "schedule": ("protocol", "criterion"),
    "mode_connectivity": (),
    "easy_and_hard": (),
    "claims": (),
    "budget_curves": ("criterion", "overlay", "colours"),
    "exit_distribution": ("protocol", "criterion"),
    "calibration": (),
    "training_curves": ("against",),
    "fig3": ("colours",),
    "gradient_dominance": (),
    "numerical_rank": ("colours",),
    "mutual_information": ("colours",),
    "similarity": (),
}
"""Table or figure -> its options."""


HALF = {"extends": "quick", "epochs": 1, "patience": 1, "origin": {"epochs": "O", "patience": "O"}}
"""Of the small study's recipe: two such phases take as many epochs as one of the others."""


def recipes(regimes):
    """Of an experiment, so that disjoint, joint and mixed train the backbone for one number of epochs."""
    return dict.fromkeys(PHASES, "quick") | ({"mixed": "half"} if "mixed" in regimes else {})


def written(given):
    """A study as its configuration would state it."""
    raw = yaml.safe_load(SMALL)
    raw["recipes"]["half"] = HALF
    raw["datasets"]["scores"] = {"source": "digits", "scores": [0, 9]}
    raw["methods"] |= {"pbee": {"kind": "pbee"}, "ztw": {"kind": "ztw"}}
    raw["backbones"]["other"] = raw["backbones"]["tiny"] | {"width": 8}
    raw["regimes"], raw["protocols"], raw["budgets"] = REGIMES, given["protocols"], given["budgets"]
    raw["experiments"] = {
        name: given[name] | {"backbone": backbone, "recipes": recipes(given[name]["regimes"])}
        for name, backbone in (("one", "tiny"), ("two", "other"))
        if given[name]
    }
    raw["analyses"] = {
        "mode_connectivity": {"grid": 3, "line": 3},
        "easy_and_hard": {"n": 3},
        "gradient_dominance": {},
        "numerical_rank": {},
        "mutual_information": {"resamples": 100, "batch": 8},
        "similarity": {},
    }
    raw["analyses"] |= given.get("analyses", {})
    for kind in DRAW:
        raw[kind] = {name: taken(kind, name, given[name]) for name in components.names(kind) if given.get(name)}
    return raw


def taken(kind, name, stated):
    """Of what is stated for a table and a figure of one name that which this kind takes."""
    left = set(OPTIONS[name]) - set(components.options(kind, name).model_fields)
    return {key: value for key, value in stated.items() if key not in left or len(both(name)) == 1}


def both(name):
    """The kinds that a name is of."""
    return [kind for kind in DRAW if name in components.names(kind)]


def accepted(given):
    """The plan of a study, or None where it is refused when it is read."""
    try:
        plan = load(written(given))
    except StudyError as error:
        event(f"refused: {str(error).partition(':')[0]}")
        return None
    for name in plan.runs.artefacts:
        event(f"drawn: {name}")
    return plan


DRAWN = set()
"""Whose tables and figures were: of the same settings and inputs they are the same in another study."""


def check_drawn(plan, folder):
    """Every table and figure, to the last line."""
    for name, kinds in plan.runs.artefacts.items():
        for kind in kinds:
            job = plan.job(kind.removesuffix("s"), name=name)
            if job.whose in DRAWN:
                continue
            try:
                CHECKS[name](drawn(plan, kind, name, folder), job.settings, plan)
            finally:
                pyplot.close("all")
            DRAWN.add(job.whose)


def lines_of(told, plan):
    """(experiment, variant, regime) of everything that an artefact shows."""
    for identity in told["experiments"]:
        name = f"{identity['experiment']}.{identity['variant']}".rstrip(".")
        for regime in plan.runs.experiment(name).regimes:
            yield identity["experiment"], identity["variant"], regime


def check_table1(made, told, plan):
    keys = ["experiment", "variant", "regime"]
    shown = set(made.data[keys].drop_duplicates().itertuples(index=False, name=None))
    expected = set(lines_of(told, plan))
    assert shown <= expected
    for experiment, variant, _ in expected - shown:
        name = frames.label({"experiment": experiment, "variant": variant})
        asked = told["options"].get("protocols") or told["protocols"]
        for protocol in {"geometric", "temperature"} & set(asked):
            assert f"{name} is not under protocol {protocol}, which is defined for confidence alone" in made.notes
    assert len(made.sections) == 2 * made.data["protocol"].nunique()
    asked = set(told["options"].get("protocols") or made.data["protocol"])
    assert asked - {"geometric", "temperature"} <= set(made.data["protocol"]) <= asked
    assert set(made.data["budget"]) == {*map(str, plan.study.budgets), "max"}
    assert made.data.loc[made.data["budget"] == "max", "mean"].notna().all()
    assert "nan" not in made.markdown().lower()


def check_comparisons(made, told, plan):
    expected = set(lines_of(told, plan))
    for end in ("first", "second"):
        shown = set(made.data[["experiment", "variant", end]].itertuples(index=False, name=None))
        assert shown <= expected
    assert len(made.sections) == len(made.data[["protocol", "metric"]].drop_duplicates())
    assert made.data[["difference", "low", "high", "p"]].notna().all(axis=None)
    assert "nan" not in made.markdown().lower()


def check_guarantees(made, told, plan):
    shown = set(made.data[["experiment", "variant", "regime"]].itertuples(index=False, name=None))
    assert shown == set(lines_of(told, plan))
    assert len(made.data) == len(shown) * 2 * 3 * 4  # losses, procedures, tolerated risks
    assert len(made.sections) == 4
    assert made.data[["risk", "accuracy", "cost", "early"]].notna().all(axis=None)
    assert "nan" not in made.markdown().lower()


def check_cost(made, told, plan):
    expected = set(lines_of(told, plan))
    for part in ("phase", "end"):
        own = made.data[made.data["part"] == part]
        assert set(own[["experiment", "variant", "regime"]].itertuples(index=False, name=None)) == expected
    assert len(made.sections) == 3
    assert "nan" not in made.markdown().lower()


def check_schedule(made, told, plan):
    (check_scheduled if hasattr(made, "axes") else check_schedules)(made, told, plan)


def check_schedules(made, told, plan):
    lines = list(lines_of(told, plan))
    assert set(made.data[["experiment", "variant", "regime"]].itertuples(index=False, name=None)) == set(lines)
    assert all(len(section) == len(lines) for section in made.sections.values())
    assert set(made.data["budget"]) == {*map(str, plan.study.budgets), "max"}
    assert sum("share of phase 1 with the largest mean" in note for note in made.notes) == len(told["experiments"])
    assert "nan" not in made.markdown().lower()


def check_scheduled(made, told, plan):
    panels = [axis for axis in made.axes if axis.get_visible()]
    assert len(panels) == len(told["experiments"])
    for axis, identity in zip(panels, told["experiments"], strict=True):
        shares = {100 * first / total for first, total in identity["schedule"].values()}
        drawn = [line for line in axis.get_lines() if not line.get_label().startswith("_")]
        assert len(drawn) == len(plan.study.budgets) + 1
        assert {share for line in drawn for share in line.get_xdata()} == shares
    made.draw_without_rendering()


def check_connectivity(made, told, plan):
    assert set(made.data["experiment"]) == {identity["experiment"] for identity in told["experiments"]}
    assert made.data["mean"].notna().all()


def check_curves(made, told, plan):
    panels, overlay = [axis for axis in made.axes if axis.get_visible()], told["options"].get("overlay", False)
    groups = {}
    for identity in told["experiments"]:
        groups.setdefault(identity["experiment"] if overlay else frames.label(identity), []).append(identity)
    assert len(panels) == len(groups)
    for axis, members in zip(panels, groups.values(), strict=True):
        curves = [line for line in axis.get_lines() if line.get_label() in told["regimes"]]
        expected = [
            regime
            for *key, regime in lines_of(told, plan)
            for identity in members
            if key == [identity["experiment"], identity["variant"]]
        ]
        assert sorted(line.get_label() for line in curves) == sorted(expected)
        looks = {(line.get_color(), str(line._unscaled_dash_pattern), line.get_label()) for line in curves}
        assert len(looks) == len(curves)
        for line in curves:
            assert len(line.get_xdata())
            assert np.isfinite(line.get_ydata()).any()
    keys = made.legends[0].legend_handles[: len(told["regimes"])]
    look = ["get_color", "get_marker"] if overlay else ["get_color", "_get_dash"]
    assert len({tuple(LOOK[name](key) for name in look) for key in keys}) == len(keys)
    made.draw_without_rendering()


LOOK = {
    "get_color": lambda key: key.get_color(),
    "get_marker": lambda key: key.get_marker(),
    "_get_dash": lambda key: str(key._unscaled_dash_pattern),
}
"""What tells the keys of a legend apart."""


def check_distribution(made, told, plan):
    panels = [axis for axis in made.axes if axis.get_title()]
    expected = list(lines_of(told, plan))
    assert len(panels) == len(expected)
    for axis, (experiment, variant, regime) in zip(panels, expected, strict=True):
        name = frames.label({"experiment": experiment, "variant": variant})
        assert axis.get_title().startswith(f"{name}, {regime}\noracle ")
        for image in axis.get_images():
            shares = image.get_array()
            assert shares.shape == (len(plan.study.budgets) + 1, K)
            empty = np.isnan(shares).all(1)
            assert np.allclose(shares[~empty].sum(1), 1)
    made.draw_without_rendering()


def check_calibration(made, told, plan):
    titled = [axis.get_title() for axis in made.axes if axis.get_title()]
    assert len(titled) == len(list(lines_of(told, plan)))
    of_exits = [axis for axis in made.axes if axis.get_xlabel() == "exit" and axis.get_visible() and axis.get_lines()]
    assert len(of_exits) == 2 * len(titled)
    marked = [line for axis in of_exits for line in axis.get_lines() if line.get_marker() in ("o", "s")]
    assert len(marked) == 3 * len(titled)
    assert all(len(line.get_xdata()) == K for line in marked)
    made.draw_without_rendering()


def check_samples(made, told, plan):
    experiments = [frames.label(identity) for identity in told["experiments"]]
    titles = [title.rsplit(", ", 1)[0] for title in made.sections]
    assert titles == [f"{name}, {kind}" for name in experiments for kind in ("easy", "hard")]
    for cells in made.sections.values():
        assert len(cells) == 3
        assert len(cells.columns) > 4
    assert "sample" not in made.data
    assert "data:image" not in made.markdown() + made.latex("a", "b")
    assert made.page().count('src="data:image/png') == 6 * len(experiments)


def check_learned(made, told, plan):
    panels = [axis for axis in made.axes if axis.get_title()]
    assert len(panels) == len(list(lines_of(told, plan)))
    assert all(len(axis.get_lines()) >= K for axis in panels)
    made.draw_without_rendering()


def check_planes(made, told, plan):
    assert len(made.subfigs) == len(told["experiments"])
    for part in made.subfigs:
        lines = next(axis for axis in part.findobj(Axes) if "between runs" in axis.get_title())
        between = lines.get_lines()
        assert between
        named = [line for line in between if not line.get_label().startswith("_")]
        assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in named}) == len(named)
    made.draw_without_rendering()


def check_claims(made, told, plan):
    assert set(made.data["answer"]) <= {"yes", "no", "not decided"}
    assert len(made.sections["Claims"]) == len(made.data)
    for identity in told["experiments"]:
        name = frames.label(identity)
        seeds, regimes = plan.runs.seeds(name), plan.runs.experiment(name).regimes
        own = made.data[made.data["experiment"] == name]
        if {"joint", "mixed"} <= set(regimes):
            assert own["claim"].str.startswith("(i) ").any()
        over_seeds = own[~own["n"].str.contains("samples")]
        assert (over_seeds["answer"] == "not decided").all() or len(seeds) > 1
    assert not re.search(r"\bnan\b", made.markdown())


def check_dominance(made, told, plan):
    if hasattr(made, "axes"):
        shares = [axis for axis in made.axes if axis.get_title()]
        assert len(shares) == len(list(lines_of(told, plan)))
        made.draw_without_rendering()
        return
    names = [f"{e}.{v}".rstrip(".") + f", {regime}: " for e, v, regime in lines_of(told, plan)]
    assert len(made.sections) == len(names)
    assert all(title.startswith(name) for title, name in zip(made.sections, names, strict=True))
    own = made.data[(made.data["metric"] == "projection_share") & (made.data["epoch"] > 0)].dropna(subset=["mean"])
    sums = own.groupby([*frames.NAMES, "regime", "place", "epoch", "stage"], dropna=False)["mean"].sum()
    assert np.allclose(sums, 1)
    assert not re.search(r"\bnan\b", made.markdown())
    assert sum(note.startswith("finding: ") for note in made.notes) == len(names)


def check_layers(made, told, plan):
    if hasattr(made, "axes"):
        named = {
            text.get_text()
            for legend in [*made.legends, *(p.legends[0] for p in made.subfigs)]
            for text in legend.texts
        }
        assert {regime for *_, regime in lines_of(told, plan)} <= named
        made.draw_without_rendering()
        return
    for experiment, variant, _ in lines_of(told, plan):
        assert any(title.startswith(f"{experiment}.{variant}".rstrip(".") + ", ") for title in made.sections)
    assert all(len(cells) == 3 for cells in made.sections.values())
    assert not re.search(r"\bnan\b", made.markdown())


def check_similarity(made, told, plan):
    if hasattr(made, "axes"):
        assert len(made.subfigs) == len(told["experiments"])
        made.draw_without_rendering()
        return
    for identity in told["experiments"]:
        name = frames.label(identity)
        entry, seeds = plan.runs.experiment(name), plan.runs.seeds(name)
        assert (f"{name}, CKA of equal blocks" in made.sections) == (len(entry.regimes) > 1 or len(seeds) > 1)
    assert not re.search(r"\bnan\b", made.markdown())


CHECKS = {
    "table1": check_table1,
    "comparisons": check_comparisons,
    "guarantees": check_guarantees,
    "training_cost": check_cost,
    "schedule": check_schedule,
    "mode_connectivity": check_connectivity,
    "easy_and_hard": check_samples,
    "claims": check_claims,
    "budget_curves": check_curves,
    "exit_distribution": check_distribution,
    "calibration": check_calibration,
    "training_curves": check_learned,
    "fig3": check_planes,
    "gradient_dominance": check_dominance,
    "numerical_rank": check_layers,
    "mutual_information": check_layers,
    "similarity": check_similarity,
}


@pytest.fixture(autouse=True)
def synthetic():
    with imaginary(), style():
        yield
    pyplot.close("all")


QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@QUICK
@given(given_=studies())
def test_what_is_accepted_can_be_drawn(given_, tmp_path_factory):
    if plan := accepted(given_):
        check_drawn(plan, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(QUICK, max_examples=200, derandomize=False)
@given(given_=studies())
def test_what_is_accepted_can_be_drawn_however_odd(given_, tmp_path_factory):
    if plan := accepted(given_):
        check_drawn(plan, tmp_path_factory.getbasetemp())


# -- studies that were lost once ---------------------------------------------------------------------------------------


PLAIN = {
    "one": {"dataset": "digits", "method": "sdn", "regimes": ["disjoint", "joint", "mixed"], "snapshots": [0, 1]},
    "two": None,
    "protocols": PROTOCOLS,
    "budgets": [0.5, 1.0],
}
ALL = {name: {"experiments": ["one"]} for name in OPTIONS}


def one(**stated):
    return {"one": {key: value for key, value in (PLAIN["one"] | stated).items() if value is not None}}


@pytest.mark.parametrize(
    "change",
    [
        *({"protocols": [name]} for name in PROTOCOLS),
        {"protocols": ["geometric", "paper"]},
        one(protocols=["temperature", "geometric"]),
        one(protocols=["temperature", "geometric"])
        | {"two": PLAIN["one"] | {"protocols": ["paper", "geometric"]}}
        | {name: {"experiments": ["one", "two"]} for name in ("table1", "comparisons", "exit_distribution")},
        one(criteria=["entropy"]),
        one(criteria=["patience"]),
        {"exit_distribution": ALL["exit_distribution"] | {"protocol": "temperature"}},
        one(criteria=["entropy", "confidence"]),
        one(regimes=["disjoint"], seeds=[1, 2]) | {"comparisons": None},
        one(regimes=["joint", "mixed"], seeds=[1]),
        one(regimes=["joint"], seeds=[1]) | dict.fromkeys(("comparisons", "fig3", "mode_connectivity")),
        one(regimes=[*REGIMES], seeds=[1]) | dict.fromkeys(("fig3", "schedule", "gradient_dominance")),
        one(regimes=[*REGIMES][:6], seeds=[1, 2], criteria=["confidence", "patience"], vary={"method": ["ztw", "pbee"]})
        | {"fig3": {"experiments": ["one"], "sweep": "method"}, "schedule": None},
        {"budgets": [1e-3]},
        {"budgets": [2.0]},
        {"table1": ALL["table1"] | {"criteria": ["entropy"], "protocols": ["geometric", "paper"]}},
        {"table1": ALL["table1"] | {"criteria": ["entropy", "confidence"]}},
    ],
)
def test_odd_studies_are_drawn_whole(change, tmp_path):
    plan = load(written(PLAIN | ALL | change))
    left_out = {name for name, stated in change.items() if stated is None}
    assert set(plan.runs.artefacts) == set(CHECKS) - left_out
    check_drawn(plan, tmp_path)


SAID = {
    "tables.gradient_dominance: gradient_dominance reads weights on the way of a training, and one keeps none": one(
        snapshots=None
    ),
    "figures.fig3: mode_connectivity compares 2 networks or more": one(regimes=["joint"], seeds=[1])
    | {"comparisons": None},
    "figures.fig3: it shows 6 regimes of an experiment at most, and one has 12": one(regimes=[*REGIMES])
    | {"schedule": None, "gradient_dominance": None},
    "tables.schedule: the backbone learns for one number of epochs in every regime, and in those of one for joint 2, a"
    " 4; give": one(regimes=["joint", "a"]) | {"fig3": None},
    "tables.mode_connectivity: mode_connectivity compares 2 networks": one(regimes=["disjoint"], seeds=[1])
    | {"fig3": None, "comparisons": None},
    "tables.comparisons: it compares regimes, and one has disjoint alone": one(regimes=["disjoint"], seeds=[1, 2]),
    "tables.table1: the protocol geometric is defined for confidence, and the experiments leave by entropy": one(
        criteria=["entropy"]
    )
    | {"protocols": ["geometric"]}
    | dict.fromkeys(("comparisons", "exit_distribution", "schedule", "easy_and_hard")),
    "tables.table1.protocols: one is not evaluated under 'shared', but under paper; add it": {
        "protocols": ["paper"],
        "table1": ALL["table1"] | {"protocols": ["shared"]},
    },
    "figures.exit_distribution.protocol: one is not evaluated under 'geometric', but under paper; add it": {
        "protocols": ["paper"],
        "exit_distribution": ALL["exit_distribution"] | {"protocol": "geometric"},
    },
    "figures.exit_distribution: the protocol temperature is defined for confidence": one(criteria=["entropy"])
    | {"exit_distribution": ALL["exit_distribution"] | {"protocol": "temperature"}},
    "figures.calibration: calibration is not defined for regression": one(dataset="scores")
    | {"fig3": None, "mode_connectivity": None, "guarantees": None},
    "tables.table1.criteria: this list must not be empty": {"table1": ALL["table1"] | {"criteria": []}},
    "tables.table1.criteria: one is not evaluated under 'patience', but under confidence, entropy": {
        "table1": ALL["table1"] | {"criteria": ["confidence", "patience"]}
    },
    "figures.exit_distribution.protocol: one is not evaluated under 'shared', but under paper, geometric": one(
        protocols=["paper", "geometric"]
    )
    | {"exit_distribution": ALL["exit_distribution"] | {"protocol": "shared"}},
    "tables.table1: its experiments have no protocol in common; leave some out": {
        **one(protocols=["paper"]),
        "two": PLAIN["one"] | {"protocols": ["shared", "temperature"]},
        "table1": {"experiments": ["one", "two"]},
    },
    "tables.table1.protocols: this list must not be empty": {"table1": ALL["table1"] | {"protocols": []}},
    "tables.table1: the protocol geometric is defined for confidence, and the experiments leave by patience": {
        "table1": ALL["table1"] | {"protocols": ["geometric"], "criteria": ["patience"]},
        **one(criteria=["confidence", "patience"]),
    },
    "figures.budget_curves.criterion: one is not evaluated under 'patience', but under confidence, entropy": {
        "budget_curves": ALL["budget_curves"] | {"criterion": "patience"}
    },
    "figures.budget_curves.criterion: there is no 'patient'; valid names: patience": {
        "budget_curves": ALL["budget_curves"] | {"criterion": "patient"}
    },
    "figures.fig3.colours: there is no 'mixd'; valid names: mixed": {
        "fig3": ALL["fig3"] | {"colours": {"mixd": "#123456"}}
    },
    "analyses.easy_and_hard.protocol: one is not evaluated under 'shared', but under paper; add it": {
        "protocols": ["paper"],
        "easy_and_hard": ALL["easy_and_hard"],
        "analyses": {"easy_and_hard": {"protocol": "shared"}},
    },
    "analyses.easy_and_hard.criterion: one is not evaluated under 'patience', but under confidence, entropy": {
        "analyses": {"easy_and_hard": {"criterion": "patience"}},
    },
    "analyses.easy_and_hard: the protocol geometric is defined for confidence": one(criteria=["entropy", "confidence"])
    | {"analyses": {"easy_and_hard": {"protocol": "geometric"}}},
    "figures.fig3.colours.mixed: ": {"fig3": ALL["fig3"] | {"colours": {"mixed": "blue"}}},
}


@pytest.mark.parametrize("told", SAID)
def test_what_cannot_be_drawn_is_refused_by_its_key(told):
    with pytest.raises(StudyError) as caught:
        load(written(PLAIN | ALL | SAID[told]))
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in DRAW for name in components.names(kind)])
def test_a_second_one_of_its_kind_is_drawn_under_its_own_name(kind, name, tmp_path):
    raw = written(PLAIN | ALL)
    raw[kind]["second"] = raw[kind][name] | {"kind": name}
    plan = load(raw)
    paths, jobs = [], read_by(plan, kind, "second")
    if components.module(kind, name).READS == "history":
        paths, jobs = histories_of(jobs, plan, tmp_path), []
    for job in jobs:
        paths.append(tmp_path / f"{len(paths)}.csv")
        rows.write(paths[-1], rows_of(job, plan), columns(kind, name), job.whose)
    for each in (name, "second"):
        told = plan.job(kind.removesuffix("s"), name=each).settings
        told = told | {"made_from": {"rows": told["made_from"]["rows"]}, "beside": []}
        DRAW[kind](told, paths, tmp_path / f"{each}.made")
    label = b"{tab:second}", f"{{tab:{name}}}".encode()
    second = {path.suffix: path.read_bytes().replace(*label) for path in tmp_path.glob("second.*")}
    assert len(second) == len(plan.job(kind.removesuffix("s"), name="second").writes)
    assert second == {path.suffix: path.read_bytes() for path in tmp_path.glob(f"{name}.*")}


def test_all_tables_and_figures_are_drawn_here():
    assert set(CHECKS) == {*components.names("tables"), *components.names("figures")}
