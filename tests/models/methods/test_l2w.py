"""L2W: the weight network's gradient against finite differences of a step really taken, and its place in a training."""

import copy

import pytest
import torch
from conftest import RECIPE, settings_of
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from manyexits.batches.views import Part
from manyexits.models.methods import l2w
from manyexits.study.recipe import Recipe
from manyexits.training.lessons import Lessons, partner_of
from manyexits.training.optimiser import optimiser, stepped
from manyexits.training.train import Interrupted

RECIPES = {
    "sgd": {"optimizer": "sgd", "lr": 0.3, "weight_decay": 0.01},
    "momentum": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9},
    "adamw": {"optimizer": "adamw", "lr": 0.05, "weight_decay": 0.1},
}


def recipe(name: str) -> Recipe:
    return Recipe.model_validate(RECIPE | RECIPES[name])


# -- which samples leave where ----------------------------------------------------------------------------------------


def left(certain: list[list[float]], q: float) -> list[int]:
    """Exit of every sample, by the definition, sample by sample."""
    n, exits = len(certain), len(certain[0])
    shares = [q**k / sum(q**j for j in range(1, exits + 1)) for k in range(1, exits + 1)]
    found = [exits] * n
    inside = list(range(n))
    for k in range(exits - 1):
        surest = sorted(inside, key=lambda sample: -certain[sample][k])[: int(n * shares[k])]
        for sample in surest:
            found[sample] = k + 1
        inside = [sample for sample in inside if sample not in surest]
    return found


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("exits", [1, 2, 5])
@pytest.mark.parametrize("q", [0.3, 0.75, 1.0, 2.0])
def test_every_sample_leaves_once_and_where_the_definition_says(n, exits, q):
    certain = torch.rand(n, exits, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    taken = l2w.leaving(certain, q)
    assert (taken.sum(1) == 1).all()
    assert (taken.int().argmax(1) + 1).tolist() == left(certain.tolist(), q)


def test_ties_leave_in_their_order_and_scores_by_how_little_they_differ():
    taken = l2w.leaving(torch.ones(4, 2), 1.0)
    assert taken.tolist() == [[True, False]] * 2 + [[False, True]] * 2
    scores = torch.tensor([[1.0, 4.0, 4.5], [2.0, 2.5, 1.0]])[:, :, None]
    assert l2w.certainties(scores)[:, 1:].tolist() == [[-3.0, -0.5], [-0.5, -1.5]]
    assert l2w.certainties(torch.tensor([[[0.0, 0.0], [9.0, 0.0]]]))[0, 0].item() == 0.5


# -- weights ----------------------------------------------------------------------------------------------------------


def test_weights_are_one_in_the_mean_and_near_one():
    torch.manual_seed(0)
    losses = 3 * torch.rand(6, 4)
    own, whole = (l2w.WeightNetwork(4, 0.3, centred) for centred in ("sample", "batch"))
    whole.load_state_dict(own.state_dict())
    assert torch.allclose(own(losses).sum(1), torch.full((6,), 4.0))
    assert whole(losses).mean().item() == pytest.approx(1)
    assert not torch.allclose(whole(losses).sum(1), torch.full((6,), 4.0), atol=1e-4)
    values = own.layers(losses)
    assert torch.allclose(own(losses), 1 + 0.3 * (values - values.mean(1, keepdim=True)))
    assert torch.allclose(whole(losses), 1 + 0.3 * (values - values.mean()))
    assert [tuple(each.shape) for each in own.parameters()] == [(500, 4), (500,), (4, 500), (4,)]


# -- the meta-step ----------------------------------------------------------------------------------------------------


class Toy:
    """A pupil of two exits, in double precision."""

    ranks = 1

    def __init__(self, told: Recipe, before: int) -> None:
        generator = torch.Generator().manual_seed(1)
        shapes = {"stage": (3, 4), "first": (4, 3), "second": (4, 3)}
        self.told = told
        self.parameters = {
            name: nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for name, shape in shapes.items()
        }
        self.optimizer = optimiser(told, list(self.parameters.values()))
        for _ in range(before):  # moments to begin with
            self.run(self.parameters, batch(9))[1].mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def weights(self) -> dict:
        return {name: value.detach().requires_grad_() for name, value in self.parameters.items()}

    def run(self, weights: dict, part: Part) -> tuple:
        hidden = (part.inputs @ weights["stage"]).tanh()
        outputs = torch.stack([hidden @ weights["first"], hidden.square() @ weights["second"]], dim=1)
        terms = [functional.cross_entropy(outputs[:, k], part.targets, reduction="none") for k in range(2)]
        return outputs, torch.stack(terms, dim=1)

    def stepped(self, weights: dict, gradient: list) -> dict:
        return {
            name: stepped(self.told, self.told.lr, value.detach(), each, self.optimizer.state.get(own, {}))
            for (name, value), each, own in zip(weights.items(), gradient, self.parameters.values(), strict=True)
        }

    def averaged(self, gradient: list) -> list:
        return [each.detach().clone() for each in gradient]

    def gathered(self, values: torch.Tensor) -> torch.Tensor:
        return values.detach()

    def own(self, values: torch.Tensor) -> torch.Tensor:
        return values


def batch(seed: int, n: int = 8) -> Part:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return Part(inputs, None, torch.randint(3, (n,), generator=generator))


def after_a_real_step(told: Recipe, before: int, teacher: nn.Module, q: float) -> float:
    """The meta loss, by torch's own optimiser and sample by sample."""
    toy = Toy(told, before)
    losses = toy.run(toy.parameters, batch(1))[1]
    with torch.no_grad():
        weights = teacher(losses)
    (weights * losses).mean().backward()
    toy.optimizer.step()
    with torch.no_grad():
        outputs, later = toy.run(toy.parameters, batch(2))
    where = left(outputs.softmax(2).amax(2).tolist(), q)
    shares = [[later[sample, k].item() for sample in range(len(where)) if where[sample] == k + 1] for k in range(2)]
    return sum(sum(share) / len(share) for share in shares if share)


@pytest.mark.parametrize("centred", ["sample", "batch"])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("name", RECIPES)
def test_the_weight_networks_gradient_is_that_of_a_step_really_taken(name, before, centred):
    told, q = recipe(name), 0.75
    torch.manual_seed(3)
    teacher = l2w.WeightNetwork(2, 0.8, centred).double()
    toy = Toy(told, before)
    before_it = {
        name: (value.detach().clone(), copy.deepcopy(toy.optimizer.state.get(value, {})))
        for name, value in toy.parameters.items()
    }
    l2w.teach(teacher, toy, batch(1), batch(2), q)
    directions = [torch.randn_like(each) for each in teacher.parameters()]
    slope = sum((each.grad * along).sum().item() for each, along in zip(teacher.parameters(), directions, strict=True))
    found, small = [], 1e-5
    start = [each.detach().clone() for each in teacher.parameters()]
    for sign in (1, -1):
        with torch.no_grad():
            for each, value, along in zip(teacher.parameters(), start, directions, strict=True):
                each.copy_(value + sign * small * along)
        found.append(after_a_real_step(told, before, teacher, q))
    expected = (found[0] - found[1]) / (2 * small)
    assert abs(expected) > 1e-6
    assert slope == pytest.approx(expected, rel=1e-4)
    # the pupil is as it was: weights, moments, and no gradient
    for key, value in toy.parameters.items():
        weights, moments = before_it[key]
        assert torch.equal(value, weights)
        assert value.grad is None
        now = toy.optimizer.state.get(value, {})
        assert all(
            each == now[name] if name == "step" else torch.equal(each, now[name]) for name, each in moments.items()
        )


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_ours_is_one_of_torchs(name, steps):
    told = recipe(name)
    parameter = nn.Parameter(torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    optimizer = optimiser(told, [parameter])
    for step in range(steps + 1):
        gradient = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        gradient[0] = 0  # never felt
        expected = stepped(told, told.lr, parameter.detach(), gradient, optimizer.state.get(parameter, {}))
        parameter.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-14)
    felt = gradient.requires_grad_()
    moved = stepped(told, told.lr, parameter.detach(), felt, {})
    assert torch.isfinite(torch.autograd.grad(moved.sum(), felt)[0]).all()


# -- in a training ----------------------------------------------------------------------------------------------------


def told(*phases: str, method: dict | None = None, **stated) -> dict:
    settings = settings_of(*phases, **stated)
    settings["network"] |= {"method": {"kind": "l2w"} | (method or {}), "placement": {"after": [1]}}
    return settings


def test_with_epsilon_0_it_is_the_plain_mean_to_the_last_bit(fitted):
    ours, progress = fitted(told("all", epochs=2, method={"epsilon": 0.0}), checkpoints="l2w")
    settings = told("all", epochs=2)
    settings["network"]["method"] = {"kind": "sdn"}
    plain, expected = fitted(settings, checkpoints="sdn")
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in ours.state_dict().items())
    assert [row["train_loss"] for row in progress.history] == [row["train_loss"] for row in expected.history]


