"""The records that a finished study leaves behind, written by hand: no training, and numbers that can be told apart."""

import json
import re
import shutil
from pathlib import Path

from conftest import ROOT

from manyexits.files import provenance
from manyexits.study.job import BACKBONE, RUN
from manyexits.study.plan import Plan

PINNED = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / "envs/requirements.txt").read_text(), re.MULTILINE))
VERSIONS = {"python": "3.11.7"} | {name: PINNED[name] for name in provenance.PACKAGES if name in PINNED}
HARDWARE = {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "devices": ["A100", "A100"]}
MADE = {"versions": VERSIONS, "hardware": HARDWARE, "commit": "ab" * 20, "changed": False}
COSTS = {
    "convention": "one multiply-accumulate is one FLOP",
    "backbone": 100,
    "exits": [{"exit": 1, "after_block": 1, "cost": 40}, {"exit": 2, "after_block": 2, "cost": 110}],
}


def write(plan: Plan, prepared: Path, output: Path, data: Path) -> None:
    """Prepared data without arrays, costs, and the records of every training and analysis."""
    for dataset in plan.study.datasets:
        (data / dataset).mkdir(parents=True)
        shutil.copy(prepared / "splits.json", data / dataset / "splits.json")
        told = {"settings": json.loads(plan.settings("prepare", dataset=dataset))}
        save(data / dataset / "manifest.json", json.loads((prepared / "manifest.json").read_text()) | told)
    for experiment in plan.runs.experiments:
        entry = plan.runs.experiment(experiment)
        manifest = provenance.sha256(data / entry.dataset / "manifest.json")
        about = {"inputs_sha256": {"manifest": manifest}} | MADE
        save(output / f"costs/{experiment}.json", COSTS)
        for run in plan.runs.of(experiment):
            regime, seed = run["regime"], run["seed"]
            if names := plan.runs.pretrained(experiment, regime):
                told = {"settings": json.loads(plan.settings("pretrain", **names, seed=seed))}
                place = BACKBONE.format(**names, seed=seed)
                recorded(output / place / "run.json", about | told | {"phases": [spent("backbone")]}, "history.csv")
            told = {"settings": json.loads(plan.settings("train", **run))}
            phases = [spent(phase) for phase in plan.study.regimes[regime]]
            place = output / RUN.format(**run)
            recorded(place / "run.json", about | told | {"phases": phases}, "history.csv")
            told = {"settings": json.loads(plan.settings("evaluate", **run))} | MADE
            (place / "thresholds.json").write_text("{}")
            inputs = {"thresholds": provenance.sha256(place / "thresholds.json")}
            recorded(place / "rows.json", told | {"inputs_sha256": inputs}, "rows.csv", "answers.safetensors")
    for file, told in json.loads(plan.settings("card"))["analyses"].items():
        manifest = provenance.sha256(data / told["identity"]["dataset"] / "manifest.json")
        about = {"settings": told, "inputs_sha256": {"manifest": manifest}} | MADE
        recorded(output / file, about, Path(file).with_suffix(".csv").name)
    for file in json.loads(plan.settings("card"))["comparisons"]:
        recorded(output / file, {"settings": {}} | MADE, Path(file).with_suffix(".csv").name)


def recorded(path: Path, content: dict, *beside: str) -> None:
    """A record, and the files beside it whose checksums it tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in beside:
        path.with_name(name).write_text(f"{name}\n")
    save(path, content | {"outputs_sha256": {name: provenance.sha256(path.with_name(name)) for name in beside}})


def spent(phase: str) -> dict:
    """What a phase took."""
    seconds = {"time_s": 5.0, "device_seconds": 10.0}
    counts = {"samples_of_phase": 2048, "flops_of_phase": 3_000_000}
    return {"phase": phase, "epochs": 2, "best_epoch": 1, "stopped_early": True} | counts | seconds


def save(path: Path, content: dict) -> None:
    """Write JSON, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
