"""Temperatures of exits: the fitted one against a fine search, and the protocol that reads confidences at them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from manyexits.exits import calibrate, criteria, predict, temperature, thresholds
from manyexits.exits.policies import Policy, exit_index, understood
from manyexits.exits.task import Task

TASK = Task("classification", 4)


def made(n: int, seed: int, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (n, 3, 4) of exits that are `factor` times as sure as they should be, and labels drawn from them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (n, 3, 4)).astype(np.float32)
    shares = np.exp(logits[:, 1].astype(np.float64))
    shares /= shares.sum(1, keepdims=True)
    labels = np.array([generator.choice(4, p=row) for row in shares])
    return factor * logits, labels


def cross_entropy(logits: np.ndarray, labels: np.ndarray, at: float) -> float:
    return functional.cross_entropy(torch.from_numpy(logits).double() / at, torch.from_numpy(labels)).item()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.2, 1.0, 3.0]))
def test_the_temperature_has_the_smallest_cross_entropy(seed, factor):
    logits, labels = made(60, seed, factor)
    found = temperature.fit(logits[:, 1], labels)
    smallest = cross_entropy(logits[:, 1], labels, found)
    assert all(smallest <= cross_entropy(logits[:, 1], labels, each) + 1e-9 for each in np.geomspace(1e-3, 1e3, 400))


def test_outputs_that_are_too_sure_by_a_factor_get_it_back():
    logits, labels = made(20_000, 1, factor=2.5)
    assert temperature.fit(logits[:, 1], labels) == pytest.approx(2.5, rel=0.05)
    assert temperature.fit_all(logits, labels).shape == (3,)


def test_two_samples_by_hand():
    # p(label) = s(d) of one and s(-d) of three: the best has s(d / T) = 3 / 4, d / T = ln 3
    logits = np.array([[2.0, 0.0]] * 4, dtype=np.float32)
    assert temperature.fit(logits, np.array([0, 0, 0, 1])) == pytest.approx(2 / math.log(3), rel=1e-4)


def test_what_has_no_best_temperature_stays_within_the_limits():
    logits = np.array([[3.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    right, wrong = (temperature.fit(logits, np.array(labels)) for labels in ([0, 1], [1, 0]))
    assert 1e-3 <= right < 0.1  # where the loss is 0 to the last digit
    assert 100 < wrong <= 1e3
    assert temperature.fit(np.full((2, 2), np.nan, np.float32), np.array([0, 1])) == 1


def test_samples_without_numbers_do_not_count():
    logits, labels = made(200, 2)
    spoiled = np.concatenate([logits[:, 1], np.full((5, 4), np.nan, np.float32)])
    more = np.concatenate([labels, np.zeros(5, labels.dtype)])
    assert temperature.fit(spoiled, more) == temperature.fit(logits[:, 1], labels)


def arrays(factor: float) -> tuple[dict, dict]:
    outputs, by_split = {}, {}
    for seed, split in enumerate(predict.SPLITS):
        outputs[split], labels = made(300, seed, factor)
        by_split[split] = predict.predictions(outputs[split], labels, TASK)
    predict.add_temperatures(by_split, outputs)
    return by_split, outputs


def test_confidences_at_temperatures_are_softmaxes_and_rank_an_exits_samples_alike():
    by_split, outputs = arrays(2.0)
    at = by_split[predict.FITTED]["temperature"]
    for split in predict.SPLITS:
        expected = functional.softmax(torch.from_numpy(outputs[split] / at[:, None]).double(), dim=2).amax(2)
        assert np.allclose(by_split[split]["tempered"], expected, atol=1e-6)
    # two classes: with more a temperature moves samples past one another
    logits, labels = np.random.default_rng(0).normal(size=(50, 1, 2)).astype(np.float32), np.arange(50) % 2
    plain, at_two = (temperature.tempered(logits, np.array([t], np.float32))[:, 0] for t in (1, 2))
    assert (np.argsort(plain, kind="stable") == np.argsort(at_two, kind="stable")).all()
    assert temperature.fit(logits[:, 0], labels) > 0


def test_the_protocol_is_shared_on_confidences_at_temperatures_and_a_network_leaves_by_it():
    by_split, outputs = arrays(3.0)
    scans = criteria.named("confidence", TASK, 3)
    costs, fitted = np.array([2, 4, 8]), by_split[predict.FITTED]["temperature"]
    (read,) = calibrate.read_under("temperature", scans)
    assert read.kept == "tempered"
    both = [[predict.scored(by_split[split], read, TASK)] for split in predict.SPLITS]
    cells = calibrate.choose("temperature", scans, [0.5, 1.0], *both, costs, 8, fitted.tolist())
    plain = calibrate.choose("shared", [read], [0.5, 1.0], *both, costs, 8)
    assert [cell["thresholds"] for cell in cells] == [cell["thresholds"] for cell in plain]
    assert [cell["chosen_on"] for cell in cells] == ["validation"] * 3
    for cell in cells:
        checked = thresholds.Cell.model_validate(cell).model_dump(exclude_unset=True)
        policy = Policy.of(checked, TASK)
        assert policy.temperatures == tuple(fitted.tolist())
        certain = both[1][0].certain
        expected = exit_index(certain, understood(cell["thresholds"], 1.0))
        left = np.full(len(certain), 3)
        for exit_ in (2, 1):
            leaves, _ = policy.leaves(exit_, outputs["test"][:, exit_ - 1])
            left[leaves] = exit_
        assert left.tolist() == expected.tolist()


def test_entropy_has_no_such_protocol():
    from manyexits.files.rows import defined

    assert defined("temperature", "confidence")
    assert not defined("temperature", "entropy")
    assert defined("shared", "entropy")


def test_predictions_without_temperatures_are_refused(tmp_path):
    from conftest import NOBODY

    by_split, _ = arrays(1.0)
    scans = {"confidence": criteria.named("confidence", TASK, 3)}
    predict.write(tmp_path / "whole", by_split, NOBODY)
    found, _ = predict.read(tmp_path / "whole", scans, TASK, 3, ["temperature"])
    assert np.array_equal(found["validation"]["tempered"], by_split["validation"]["tempered"])
    assert np.array_equal(found[predict.FITTED]["temperature"], by_split[predict.FITTED]["temperature"])
    older = {split: {k: v for k, v in by_split[split].items() if k != "tempered"} for split in predict.SPLITS}
    predict.write(tmp_path / "older", older, NOBODY)
    assert predict.read(tmp_path / "older", scans, TASK, 3, ["shared"])
    with pytest.raises(ValueError, match=r"lacks the array validation.tempered that the protocol temperature reads"):
        predict.read(tmp_path / "older", scans, TASK, 3, ["temperature"])
    del by_split[predict.FITTED]
    predict.write(tmp_path / "half", by_split, NOBODY)
    with pytest.raises(ValueError, match="lacks a temperature for each of 3 exits"):
        predict.read(tmp_path / "half", scans, TASK, 3, ["temperature"])
