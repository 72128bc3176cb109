"""Steps that were done are not done again, whatever happened to the others."""

import pytest

from manyexits.files.steps import collect


def steps(done, rows=3, fails=None):
    """Steps that note their numbers; one of them may fail."""

    def step(number):
        def work():
            done.append(number)
            if number == fails:
                raise ValueError("stopped")
            return [{"step": number, "value": 1 / 3, "none": None}]

        return work

    return [step(number) for number in range(1, rows + 1)]


def test_rows_come_in_the_order_of_the_steps(tmp_path):
    done = []
    assert [row["step"] for row in collect(steps(done), tmp_path / "kept")] == [1, 2, 3]
    assert done == [1, 2, 3]


def test_after_an_interruption_it_goes_on_where_it_stopped_with_the_same_numbers(tmp_path):
    first, second, said = [], [], []
    with pytest.raises(ValueError, match="stopped"):
        collect(steps(first, fails=3), tmp_path)
    found = collect(steps(second), tmp_path, said.append)
    assert (first, second) == ([1, 2, 3], [3])
    assert found == [{"step": number, "value": 1 / 3, "none": None} for number in (1, 2, 3)]
    assert said == ["step 1 was done before", "step 2 was done before"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", "null"])
def test_a_damaged_step_is_done_again_and_said(tmp_path, content):
    collect(steps([]), tmp_path)
    (tmp_path / "2.json").write_text(content)
    done, said = [], []
    assert len(collect(steps(done), tmp_path, said.append)) == 3
    assert done == [2]
    assert said[1] == f"{tmp_path / '2.json'} is damaged; its step is done again"


def test_no_steps_are_no_rows(tmp_path):
    assert collect([], tmp_path) == []
