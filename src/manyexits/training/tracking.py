"""Curves of a training in one of accelerate's trackers: under one project, named as the run's folder, with its
settings, in a folder below the study's output."""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from manyexits.study.places import check_tracker

PROJECT = "manyexits"


@dataclass(frozen=True)
class Tracking:
    """Where curves go."""

    tracker: str
    """A tracker of accelerate, or none."""
    folder: Path | None
    """Of all files of the tracker; None: no tracker either."""
    run: str
    """Name of the run: its folder below the output."""

    @property
    def wanted(self) -> bool:
        """Whether there are to be curves."""
        return self.tracker != "none" and self.folder is not None

    def log_with(self) -> dict[str, Any]:
        """What an Accelerator is told.

        Raises:
            ValueError: when there is no such tracker, or its package is not installed.
        """
        check_tracker(self.tracker)
        return {"log_with": self.tracker, "project_dir": str(self.folder)} if self.wanted else {}

    def start(self, accelerator: Accelerator, settings: dict[str, Any]) -> None:
        """Start the tracker, one training of a study at a time, and hand it the settings.

        Raises:
            ValueError: when the tracker cannot be started.
        """
        if not self.wanted:
            return
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        project, options = HOW[self.tracker](self.run, self.folder.absolute())
        with (self.folder / ".starting").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                accelerator.init_trackers(project, flat(settings), {self.tracker: options})
                if accelerator.is_main_process and not accelerator.trackers:
                    raise ValueError("accelerate does not find its package")
            except Exception as error:  # each tracker has errors of its own
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(
                    f"the tracker {self.tracker} cannot be started ({reason}); set it up, or set tracker: none"
                ) from error


def flat(settings: Any, key: str = "") -> dict[str, int | float | str]:
    """Nested settings under names with dots; what is neither number nor text becomes JSON."""
    if isinstance(settings, dict) and settings:
        parts = (flat(value, f"{key}.{name}" if key else str(name)) for name, value in settings.items())
        return {name: value for part in parts for name, value in part.items()}
    if isinstance(settings, list) and any(isinstance(each, dict) for each in settings):
        return flat(dict(enumerate(settings)), key)
    plain = isinstance(settings, int | float | str) and not isinstance(settings, bool)
    return {key: settings if plain else json.dumps(settings)}


def _mlflow(run: str, folder: Path) -> tuple[str, dict[str, Any]]:
    # its files are no longer its default; a server that the user names in the environment wins
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ |= {"MLFLOW_TRACKING_URI": folder.as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    return PROJECT, {"run_name": run, "logging_dir": (folder / "artifacts").as_uri()}


HOW: dict[str, Callable[[str, Path], tuple[str, dict[str, Any]]]] = {
    "aim": lambda run, folder: (run, {"experiment": PROJECT}),
    "clearml": lambda run, folder: (PROJECT, {"task_name": run}),
    "comet_ml": lambda run, folder: (PROJECT, {}),
    "dvclive": lambda run, folder: (PROJECT, {"dir": str(folder / run)}),
    "mlflow": _mlflow,
    "swanlab": lambda run, folder: (PROJECT, {"experiment_name": run, "logdir": str(folder)}),
    "tensorboard": lambda run, folder: (run, {}),
    "trackio": lambda run, folder: (PROJECT, {"name": run}),
    "wandb": lambda run, folder: (PROJECT, {"name": run, "dir": str(folder)}),
}
"""Tracker -> what accelerate calls its project, and the tracker's own options; tested: mlflow, tensorboard, wandb."""
