"""fit(): the training loop of every phase and regime, on one screen, with exact resume.

Every random number – order of images, augmentation, mixing, dropout – is drawn from a counter (seed, phase, epoch,
step) for the whole effective batch, so a run that was killed and goes on has the bits of one that never was.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from manyexits.data.prepared import Prepared
from manyexits.models.cost import Costs
from manyexits.models.network import MultiExit
from manyexits.training import ranks
from manyexits.training.checkpoint import Checkpoints
from manyexits.training.console import Console
from manyexits.training.phase import Loss, Phase

CHECK_EVERY = 10
"""Steps between looks at the clock, at signals, and at whether the loss is a number."""


class Interrupted(Exception):
    """Training was asked to stop; its state is saved."""


@dataclass
class Progress:
    """Where a run is. With the weights and the optimiser's state, all that a resume needs."""

    phase: int = 0
    epoch: int = 1
    step: int = 0
    """Steps taken in this epoch."""
    samples: int = 0
    flops: int = 0
    """Images and FLOPs spent on training, over all phases; validation is not counted."""
    seconds: float = 0.0
    """Time spent in this phase, by all attempts."""
    history: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    """One record for each phase that has ended."""


def fit(
    network: MultiExit,
    loss: Loss,
    costs: Costs,
    settings: dict[str, Any],
    data: Prepared,
    checkpoints: Checkpoints,
    accelerator: Accelerator,
    *,
    start: Progress,
    save_every_s: float,
    stop: Callable[[], bool],
    console: Console,
) -> Progress:
    """Train a network through its phases, in place, and return the history.

    Args:
        network: with the weights to start from.
        loss: the method's, from the losses of the exits that learn.
        costs: the network's, for counting what training spends.
        settings: `phases` (each with its recipe) and `seed`.
        data: prepared dataset.
        checkpoints: where the run saves itself, and finds what an earlier attempt saved.
        accelerator: device, precision, ranks and trackers.
        start: what earlier phases of another job have spent.
        save_every_s: least time between checkpoints inside a phase.
        stop: asked between steps whether to save and stop.
        console: where progress is shown.

    Raises:
        Interrupted: after saving, when `stop` said so.
        ValueError: when the loss is no number; the last good checkpoint stays.
    """
    saved = checkpoints.load()
    progress = start if saved is None else Progress(**saved["progress"])
    if saved is not None:
        network.load_state_dict(saved["network"])
        console.line(f"resuming in phase {progress.phase + 1}, epoch {progress.epoch}, step {progress.step}")
    for index in range(progress.phase, len(settings["phases"])):
        phase = Phase(network, loss, costs, settings, index, data, accelerator)
        if saved is not None:
            phase.restore(saved)
            saved = None
        if progress.epoch == 1 and progress.step == 0:
            progress.flops += phase.flops_once
        keep = Keeper(phase, progress, checkpoints, save_every_s, stop)
        while not phase.stopping.over(progress.epoch - 1):
            for plan, batches in phase.steps_of(progress.epoch, progress.step):
                phase.step(plan, batches, progress.epoch)
                progress.step = plan.step + 1
                progress.samples += phase.batch
                progress.flops += phase.batch * phase.flops_per_sample
                console.step(phase.name, progress.epoch, progress.step, phase.steps)
                if progress.step % CHECK_EVERY == 0:
                    keep.maybe_save()
            phase.check_finite(progress.epoch)
            scores = phase.validate()
            improved = phase.stopping.update(progress.epoch, scores["accuracy"])
            if improved:
                phase.remember()
            rows = phase.rows({key: getattr(progress, key) for key in ("epoch", "samples", "flops")}, scores)
            progress.history += rows
            accelerator.log(tracked(rows), step=len(progress.history))
            console.line(line(rows, improved))
            progress.epoch, progress.step = progress.epoch + 1, 0
            phase.sums.zero_()
            keep.maybe_save()
        phase.finish()
        progress.phases.append(record(phase, progress, keep.seconds()))
        progress.phase, progress.epoch, progress.step, progress.seconds = index + 1, 1, 0, 0.0
        if index + 1 < len(settings["phases"]):
            between = {"progress": asdict(progress), "network": network.state_dict(), "scaler": phase.scaler_state()}
            ranks.first(partial(checkpoints.save, between))
    return progress


class Keeper:
    """Saves a phase by the clock, and when training is asked to stop."""

    def __init__(
        self, phase: Phase, progress: Progress, checkpoints: Checkpoints, every_s: float, stop: Callable[[], bool]
    ) -> None:
        self.phase, self.progress, self.checkpoints, self.every_s, self.stop = (
            phase,
            progress,
            checkpoints,
            every_s,
            stop,
        )
        self.began = time.monotonic() - progress.seconds
        self.saved = time.monotonic()

    def seconds(self) -> float:
        """Time spent in the phase by this and earlier attempts."""
        return time.monotonic() - self.began

    def maybe_save(self) -> None:
        """Save if it is time, or asked to stop. All ranks decide alike; the first one writes.

        Raises:
            Interrupted: after saving, when asked to stop.
        """
        accelerator = self.phase.accelerator
        wishes = torch.tensor([self.stop(), time.monotonic() - self.saved >= self.every_s], device=accelerator.device)
        stopping, due = (accelerator.reduce(wishes.int(), reduction="sum") > 0).tolist()
        if not (stopping or due):
            return
        self.phase.check_finite(self.progress.epoch)
        self.progress.seconds = self.seconds()
        state = self.phase.state() | {"sums": accelerator.reduce(self.phase.sums.clone(), reduction="mean")}
        ranks.first(lambda: self.checkpoints.save(state | {"progress": asdict(self.progress)}))
        self.saved = time.monotonic()
        if stopping:
            raise Interrupted


def record(phase: Phase, progress: Progress, seconds: float) -> dict[str, Any]:
    """What the phase took."""
    before = progress.phases[-1] if progress.phases else {"samples": 0, "flops": 0}
    return {
        "phase": phase.name,
        "epochs": progress.epoch - 1,
        "best_epoch": phase.stopping.best_epoch,
        "stopped_early": progress.epoch - 1 < phase.recipe["epochs"],
        "samples": progress.samples,
        "flops": progress.flops,
        "samples_of_phase": progress.samples - before["samples"],
        "flops_of_phase": progress.flops - before["flops"],
        "time_s": round(seconds, 3),
        "device_seconds": round(seconds * phase.recipe["devices"], 3),
    }


def tracked(rows: list[dict[str, Any]]) -> dict[str, float]:
    """An epoch's numbers under the names that a tracker shows."""
    kept = ("train_loss", "loss", "accuracy")
    curves = {f"{key}/exit{row['exit']}": row[key] for row in rows for key in kept if row[key] is not None}
    return curves | {"lr": rows[0]["lr"]}


def line(rows: list[dict[str, Any]], improved: bool) -> str:
    """An epoch as one line of the log."""
    accuracies = " ".join(f"{row['accuracy']:.3f}" for row in rows)
    mark = "  best so far" if improved else ""
    first = rows[0]
    return f"{first['phase']:>8} epoch {first['epoch']:3d}  lr {first['lr']:.2e}  accuracy by exit {accuracies}{mark}"