@pytest.mark.parametrize("phase", ["all", "heads"])
def test_with_another_epsilon_it_is_not(fitted, phase):
    ours, _ = fitted(told(phase, epochs=1), checkpoints="l2w")
    settings = told(phase, epochs=1)
    settings["network"]["method"] = {"kind": "sdn"}
    plain, _ = fitted(settings, checkpoints="sdn")
    same = [torch.equal(value, plain.state_dict()[name]) for name, value in ours.state_dict().items()]
    # phase 3 of two exits has one that learns, and one loss has nothing to be weighed against
    assert all(same) == (phase == "heads")
    assert not any("teacher" in name for name in ours.state_dict())


@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_is_stopped_goes_on_to_the_same_bits(fitted, monkeypatch, every):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 1)
    settings = told("all", epochs=2, method={"every": every})
    whole, expected = fitted(settings, checkpoints="whole")
    while True:
        try:
            model, progress = fitted(settings, checkpoints="stopped", stop=lambda: True)
            break
        except Interrupted:
            continue
    assert progress.history == expected.history
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in whole.state_dict().items())


def test_two_batches_are_needed(fitted):
    with pytest.raises(ValueError, match="has a single batch of 144, and the method needs two"):
        fitted(told("all", epochs=1, batch=144))


@pytest.mark.parametrize(("step", "steps", "partner"), [(0, 4, 1), (1, 4, 0), (2, 4, 3), (2, 3, 1), (0, 2, 1)])
def test_neighbours_are_partners(step, steps, partner):
    assert partner_of(step, steps) == partner


