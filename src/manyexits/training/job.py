"""One training job, from its inputs to its outputs: who owns it, when it has to stop, what it leaves behind."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from manyexits.batches.views import Views, blanks
from manyexits.data import prepared
from manyexits.exits import task
from manyexits.files import atomic, made, rows
from manyexits.files.digests import digest
from manyexits.files.provenance import record
from manyexits.models import build, device
from manyexits.models.cost import count_network
from manyexits.models.network import MultiExit, save_weights
from manyexits.study.job import SNAPSHOTS
from manyexits.study.recipe import Recipe
from manyexits.training import ranks, start, stops
from manyexits.training.accelerator import accelerator_of
from manyexits.training.checkpoint import Checkpoints, LockedError
from manyexits.training.console import Console
from manyexits.training.history import Progress
from manyexits.training.phase import Told
from manyexits.training.snapshots import Snapshots
from manyexits.training.tracking import Tracking
from manyexits.training.train import Upkeep, fit


@dataclass(frozen=True)
class Training:
    """What `pretrain` and `train` are told by their rules."""

    settings: dict[str, Any]
    data: Path
    """Prepared dataset."""
    prepared_by: str | None
    """Digest of the settings that it must have been prepared by; None: any."""
    backbone: Path | None
    """Folder of phase 1's outputs; None for a job that does not start from them."""
    weights: Path | None
    """Pretrained weights, as `weights` wrote them; None for a job that does not start from them."""
    output: Path
    """Folder of the declared outputs."""
    checkpoints: Path
    """Folder of all checkpoint folders."""
    tracking: Tracking
    device: str
    """auto or cpu."""
    attempt: int
    minutes: float | None
    """Time limit; a little before it the job saves itself and stops."""
    save_every_s: float
    workers: int
    """Threads that decode photographs ahead of time, over all ranks."""

    @property
    def phases(self) -> list[Told]:
        """What it trains, in order."""
        return [Told(told["phase"], Recipe.model_validate(told["recipe"])) for told in self.settings["phases"]]


def run(job: Training) -> None:
    """Train, and write model.safetensors, history.csv run.json and the snapshots that are asked for; the model last.

    Raises:
        Interrupted: when it was asked to stop, or its time was nearly up; started again, it goes on.
        ValueError: for what a further attempt cannot mend; the sentence stays with the checkpoints.
    """
    recipe = job.phases[0].recipe
    accelerator = accelerator_of(recipe, job.device, job.tracking.log_with())
    set_seed(job.settings["seed"])
    main = accelerator.is_main_process
    console = Console(quiet=not main)
    console.line(device.line(accelerator.device, recipe.precision, accelerator.num_processes))
    job.tracking.start(accelerator, job.settings)
    inputs = {"manifest": job.data / "manifest.json"}
    if job.backbone:
        inputs["backbone"] = job.backbone / "model.safetensors"
    if job.weights:
        inputs["weights"] = job.weights
    by = made.by(job.settings, **inputs)
    key = digest({"settings": job.settings, "inputs": by.inputs})
    checkpoints = Checkpoints(job.checkpoints / key, console.line)
    ranks.first(lambda: checkpoints.refuse(job.attempt))
    kept = Snapshots(checkpoints.folder / "snapshots", job.settings.get("snapshots", ()))
    stop = _stopper(job.minutes)
    try:
        with contextlib.ExitStack() as owned:
            ranks.first(lambda: owned.enter_context(checkpoints.lock()))
            upkeep = Upkeep(checkpoints, job.save_every_s, stop, console, kept)
            progress, network = _train(job, accelerator, upkeep)
            ranks.first(lambda: _write(job, network, progress, by, kept))
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


def _train(job: Training, accelerator: Accelerator, upkeep: Upkeep) -> tuple[Progress, MultiExit]:
    start.check_data(job.data, job.prepared_by)
    data = prepared.read(job.data, job.workers // accelerator.num_processes, job.settings["network"])
    if data.remark:
        upkeep.console.line(data.remark)
    samples = blanks(data)
    network = build.network(job.settings["network"], samples, job.settings["seed"])
    progress = Progress()
    if job.backbone:
        progress = start.from_phase_1(job.backbone, job.settings, network, task.of(job.settings["network"]).gained)
    if job.weights:
        start.from_weights(job.weights, job.settings, network)
    progress = fit(
        network,
        count_network(network, samples),
        job.phases,
        job.settings["seed"],
        Views(data, accelerator.device),
        accelerator,
        upkeep,
        progress,
    )
    return progress, network


def _write(job: Training, network: MultiExit, progress: Progress, by: made.Made, kept: Snapshots) -> None:
    exits = [{"exit": k, "after_block": block} for k, block in enumerate(network.blocks, start=1)]
    module = network.backbone if "placement" not in job.settings["network"] else network
    gained = task.of(job.settings["network"]).gained
    rows.write(job.output / "history.csv", progress.history, (*rows.HISTORY, gained))
    about = record(job.settings, by.inputs, job.output / "history.csv")
    told = {**about, "exits": exits, "phases": progress.phases}
    atomic.write_json(job.output / "run.json", told)
    if kept.epochs:
        kept.join(job.output / SNAPSHOTS, by)
    save_weights(job.output / "model.safetensors", module, by)


def _stopper(minutes: float | None) -> Callable[[], bool]:
    """A function that tells whether to save and stop: when a signal asks, or shortly before the time is up."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    for number in stops.heeded():
        signal.signal(number, ask)
    # a twentieth of the limit, but never more than five minutes, is left for saving
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes - min(300, 3 * minutes)
    return lambda: asked.is_set() or time.monotonic() > deadline
