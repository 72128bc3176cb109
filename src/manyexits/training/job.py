"""One training job, from its inputs to its outputs: who owns it, when it has to stop, what it leaves behind."""

import contextlib
import csv
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from manyexits.batches.views import Views, blanks
from manyexits.data import prepared
from manyexits.exits import task
from manyexits.files import atomic, rows
from manyexits.files.digests import digest
from manyexits.files.provenance import record, sha256
from manyexits.models import build, weights
from manyexits.models.cost import count_network
from manyexits.models.network import MultiExit, load_weights, save_weights
from manyexits.study.recipe import Recipe
from manyexits.training import ranks
from manyexits.training.checkpoint import Checkpoints, LockedError
from manyexits.training.console import Console
from manyexits.training.history import Progress
from manyexits.training.phase import Told
from manyexits.training.train import Upkeep, fit


@dataclass(frozen=True)
class Training:
    """What `pretrain` and `train` are told by their rules."""

    settings: dict[str, Any]
    data: Path
    """Prepared dataset."""
    backbone: Path | None
    """Folder of phase 1's outputs; None for a job that does not start from them."""
    weights: Path | None
    """Pretrained weights, as `weights` wrote them; None for a job that does not start from them."""
    output: Path
    """Folder of the declared outputs."""
    checkpoints: Path
    """Folder of all checkpoint folders."""
    tracking: Path | None
    """Folder of the tracker's files; None: no tracker either."""
    tracker: str
    """A tracker of accelerate, or none."""
    attempt: int
    minutes: float | None
    """Time limit; a little before it the job saves itself and stops."""
    save_every_s: float
    workers: int
    """Processes that decode photographs ahead of time, over all ranks."""

    @property
    def phases(self) -> list[Told]:
        """What it trains, in order."""
        return [Told(told["phase"], Recipe.model_validate(told["recipe"])) for told in self.settings["phases"]]


def run(job: Training) -> None:
    """Train, and write model.safetensors, history.csv and run.json; the model last.

    Raises:
        Interrupted: when it was asked to stop, or its time was nearly up; started again, it goes on.
        ValueError: for what a further attempt cannot mend; the sentence stays with the checkpoints.
    """
    accelerator = _accelerator(job)
    main = accelerator.is_main_process
    console = Console(quiet=not main)
    inputs = {"manifest": job.data / "manifest.json"}
    if job.backbone:
        inputs["backbone"] = job.backbone / "model.safetensors"
    if job.weights:
        inputs["weights"] = job.weights
    key = digest({"settings": job.settings, "inputs": {name: sha256(path) for name, path in inputs.items()}})
    checkpoints = Checkpoints(job.checkpoints / key, console.line)
    ranks.first(lambda: checkpoints.refuse(job.attempt))
    stop = _stopper(job.minutes)
    try:
        with contextlib.ExitStack() as owned:
            ranks.first(lambda: owned.enter_context(checkpoints.lock()))
            progress, network = _train(job, accelerator, checkpoints, stop, console)
            ranks.first(lambda: _write(job, network, progress, inputs))
        if main:
            checkpoints.remove()
    except LockedError:
        raise
    except ValueError as error:
        if main:
            checkpoints.fail(str(error))
        raise
    finally:
        console.close()
        accelerator.end_training()


def _accelerator(job: Training) -> Accelerator:
    recipe = job.phases[0].recipe
    devices = torch.cuda.device_count()
    if 0 < devices < recipe.devices:
        raise ValueError(
            f"the recipe asks for {recipe.devices} devices, but visible are {devices};"
            " lower 'devices' in the recipe, or run where there are more"
        )
    precision = "no" if recipe.precision == "fp32" else recipe.precision
    tracked = job.tracking is not None and job.tracker != "none"
    tracking = {"log_with": job.tracker, "project_dir": str(job.tracking)} if tracked else {}
    accelerator = Accelerator(cpu=devices == 0, mixed_precision=precision, **tracking)
    if accelerator.num_processes != recipe.devices:
        raise ValueError(
            f"the recipe asks for {recipe.devices} devices, but {accelerator.num_processes} ranks were started"
        )
    set_seed(job.settings["seed"])
    if tracked:
        accelerator.init_trackers("")
    return accelerator


def _train(
    job: Training, accelerator: Accelerator, checkpoints: Checkpoints, stop: Callable[[], bool], console: Console
) -> tuple[Progress, MultiExit]:
    data = prepared.read(job.data, job.workers // accelerator.num_processes)
    samples = blanks(data)
    network = build.network(job.settings["network"], samples, job.settings["seed"])
    if job.backbone:
        load_weights(job.backbone / "model.safetensors", network.backbone)
    if job.weights:
        weights.load(job.weights, network.backbone, job.settings["weights"]["classifier"])
    progress = fit(
        network,
        count_network(network, samples),
        job.phases,
        job.settings["seed"],
        Views(data, accelerator.device),
        accelerator,
        Upkeep(checkpoints, job.save_every_s, stop, console),
        _start(job.backbone, network.n_exits),
    )
    return progress, network


def _start(backbone: Path | None, n_exits: int) -> Progress:
    """What phase 1 has spent, its history under the number that its exit has now."""
    if backbone is None:
        return Progress()
    phases = json.loads((backbone / "run.json").read_text())["phases"]
    history = [row | {"exit": n_exits} for row in _read_history(backbone / "history.csv")]
    return Progress(samples=phases[-1]["samples"], flops=phases[-1]["flops"], phases=phases, history=history)


def _read_history(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    whole = ("epoch", "samples", "flops", "exit")
    return [
        {
            key: value if key == "phase" else None if value == "" else int(value) if key in whole else float(value)
            for key, value in row.items()
        }
        for row in found
    ]


def _write(job: Training, network: MultiExit, progress: Progress, inputs: dict[str, Path]) -> None:
    about = record(job.settings, inputs)
    exits = [{"exit": k, "after_block": block} for k, block in enumerate(network.blocks, start=1)]
    module = network.backbone if "placement" not in job.settings["network"] else network
    gained = task.of(job.settings["network"]).gained
    rows.write(job.output / "history.csv", progress.history, (*rows.HISTORY, gained))
    atomic.write_json(job.output / "run.json", {**about, "exits": exits, "phases": progress.phases})
    save_weights(job.output / "model.safetensors", module, {"format": "pt"})


def _stopper(minutes: float | None) -> Callable[[], bool]:
    """A function that tells whether to save and stop: after SIGTERM or SIGINT, or shortly before the time is up."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    # a twentieth of the limit, but never more than five minutes, is left for saving
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes - min(300, 3 * minutes)
    return lambda: asked.is_set() or time.monotonic() > deadline
