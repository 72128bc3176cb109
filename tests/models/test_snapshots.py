"""Weights on the way of a training are read as they were written, in their order, and refused where damaged."""

import pytest
import torch
from conftest import NOBODY
from safetensors.torch import save_file

from manyexits.models.snapshots import Moment, read, write


def state(value):
    return {"backbone.a": torch.full((2,), float(value)), "n": torch.tensor(value)}


def test_they_are_read_as_they_were_written_in_the_order_of_the_training(tmp_path):
    moments = [Moment(1, "heads", 0), Moment(0, "all", 10), Moment(0, "all", 2), Moment(10, "backbone+heads", 1)]
    write(tmp_path / "a", {moment: state(number) for number, moment in enumerate(moments)}, NOBODY)
    found, by = read(tmp_path / "a")
    assert by == NOBODY
    assert list(found) == [moments[2], moments[1], moments[0], moments[3]]
    for number, moment in enumerate(moments):
        assert found[moment].keys() == {"backbone.a", "n"}
        assert torch.equal(found[moment]["backbone.a"], state(number)["backbone.a"])


@pytest.mark.parametrize("name", ["x", "0.all:w", "a.all.1:w", "0.none.1:w", "0.all.-1:w", "0.all.x:w", ".all.1:w"])
def test_names_that_are_no_moments_are_refused(name, tmp_path):
    save_file({name: torch.zeros(1)}, tmp_path / "a")
    with pytest.raises(ValueError, match="is no moment of a training; remove the run's files and train it again"):
        read(tmp_path / "a")


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("all", [(1, 2, 3)]),
        ("heads", [(1, 2)]),
        ("backbone", [(3,)]),
        ("ensemble", []),
        ("backbone+heads", [(3,), (1, 2)]),
    ],
)
def test_exits_that_learn_in_a_phase(phase, expected):
    assert Moment(0, phase, 1).exits(3) == expected
