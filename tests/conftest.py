"""Fixtures shared by the tests: the study, and a dataset small enough to train on in a second."""

import copy
import gc
import importlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import yaml

WITH_SHAPES = ("analysis", "batches", "data", "exits", "models", "training")
"""Wings in whose signatures shapes of arrays stand; they are checked at every call, which mypy cannot do."""
jaxtyping.install_import_hook([f"manyexits.{wing}" for wing in WITH_SHAPES], "typechecker.check")

from manyexits.cli import COLLECT_AFTER  # noqa: E402 (only what is imported after the hook is checked)
from manyexits.files.made import Made  # noqa: E402 (likewise)
from manyexits.study import resolve  # noqa: E402 (likewise)
from manyexits.study.plan import load  # noqa: E402 (likewise)

gc.set_threshold(*COLLECT_AFTER)

# test workers share the cores: two threads each would wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """What a module with shapes imports goes through their hook, which finds it not compiled: it comes before."""
    if "PYTEST_XDIST_WORKER" in os.environ or not session.config.getoption("numprocesses", None):
        for name in ("sklearn.model_selection", "torch._dynamo", "torchvision", "accelerate", "timm", "seaborn"):
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first, whole workflows before trainings: of two workers none ends with one while the other
    waits."""
    first = [ROOT / "tests", ROOT / "tests/training"]
    items.sort(key=lambda item: first.index(item.path.parent) if item.path.parent in first else len(first))


def pytest_collection_finish() -> None:
    """Modules stay: what a training lets go of between its phases is found without looking at all of them again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What is frozen would be told as leaked."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


def copy_checkout(folder: Path) -> Path:
    """Fill a folder with what git knows of the checkout, as a fresh clone would hold it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="session")
def plan():
    """The paper's study."""
    return load(resolve.read([ROOT / "config.yaml"]))


@pytest.fixture(scope="session")
def demo():
    """The demo's study."""
    return load(resolve.read([ROOT / "config.yaml", ROOT / "workflow/overlays/demo.yaml"]))


SMALL = """
seeds: [1, 2]
budgets: [0.5, 1.0]
datasets:
  digits: {source: digits, classes: 10}
backbones:
  tiny: {family: resnet, groups: [1, 1], width: 4}
methods:
  sdn: {kind: sdn}
placements:
  sdn: {shares: [0.5]}
  first: {after: {2: [1]}}
regimes:
  disjoint: [backbone, heads]
  joint: [all]
  mixed: [backbone, all]
recipes:
  quick: {optimizer: adamw, lr: 5e-3, batch: 64, epochs: 2, patience: 2,
    origin: {optimizer: O, lr: O, batch: O, epochs: O, patience: O}}
experiments:
  small: {dataset: digits, backbone: tiny, recipes: {backbone: quick, all: quick, heads: quick}}
analyses:
  mode_connectivity: {grid: 3, line: 3, n_probe: 40, n_batchnorm: 40}
  easy_and_hard: {n: 3}
  gradient_dominance: {n_probe: 40, batch: 20}
  numerical_rank: {}
  mutual_information: {resamples: 100}
  similarity: {}
tables:
  table1: {experiments: [small]}
figures:
  fig3: {experiments: [small]}
"""


@pytest.fixture
def raw():
    """A small valid configuration, to be changed at will."""
    return copy.deepcopy(yaml.safe_load(SMALL))


