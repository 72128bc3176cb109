"""Every method on every backbone family under every regime, as the folders list them: adding a file adds its tests.

`make test` trains every pair, `make test-all` every triple.
"""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NOBODY, RECIPE, settings_of

from manyexits.batches.state import State, some
from manyexits.batches.views import Blanks, blank_images, blank_texts, blanks
from manyexits.data import prepare
from manyexits.data import prepared as dataset
from manyexits.data.raw import Raw, RawPart
from manyexits.exits import criteria, task
from manyexits.exits.policies import Policy, exit_index
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.models.network import load_weights, save_weights
from manyexits.study import components
from manyexits.training.train import Interrupted

SMALL = {
    "resnet": {"groups": [1, 2, 1], "width": 4},
    "msdnet": {"layers": [1, 1, 2, 1], "width": 4, "growth": 2, "scales": 2, "head": 4},
    "timm": {"name": "test_vit", "pixels": 16, "patch": 8},
    "bert": {"n_blocks": 4, "width": 16, "heads": 2, "inner": 24, "vocabulary": 64, "length": 12, "positions": 12},
}
"""Options of families that cannot do without."""
PIXELS = 16
TASKS = {"classification": {"classes": 3}, "regression": {"scores": [0.0, 2.0]}}
REGIMES = {
    "disjoint": ["backbone", "heads"],
    "joint": ["all"],
    "mixed": ["backbone", "all"],
    "1-2-3": ["backbone", "all", "heads"],
    "2-3": ["all", "heads"],
    "alternating": ["backbone+heads"],
}
FAMILIES = components.names("backbones")
DEFINED = {
    name: [m for m in components.names("methods") if name in components.constant("methods", m, "TASKS", list(TASKS))]
    for name in TASKS
}
"""Task -> methods that are defined for it."""
METHODS = DEFINED["classification"]
LENGTHS = np.array([3, 5, 5, 7, 8, 9, 11, 12, 12])
"""Tokens of nine texts."""


def reads(family: str) -> str:
    """images or texts."""
    return components.constant("backbones", family, "READS", "images")


def blank(family: str) -> Blanks:
    """Blank inputs for a family."""
    return blank_texts(LENGTHS) if reads(family) == "texts" else blank_images(PIXELS, PIXELS)


def drawn(family: str) -> State:
    """Nine samples for a family."""
    generator = torch.Generator().manual_seed(1)
    if reads(family) == "images":
        return torch.randn(9, 3, PIXELS, PIXELS, generator=generator)
    mask = torch.arange(LENGTHS.max()) < torch.from_numpy(LENGTHS)[:, None]
    ids = torch.randint(4, 64, mask.shape, generator=generator) * mask
    return ids, torch.zeros_like(ids), mask


def network_settings(method: str, family: str, name: str = "classification") -> dict:
    backbone = {"family": family, **SMALL.get(family, {})}
    return TASKS[name] | {"backbone": backbone, "method": {"kind": method}, "placement": {"every": 1}}


def build_network(method: str, family: str, name: str = "classification"):
    torch.manual_seed(0)
    network = build.network(network_settings(method, family, name), blank(family), seed=3)
    with torch.no_grad():  # away from what layers start from: extras that do nothing would hide a mistake
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


pairs = pytest.mark.parametrize(("method", "family"), list(itertools.product(METHODS, FAMILIES)))


