"""What analyses read of a run: its trained network, or what it answered."""

import sys
from collections.abc import Callable
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


READ = {"models": models, "answers": answers}
"""What an analysis READS -> how. (Networks alone need torch.)"""
