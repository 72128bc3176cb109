"""What is kept of activations, against numpy on matrices with known spectra and a plain loop over the blocks."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import NETWORK, READER
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.batches.views import Views, blanks
from manyexits.data import prepared as dataset
from manyexits.models import activations, build
from manyexits.models.activations import Kept, Spooled, layer, represent

ALL = Kept(n=10_000, columns=10_000, components=4, n_similarity=10)


def kept_of(matrix, kept=ALL):
    """What is kept of a matrix of activations."""
    matrix = np.asarray(matrix, dtype=np.float32)
    return layer(Spooled(1, "output", matrix.shape[1], matrix, None), kept, torch.device("cpu"))


def planted(n, m, powers, seed=0, mean=0.0):
    """An n x m matrix whose covariance has exactly these eigenvalues, and whose columns have this mean."""
    generator = np.random.default_rng(seed)
    r = len(powers)
    inside = generator.standard_normal((n, r))
    left, _ = np.linalg.qr(inside - inside.mean(0))
    right, _ = np.linalg.qr(generator.standard_normal((m, r)))
    return left * np.sqrt(np.array(powers) * (n - 1)) @ right.T + mean


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 20), (2100, 7), (30, 1500)], ids=str)
@pytest.mark.parametrize("mean", [0.0, 50.0], ids=["centred", "shifted"])
def test_the_spectrum_is_the_planted_one_in_falling_order(shape, mean):
    powers = [9.0, 4.0, 1.0, 0.25]
    found = kept_of(planted(*shape, powers, mean=mean))
    assert len(found.spectrum) == min(shape)
    assert found.spectrum[:4] == pytest.approx(powers, rel=1e-4)
    assert (found.spectrum[4:] < 1e-7).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 1000))
def test_spectrum_scores_and_inner_products_are_numpys(n, m, seed):
    matrix = np.random.default_rng(seed).standard_normal((n, m)).astype(np.float32) * 3 + 1
    found = kept_of(matrix)
    centred = matrix.astype(np.float64) - matrix.mean(0, dtype=np.float64)
    expected = np.linalg.svd(centred, compute_uv=False) ** 2 / (n - 1)
    assert found.spectrum == pytest.approx(expected, abs=1e-9 * max(1, expected.max()))
    # the scores' distances are those of the best approximation of this rank, whatever the signs
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    rank = found.scores.shape[1]
    best = (u[:, :rank] * s[:rank]) @ (u[:, :rank] * s[:rank]).T
    assert rank == min(4, n, m)
    assert found.scores @ found.scores.T == pytest.approx(best, abs=1e-8 * max(1, s[0] ** 2))
    first = matrix[:10].astype(np.float64)
    first = first - first.mean(0)
    inner = first @ first.T
    assert found.gram == pytest.approx(inner / np.linalg.norm(inner), abs=1e-9)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)], ids=str)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_a_constant_layer_says_so(shape, value):
    found = kept_of(np.full(shape, value))
    assert found.fault == "constant activations"
    assert not found.spectrum.any()
    assert not found.gram.any()


def test_a_layer_that_varies_little_about_its_mean_is_not_constant():
    matrix = np.full((8, 3), 100.0)
    matrix[0, 0] = 100.01
    assert kept_of(matrix).fault == ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_layer_with_what_is_no_number_says_so(value):
    matrix = np.ones((6, 3))
    matrix[2, 1] = value
    found = kept_of(matrix)
    assert found.fault == "activations that are no finite numbers"
    assert found.spectrum.shape == (3,)
    assert found.scores.shape == (6, 3)


# -- of a network -----------------------------------------------------------------------------------------------------


@pytest.fixture
def images(prepared):
    """Views of the made images, and a network of two blocks for them."""
    data = dataset.read(prepared)
    return Views(data, torch.device("cpu")), build.network(NETWORK, blanks(data), seed=1).eval()


def naive(model, views, split, view):
    """Activations of every block, one sample at a time."""
    found = [[] for _ in model.backbone.stages]
    for part in views.whole(split, size=1):
        state = part.inputs
        for block, stage in enumerate(model.backbone.stages):
            state = stage(state)
            seen = state if view == "output" else model.backbone.tap(state)
            found[block].append(seen.detach().numpy().reshape(-1))
    return [np.stack(block) for block in found]


def test_layers_of_images_are_the_blocks_outputs_flattened(images):
    views, model = images
    found = represent(model, views, ALL)
    assert list(found.layers) == [("output", 1), ("output", 2)]
    assert found.label.tolist() == views.data.test.labels[views.data.test.indices].tolist()
    assert found.sample.tolist() == list(range(60))
    for block, matrix in enumerate(naive(model, views, views.data.test, "output"), start=1):
        layer_ = found.layers["output", block]
        assert (layer_.width, layer_.columns) == (matrix.shape[1], matrix.shape[1])
        expected = np.linalg.svd(matrix - matrix.mean(0), compute_uv=False) ** 2 / 59
        assert layer_.spectrum == pytest.approx(expected, rel=1e-3, abs=1e-5 * float(expected[0]))


def test_layers_of_texts_are_what_heads_read_in_the_order_of_the_split(prepared_texts):
    told = {"classes": 3, "backbone": READER, "method": NETWORK["method"], "placement": NETWORK["placement"]}
    data = dataset.read(prepared_texts, network=told)
    model = build.network(told, blanks(data), seed=1).eval()
    views = Views(data, torch.device("cpu"))
    found = represent(model, views, ALL)
    assert list(found.layers) == [("tapped", 1), ("tapped", 2)]
    for block, matrix in enumerate(naive(model, views, data.test, "tapped"), start=1):
        first = matrix[:10] - matrix[:10].mean(0)
        inner = first @ first.T
        assert found.layers["tapped", block].gram == pytest.approx(inner / np.linalg.norm(inner), abs=1e-4)


def test_of_a_transformer_on_images_the_class_token_is_a_layer_of_its_own(prepared):
    backbone = {"family": "timm", "name": "vit_tiny_patch16_224", "n_blocks": 12, "pixels": 8, "patch": 4}
    told = NETWORK | {"backbone": backbone}
    data = dataset.read(prepared)
    model = build.network(told, blanks(data), seed=1).eval()
    views = Views(data, torch.device("cpu"))
    found = represent(model, views, ALL)
    assert list(found.layers)[:3] == [("output", 1), ("tapped", 1), ("output", 2)]
    assert len(found.layers) == 24
    widths = {key: layer_.width for key, layer_ in found.layers.items()}
    assert widths["output", 1] == 5 * widths["tapped", 1]  # four patches and the class token


def test_samples_and_columns_are_drawn_alike_for_all_networks(images):
    views, model = images
    few = Kept(n=20, columns=30, components=4, n_similarity=5)
    found, again = represent(model, views, few), represent(model, views, few)
    assert len(set(found.sample.tolist())) == 20
    assert found.label.tolist() == views.data.test.labels[views.data.test.indices][found.sample].tolist()
    assert all(found.layers[key].spectrum.tolist() == again.layers[key].spectrum.tolist() for key in found.layers)
    first = found.layers["output", 1]
    assert (first.width, first.columns) == (256, 30)
    matrix = naive(
        model, views, dataclasses.replace(views.data.test, indices=views.data.test.indices[found.sample]), "output"
    )[0]
    chosen = np.sort(np.random.default_rng([256, 1]).permutation(256)[:30])
    expected = np.linalg.svd((matrix - matrix.mean(0))[:, chosen], compute_uv=False) ** 2 / 19
    assert first.spectrum[:20] == pytest.approx(expected, rel=1e-3, abs=1e-5 * float(expected[0]))


def test_a_disk_without_room_is_one_sentence(images, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(activations.os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"no room for 0\.0 GiB of activations of block 1 .*set TMPDIR"):
        represent(images[1], images[0], ALL)
