"""Planes, lines and barriers against hand-computed cases and torch's own tools."""

import numpy as np
import pytest
import torch
from conftest import NETWORK

from manyexits.analysis import _curve, _matching
from manyexits.analysis._surface import Point, Surface, estimate_batchnorm, flat, put
from manyexits.analysis.mode_connectivity import analyse, barrier, frame, path_rows, states
from manyexits.batches.augment import normalise
from manyexits.batches.views import Part, Views, blanks
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
    assert found.score == pytest.approx(right, abs=1e-9)


def rows_of(runs, data, **options):
    """The rows of all steps."""
    return [row for step in analyse(runs, data, **options) for row in step()]


def test_an_analysis_has_lines_between_all_pairs_and_a_plane_that_holds_the_regimes(models, prepared):
    data = dataset.read(prepared)
    named = list(zip(("disjoint", "joint", "mixed"), (5, 5, 5), models, strict=True))
    rows = rows_of(named, data, grid=3, line=4, n_probe=30, n_batchnorm=30, curve=2)
    parts = {part: [row for row in rows if row["part"] == part] for part in ("line", "barrier", "plane", "anchor")}
    assert sum(map(len, parts.values())) == len(rows)
    paths = 2 * 3 + 1  # pairs, as they are and matched, and the curve
    assert len(parts["line"]) == paths * 4 * 2 * 2  # points, exits, metrics
    assert len(parts["barrier"]) == paths * 2 + 3  # exits, and distances
    assert {(row["first"], row["second"]) for row in parts["line"] if row["path"] == "curve"} == {("joint", "mixed")}
    assert len(parts["plane"]) == 9 * 2 * 2
    x, y = ({row[axis] for row in parts["plane"]} for axis in "xy")
    for anchor in parts["anchor"]:
        assert min(x) < anchor["x"] < max(x)
        assert min(y) < anchor["y"] < max(y)
    ends = {(row["first"], row["second"]) for row in parts["line"]}
    assert ends == {("disjoint", "joint"), ("disjoint", "mixed"), ("joint", "mixed")}


def test_across_seeds_every_regime_is_compared_with_itself(models, prepared):
    data = dataset.read(prepared)
    named = [("disjoint", 1, models[0]), ("disjoint", 2, models[1]), ("joint", 1, models[2]), ("joint", 2, models[0])]
    rows = rows_of(named, data, grid=3, line=2, n_probe=30, n_batchnorm=30)
    assert {row["part"] for row in rows} == {"line", "barrier"}
    assert {row["path"] for row in rows} == {"straight", "matched"}
    assert {(row["first"], row["second"]) for row in rows} == {("disjoint", "disjoint"), ("joint", "joint")}
    assert {(row["seed"], row["second_seed"]) for row in rows} == {(1, 2)}
    distance = next(row["value"] for row in rows if row["metric"] == "distance")
    backbones = [build.network(NETWORK, blanks(data), seed).backbone for seed in (1, 2)]
    vectors = [torch.nn.utils.parameters_to_vector(backbone.parameters()) for backbone in backbones]
    assert distance == pytest.approx(torch.dist(*vectors).item(), rel=1e-5)


class Wells(Surface):
    """Two parameters with a loss of their own in place of a network's: L(x, y) = (x^2 - 1)^2 + y^2 per exit."""

    def __init__(self, points):
        self.points, self.n_probe = [np.array(point, dtype=float) for point in points], 1

    def at(self, weights):
        x, y = sum(weight * self.points[index] for index, weight in weights.items())
        loss = np.array([(x**2 - 1) ** 2 + y**2, x**2 + y**2])
        return Point(loss, loss)

    def rows(self, point):
        return []


def barriers(wells, weights, points=25):
    return [row["value"] for row in path_rows(wells, {}, weights, points) if row["part"] == "barrier"]


def test_a_double_well_has_a_barrier_of_its_height_and_a_bowl_has_none():
    # exit 1: two wells of depth 0 at x = -1 and 1, the ridge between them is 1 high; exit 2: one bowl
    straight = barriers(Wells([(-1, 0), (1, 0)]), lambda t: {0: 1 - t, 1: t})
    assert straight == pytest.approx([1.0, 0.0])


def test_a_curve_around_a_ridge_is_lower_than_the_line_over_it():
    # y bends down: (x^2 - 1)^2 is 0 at the ends alone, so that the way around costs y^2
    over = barriers(Wells([(-1, 0), (0, 0), (1, 0)]), lambda t: dict(enumerate(_curve.coefficients(t))))
    assert over[0] == pytest.approx(1.0, abs=0.01)
    assert sum(_curve.coefficients(0.3)) == pytest.approx(1)
    assert _curve.coefficients(0.0) == (1, 0, 0)
    assert _curve.coefficients(1.0) == (0, 0, 1)