@pytest.mark.parametrize("every", [1, 3])
def test_lessons_count_among_the_flops_of_a_training(fitted, every):
    _, progress = fitted(told("all", epochs=2, method={"every": every}), checkpoints="l2w")
    settings = told("all", epochs=2)
    settings["network"]["method"] = {"kind": "sdn"}
    _, plain = fitted(settings, checkpoints="sdn")
    # 12 steps of 3 n FLOPs for a sample; a lesson takes two of them, and 2 n to differentiate the first
    lessons = len(range(0, 12, every))
    assert progress.flops * 12 * 3 == plain.flops * (12 * 3 + lessons * 8)


@pytest.mark.parametrize("phase", ["heads", "all"])
def test_a_lesson_costs_what_torch_counts(fitted, monkeypatch, phase):
    counted, learn = [], Lessons.learn

    def counting(lessons, *arguments):
        with FlopCounterMode(display=False) as mode:
            learn(lessons, *arguments)
        counted.append(mode.get_total_flops() / 2 / (lessons.phase.recipe.batch * lessons.pupil.turn.flops_of_lesson))

    monkeypatch.setattr(Lessons, "learn", counting)
    settings = told(phase, epochs=1)
    settings["network"] |= {
        "backbone": {"family": "timm", "name": "test_vit", "pixels": 8, "patch": 4},
        "placement": {"every": 1},
    }
    fitted(settings)
    assert counted == pytest.approx([1.0] * len(counted), abs=0.03)