@pytest.mark.parametrize(
    ("name", "method", "family"),
    [(name, *pair) for name in TASKS for pair in itertools.product(DEFINED[name], FAMILIES)],
)
@torch.no_grad()
def test_early_exit_answers_as_the_whole_network_does_at_the_exit_where_each_sample_leaves(method, family, name):
    network, inputs = build_network(method, family, name), drawn(family)
    answers = torch.stack(network(inputs), dim=1).numpy()
    asked = task.of(TASKS[name])
    for criterion in criteria.names(asked):
        for scan in criteria.named(criterion, asked, network.n_exits):
            kept = np.stack([scan.keep(answers[:, k]) for k in range(network.n_exits)], axis=1)
            certain = criteria.certainties(scan, kept)
            early = np.unique(certain[:, :-1][np.isfinite(certain[:, :-1])])
            threshold = float(early[(len(early) - 1) // 2 :][:2].mean()) if len(early) else 0.0  # between two samples
            thresholds = np.full(network.n_exits - 1, threshold)
            policy = Policy(criterion, tuple(scan.sign * thresholds), patience=scan.patience, task=asked)
            said, left_at = network.forward_until(inputs, policy)
            expected = exit_index(certain, thresholds)
            assert left_at.tolist() == expected.tolist(), criterion
            found = answers[np.arange(len(LENGTHS)), expected - 1]
            assert np.allclose(said.numpy(), found, atol=1e-4), criterion


@pairs
@torch.no_grad()
def test_a_sample_alone_is_answered_as_in_a_batch(method, family):
    network, inputs = build_network(method, family), drawn(family)
    whole = network(inputs)
    for row in range(3):
        alone = network(alone_of(inputs, row))
        for one, many in zip(alone, whole, strict=True):
            assert torch.allclose(one[0], many[row], atol=1e-4)


def alone_of(inputs: State, row: int) -> State:
    """One sample, without padding."""
    found = some(inputs, torch.tensor([row]))
    return tuple(part[:, : LENGTHS[row]] for part in found) if isinstance(found, tuple) else found


@pairs
def test_the_last_exit_is_the_backbone_and_fewer_exits_answer_alike(method, family):
    network, inputs = build_network(method, family), drawn(family)
    answers = network(inputs)
    assert torch.equal(answers[-1], network.backbone(inputs))
    for asked in ((1,), tuple(range(1, network.n_exits)), (network.n_exits,)):
        for exit_, found in zip(asked, network(inputs, asked), strict=True):
            assert torch.allclose(found, answers[exit_ - 1], atol=1e-6)


@pairs
def test_costs_are_known_and_rise_from_exit_to_exit(method, family):
    network = build_network(method, family)
    modes = {module: module.training for module in network.modules()}
    costs = count_network(network, blank(family))
    assert costs.exits == sorted(set(costs.exits))
    assert costs.backbone == sum(costs.stages) + costs.heads[-1]
    assert {module: module.training for module in network.modules()} == modes


@pairs
def test_weights_survive_a_round_trip(method, family, tmp_path):
    network, inputs = build_network(method, family), drawn(family)
    save_weights(tmp_path / "model.safetensors", network, NOBODY)
    other = build.network(network_settings(method, family), blank(family), seed=9).eval()
    load_weights(tmp_path / "model.safetensors", other)
    for first, second in zip(network(inputs), other(inputs), strict=True):
        assert torch.equal(first, second)


# -- trainings --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory, prepared_texts):
    """Prepared datasets of 60 images of 16 px: one of three classes, one of scores; and of texts of three classes."""

    def part(seed: int, n: int, scores: bool) -> RawPart:
        generator = np.random.default_rng(seed)
        labels = np.arange(n, dtype=np.int64) % 3
        pixels = generator.integers(0, 120, (n, PIXELS, PIXELS, 3), dtype=np.uint8)
        pixels[np.arange(n), :8, :8] += (40 * labels)[:, None, None, None].astype(np.uint8)
        return RawPart(pixels, labels + 0.0 if scores else labels)

    folders = {}
    for name, told in TASKS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        scores = name == "regression"
        raw = Raw(part(0, 60, scores), part(1, 12, scores), [] if scores else ["a", "b", "c"], "made", "none")
        prepare.write(raw, {"dataset": "made", "validation": 0.2, "split_seed": 42, **told}, folders[name])
    return folders | {"texts": prepared_texts}


def data_of(made, family: str) -> Path:
    """The prepared dataset of three classes for a family."""
    return made["texts" if reads(family) == "texts" else "classification"]


def covering() -> set[tuple[str, str, str]]:
    """Triples that hold every pair once at least, few of them."""
    found: set[tuple[str, str, str]] = set()
    seen: set[tuple] = set()
    triples = list(itertools.product(METHODS, FAMILIES, REGIMES))
    while True:
        new = {triple: set(itertools.combinations(enumerate(triple), 2)) - seen for triple in triples}
        best = max(new, key=lambda triple: len(new[triple]))
        if not new[best]:
            return found
        found.add(best)
        seen |= new[best]


TRIPLES = [
    pytest.param(*triple, marks=[] if triple in covering() else pytest.mark.slow)
    for triple in itertools.product(METHODS, FAMILIES, REGIMES)
]


@pytest.mark.parametrize(("method", "family", "regime"), TRIPLES)
def test_a_training_changes_what_its_phases_name_and_goes_on_to_the_same_bits(
    fitted, made, monkeypatch, method, family, regime
):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 1)
    phases = [*REGIMES[regime], *components.constant("methods", method, "PHASES", ())]
    settings = settings_of(*phases, epochs=1, batch=24, crop_padding=0)
    settings["network"] = network_settings(method, family)
    data = data_of(made, family)
    whole, expected = fitted(settings, data=data, checkpoints="whole")
    start = build.network(settings["network"], blank(family), seed=1).state_dict()
    learned = {name.split(".")[0] for name, value in whole.state_dict().items() if not torch.equal(value, start[name])}
    assert learned >= {"backbone", "heads"}
    assert [record["phase"] for record in expected.phases] == phases
    assert all(np.isfinite(row["loss"]) for row in expected.history)
    stops = itertools.cycle([False, True])
    while True:
        try:
            model, progress = fitted(settings, data=data, checkpoints="stopped", stop=lambda: next(stops))
            break
        except Interrupted:
            continue
    assert progress.history == expected.history
    for name, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


@pytest.mark.parametrize("phase", ["heads", "ensemble"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_phase_freezes_keeps_every_bit(fitted, made, family, phase):
    settings = settings_of(phase, epochs=1, batch=24)
    settings["network"] = network_settings("ztw", family)
    data = data_of(made, family)
    start = build.network(settings["network"], blanks(dataset.read(data, network=settings["network"])), seed=1)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    model, _ = fitted(settings, data=data, model=start)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"heads": {"heads"}, "ensemble": {"extras"}}[phase]


@pytest.mark.parametrize("method", DEFINED["regression"])
def test_scores_are_learned_as_classes_are(fitted, made, method):
    phases = ["all", *components.constant("methods", method, "PHASES", ())]
    settings = settings_of(*phases, epochs=30, patience=30, batch=24, mixup=0.2)
    settings["network"] = network_settings(method, "resnet", "regression")
    _, progress = fitted(settings, data=made["regression"])
    first, *_, last = [row for row in progress.history if row["exit"] == 1]
    assert last["gain"] > first["gain"]
    assert last["gain"] > -0.5  # the mean of all scores has -2/3
    assert all(row["gain"] == pytest.approx(-row["loss"]) for row in progress.history)


@pytest.mark.parametrize(("name", "family"), [*((name, "msdnet") for name in TASKS), ("classification", "bert")])
def test_a_run_goes_through_every_verb_under_every_criterion(made, tmp_path, handlers, name, family):
    from manyexits.cli import main

    asked, network = task.of(TASKS[name]), network_settings("ztw", family, name)
    phases = [{"phase": phase, "recipe": RECIPE | {"batch": 24, "epochs": 2}} for phase in ("all", "ensemble")]
    data = ["--data", str(data_of(made, family) if name == "classification" else made[name])]
    run, costs, predicted, thresholds, rows = (str(tmp_path / name) for name in ("run", "c", "p", "t", "rows.csv"))

    def call(verb: str, told: dict, *arguments: str) -> None:
        assert main([verb, "--settings", json.dumps(told), *arguments]) == 0, verb

    where = ["--output", run, "--checkpoints", str(tmp_path / "checkpoints")]
    call("train", {"network": network, "phases": phases, "seed": 1}, *data, *where)
    call("count_flops", {"network": network}, *data, "--output", costs)
    call("predict", {"network": network}, *data, "--weights", f"{run}/model.safetensors", "--output", predicted)
    read = ["--predictions", predicted, "--costs", costs]
    told = {"protocols": ["paper", "shared", "geometric"], "criteria": criteria.names(asked), "budgets": [0.5, 1.0]}
    call("calibrate", told | {"task": TASKS[name]}, *read, "--output", thresholds)
    identity = {"experiment": "e", "variant": "", "dataset": "d", "backbone": "b", "method": "ztw"}
    told = {"identity": identity | {"regime": "joint", "seed": 1}, "task": TASKS[name]}
    call("evaluate", told, *read, "--thresholds", thresholds, "--output", rows)

    assert Path(run, "history.csv").read_text().splitlines()[0].endswith(f",train_loss,loss,{asked.gained}")
    with Path(rows).open(newline="") as file:
        found = list(csv.DictReader(file))
    assert {row["criterion"] for row in found} == {"", *criteria.names(asked)}
    assert set(asked.metrics) <= {row["metric"] for row in found}
    points = [row for row in found if row["threshold"] and row["protocol"] == "shared"]
    assert {row["criterion"] for row in points} == set(criteria.names(asked))
