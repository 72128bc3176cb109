"""What a training tells of its epochs and phases: rows of the history, records, curves, lines of the log."""

from dataclasses import dataclass, field
from typing import Any

from manyexits.training.phase import Phase

Rows = list[dict[str, Any]]


@dataclass
class Progress:
    """Where a run is. With the weights and the optimiser's state, all that a resume needs."""

    phase: int = 0
    epoch: int = 1
    step: int = 0
    """Steps taken in this epoch."""
    samples: int = 0
    flops: int = 0
    """Samples and FLOPs spent on training, over all phases; validation is not counted."""
    seconds: float = 0.0
    """Time spent in this phase, by all attempts."""
    history: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    """One record for each phase that has ended."""


def rows(phase: Phase, progress: Progress, train: list[float], scores: dict[str, list[float]]) -> Rows:
    """The epoch's rows of the history, one for each exit.

    Args:
        phase: under way.
        progress: at the end of the epoch.
        train: mean training loss of the exits that learn.
        scores: validation loss and gain of every exit.
    """
    trained = dict(zip(phase.exits, train, strict=True))
    spent = {"epoch": progress.epoch, "samples": progress.samples, "flops": progress.flops}
    common = {"phase": phase.name, **spent, "lr": phase.rate}
    return [
        {**common, "exit": k, "train_loss": trained.get(k), **{name: values[k - 1] for name, values in scores.items()}}
        for k in range(1, phase.network.n_exits + 1)
    ]


def record(phase: Phase, progress: Progress, seconds: float) -> dict[str, Any]:
    """What the phase took."""
    before = progress.phases[-1] if progress.phases else {"samples": 0, "flops": 0}
    return {
        "phase": phase.name,
        "epochs": progress.epoch - 1,
        "best_epoch": phase.stopping.best_epoch,
        "stopped_early": progress.epoch - 1 < phase.recipe.epochs,
        "samples": progress.samples,
        "flops": progress.flops,
        "samples_of_phase": progress.samples - before["samples"],
        "flops_of_phase": progress.flops - before["flops"],
        "time_s": round(seconds, 3),
        "device_seconds": round(seconds * phase.recipe.devices, 3),
    }


def curves(epoch: Rows, gained: str) -> dict[str, float]:
    """An epoch's numbers under the names that a tracker shows."""
    kept = ("train_loss", "loss", gained)
    found = {f"{key}/exit{row['exit']}": row[key] for row in epoch for key in kept if row[key] is not None}
    return found | {"lr": epoch[0]["lr"]}


def line(epoch: Rows, gained: str, improved: bool) -> str:
    """An epoch as one line of the log."""
    gains = " ".join(f"{row[gained]:.3f}" for row in epoch)
    mark = "  best so far" if improved else ""
    first = epoch[0]
    return f"{first['phase']:>8} epoch {first['epoch']:3d}  lr {first['lr']:.2e}  {gained} by exit {gains}{mark}"
