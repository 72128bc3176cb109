"""A method, a backbone whose state is a tuple, and a criterion are one file each: nothing else has to know of them."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from conftest import copy_checkout

METHOD = '''"""Every exit answers with the mean of all that have spoken, louder or softer."""

import torch
from torch import nn

from manyexits.models import heads
from manyexits.models.methods import Method


class Loudness(nn.Module):
    def __init__(self, n_exits):
        super().__init__()
        self.factors = nn.Parameter(torch.ones(n_exits))


def build(outputs: int, *, depth: int = 0) -> Method:
    """Heads as SDN has them."""

    def exit(heads, extras, k, tapped, memory):
        said = heads[k](tapped) * extras.factors[k - 1]
        return said, (*memory, said)

    return Method(
        head=lambda k, n_exits, tap: heads.head(tap, outputs, depth),
        extras=Loudness,
        exit=exit,
        answer=lambda extras, k, outputs, memory: torch.stack(memory).mean(0),
    )
'''

BACKBONE = '''"""Convolutions that carry the mean of all earlier maps beside them."""

import torch
from torch import nn

from manyexits.models.backbones import Backbone


class Block(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.convolution = nn.Conv2d(before, width, 3, 1, 1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, state):
        maps, *means = state if isinstance(state, tuple) else (state,)
        maps = self.norm(self.convolution(maps)).relu()
        return (maps, *means, maps.mean((2, 3)))


class Carried(nn.Module):
    def forward(self, state):
        return torch.stack(state[1:]).mean(0)


class Toy(Backbone):
    def tap(self, state):
        return state[0]


def build(outputs: int, *, width: int = 4, n_blocks: int = 3) -> Backbone:
    """So many blocks."""
    stages = [Block(3 if place == 0 else width, width) for place in range(n_blocks)]
    return Toy(stages, nn.Sequential(Carried(), nn.Linear(width, outputs)), output_layers="classifier.1")
'''

CRITERION = '''"""Leave when the two largest outputs are far enough apart."""

import numpy as np

from manyexits.exits.criteria import Criterion

TASKS = ("classification",)


def gap(outputs):
    best = np.sort(outputs.astype(np.float64), axis=-1)
    return best[..., -1] - best[..., -2]


def scans(task, n_exits):
    points = np.linspace(0, 5, 100)
    return [Criterion("toy_gap", "toy_gap", gap, 1.0, points, lambda values, carry: (values, carry))]
'''

CONFIG = {
    "methods": {"toy": {"kind": "toy_method", "depth": 1}},
    "backbones": {"toy": {"family": "toy_backbone", "n_blocks": 4}},
    "experiments": {
        "toy": {
            "dataset": "digits",
            "backbone": "toy",
            "method": "toy",
            "placement": "born",
            "recipes": "digits",
            "criteria": ["confidence", "toy_gap"],
        }
    },
    "tables": {"table1": {"experiments": ["toy"], "criteria": ["toy_gap"], "sweep": None}},
}


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A checkout with three files more, and a function that runs Python in it."""
    folder = copy_checkout(tmp_path_factory.mktemp("toys"))
    package = folder / "src/manyexits"
    (package / "models/methods/toy_method.py").write_text(METHOD)
    (package / "models/backbones/toy_backbone.py").write_text(BACKBONE)
    (package / "exits/criteria/toy_gap.py").write_text(CRITERION)
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return folder, run


def test_three_files_get_the_whole_matrix(toys):
    _, run = toys
    told = run("pytest", "-q", "-p", "no:cacheprovider", "tests/test_matrix.py", "-m", "not slow", "-k", "toy")
    passed, skipped = (re.search(rf"(\d+) {what}", told) for what in ("passed", "skipped"))
    # each method on the new backbone, the new method on the others: early exit twice, four more tests, some trainings
    assert int(passed[1]) >= 7 * 6
    assert skipped is None


def test_an_entry_of_each_is_all_that_config_needs(toys, tmp_path):
    _, run = toys
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(CONFIG))
    overlays = ["--configfile", "workflow/overlays/demo.yaml", str(tmp_path / "toy.yaml")]
    told = run("snakemake", "-n", "table1", *overlays)
    assert re.search(r"^train +6$", told, re.MULTILINE)
