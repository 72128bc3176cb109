"""However the rows that a table or figure reads are spoiled, it is drawn, or refused in one sentence."""

import copy
import csv
import io
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from conftest import SMALL
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from test_drawable import DRAW, HALF, columns, columns_of, histories_of, imaginary, read_by, recipes, rows_of

from manyexits.files import rows
from manyexits.files.provenance import sha256
from manyexits.study import components
from manyexits.study.plan import load

DRAWN = {kind: {name: {"experiments": ["small"]} for name in components.names(kind)} for kind in DRAW}
STUDY = yaml.safe_load(SMALL) | DRAWN
STUDY["recipes"]["half"] = HALF
STUDY["experiments"]["small"] |= {"recipes": recipes(["mixed"]), "snapshots": [0, 1]}
NUMBERS = ["-1", "0", "1", "2.5", "1e300", "-1e300", "1e-300", "inf", "-inf", "nan", "1" * 30, "4" * 400]
NAMES = ["", " ", "x", "True", "joint", "mixed", "confidence", "accuracy", "shared", "max", "0.5"]
SIGNS = ["é", "\x1b[0m", "$x_", "\\"]
CELLS = st.sampled_from([*NUMBERS, *NAMES, *SIGNS])


@cache
def whole(kind, name):
    """Settings of an artefact, what each of the files that it reads is, their lines, as lists of cells, and the records
    that tell of them."""
    plan = load(copy.deepcopy(STUDY))
    told = plan.job(kind.removesuffix("s"), name=name).settings
    if components.module(kind, name).READS == "history":
        with TemporaryDirectory() as folder:
            texts = [path.read_text() for path in histories_of(read_by(plan, kind, name), plan, Path(folder))]
        return (
            told,
            ["rows"] * len(texts[::2]),
            [cells(text) for text in texts[::2]],
            list(map(json.loads, texts[1::2])),
        )
    with imaginary():
        texts = [("rows", rows.to_csv(rows_of(job, plan), columns(kind, name))) for job in read_by(plan, kind, name)]
        beside = read_by(plan, kind, name, "comparisons")
        texts += [("comparisons", rows.to_csv(rows_of(job, plan), rows.COMPARED)) for job in beside]
        more = zip(told.get("beside", ()), read_by(plan, kind, name, "beside"), strict=True)
        texts += [("beside", rows.to_csv(rows_of(job, plan), columns_of(what))) for what, job in more]
    return told, [what for what, _ in texts], [cells(text) for _, text in texts], []


def cells(text):
    return list(csv.reader(io.StringIO(text)))


def spoil(files, data):
    """Change one to three cells, lines, columns or files; None stands for a file that is left out."""
    files = [[list(line) for line in lines] for lines in files]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(files) - 1))
        if (lines := files[place]) is None:
            continue
        line = data.draw(st.integers(0, len(lines) - 1))
        cell = data.draw(st.integers(0, len(lines[line]) - 1)) if lines[line] else 0
        how = data.draw(st.sampled_from(["cell", "column", "no line", "twice", "short", "no lines", "no file"]))
        if how == "cell" and lines[line]:
            lines[line][cell] = data.draw(CELLS)
        elif how == "column":
            value = data.draw(CELLS)
            for each in lines[1:]:
                each[cell : cell + 1] = [value]
        elif how == "no line" and len(lines) > 1:
            del lines[line]
        elif how == "twice":
            lines.insert(line, list(lines[line]))
        elif how == "short":
            del lines[line][cell:]
        elif how == "no lines":
            del lines[1:]
        elif how == "no file" and len([each for each in files if each]) > 1:
            files[place] = None
    return files


def judge(kind, name, folder, data):
    told, kinds, files, records = whole(kind, name)
    paths = {"rows": [], "comparisons": [], "beside": []}
    for index, (what, lines) in enumerate(zip(kinds, spoil(files, data), strict=True)):
        if lines is None:
            continue
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        paths[what].append(folder / f"{index}.csv")
        paths[what][-1].write_text(text.getvalue())
        if records:
            record = records[index] | {"outputs_sha256": {f"{index}.csv": sha256(paths[what][-1])}}
            paths[what].append(folder / f"{index}.json")
            paths[what][-1].write_text(json.dumps(record))
    said = ""
    try:
        more = [paths["comparisons"], paths["beside"]] if kind == "tables" else []
        DRAW[kind](told, paths["rows"], folder / "made.csv", *more)
    except ValueError as error:
        said = str(error)
    event("refused" if said else "drawn")
    assert said.isprintable()
    assert len(said) < 1000


IGNORED = pytest.mark.filterwarnings("ignore")  # of numbers that are too large to be averaged or drawn
HOW = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
TIMES = {"tables": 30, "figures": 5}  # a figure takes a second or two
ARTEFACTS = pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, named in DRAWN.items() for name in named])


def judge_often(kind, name, folder, times):
    settings(max_examples=times, **HOW)(given(data=st.data())(lambda data: judge(kind, name, folder, data)))()


@IGNORED
@ARTEFACTS
def test_spoiled_rows_make_an_artefact_or_one_sentence(kind, name, tmp_path):
    judge_often(kind, name, tmp_path, TIMES[kind])


@IGNORED
@pytest.mark.slow
@ARTEFACTS
def test_rows_spoiled_many_times(kind, name, tmp_path):
    judge_often(kind, name, tmp_path, {"tables": 2000, "figures": 200}[kind])
