"""What a training leaves beside its weights, made up."""

import csv
import json
from pathlib import Path
from typing import Any

from manyexits.files.provenance import sha256
from manyexits.files.rows import HISTORY

SETTINGS = {"seed": 1, "version": 1}


def written(folder: Path, phases: list[tuple[str, int, list[int]]], **changed: Any) -> list[Path]:
    """History and record of a run.

    Its scores count its epochs, in hundredths; each exit has a thousandth more than the one before.

    Args:
        folder: where they go.
        phases: name, epochs and exits of each.
        changed: what else the record says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history, record = folder / "history.csv", folder / "run.json"
    rows, done, took = [], 0, []
    for phase, epochs, exits in phases:
        for epoch in range(1, epochs + 1):
            done += 1
            common = [phase, epoch, 10 * done, 1000 * done, 0.1]
            rows += [[*common, exit_, 1.0, 1.0, done / 100 + exit_ / 1000] for exit_ in exits]
        took.append({"phase": phase, "epochs": epochs, "best_epoch": epochs, "stopped_early": False})
        took[-1] |= {"samples_of_phase": 10 * epochs, "flops_of_phase": 1000 * epochs, "device_seconds": 36.0}
    with history.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([[*HISTORY, "accuracy"], *rows])
    told = {"settings": SETTINGS, "phases": took, "outputs_sha256": {"history.csv": sha256(history)}} | changed
    record.write_text(json.dumps(told))
    return [history, record]
