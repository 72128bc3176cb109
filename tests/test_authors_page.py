"""docs/authors.md against the study and the source: every mark C stands on the page, with the value in force."""

import re
from pathlib import Path

import yaml

from manyexits.study import plan

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("datasets", "backbones", "placements", "recipes")


def tables() -> list[list[list[str]]]:
    """Rows of every table of the page, without heading."""
    blocks = (ROOT / "docs/authors.md").read_text().split("\n\n")
    lines = [block.strip().splitlines()[2:] for block in blocks if "\n|---" in block]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in table] for table in lines]


def told() -> dict[tuple[str, str, str], list[str]]:
    """Section, entry and key -> the value on the page, the authors' file, and what it says."""
    return {
        (section, name, key): cells
        for entries, key, *cells in tables()[0]
        for section, names in [entries.split(": ")]
        for name in names.split(", ")
    }


def in_force() -> dict[tuple[str, str, str], object]:
    """The same -> the value of the resolved study, for every mark C."""
    study = plan.read([]).study
    return {
        (section, name, key): getattr(entry, key) if key in type(entry).model_fields else entry.options[key]
        for section in SECTIONS
        for name, entry in getattr(study, section).items()
        for key, mark in entry.origin.items()
        if mark.startswith("C")
    }


def test_the_page_lists_every_mark_of_the_study_and_no_other():
    assert told().keys() == in_force().keys()
    assert len(in_force()) > 100


def test_the_values_on_the_page_are_those_in_force():
    def read(cell: str) -> object:
        found = yaml.safe_load(cell.strip("`"))
        return float(found) if isinstance(found, str) and re.fullmatch(r"\de-\d", found) else found

    assert {place: read(cells[0]) for place, cells in told().items()} == in_force()


def test_every_row_names_a_file_of_the_authors_and_what_it_says():
    for rows in tables():
        for row in rows:
            assert re.fullmatch(r"[\w/]+(\.py)?(, [\w/]+\.py)*", row[-2]), row
            assert row[-1], row


def test_the_page_lists_every_file_of_the_source_that_bears_the_mark():
    source = ROOT / "src/manyexits"
    marked = {
        str(file.relative_to(source)) for file in source.rglob("*.py") if re.search(r"\[C(:[^]]*)?\]", file.read_text())
    }
    assert {row[0] for row in tables()[1]} == marked


def test_comments_of_the_configuration_bear_no_mark_of_the_authors():
    comments = [line.split("#", 1)[1] for line in (ROOT / "config.yaml").read_text().splitlines()[8:] if "#" in line]
    assert len(comments) > 10
    assert not [comment for comment in comments if re.search(r"\bC\b", comment)]
