"""What is kept of activations is read as it was written, and refused where it is damaged."""

import dataclasses

import numpy as np
import pytest
from conftest import NOBODY
from safetensors.numpy import load_file, save_file

from manyexits.exits.representations import Activations, Representations, read, write


def made(n=6, m=3):
    """Two layers of as many samples."""
    generator = np.random.default_rng(0)
    layers = {
        ("output", block): Activations(
            block,
            "output",
            2 * m,
            m,
            np.sort(generator.random(min(n, m)))[::-1].copy(),
            generator.standard_normal((n, 2)),
            np.eye(4),
        )
        for block in (1, 2)
    }
    return Representations(np.arange(n) % 3, np.arange(n), layers)


def test_they_are_read_as_they_were_written(tmp_path):
    write(tmp_path / "a", made(), NOBODY)
    found, by = read(tmp_path / "a")
    assert by == NOBODY
    assert found.label.tolist() == [0, 1, 2, 0, 1, 2]
    assert list(found.layers) == [("output", 1), ("output", 2)]
    for key, expected in made().layers.items():
        layer = found.layers[key]
        assert (layer.block, layer.view, layer.width, layer.columns) == (key[1], "output", 6, 3)
        assert layer.spectrum.tolist() == expected.spectrum.tolist()
        assert layer.scores == pytest.approx(expected.scores, rel=1e-6)
        assert layer.ceiling == 3


def test_ten_blocks_stay_in_their_order(tmp_path):
    few = made()
    layers = {("output", block): dataclasses.replace(few.layers["output", 1], block=block) for block in range(1, 13)}
    write(tmp_path / "a", Representations(few.label, few.sample, layers), NOBODY)
    assert [block for _, block in read(tmp_path / "a")[0].layers] == list(range(1, 13))


SPOILED = {
    "label": (lambda arrays: arrays.pop("label"), "lacks the array label"),
    "sample": (lambda arrays: arrays.pop("sample"), "lacks the array sample"),
    "samples": (lambda arrays: arrays.update(sample=np.arange(5)), r"labels \(6,\) of samples \(5,\)"),
    "scores": (lambda arrays: arrays.pop("output.1.scores"), "the output of block 1 lacks the array scores"),
    "other": (lambda arrays: arrays.update({"output.x.gram": np.eye(2)}), "an array 'output.x.gram', which no"),
    "view": (lambda arrays: arrays.update({"input.1.gram": np.eye(2)}), "an array 'input.1.gram', which no"),
    "shape": (lambda arrays: arrays.update({"output.2.shape": np.array([3, 6])}), "of no number of columns"),
    "spectrum": (lambda arrays: arrays.update({"output.1.spectrum": np.ones(2)}), "2 eigenvalues, scores"),
    "rising": (lambda arrays: arrays.update({"output.1.spectrum": np.arange(3.0)}), "eigenvalues that do not fall"),
    "negative": (lambda arrays: arrays.update({"output.1.spectrum": np.array([1.0, 0, -1])}), "do not fall to 0"),
    "gram": (lambda arrays: arrays.update({"output.1.gram": np.ones((3, 4))}), r"inner products \(3, 4\)"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_damaged_file_is_refused(how, tmp_path):
    spoil, said = SPOILED[how]
    write(tmp_path / "a", made(), NOBODY)
    arrays = load_file(tmp_path / "a")
    spoil(arrays)
    save_file(arrays, tmp_path / "a")
    with pytest.raises(ValueError, match=said):
        read(tmp_path / "a")
