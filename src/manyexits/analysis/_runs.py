"""What analyses read of a run: its network, that on its way, what is kept of its activations, or what it answered."""

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from manyexits.data.prepared import Prepared

Read = Callable[[Path], tuple[Any, Any]]
"""A run's file -> what it holds, and what made it."""


def models(network: dict[str, Any], data: Prepared, device: str) -> Read:
    """Weights, as networks in evaluation mode."""
    from manyexits.batches.views import blanks
    from manyexits.models import build
    from manyexits.models import device as devices
    from manyexits.models.network import load_weights

    used = devices.choose(device)
    print(devices.line(used, "fp32", 1), file=sys.stderr)

    def read(file: Path) -> tuple[Any, Any]:
        model = build.network(network, blanks(data), seed=0)
        by = load_weights(file, model)
        return model.to(used).eval(), by

    return read


def snapshots(network: dict[str, Any], data: Prepared, device: str) -> Read:
    """Weights on the way of a training, as a network that takes them on one after another."""
    from manyexits.batches.views import blanks
    from manyexits.models import build
    from manyexits.models import device as devices
    from manyexits.models.cost import count_network
    from manyexits.models.snapshots import Trail, read

    used = devices.choose(device)
    print(devices.line(used, "fp32", 1), file=sys.stderr)

    def trail(file: Path) -> tuple[Any, Any]:
        states, by = read(file)
        model = build.network(network, blanks(data), seed=0)
        counted = count_network(model, blanks(data))
        costs = tuple(cost / counted.backbone for cost in counted.exits)
        return Trail(model.to(used), states, file, costs), by

    return trail


def answers(network: dict[str, Any], data: Prepared, device: str) -> Read:
    """What every test sample was answered, and where it left.

    Raises:
        ValueError: when the file is damaged, or of other samples.
    """
    from manyexits.exits import answers

    def read(file: Path) -> tuple[Any, Any]:
        found, by = answers.read(file)
        if found.label.tolist() != data.test.labels[data.test.indices].tolist():
            raise ValueError(f"{file} has other labels than the prepared test split; evaluate the run again")
        return found, by

    return read


def representations(network: dict[str, Any], data: Prepared, device: str) -> Read:
    """What is kept of a network's activations on test samples.

    Raises:
        ValueError: when the file is damaged, or of other samples.
    """
    from manyexits.exits import representations

    def read(file: Path) -> tuple[Any, Any]:
        found, by = representations.read(file)
        test = data.test.labels[data.test.indices]
        if found.sample.max(initial=-1) >= len(test) or found.label.tolist() != test[found.sample].tolist():
            raise ValueError(f"{file} has other labels than the prepared test split; represent the run again")
        return found, by

    return read


READ = {"models": models, "snapshots": snapshots, "answers": answers, "representations": representations}
"""What an analysis READS -> how. (Models and snapshots alone need torch.)"""


def pairs(runs: Sequence[tuple[str, int, Any]]) -> list[tuple[int, int]]:
    """Numbers of the runs that are compared with one another: all regimes of one seed, else the seeds of one regime."""
    one = len({seed for _, seed, _ in runs}) == 1
    return [
        (first, second)
        for first, second in itertools.combinations(range(len(runs)), 2)
        if one or runs[first][0] == runs[second][0]
    ]
