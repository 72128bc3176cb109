"""However a configuration is spoiled, it is refused in one sentence or means something: no other exception, and no job
whose verb would refuse what it is told."""

import copy
import json
import math
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from manyexits.files.digests import canonical
from manyexits.study import resolve, told
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError

FILES = ("config.yaml", "workflow/overlays/demo.yaml")
TEXTS = [(ROOT / file).read_bytes() for file in FILES]
TREES = [yaml.safe_load(text) for text in TEXTS]


def judge(texts, folder: Path) -> None:
    """Read a study as the commands do: a refusal is one sentence, and what is accepted can be told to every verb."""
    said = refused(texts, folder)
    event("refused" if said else "accepted")
    assert said.isprintable()
    assert len(said) < 3000


def refused(texts, folder: Path) -> str:
    paths = [folder / f"{index}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    try:
        plan = load(resolve.read(paths), resolve.read(paths[:1]))
    except StudyError as error:
        return str(error)
    for job in plan.jobs:
        told.check(job.stage, json.loads(canonical(job.settings)))
    return ""


# -- trees ------------------------------------------------------------------------------------------------------------

NUMBERS = [0, -1, 1, 2, 3.5, 50, 1e-300, 1e300, math.inf, -math.inf, math.nan, 2**32, 10**30, 2e-5, True, False]
WORDS = [
    "",
    " ",
    "1",
    "5e-4",
    "1e999",
    "all",
    "none",
    "null",
    "joint",
    "digits",
    "resnet",
    "digits-resnet14",
    "2020-02-30",
]
SHELLS = ["é", "a b", "../x", "{x}", "$(x)", "x" * 300, "\u2028", "\x1b[0m", "a\nb", b"bytes"]
NESTS = [[], {}, [[]], [None], [1, 1], {"a": 1}, {1: 2}, [{}], ["digits-resnet14"]]
VALUES = st.sampled_from([None, *NUMBERS, *WORDS, *SHELLS, *NESTS])
KEYS = st.sampled_from(
    [0, 1, True, "", "x", "extends", "origin", "vary", "kind", "source", "seeds", "a.b", "É", "lr", "\x1b[0m", "a\nb"]
)


def places(tree, path=()):
    """Every path of a tree."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


ALL_PLACES = [list(places(tree))[1:] for tree in TREES]
CHANGES = st.one_of(
    st.tuples(st.just("drop")),
    st.tuples(st.just("replace"), VALUES),
    st.tuples(st.just("rename"), KEYS),
    st.tuples(st.just("copy"), KEYS),
    st.tuples(st.just("add"), KEYS, VALUES),
    st.tuples(st.just("wrap"), st.sampled_from(["list", "mapping"])),
    st.tuples(st.just("other"), st.integers(0, 10**6)),
)


@st.composite
def trees(draw):
    """The study and its overlay with one to three changes."""
    spoiled = copy.deepcopy(TREES)
    for _ in range(draw(st.integers(1, 3))):
        which = draw(st.integers(0, 1))
        there = [path for path in ALL_PLACES[which] if reached(spoiled[which], path)]
        change(spoiled[which], draw(st.sampled_from(there)), draw(CHANGES), there)
    return spoiled


def reached(tree, path):
    try:
        at(tree, path)
    except (LookupError, TypeError):
        return False
    return True


def change(tree, path, how, there):
    """Change a tree at a path."""
    *above, last = path
    holder, what = at(tree, above), how[0]
    value = holder[last]
    if what == "drop":
        del holder[last]
    elif what == "replace":
        holder[last] = how[1]
    elif what in ("rename", "copy") and isinstance(holder, dict):
        holder[how[1]] = copy.deepcopy(value)
        if what == "rename" and how[1] != last:
            del holder[last]
    elif what == "add" and isinstance(value, dict):
        value[how[1]] = how[2]
    elif what == "wrap":
        holder[last] = [value] if how[1] == "list" else {"x": value}
    elif what == "other":
        holder[last] = copy.deepcopy(at(tree, there[how[1] % len(there)]))


# -- texts ------------------------------------------------------------------------------------------------------------

SIGNS = [
    b":",
    b": ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"&a ",
    b"*a",
    b"!",
    b"!!",
    b"'",
    b'"',
    b"#",
    b"|",
    b">",
    b"%",
    b"~",
]
SPACES = [b"\t", b"\n", b"\r", b"  ", b"\0", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1b[0m"]
MARKS = [b"---\n", b"...\n", b"? ", b"<<: ", b"null", b".inf", b"1e400", b"yes", b"0x10", b"1_000", b"2020-13-45"]
ODD = st.sampled_from(SIGNS + SPACES + MARKS)


@st.composite
def texts(draw):
    """The study and its overlay with damage at some places."""
    spoiled = list(TEXTS)
    for _ in range(draw(st.integers(1, 3))):
        which = draw(st.integers(0, 1))
        text = spoiled[which]
        begin = draw(st.integers(0, max(len(text) - 1, 0)))
        end = min(len(text), begin + draw(st.integers(0, 200)))
        how = draw(st.sampled_from(["cut", "double", "insert", "replace", "end", "shift"]))
        odd = draw(ODD)
        spoiled[which] = {
            "cut": text[:begin] + text[end:],
            "double": text[:end] + text[begin:],
            "insert": text[:begin] + odd + text[begin:],
            "replace": text[:begin] + odd + text[begin + len(odd) :],
            "end": text[:begin],
            "shift": text[:begin].rpartition(b"\n")[0] + b"\n  " + text[text.rfind(b"\n", 0, begin) + 1 :],
        }[how]
    return spoiled


QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
LONG = settings(QUICK, max_examples=2000, derandomize=False)


def judge_trees(spoiled, folder):
    judge([yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass") for tree in spoiled], folder)


@QUICK
@example(spoiled=TREES)
@given(spoiled=trees())
def test_a_changed_configuration_is_refused_in_a_sentence_or_works(spoiled, tmp_path_factory):
    judge_trees(spoiled, tmp_path_factory.getbasetemp())


@QUICK
@example(spoiled=TEXTS)
@given(spoiled=texts())
def test_a_damaged_text_is_refused_in_a_sentence_or_works(spoiled, tmp_path_factory):
    judge(spoiled, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@LONG
@given(spoiled=trees())
def test_many_changed_configurations(spoiled, tmp_path_factory):
    judge_trees(spoiled, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@LONG
@given(spoiled=texts())
def test_many_damaged_texts(spoiled, tmp_path_factory):
    judge(spoiled, tmp_path_factory.getbasetemp())
