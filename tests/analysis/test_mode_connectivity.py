"""Planes, lines and barriers against hand-computed cases and torch's own tools."""

import numpy as np
import pytest
import torch
from conftest import NETWORK

from manyexits.analysis.mode_connectivity import Surface, analyse, barrier, estimate_batchnorm, frame
from manyexits.batches.augment import normalise
from manyexits.batches.views import Part, blanks
from manyexits.data import prepared as dataset
from manyexits.models import build


def test_a_barrier_is_the_rise_above_the_straight_line_between_the_ends():
    t = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    loss = np.array([[1.0, 4.0], [1.5, 3.0], [4.0, 2.0], [2.0, 2.9], [2.0, 0.0]])
    # first exit: at t = .5 the line is at 1.5, the loss at 4; second: at .75 the line is at 1, the loss at 2.9
    assert barrier(t, loss) == pytest.approx([2.5, 1.9])


def test_a_valley_is_no_barrier():
    assert barrier(np.array([0.0, 0.5, 1.0]), np.array([[1.0], [0.1], [1.0]])).tolist() == [0.0]


def test_two_points_have_no_barrier():
    assert barrier(np.array([0.0, 1.0]), np.array([[1.0], [3.0]])).tolist() == [0.0]


def test_the_frame_has_its_origin_in_mixed_and_its_first_axis_towards_joint():
    m, j, d = np.array([1.0, 1.0, 0.0]), np.array([5.0, 1.0, 0.0]), np.array([2.0, 4.0, 0.0])
    found = frame(d, j, m)
    assert (found.d_x, found.d_y, found.alpha_d) == pytest.approx((4.0, 3.0, 0.25))
    for place, anchor in (((0, 0), m), ((1, 0), j), ((found.alpha_d, 1), d), ((0, 1), np.array([1.0, 4.0, 0.0]))):
        weights = found.coefficients(*place)
        assert sum(weights) == pytest.approx(1)
        assert sum(w * v for w, v in zip(weights, (d, j, m), strict=True)) == pytest.approx(anchor)


@pytest.mark.parametrize("d", [[3.0, 0.0], [0.0, 0.0], [3.0, 1e-9]])
def test_three_runs_on_one_line_have_no_plane(d):
    with pytest.raises(ValueError, match="lie on one line"):
        frame(np.array(d), np.array([1.0, 0.0]), np.array([0.0, 0.0]))


def test_equal_runs_have_no_plane():
    with pytest.raises(ValueError, match="lie on one line"):
        frame(np.array([1.0, 0.0]), np.zeros(2), np.zeros(2))


@pytest.fixture
def models(prepared):
    samples = blanks(dataset.read(prepared))
    return [build.network(NETWORK, samples, seed=seed).eval() for seed in (1, 2, 3)]


def test_batchnorm_sees_every_image_once_with_equal_weight(models):
    images = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    model = models[0].backbone
    norm = model.stages[0][0][1]
    norm.running_mean.fill_(7.0)
    estimate_batchnorm(model, lambda: (Part(some, None, torch.zeros(len(some))) for some in images.split([4, 4, 2])))
    seen = torch.nn.functional.conv2d(images, model.stages[0][0][0].weight, padding=1)
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-5)
    variances = [part.var((0, 2, 3)) * len(part) / 10 for part in seen.split([4, 4, 2])]
    assert torch.allclose(norm.running_var, torch.stack(variances).sum(0), atol=1e-4)
    assert norm.momentum == 0.1
    assert not norm.training


def test_a_network_without_batchnorm_is_left_alone():
    linear = torch.nn.Linear(2, 2)
    before = [parameter.clone() for parameter in linear.parameters()]
    estimate_batchnorm(linear, lambda: pytest.fail("no images are needed"))
    assert all(torch.equal(a, b) for a, b in zip(before, linear.parameters(), strict=True))


def test_a_point_on_the_surface_is_the_loss_of_the_interpolated_network(models, prepared):
    data = dataset.read(prepared)
    surface = Surface(models, data, n_probe=1000, n_batchnorm=1000)
    found = surface.at({0: 0.25, 1: 0.75})

    expected = build.network(NETWORK, blanks(data), seed=1)
    first, second = (build.network(NETWORK, blanks(data), seed=seed).state_dict() for seed in (1, 2))
    names = dict(expected.named_parameters())
    mixed = {n: 0.25 * v + 0.75 * second[n] if n in names else v for n, v in first.items()}
    expected.load_state_dict(mixed)
    mean, std = torch.from_numpy(data.mean), torch.from_numpy(data.std)
    images, labels = data.train.take(np.arange(len(data.train)))
    images = normalise(torch.from_numpy(images), mean, std)
    torch.optim.swa_utils.update_bn([images], expected)
    expected.eval()
    logits = expected(images)
    losses = [torch.nn.functional.cross_entropy(each, torch.from_numpy(labels)).item() for each in logits]
    assert found.loss == pytest.approx(losses, abs=1e-4)
    test_images, test_labels = data.test.take(np.arange(len(data.test)))
    answers = expected(normalise(torch.from_numpy(test_images), mean, std))
    right = [(each.argmax(1).numpy() == test_labels).mean() for each in answers]
    assert found.accuracy == pytest.approx(right, abs=1e-9)


def test_an_analysis_has_lines_between_all_pairs_and_a_plane_that_holds_the_regimes(models, prepared):
    data = dataset.read(prepared)
    named = list(zip(("disjoint", "joint", "mixed"), (5, 5, 5), models, strict=True))
    rows = analyse(named, data, grid=3, line=4, n_probe=30, n_batchnorm=30)
    parts = {part: [row for row in rows if row["part"] == part] for part in ("line", "barrier", "plane", "anchor")}
    assert sum(map(len, parts.values())) == len(rows)
    assert len(parts["line"]) == 3 * 4 * 2 * 2  # pairs, points, exits, metrics
    assert len(parts["barrier"]) == 3 * (2 + 1)  # exits, and the distance
    assert len(parts["plane"]) == 9 * 2 * 2
    x, y = ({row[axis] for row in parts["plane"]} for axis in "xy")
    for anchor in parts["anchor"]:
        assert min(x) < anchor["x"] < max(x)
        assert min(y) < anchor["y"] < max(y)
    ends = {(row["first"], row["second"]) for row in parts["line"]}
    assert ends == {("disjoint", "joint"), ("disjoint", "mixed"), ("joint", "mixed")}


def test_the_control_compares_one_regime_under_two_seeds(models, prepared):
    data = dataset.read(prepared)
    named = [("disjoint", 1, models[0]), ("disjoint", 2, models[1])]
    rows = analyse(named, data, grid=3, line=2, n_probe=30, n_batchnorm=30)
    assert {row["part"] for row in rows} == {"line", "barrier"}
    assert {(row["seed"], row["second_seed"]) for row in rows} == {(1, 2)}
    distance = next(row["value"] for row in rows if row["metric"] == "distance")
    backbones = [build.network(NETWORK, blanks(data), seed).backbone for seed in (1, 2)]
    vectors = [torch.nn.utils.parameters_to_vector(backbone.parameters()) for backbone in backbones]
    assert distance == pytest.approx(torch.dist(*vectors).item(), rel=1e-5)
