"""Docstrings of installed packages: the same on every call, none in two parts, no package by its name."""

import re
from pathlib import Path

import numpy as np
import pytest

from manyexits.data.readers import docstrings


def read(**options):
    return docstrings.load(Path(), False, most=60, **options)


@pytest.fixture(scope="module")
def packages():
    return read()


def test_which_package_a_docstring_is_of_is_its_class(packages):
    assert packages.class_names == list(docstrings.PACKAGES)
    counts = np.bincount(packages.train.labels) + np.bincount(packages.test.labels)
    assert counts.tolist() == [60] * 6
    assert len(packages.test.texts) == 90
    assert all(len(text) == 1 for text in packages.train.texts)


def test_the_names_of_the_packages_are_masked(packages):
    named = re.compile(r"(?i)\b(matplotlib|pyplot|numpy|np|pandas|pd|scipy|sklearn|torch)\b")
    texts = [text for part in (packages.train, packages.test) for (text,) in part.texts]
    assert not [text for text in texts if named.search(text)]
    assert any(docstrings.MASK in text for text in texts)


def test_no_docstring_lies_in_two_parts(packages):
    assert not set(packages.train.texts) & set(packages.test.texts)
    near = read(ask="nearness")
    of = [{text for pair in part.texts for text in pair} for part in (near.train, near.test)]
    assert not of[0] & of[1]


def test_nearness_is_how_much_of_the_place_two_share():
    near = read(ask="nearness")
    assert near.class_names == []
    assert set(near.train.labels) == {0.0, 1.0, 2.0, 3.0}
    found = {each.text: each for package in docstrings.PACKAGES for each in docstrings._of_package(package, 60)}
    for (first, second), score in zip(near.train.texts, near.train.labels, strict=True):
        a, b = found[first], found[second]
        assert first != second
        assert score == (a.package == b.package) + (a.folder == b.folder) + (a.file == b.file)


def test_arguments_are_those_of_the_function_named_and_at_most_eight(tmp_path):
    text = '"""What a person reads of it, long enough to be told."""'
    (tmp_path / "some.py").write_text(
        f"class A:\n  {text[:-3]} One.{text[-3:]}\n"
        f"  def f(self, a, /, b, *c, d=1, **e):\n    {text[:-3]} Two.{text[-3:]}\n"
        f"  if 1 < 2:\n    async def g():\n      {text[:-3]} Three.{text[-3:]}\n"
        f"def h({', '.join('abcdefghij')}):\n  {text[:-3]} Four.{text[-3:]}\n"
        f"  @staticmethod\n  def inner(cls): {text[:-3]} Five.{text[-3:]}\n"
        'def short(): "too short"\ndef bare(): pass\n'
    )
    found = docstrings._of_file(tmp_path / "some.py")
    assert {text.split()[-1]: n for text, n in found} == {"One.": None, "Two.": 3, "Three.": 0, "Four.": 10, "Five.": 0}
    asked = read(ask="arguments")
    assert asked.class_names == []
    assert set(asked.train.labels) == set(range(docstrings.MANY + 1))
    whole = {
        each.text: each.arguments for package in docstrings.PACKAGES for each in docstrings._of_package(package, 60)
    }
    for (one,), score in zip(asked.train.texts, asked.train.labels, strict=True):
        assert score == min(whole[one], docstrings.MANY)


def test_every_call_gives_the_same(packages):
    again = read()
    assert again.train.texts == packages.train.texts
    assert again.train.labels.tolist() == packages.train.labels.tolist()