def test_bending_lowers_the_loss_in_the_middle_and_changes_no_network(models, prepared):
    data = dataset.read(prepared)
    ends = tuple(flat(model) for model in models[:2])
    views = Views(data, torch.device("cpu"))
    before = states(models[2])
    bent = _curve.bent(models[2], ends, views, steps=60, lr=0.1, batch=48)
    assert all(np.array_equal(value, before[name]) for name, value in states(models[2]).items())
    surface = Surface(models, data, n_probe=1000, n_batchnorm=1000)
    with surface.beside(bent) as middle:
        there = surface.at(dict(zip((0, middle, 1), _curve.coefficients(0.5), strict=True)))
    assert there.loss.mean() < surface.at({0: 0.5, 1: 0.5}).loss.mean() - 0.1
    assert len(surface.vectors) == len(models)
    unbent = _curve.bent(models[2], ends, views, steps=0, lr=0.1, batch=48)
    assert torch.allclose(unbent, (ends[0] + ends[1]) / 2, atol=1e-6)


# -- matching ---------------------------------------------------------------------------------------------------------

DEEP = {"family": "resnet", "groups": [2, 1, 2], "width": 4}
KINDS = {
    "basic": {"backbone": DEEP},
    "bottleneck": {"backbone": DEEP | {"block": "bottleneck"}},
    "imagenet stem": {"backbone": DEEP | {"stem": "imagenet"}},
    "heads with convolutions": {"backbone": DEEP, "method": {"kind": "sdn", "depth": 2}},
}


def network(kind, prepared, seed=1):
    told = NETWORK | {"placement": {"after": [1, 2]}} | KINDS[kind]
    made = build.network(told, blanks(dataset.read(prepared)), seed=seed).eval()
    drawn = torch.Generator().manual_seed(seed)
    for name, value in made.state_dict().items():  # norms that tell their units apart
        if value.is_floating_point() and value.dim() == 1:
            value.mul_(0.5 + torch.rand(value.shape, generator=drawn)).add_(0.1 if "var" in name else 0)
    return made


def shuffled(arrays, units, seed=0):
    """The same network, its units in another order."""
    found, drawn = {name: value.copy() for name, value in arrays.items()}, np.random.default_rng(seed)
    for own in units:
        count = found[own[0].name].shape[own[0].axis] // own[0].each
        _matching.renumber(found, own, drawn.permutation(count))
    return found


def loaded(model, arrays):
    model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()})
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_another_order_of_the_units_changes_no_output(kind, prepared):
    model = network(kind, prepared)
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = [each.detach() for each in model(images)]
    arrays, units = states(model), _matching.units_of(model)
    other = shuffled(arrays, units)
    moved = [name for name, value in other.items() if not np.array_equal(value, arrays[name])]
    still = {name for name in arrays if name not in moved}
    assert not [name for name in still if name.endswith(("conv1.weight", "conv2.weight", "running_var"))]
    assert len(moved) > 20
    for one, two in zip(expected, loaded(model, other)(images), strict=True):
        assert torch.allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shuffled_copy_is_found_again_and_has_no_barrier(kind, prepared):
    model, data = network(kind, prepared), dataset.read(prepared)
    arrays, units = states(model), _matching.units_of(model)
    other = shuffled(arrays, units, seed=3)
    found = _matching.matched(arrays, other, units)
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())
    surface = Surface([model], data, n_probe=1000, n_batchnorm=1000)
    heights = []
    for renumbered in (other, found):
        with surface.beside(flat(loaded(network(kind, prepared), renumbered))) as second:
            heights.append(barriers(surface, lambda t, to=second: {0: 1 - t, to: t}, points=5))
    assert max(heights[0]) > 0.01
    assert heights[1] == pytest.approx([0.0] * 3, abs=1e-4)


def test_matching_never_makes_the_networks_less_alike(prepared):
    first, second = states(network("basic", prepared)), states(network("basic", prepared, seed=2))
    units = _matching.units_of(network("basic", prepared))
    found = _matching.matched(first, second, units)
    touched = {where.name for own in units for where in own if "running" not in where.name}
    before, after = (sum(float((first[name] * other[name]).sum()) for name in touched) for other in (second, found))
    assert after > before
    again = _matching.matched(first, found, units)
    assert all(np.array_equal(again[name], value) for name, value in found.items())


@pytest.mark.parametrize(
    "told",
    [
        {"backbone": {"family": "timm", "name": "vit_tiny_patch16_224", "n_blocks": 12, "pixels": 8, "patch": 4}},
        {"backbone": DEEP, "method": {"kind": "ztw"}, "placement": {"after": [1, 2]}},
    ],
    ids=["another family", "heads that read one another"],
)
def test_of_other_networks_units_are_not_defined(told, prepared):
    model = build.network(NETWORK | told, blanks(dataset.read(prepared)), seed=1)
    assert _matching.units_of(model) is None


def test_parameters_are_put_back_as_they_were_read(models):
    before = states(models[0])
    with torch.no_grad():
        put(models[0], flat(models[0]))
    assert all(np.array_equal(value, before[name]) for name, value in states(models[0]).items())
