"""The table of easy and hard samples from rows made by hand."""

import pytest

from manyexits.analysis.easy_and_hard import COLUMNS
from manyexits.artefacts import frames
from manyexits.artefacts.tables import easy_and_hard
from manyexits.files import rows

TOLD = {"experiments": [{"experiment": "small", "variant": ""}], "regimes": ["joint", "mixed"]}
TEXT = "<b>one</b> & a very long text that pandas would not print whole, since it has many more letters\nand a second"


def sample(kind, place, number, exits, seed=1, shown=TEXT, **more):
    """Rows of one sample, one for each regime."""
    common = {"experiment": "small", "seed": seed, "protocol": "shared", "criterion": "confidence", "budgets": 3}
    common |= {"kind": kind, "place": place, "id": number, "label": "cat", "first_answer": "dog", "last_answer": "cat"}
    return [
        common | {"regime": regime, "mean_exit": left, "sample": None if index else shown} | more
        for index, (regime, left) in enumerate(zip(("joint", "mixed"), exits, strict=True))
    ]


@pytest.fixture
def build(tmp_path):
    """A function that writes samples, reads them as the pipeline does and makes the table."""

    def make(*samples):
        path = tmp_path / "s1.csv"
        rows.write(path, [row for rows_ in samples for row in rows_], ("experiment", "variant", *COLUMNS))
        return easy_and_hard.table(frames.read(easy_and_hard, [path], TOLD["experiments"]), TOLD)

    return make


def test_one_line_a_sample_with_every_regime_and_its_answers(build):
    made = build(sample("easy", 1, 7, (1, 1.5), last_answer="dog"), sample("hard", 1, 3, (4, 3.25)))
    easy, hard = made.sections.values()
    assert list(made.sections) == ["small, easy, seed 1", "small, hard, seed 1"]
    assert easy.to_dict("records") == [
        {"place": "1", "id": "7", "label": "cat", "joint": "1.00 (dog)", "mixed": "1.50 (dog)", "sample": TEXT}
    ]
    assert list(hard.iloc[0])[:5] == ["1", "3", "cat", "4.00 (dog → cat)", "3.25 (dog → cat)"]
    assert "thresholds: shared, by confidence, at 3 budgets" in made.notes[1]


def test_samples_stand_on_the_page_alone_and_are_escaped(build):
    made = build(sample("easy", 1, 7, (1, 1)), sample("hard", 1, 3, (4, 4), shown="data:image/png;base64,aA+/="))
    assert "<div class=sample>&lt;b&gt;one&lt;/b&gt; &amp; a very long text" in made.page()
    assert "more letters<br>and a second</div>" in made.page()
    assert '<img src="data:image/png;base64,aA+/=" alt="">' in made.page()
    for written in (made.markdown(), made.latex("a", "b"), made.data.to_csv()):
        assert "letters" not in written
        assert "image" not in written


def test_records_without_samples_show_a_dash(build):
    made = build(sample("easy", 1, 7, (1, 1), shown=None))
    assert made.sections["small, easy, seed 1"]["sample"].tolist() == ["–"]
    assert made.sections["small, hard, seed 1"].empty
    assert "<h2>small, hard, seed 1</h2>" in made.page()


def test_the_first_seed_is_shown_and_all_are_data(build):
    made = build(sample("easy", 1, 7, (1, 1), seed=2), sample("easy", 1, 9, (1, 1), seed=1))
    assert made.sections["small, easy, seed 1"]["id"].tolist() == ["9"]
    assert sorted(made.data["id"].unique()) == [7, 9]


def test_a_sample_without_one_of_the_regimes_is_refused(build):
    with pytest.raises(ValueError, match="sample 7 has no row of mixed; let the workflow make"):
        build(sample("easy", 1, 7, (1, 1))[:1], sample("easy", 2, 8, (1, 1)))


def test_rows_without_an_answer_are_refused(build):
    with pytest.raises(ValueError, match="a row lacks its label"):
        build(sample("easy", 1, 7, (1, 1), label=None))
