"""Wide sections are cut so that each part fits on a page, and nothing is lost."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.artefacts.tables import Table, _latex

numbers = st.integers(0, 12).flatmap(lambda n: st.lists(st.integers(1, 60), min_size=n, max_size=n))


def section(widths: list[int]) -> pd.DataFrame:
    """Two lines: an experiment, its regime, and columns of numbers with so many digits."""
    told = {"experiment": ["small", "small"], "regime": ["joint", "mixed"]}
    return pd.DataFrame(told | {f"c{place}": ["7" * width, "1"] for place, width in enumerate(widths)})


@given(numbers)
@settings(max_examples=100, deadline=None)
def test_every_part_fits_unless_a_column_alone_is_too_wide(widths):
    cells = section(widths)
    found = _latex.parts(cells)
    assert all(list(part)[:2] == ["experiment", "regime"] for part in found)
    assert [name for part in found for name in list(part)[2:]] == list(cells)[2:]
    for part in found:
        letters = sum(max(len(str(name)), part[name].str.len().max()) for name in part)
        inches = _latex.LETTER * letters + _latex.GAP * len(part.columns)
        assert inches <= _latex.PAGE or len(part.columns) == 3


@pytest.mark.parametrize(("widths", "parts"), [([], 1), ([3], 1), ([3] * 8, 1), ([40] * 4, 2), ([40] * 5, 3)])
def test_a_section_is_cut_only_where_it_must_be(widths, parts):
    assert len(_latex.parts(section(widths))) == parts


def test_each_part_is_a_tabular_of_its_own_under_one_title():
    text = _latex.latex("wide", "A caption", {"A title": section([40] * 4)}, [])
    assert text.count("A title") == 1
    assert text.count(r"\begin{tabular}{ll") == text.count(r"\end{tabular}") == 2
    assert text.count(r"\begin{table*}") == 1


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        ("**72.00 ± 2.83**", r"\textbf{72.00} & \textbf{2.83}"),
        ("72.00 ± 2.83", "72.00 & 2.83"),
        ("**72.00**", r"\multicolumn{1}{r@{\phantom{\,$\pm$\,}}}{\textbf{72.00}} &"),
        ("–", r"\multicolumn{2}{c}{--}"),
    ],
)
def test_cells_of_means_stand_at_their_points_bold_or_not(cell, printed):
    lines = _latex.tabular(pd.DataFrame({"experiment": ["a", "b"], "50 %": [cell, "1.00 ± 0.10"]}))
    assert lines[4] == rf"a & {printed} \\"


@pytest.mark.parametrize("kind", ["string", "object", "float64"])
def test_an_empty_cell_is_a_dash_in_every_form(kind):
    cells = pd.DataFrame({"a": ["x", "y"], "b": pd.Series([None, None], dtype=kind)})
    made = Table(pd.DataFrame(), {"one": cells})
    assert "| x   | –   |" in made.markdown()
    assert "x & --" in made.latex("label", "caption")
    assert "<td>–</td>" in made.page()