@pytest.fixture(scope="session")
def small_plan():
    """The plan of that configuration."""
    return load(yaml.safe_load(SMALL))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared dataset of 240 learnable 8 px images of 3 classes: each class has a bright quarter of its own."""
    from manyexits.data import prepare
    from manyexits.data.raw import Raw, RawPart

    def images(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        labels = np.arange(n, dtype=np.int64) % 3
        pixels = generator.integers(0, 120, (n, 8, 8, 3), dtype=np.uint8)
        for index, label in enumerate(labels):
            pixels[index, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 60
        return pixels, labels

    folder = tmp_path_factory.mktemp("prepared")
    raw = Raw(RawPart(*images(0, 180)), RawPart(*images(1, 60)), ["a", "b", "c"], "made by the tests", "none")
    prepare.write(raw, {"dataset": "made", "classes": 3, "validation": 0.2, "split_seed": 42}, folder)
    return folder


@pytest.fixture(scope="session")
def prepared_texts(tmp_path_factory):
    """A prepared dataset of 72 texts of one to eight letters in three classes, each with a letter of its own."""
    from manyexits.data import prepare
    from manyexits.data.raw import Raw, TextPart

    def texts(seed: int, n: int) -> TextPart:
        generator, labels = np.random.default_rng(seed), np.arange(n, dtype=np.int64) % 3
        words = [generator.choice([*"abcdefgh", "xyz"[label]], generator.integers(1, 9)) for label in labels]
        return TextPart([(" ".join(each),) for each in words], labels)

    folder = tmp_path_factory.mktemp("texts")
    told = {"dataset": "made", "classes": 3, "validation": 0.2, "split_seed": 42, "vocabulary": 64}
    prepare.write(Raw(texts(0, 60), texts(1, 12), ["a", "b", "c"], "made", "none"), told, folder)
    return folder


RECIPE = {
    "optimizer": "adamw",
    "lr": 0.01,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "cosine",
    "clip": None,
    "batch": 24,
    "devices": 1,
    "per_device_batch": None,
    "epochs": 3,
    "patience": 3,
    "precision": "fp32",
    "label_smoothing": 0.0,
    "lr_min": 0.0,
    "crop_padding": 1,
    "resized_crop": None,
    "flip": False,
    "rotation": 0.0,
    "contrast": 0.0,
    "trivial_augment": False,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "mix_per": "batch",
    "mix_probability": 1.0,
    "mix_switch": 0.5,
    "cache_gib": 1.0,
}
NETWORK = {
    "classes": 3,
    "backbone": {"family": "resnet", "groups": [1, 1], "width": 4},
    "method": {"kind": "sdn", "depth": 0},
    "placement": {"after": [1]},
}


READER = {
    "family": "bert",
    "n_blocks": 2,
    "width": 16,
    "heads": 2,
    "inner": 24,
    "vocabulary": 64,
    "length": 10,
    "positions": 10,
}
"""A backbone of those texts."""


NOBODY = Made(settings="0" * 16, inputs={})
"""What files say that no job has made."""


def unseen(classes: int | None = 3):
    """A dataset of classes, or scores, for an analysis that does not look at its samples."""
    from manyexits.data.images import Images
    from manyexits.data.prepared import Prepared

    images = Images(np.zeros((1, 2, 2, 3), dtype=np.uint8), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    return Prepared({"settings": {"classes": classes}}, images, images, images)


def settings_of(*phases: str, seed: int = 1, **recipe) -> dict:
    """Settings of a small training: its phases, and what differs from a plain recipe."""
    told = [{"phase": phase, "recipe": RECIPE | recipe} for phase in phases]
    return {"network": copy.deepcopy(NETWORK), "phases": told, "seed": seed}


def told_phases(settings: dict) -> list:
    """The phases of a training's settings, as it reads them."""
    from manyexits.study.recipe import Recipe
    from manyexits.training.phase import Told

    return [Told(told["phase"], Recipe.model_validate(told["recipe"])) for told in settings["phases"]]


@pytest.fixture
def handlers():
    """A job sets signal handlers; the test run gets its own back."""
    from manyexits.training import stops

    before = {number: signal.getsignal(number) for number in stops.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def fitted(prepared, tmp_path):
    """A function that trains a small network in this process and returns it with its progress."""
    from accelerate.state import AcceleratorState

    from manyexits.batches.views import Views, blanks
    from manyexits.data import prepared as dataset
    from manyexits.models import build
    from manyexits.models.cost import count_network
    from manyexits.training import train
    from manyexits.training.accelerator import accelerator_of
    from manyexits.training.checkpoint import Checkpoints
    from manyexits.training.console import Console

    def fit(
        settings,
        *,
        data=prepared,
        model=None,
        checkpoints="checkpoints",
        start=None,
        stop=lambda: False,
        save_every_s=60.0,
        workers=0,
    ):
        read = dataset.read(data, workers, settings["network"])
        model = model or build.network(settings["network"], blanks(read), settings["seed"])
        phases = told_phases(settings)
        AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps a process's first precision
        accelerator = accelerator_of(phases[0].recipe, "cpu", {})
        progress = train.fit(
            model,
            count_network(model, blanks(read)),
            phases,
            settings["seed"],
            Views(read, accelerator.device),
            accelerator,
            train.Upkeep(Checkpoints(tmp_path / checkpoints), save_every_s, stop, Console(quiet=True)),
            start or train.Progress(),
        )
        return model, progress

    yield fit
    AcceleratorState._reset_state(reset_partial_state=True)
