"""fit(): the training loop of every phase and regime, on one screen, with exact resume.

Every random number – order of samples, augmentation, mixing, dropout – is drawn from a counter (seed, phase, epoch,
step) for the whole effective batch, so a run that was killed and goes on has the bits of one that never was.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from accelerate import Accelerator

from manyexits.batches.views import Views
from manyexits.models.cost import Costs
from manyexits.models.network import MultiExit
from manyexits.models.snapshots import Moment
from manyexits.training import history, ranks
from manyexits.training.checkpoint import Checkpoints
from manyexits.training.console import Console
from manyexits.training.history import Progress
from manyexits.training.phase import Phase, Told
from manyexits.training.snapshots import Snapshots

CHECK_EVERY = 10
"""Steps between looks at the clock, at signals, and at whether the loss is a number."""


class Interrupted(Exception):
    """Training was asked to stop; its state is saved."""


@dataclass(frozen=True)
class Upkeep:
    """How a run is kept alive, and shown."""

    checkpoints: Checkpoints
    """Where it saves itself, and finds what an earlier attempt saved."""
    save_every_s: float
    """Least time between checkpoints inside a phase."""
    stop: Callable[[], bool]
    """Asked between steps whether to save and stop."""
    console: Console
    """Where progress is shown."""
    snapshots: Snapshots | None = None
    """What is kept of its way."""


def fit(
    network: MultiExit,
    costs: Costs,
    phases: list[Told],
    seed: int,
    views: Views,
    accelerator: Accelerator,
    upkeep: Upkeep,
    start: Progress,
) -> Progress:
    """Train a network, which has the weights to start from, through its phases, in place, and return the history.

    Args:
        costs: the network's, for counting what training spends.
        views: of the prepared dataset.
        start: what earlier phases of another job have spent.

    Raises:
        Interrupted: after saving, when `upkeep.stop` said so.
        ValueError: when the loss is no number; the last good checkpoint stays.
    """
    checkpoints, console = upkeep.checkpoints, upkeep.console
    saved = checkpoints.load()
    progress = start if saved is None else Progress(**saved["progress"])
    if saved is not None:
        network.load_state_dict(saved["network"])
        console.line(f"resuming in phase {progress.phase + 1}, epoch {progress.epoch}, step {progress.step}")
    for index in range(progress.phase, len(phases)):
        # a phase begins, or goes on where it was
        phase = Phase(network, costs, phases[index], (seed, index), views, accelerator)
        if saved is not None:
            phase.restore(saved)
            saved = None
        keep = Keeper(phase, progress, upkeep)
        if progress.epoch == 1 and progress.step == 0:
            progress.flops += phase.flops_once
            keep.snapshot(0)
        while not phase.stopping.over(progress.epoch - 1):
            # the steps of an epoch
            for step, slices in enumerate(phase.feed.epoch(progress.epoch, progress.step), progress.step):
                phase.step(slices, progress.epoch, step)
                progress.step = step + 1
                progress.samples += phase.recipe.batch
                progress.flops += phase.flops(progress.epoch, step)
                console.step(phase.name, progress.epoch, progress.step, phase.feed.steps)
                if progress.step % CHECK_EVERY == 0:
                    keep.maybe_save()
            # what it was good for
            phase.check_finite(progress.epoch)
            scores = phase.validate()
            improved = phase.stopping.update(progress.epoch, scores[phase.task.gained])
            if improved:
                phase.remember()
            # what is told of it
            rows = history.rows(phase, progress, phase.train_losses(progress.epoch), scores)
            progress.history += rows
            accelerator.log(history.curves(rows, phase.task.gained), step=len(progress.history))
            console.line(history.line(rows, phase.task.gained, improved))
            keep.snapshot(progress.epoch)
            # the next epoch
            progress.epoch, progress.step = progress.epoch + 1, 0
            phase.sums.zero_()
            keep.maybe_save()
        # the phase ends with its best weights
        phase.finish()
        progress.phases.append(history.record(phase, progress, keep.seconds()))
        progress.phase, progress.epoch, progress.step, progress.seconds = index + 1, 1, 0, 0.0
        if index + 1 < len(phases):
            between = {"progress": asdict(progress), "network": network.state_dict(), "scaler": phase.scaler_state()}
            ranks.first(partial(checkpoints.save, between))
            accelerator.free_memory()  # it would keep the optimiser of this phase
    return progress


class Keeper:
    """Saves a phase by the clock, and when training is asked to stop."""

    def __init__(self, phase: Phase, progress: Progress, upkeep: Upkeep) -> None:
        self.phase, self.progress, self.upkeep = phase, progress, upkeep
        self.began = time.monotonic() - progress.seconds
        self.saved = time.monotonic()

    def seconds(self) -> float:
        """Time spent in the phase by this and earlier attempts."""
        return time.monotonic() - self.began

    def snapshot(self, epoch: int) -> None:
        """Keep the weights after an epoch of the phase, or before its first step, if they are asked for."""
        if kept := self.upkeep.snapshots:
            moment = Moment(self.progress.phase, self.phase.name, epoch)
            ranks.first(lambda: kept.take(self.phase.network, moment))

    def maybe_save(self) -> None:
        """Save if it is time, or asked to stop. All ranks decide alike; the first one writes.

        Raises:
            Interrupted: after saving, when asked to stop.
        """
        accelerator = self.phase.accelerator
        due = time.monotonic() - self.saved >= self.upkeep.save_every_s
        wishes = torch.tensor([self.upkeep.stop(), due], device=accelerator.device)
        stopping, due = (accelerator.reduce(wishes.int(), reduction="sum") > 0).tolist()
        if not (stopping or due):
            return
        self.phase.check_finite(self.progress.epoch)
        self.progress.seconds = self.seconds()
        state = self.phase.state() | {"sums": accelerator.reduce(self.phase.sums.clone(), reduction="mean")}
        ranks.first(lambda: self.upkeep.checkpoints.save(state | {"progress": asdict(self.progress)}))
        self.saved = time.monotonic()
        if stopping:
            raise Interrupted
