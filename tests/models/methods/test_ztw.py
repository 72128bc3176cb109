"""ZTW: exits that read what the one before said, an ensemble of all that have spoken, and the phase that trains it."""

import math

import numpy as np
import pytest
import torch
from conftest import settings_of
from torch import nn

from manyexits.batches.views import Views, blank_images
from manyexits.data import prepared as dataset
from manyexits.exits.policies import Policy
from manyexits.exits.task import of
from manyexits.models.backbones import Tap
from manyexits.models.build import network as build
from manyexits.models.cost import count_network
from manyexits.models.methods import ztw
from manyexits.study import components
from manyexits.study.regimes import PHASES

BACKBONE = {"family": "resnet", "groups": [1, 2, 1], "width": 4}
SHAPE = blank_images(8, 8)
TASKS = {"classes": {"classes": 5}, "scores": {"scores": [0, 5]}}


def network(task: str, after=(1, 2, 3), backbone=BACKBONE):
    """A network whose extras are far from their start."""
    method, placement = {"method": {"kind": "ztw"}}, {"placement": {"after": list(after)}}
    built = build({"backbone": backbone} | TASKS[task] | method | placement, SHAPE, seed=2).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.extras.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return built


def some_images(n=6):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def double(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return np.array([each - math.log(sum(math.exp(other) for other in logits)) for each in logits])


def cascaded(model, images: torch.Tensor) -> list[np.ndarray]:
    """Each internal exit's own outputs, sample by sample from the weights."""
    exits = tuple(range(1, model.n_exits))
    said: list[np.ndarray] = []
    for head, tapped in zip(model.heads.values(), model.features(images, exits), strict=True):
        weight, bias = double(head.last.weight), double(head.last.bias)
        rows = []
        for sample, features in enumerate(double(head.body(tapped))):
            read = features
            if said:
                before = said[-1][sample]
                if len(before) > 1:
                    variance = sum((each - before.mean()) ** 2 for each in before) / len(before)
                    normal = (before - before.mean()) / math.sqrt(variance + 1e-5)
                    before = double(head.norm.weight) * normal + double(head.norm.bias)
                read = np.concatenate([features, before])
            rows.append(np.array([row @ read + b for row, b in zip(weight, bias, strict=True)]))
        said.append(np.array(rows))
    return said


def ensembled(model, said: list[np.ndarray]) -> list[np.ndarray]:
    """Each internal exit's answer, sample by sample from the weights."""
    answers = []
    for m in range(1, len(said) + 1):
        w, b = double(model.extras.weights[m - 1]), double(model.extras.biases[m - 1])
        rows = []
        for sample in range(len(said[0])):
            spoken = [said[j][sample] for j in range(m)]
            if len(b) > 1:
                rows.append(sum(math.exp(w[j]) * log_softmax(spoken[j]) for j in range(m)) / m + b)
            else:
                total = sum(math.exp(each) for each in w)
                rows.append(sum(math.exp(w[j]) / total * spoken[j] for j in range(m)) + b)
        answers.append(np.array(rows))
    return answers


# -- cascade ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("after", [[1], [3], [1, 2, 3]])
def test_exits_and_answers_are_those_computed_sample_by_sample(task, after):
    model, images = network(task, after), some_images()
    with torch.no_grad():
        for head in model.heads.values():  # an affine norm that is not the identity
            for parameter in head.norm.parameters():
                parameter.add_(torch.linspace(-0.5, 0.5, len(parameter)))
    exits = tuple(range(1, model.n_exits + 1))
    outputs, _ = model.fold(model.features(images, exits), exits, answered=False)
    expected = cascaded(model, images)
    for ours, theirs in zip(outputs[:-1], expected, strict=True):
        assert np.allclose(double(ours), theirs, rtol=1e-5, atol=1e-5)
    answers = model(images)
    for ours, theirs in zip(answers[:-1], ensembled(model, expected), strict=True):
        assert np.allclose(double(ours), theirs, rtol=1e-5, atol=1e-5)
    assert torch.equal(outputs[-1], model.backbone(images))  # the last exit has neither
    assert torch.equal(answers[-1], model.backbone(images))


@pytest.mark.parametrize("task", TASKS)
def test_the_heads_read_as_many_values_more_as_there_are_outputs_but_the_first(task):
    heads, outputs = list(network(task).heads.values()), {"classes": 5, "scores": 1}[task]
    assert [head.last.in_features for head in heads] == [4 * 16, 8 * 16 + outputs, 8 * 16 + outputs]
    norms = [[layer for layer in head.modules() if isinstance(layer, nn.LayerNorm)] for head in heads]
    # of one number a norm is constant
    assert [len(each) for each in norms] == ([0, 1, 1] if task == "classes" else [0, 0, 0])
    assert all(norm.normalized_shape == (5,) and norm.weight is not None for each in norms for norm in each)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("exit_", [2, 3])
def test_no_gradient_of_an_exit_reaches_the_head_before_it(task, exit_):
    model, images = network(task), some_images()
    exits = (1, 2, 3)
    outputs, _ = model.fold(model.features(images, exits), exits, answered=False)
    outputs[exit_ - 1].square().sum().backward()
    reached = [
        any(p.grad is not None and p.grad.any() for p in head.last.parameters()) for head in model.heads.values()
    ]
    assert reached == [exit_ == 1, exit_ == 2, exit_ == 3]
    assert all(parameter.grad is None for parameter in model.extras.parameters())


def test_the_exit_before_is_heard():
    model, images = network("classes"), some_images()
    features = model.features(images, (1, 2))
    louder = [features[0] + 1, features[1]]
    plain, changed = (model.fold(each, (1, 2), answered=False)[0] for each in (features, louder))
    assert not torch.allclose(plain[1], changed[1])


@pytest.mark.parametrize("shape", [(3,), (6, 7, 7)])
def test_the_cascade_stands_on_tokens_and_on_deeper_heads(shape):
    method = ztw.build(4, depth=1, **({"hidden": 5} if len(shape) == 1 else {}))
    first, second = (method.head(k, 3, Tap(shape)) for k in (1, 2))
    tapped = torch.randn(2, *shape)
    outputs, memory = method.exit({1: first, 2: second}, nn.ModuleDict(), 1, tapped, ())
    assert torch.equal(outputs, first.last(first.body(tapped)))
    again, memory = method.exit({1: first, 2: second}, nn.ModuleDict(), 2, tapped, memory)
    assert again.shape == (2, 4)
    assert [each.shape for each in memory] == [(2, 4), (2, 4)]


# -- ensemble ---------------------------------------------------------------------------------------------------------


def test_the_ensemble_starts_near_the_geometric_mean_without_bias():
    torch.manual_seed(0)
    start = ztw.Ensemble(60, 3)
    assert [len(each) for each in start.weights] == list(range(1, 61))
    drawn = torch.cat([weights.detach() for weights in start.weights])
    assert drawn.mean().abs() < 4 * 0.01 / math.sqrt(len(drawn))
    assert drawn.std().item() == pytest.approx(0.01, rel=0.1)
    assert [bias.tolist() for bias in start.biases] == [[0.0] * 3] * 60


def test_a_new_ensemble_is_as_large_as_the_network_has_internal_exits():
    settings = {"backbone": BACKBONE, "classes": 5, "method": {"kind": "ztw"}, "placement": {"after": [1, 3]}}
    extras = build(settings, SHAPE, seed=2).extras
    assert [parameter.shape for parameter in extras.parameters()] == [(1,), (2,), (5,), (5,)]
    assert all(0 < each.abs().max() < 0.06 for each in extras.weights)


def test_answers_that_are_said_by_all_are_not_changed_by_unweighted_ensembles():
    extras = ztw.Ensemble(3, 4)
    with torch.no_grad():
        for weights in extras.weights:
            weights.zero_()
    said = torch.randn(2, 4)
    for m in (1, 2, 3):
        torch.testing.assert_close(extras((said,) * m), said.log_softmax(1))


def test_an_ensemble_of_scores_stays_between_them():
    extras = ztw.Ensemble(3, 1)
    said = tuple(torch.tensor([[value], [-value]]) for value in (1.0, 2.0, 4.0))
    assert extras(said[:1]).tolist() == [[1.0], [-1.0]]
    assert extras(said)[:, 0].tolist() == pytest.approx([7 / 3, -7 / 3], abs=0.1)


def between(values: torch.Tensor) -> float:
    """A threshold in the middle that is none of the values."""
    ordered = values.flatten().sort().values
    return ordered[len(ordered) // 2 - 1 : len(ordered) // 2 + 1].mean().item()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n", [1, 6])
def test_early_exit_inference_gives_the_answers_of_the_exit_that_each_sample_leaves_at(task, n):
    model, images = network(task), some_images(n)
    answers = torch.stack(model(images), dim=1)
    confidence, gaps = answers.softmax(2).amax(2), (answers[:, 1:, 0] - answers[:, :-1, 0]).abs()
    if task == "classes":
        policy = Policy("confidence", (between(confidence[:, :3]),) * 3)
    else:
        policy = Policy("agreement", (between(gaps),) * 3, patience=1, task=of(TASKS[task]))
    found, left_at = model.forward_until(images, policy)
    expected = []
    for sample in range(n):
        leaves = [True] * 4
        for k in range(3):
            if task == "classes":
                leaves[k] = bool(confidence[sample, k] > policy.thresholds[k])
            else:
                leaves[k] = k > 0 and bool(gaps[sample, k - 1] < policy.thresholds[k])
        expected.append(leaves.index(True) + 1)
    assert left_at.tolist() == expected
    for sample, exit_ in enumerate(expected):
        torch.testing.assert_close(found[sample], answers[sample, exit_ - 1], rtol=1e-4, atol=1e-5)


# -- training ---------------------------------------------------------------------------------------------------------


def trained_settings(*phases: str, **recipe) -> dict:
    settings = settings_of(*phases, **recipe)
    settings["network"] |= {"method": {"kind": "ztw"}, "placement": {"after": [1, 2]}}
    settings["network"]["backbone"] = {"family": "resnet", "groups": [1, 1, 1], "width": 4}
    return settings


def start(settings: dict):
    return build(settings["network"], SHAPE, settings["seed"])


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_method_asks_for_its_phase_and_leaves_by_confidence():
    assert components.constant("methods", "ztw", "PHASES", ()) == ("ensemble",)
    assert components.constant("methods", "ztw", "CRITERION", None) is None
    assert PHASES["ensemble"].groups == ("extras",)


@pytest.mark.parametrize("phase", ["backbone", "all", "heads"])
def test_a_regimes_own_phases_leave_the_ensemble_alone_to_the_bit(fitted, phase):
    settings = trained_settings(phase, weight_decay=0.1, clip=1.0, epochs=1)
    before = start(settings).state_dict()
    model, _ = fitted(settings)
    found = changed(before, model.state_dict())
    expected = {"backbone": {"backbone"}, "all": {"backbone", "heads"}, "heads": {"heads"}}[phase]
    assert {name.split(".")[0] for name in found} == expected
    heads = {name for name in before if name.startswith("heads.")}
    assert phase == "backbone" or heads <= found  # the norms of the cascade learn, too


@pytest.mark.parametrize("padding", [0, 1])  # with and without kept features
def test_the_ensemble_phase_changes_the_ensemble_alone(fitted, padding):
    settings = trained_settings("ensemble", weight_decay=0.1, crop_padding=padding, epochs=2)
    before = start(settings).state_dict()
    model, _ = fitted(settings)
    found = changed(before, model.state_dict())
    assert found == {name for name in before if name.startswith("extras.")}


def test_a_step_of_the_ensemble_phase_is_one_down_the_mean_cross_entropy_of_the_answers(fitted, prepared):
    rate = 0.5
    settings = trained_settings(
        "ensemble", optimizer="sgd", lr=rate, schedule="constant", batch=144, epochs=1, crop_padding=0
    )
    before = start(settings).eval()
    data = dataset.read(prepared)
    (images, labels), (more, others) = (
        (part.inputs, part.targets.numpy()) for part in Views(data, torch.device("cpu")).whole(data.train)
    )
    images, labels = torch.cat([images, more]), np.concatenate([labels, others])
    with torch.no_grad():
        said = [double(each) for each in before.fold(before.features(images, (1, 2)), (1, 2), answered=False)[0]]
    model, _ = fitted(settings)
    n, internal = len(labels), 2
    for m in (1, 2):
        w, b = double(before.extras.weights[m - 1]), double(before.extras.biases[m - 1])
        step_w, step_b = np.zeros(m), np.zeros(3)
        for sample in range(n):
            spoken = [log_softmax(said[j][sample]) for j in range(m)]
            answer = sum(math.exp(w[j]) * spoken[j] for j in range(m)) / m + b
            wrong = np.exp(log_softmax(answer)) - np.eye(3)[labels[sample]]  # of the cross-entropy by the answer
            step_b += wrong / (n * internal)
            step_w += np.array([math.exp(w[j]) / m * (wrong @ spoken[j]) for j in range(m)]) / (n * internal)
        assert np.abs(step_w).max() > 1e-4
        assert np.allclose(double(model.extras.weights[m - 1]), w - rate * step_w, rtol=0, atol=1e-6)
        assert np.allclose(double(model.extras.biases[m - 1]), b - rate * step_b, rtol=0, atol=1e-6)


def test_the_loss_of_the_ensemble_phase_is_that_of_the_answers(fitted, prepared):
    """Nothing is learned at this rate, so that the losses are those of the start."""
    settings = trained_settings("ensemble", optimizer="sgd", lr=1e-9, batch=144, epochs=1, crop_padding=0)
    _, progress = fitted(settings)
    data, model = dataset.read(prepared), start(settings).eval()
    by_split = {}
    for split in ("train", "validation"):
        rows = []
        for part in Views(data, torch.device("cpu")).whole(getattr(data, split)):
            answers = ensembled(model, cascaded(model, part.inputs))
            labels = part.targets.tolist()
            rows += [[-log_softmax(answer[sample])[label] for answer in answers] for sample, label in enumerate(labels)]
        by_split[split] = np.mean(rows, axis=0)
    assert [row["exit"] for row in progress.history] == [1, 2, 3]
    for row, train, validation in zip(progress.history[:2], *by_split.values(), strict=True):
        assert row["train_loss"] == pytest.approx(train, rel=1e-5)
        assert row["loss"] == pytest.approx(validation, rel=1e-5)
    assert progress.history[2]["train_loss"] is None


def test_a_trained_network_gives_answers_and_not_its_exits_own_outputs(fitted):
    model, _ = fitted(trained_settings("all", "ensemble", epochs=2))
    model.eval()
    images = some_images()
    own, _ = model.fold(model.features(images, (1, 2)), (1, 2), answered=False)
    answers = model(images)
    for answer, expected, outputs in zip(answers, ensembled(model, cascaded(model, images)), own, strict=False):
        assert np.allclose(double(answer), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(answer, outputs, atol=1e-3)


def test_an_ensemble_phase_of_a_method_without_an_ensemble_is_refused(fitted):
    settings = trained_settings("ensemble")
    settings["network"]["method"] = {"kind": "sdn"}
    with pytest.raises(ValueError, match="phase ensemble has nothing to learn: the network's extras hold no parameter"):
        fitted(settings)


# -- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "outputs"), [("classes", 5), ("scores", 1)])
def test_the_cascade_costs_its_inputs_and_an_answer_one_product_for_each_that_has_spoken(task, outputs):
    found = count_network(network(task), SHAPE)
    plain = {"backbone": BACKBONE, "method": {"kind": "sdn"}, "placement": {"after": [1, 2, 3]}} | TASKS[task]
    without = count_network(build(plain, SHAPE, seed=2), SHAPE)
    assert found.stages == without.stages
    assert found.heads == [cost + more for cost, more in zip(without.heads, [0, *[outputs**2] * 2, 0], strict=True)]
    assert found.answers == [outputs, 2 * outputs, 3 * outputs, 0]
    assert found.backbone == without.backbone
    added = [outputs, 3 * outputs + outputs**2, 6 * outputs + 2 * outputs**2, 6 * outputs + 2 * outputs**2]
    assert [ours - theirs for ours, theirs in zip(found.exits, without.exits, strict=True)] == added


@pytest.mark.parametrize("padding", [0, 1])
def test_the_ensemble_phase_spends_one_pass_of_all_but_three_of_the_answers(fitted, padding):
    settings = trained_settings("ensemble", crop_padding=padding, batch=24, epochs=1)
    _, progress = fitted(settings)
    found = count_network(start(settings), SHAPE)
    seen, stages = 144, sum(found.stages[:2])  # the last stage is not run
    answers = (1 + 2) * 3
    assert sum(found.answers) == answers
    # a frozen backbone without augmentation is run once for each sample; with one epoch that is the same number
    assert progress.flops == seen * (stages + sum(found.heads[:2]) + 3 * answers)
