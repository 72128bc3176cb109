"""GPF: outputs from past, present and imagined states, against the formulas computed sample by sample."""

import math

import numpy as np
import pytest
import torch
from conftest import settings_of

from manyexits.batches.views import blank_images
from manyexits.models.build import network as build
from manyexits.models.cost import count_network
from manyexits.models.methods import Now, gpf

BACKBONE = {"family": "resnet", "groups": [1, 2, 1], "width": 4}
SHAPE = blank_images(8, 8)
TASKS = {"classes": ({"classes": 5}, 5), "scores": ({"scores": [0, 5]}, 1)}
WIDTH = 16


def network(task: str = "classes", after=(1, 2, 3)):
    """A network of a few states whose shared layers all differ."""
    method = {"method": {"kind": "gpf", "width": WIDTH}, "placement": {"after": list(after)}}
    built = build({"backbone": BACKBONE} | TASKS[task][0] | method, SHAPE, seed=2).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.extras.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return built


def some_images(n=6):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def double(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def through(layer, values: np.ndarray) -> np.ndarray:
    return double(layer.weight) @ values + double(layer.bias)


def states(model, images) -> list[np.ndarray]:
    """States (n, D) of the internal exits."""
    exits = tuple(range(1, model.n_exits))
    tapped = model.features(images, exits)
    return [np.maximum(double(head[0](each)), 0) for head, each in zip(model.heads.values(), tapped, strict=True)]


def imagined(model, states: list[np.ndarray], sample: int, i: int) -> dict[int, np.ndarray]:
    """Exit j > i -> its state as exit i imagines it for a sample."""
    behind = range(i + 1, len(states) + 1)
    return {j: np.maximum(through(model.extras.imitators[str(j)], states[i - 1][sample]), 0) for j in behind}


def outputs_of(model, states: list[np.ndarray], sample: int, i: int) -> list[float]:
    """The formulas, as they stand, for one sample at exit i."""
    extras, future = model.extras, imagined(model, states, sample, i)
    past = sum(through(extras.reads[m - 1], states[m - 1][sample]) for m in range(1, i + 1))
    ahead = sum((through(extras.reads[j - 1], z) for j, z in future.items()), np.zeros_like(past))
    gate = sum(through(extras.gates[m - 1], states[m - 1][sample]) for m in range(1, i + 1)) / i
    share = [1 / (1 + math.exp(-each)) for each in through(extras.gate, np.maximum(gate, 0))]
    return [s * p + (1 - s) * q for s, p, q in zip(share, past, ahead, strict=True)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("after", [[1], [1, 3], [1, 2, 3]])
def test_outputs_are_those_computed_sample_by_sample(task, after):
    model, images = network(task, after), some_images()
    said, found = model(images), states(model, images)
    for i in range(1, model.n_exits):
        expected = [outputs_of(model, found, sample, i) for sample in range(len(images))]
        assert said[i - 1].shape == (len(images), TASKS[task][1])
        assert np.allclose(double(said[i - 1]), expected, rtol=1e-4, atol=1e-5), i
    assert torch.equal(said[-1], model.backbone(images))


def told(exits: tuple[int, ...]) -> Now:
    return Now(1, exits, tuple(exit_ / 4 for exit_ in exits), 4)


@pytest.mark.parametrize("after", [[1], [1, 3], [1, 2, 3]])
def test_the_loss_is_the_weighted_mean_and_the_distance_of_what_was_imagined(after):
    model, images = network("classes", after), some_images()
    exits = tuple(range(1, model.n_exits + 1))
    _, memory = model.fold(model.features(images, exits), exits, answered=False)
    losses = torch.rand(len(images), len(exits), generator=torch.Generator().manual_seed(3))
    expected = sum(k * losses[:, k - 1].double().mean().item() for k in exits) / sum(exits)
    found, n = states(model, images), model.n_exits - 1
    distances = []
    for i in range(1, n):
        apart = []
        for sample in range(len(images)):
            for j, guess in imagined(model, found, sample, i).items():
                real = found[j - 1][sample]
                lengths = np.linalg.norm(guess) * np.linalg.norm(real)
                apart.append(1 - guess @ real / max(lengths, 1e-12))  # of a state that is 0 the cosine is 0
        distances.append(sum(apart) / len(apart))
    expected += sum(distances) / len(distances) if distances else 0
    assert gpf.build(5).loss(losses, memory, told(exits)).item() == pytest.approx(expected, rel=1e-4)


def test_phase_1_has_the_last_exits_loss_alone():
    losses = torch.tensor([[2.0], [4.0]])
    assert gpf.build(5).loss(losses, (), told((4,))).item() == 3


def test_what_was_imagined_rightly_costs_nothing():
    states = [torch.rand(3, 4) for _ in range(3)]
    memory = tuple(torch.stack(states[i:], dim=1) for i in range(3))
    assert float(gpf.imitation(memory)) == pytest.approx(0, abs=1e-6)
    turned = (torch.stack([states[0], *(-each for each in states[1:])], dim=1), *memory[1:])
    assert float(gpf.imitation(turned)) == pytest.approx(2 / 2)  # the mean of 2 at exit 1 and 0 at exit 2


def gradients(model, value) -> dict[str, bool]:
    """Which heads, imitators, readings and gates a value's gradient reaches."""
    model.zero_grad()
    value.backward()
    parts = {f"head {k}": head for k, head in model.exit_heads.items()}
    parts |= {f"imitator {j}": each for j, each in model.extras.imitators.items()}
    for name in ("reads", "gates"):
        parts |= {f"{name} {m}": each for m, each in enumerate(getattr(model.extras, name), start=1)}
    return {
        name: any(p.grad is not None and bool(p.grad.any()) for p in each.parameters()) for name, each in parts.items()
    }


@pytest.mark.parametrize(
    ("exit_", "expected"),
    [
        (1, {"head 1", "imitator 2", "imitator 3", "reads 1", "reads 2", "reads 3", "gates 1"}),
        (2, {"head 2", "imitator 3", "reads 1", "reads 2", "reads 3", "gates 1", "gates 2"}),
        (3, {"head 3", "reads 1", "reads 2", "reads 3", "gates 1", "gates 2", "gates 3"}),
    ],
)
def test_an_exits_gradient_reaches_its_own_head_and_no_past_state(exit_, expected):
    model = network()
    said = model(some_images(), tuple(range(1, exit_ + 1)))[-1]
    reached = gradients(model, said.square().sum())
    assert {name for name, there in reached.items() if there} == expected


def test_the_imitations_gradient_reaches_no_imitated_state():
    model, images = network(), some_images()
    _, memory = model.fold(model.features(images, (1, 2, 3)), (1, 2, 3), answered=False)
    reached = gradients(model, gpf.imitation(memory))
    assert {name for name, there in reached.items() if there} == {"head 1", "head 2", "imitator 2", "imitator 3"}


def test_layers_start_as_defined():
    torch.manual_seed(0)
    extras = gpf.PastFuture(3, 512, 100)
    for layer in (*extras.reads, *extras.gates):
        assert layer.weight.std().item() == pytest.approx(512**-0.5, rel=0.02)
        assert not layer.bias.any()
    assert set(extras.imitators) == {"2", "3"}
    assert extras.gate.weight.shape == (100, 100)


def test_an_exit_costs_what_it_multiplies():
    model = network()
    channels, (n, c) = (4, 8, 8), (3, 5)
    heads = [16 * channel * WIDTH for channel in channels]
    # imitators of all exits behind, readings of all exits, gates of those so far, and the gate itself
    own = [(n - i) * WIDTH**2 + n * WIDTH * c + i * WIDTH * c + c * c for i in (1, 2, 3)]
    costs = count_network(model, SHAPE)
    assert costs.heads[:-1] == [head + each for head, each in zip(heads, own, strict=True)]
    assert costs.answers == [0, 0, 0, 0]


@pytest.mark.parametrize("phase", ["heads", "all"])
def test_a_phase_learns_and_the_heads_phase_leaves_the_backbone(fitted, phase):
    settings = settings_of(phase, epochs=6, patience=6, lr=3e-3)
    settings["network"] |= {"method": {"kind": "gpf", "width": 16}, "placement": {"after": [1]}}
    start = build(settings["network"], SHAPE, seed=1).state_dict()
    model, progress = fitted(settings)
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not value.equal(start[name])}
    assert moved == ({"backbone"} if phase == "all" else set()) | {"heads", "extras"}
    first, *_, last = [row for row in progress.history if row["exit"] == 1]
    assert last["train_loss"] < first["train_loss"]
