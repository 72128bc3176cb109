"""Learning rates at every step, and the two optimisers, against arithmetic by hand."""

import math

import pytest
import torch
from conftest import RECIPE, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.study.recipe import Recipe
from manyexits.training.optimiser import learning_rate, optimiser
from manyexits.training.phase import Phase

quick = settings(max_examples=30, deadline=None)
epochs, per_epoch = st.integers(1, 40), st.integers(1, 40)


def recipe(**told) -> Recipe:
    return Recipe.model_validate(RECIPE | told)


def rates(told: Recipe, steps: int) -> list[float]:
    """Of all steps of a phase that goes to its limit."""
    return [learning_rate(told, step, steps) for step in range(told.epochs * steps)]


# -- learning rate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_epochs", "steps", "tenths"),
    [
        (1, 1, [0]),
        (1, 2, [0, 1]),
        (2, 1, [0, 1]),
        (1, 4, [0, 0, 1, 2]),
        (4, 1, [0, 0, 1, 2]),
        (2, 3, [0, 0, 0, 1, 1, 2]),  # 3/4 of six steps is 4.5: the fifth has not come so far
        (5, 1, [0, 0, 0, 1, 2]),
    ],
)
def test_steps_take_a_tenth_at_half_and_a_hundredth_at_three_quarters(n_epochs, steps, tenths):
    told = recipe(schedule="step", lr=0.1, epochs=n_epochs)
    assert rates(told, steps) == pytest.approx([0.1 / 10**each for each in tenths], rel=1e-12)


@quick
@given(epochs, per_epoch)
def test_a_step_drops_exactly_where_so_much_of_the_limit_is_done(n_epochs, steps):
    told, total = recipe(schedule="step", lr=0.3, epochs=n_epochs), n_epochs * steps
    expected = [0.3 if 2 * s < total else 0.03 if 4 * s < 3 * total else 0.003 for s in range(total)]  # in integers
    assert rates(told, steps) == pytest.approx(expected, rel=1e-12)


def test_the_published_recipe_drops_after_150_and_225_of_300_epochs():
    told, steps = recipe(schedule="step", lr=0.1, epochs=300, optimizer="sgd", momentum=0.9), 703
    found = {epoch: learning_rate(told, (epoch - 1) * steps, steps) for epoch in (1, 150, 151, 225, 226, 300)}
    assert found == pytest.approx({1: 0.1, 150: 0.1, 151: 0.01, 225: 0.01, 226: 0.001, 300: 0.001})
    assert learning_rate(told, 150 * steps - 1, steps) == 0.1


@quick
@given(epochs, per_epoch, st.floats(0, 0.5))
def test_a_cosine_is_half_a_wave_from_the_rate_to_its_least(n_epochs, steps, least):
    told, total = recipe(lr=0.5, lr_min=least, epochs=n_epochs), n_epochs * steps
    found = rates(told, steps)
    assert found[0] == pytest.approx(0.5)
    # half the distance times 1 + cos is the distance times the cosine of half the angle, squared
    waves = [least + (0.5 - least) * math.cos(math.pi * step / total / 2) ** 2 for step in range(total)]
    assert found == pytest.approx(waves, rel=1e-9)
    assert found == sorted(found, reverse=True)
    assert least - 1e-12 <= learning_rate(told, total, steps) <= least + 1e-12
    if total % 2 == 0:
        assert found[total // 2] == pytest.approx((0.5 + least) / 2)


@quick
@given(epochs, per_epoch, st.floats(1e-6, 10))
def test_a_constant_is_constant(n_epochs, steps, rate):
    assert set(rates(recipe(schedule="constant", lr=rate, epochs=n_epochs), steps)) == {rate}


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
def test_every_phase_begins_with_its_rate(schedule):
    assert learning_rate(recipe(schedule=schedule, lr=0.25, epochs=1), 0, 1) == 0.25


def test_the_least_rate_belongs_to_the_cosine():
    with pytest.raises(ValueError, match="'lr_min' is the end of a cosine, and the schedule is step"):
        recipe(schedule="step", lr_min=1e-4)


# -- optimisers -------------------------------------------------------------------------------------------------------


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64))


GRADIENTS = ([1.0, -3.0, 0.25], [-0.5, 2.0, 4.0], [0.1, 0.2, -0.3])


def stepped(told: Recipe) -> list[float]:
    """A parameter after a step for each gradient."""
    learned = parameter()
    steps = optimiser(told, [learned])
    for gradient in GRADIENTS:
        learned.grad = torch.tensor(gradient, dtype=torch.float64)
        steps.step()
    return learned.tolist()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_adds_the_decay_to_the_gradient_and_sums_up_with_momentum(momentum, decay):
    told = recipe(optimizer="sgd", lr=0.2, momentum=momentum, weight_decay=decay)
    expected = []
    for place, value in enumerate(parameter().tolist()):
        velocity = 0.0
        for gradient in GRADIENTS:
            velocity = momentum * velocity + gradient[place] + decay * value
            value -= 0.2 * velocity
        expected.append(value)
    assert stepped(told) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_decays_the_weights_beside_the_step(decay):
    told = recipe(optimizer="adamw", lr=0.2, weight_decay=decay)
    expected = []
    for place, value in enumerate(parameter().tolist()):
        first = second = 0.0
        for step, gradient in enumerate(GRADIENTS, start=1):
            value -= 0.2 * decay * value
            first, second = 0.9 * first + 0.1 * gradient[place], 0.999 * second + 0.001 * gradient[place] ** 2
            value -= 0.2 * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
        expected.append(value)
    assert stepped(told) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_a_recipe_names_its_optimiser(name, kind):
    assert type(optimiser(recipe(optimizer=name), [parameter()])) is kind


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
def test_a_training_takes_the_rate_of_each_step(fitted, monkeypatch, schedule):
    taken, step = [], Phase.step

    def noted(phase, *arguments):
        step(phase, *arguments)
        taken.append(phase.turns[0].optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(Phase, "step", noted)
    told = {"schedule": schedule, "optimizer": "sgd", "lr": 0.04, "epochs": 2, "batch": 36, "crop_padding": 0}
    fitted(settings_of("heads", **told))  # four steps an epoch
    expected = {
        "constant": [0.04] * 8,
        "step": [0.04] * 4 + [0.004] * 2 + [0.0004] * 2,
        "cosine": [0.02 + 0.02 * math.cos(math.pi * each / 8) for each in range(8)],
    }
    assert taken == pytest.approx(expected[schedule])


def test_a_linear_schedule_rises_evenly_and_falls_to_nothing():
    told = recipe(lr=2.0, schedule="linear", warmup=0.2, epochs=5)
    found = [learning_rate(told, step, 4) for step in range(20)]
    assert found == pytest.approx([2 * step / 4 for step in range(4)] + [2 * (20 - step) / 16 for step in range(4, 20)])
