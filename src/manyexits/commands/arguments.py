"""The arguments that the verbs of the command line share, as `argparse` takes them."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

Argument = tuple[str, dict[str, Any]]


def _settings(text: str) -> Any:
    try:
        found = json.loads(sys.stdin.read() if text == "-" else text)
        json.dumps(found, allow_nan=False)  # no record could hold what is no number or no end
        return found
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"this is no valid JSON ({error})") from error


SETTINGS: Argument = (
    "--settings",
    {"type": _settings, "required": True, "help": "canonical JSON, from the Snakefile; -: from standard input"},
)
CONFIG: Argument = (
    "--configfile",
    {
        "type": Path,
        "nargs": "+",
        "default": [],
        "metavar": "OVERLAY",
        "help": "files that add to config.yaml, as for snakemake",
    },
)
OUTPUT: Argument = ("--output", {"type": Path, "required": True})

DEVICE: Argument = (
    "--device",
    {
        "choices": ["auto", "cpu"],
        "default": "auto",
        "help": "auto: a GPU where one is; cpu: never (default: auto)",
    },
)

WORKERS: Argument = (
    "--workers",
    {"type": int, "default": 0, "help": "threads that decode photographs ahead of time (default: 0)"},
)

THREADS: Argument = (
    "--workers",
    {"type": int, "default": 1, "help": "threads that decode photographs (default: 1)"},
)


def path(name: str, **more: Any) -> Argument:
    """An option that takes a path, by its name without dashes; required unless `more` says otherwise."""
    return f"--{name}", {"type": Path, "required": True} | more


COMPARISONS: Argument = (
    "--comparisons",
    {"type": Path, "nargs": "*", "default": [], "help": "files of `compare`, for tables that mark what differs"},
)

BESIDE: Argument = (
    "--beside",
    {"type": Path, "nargs": "*", "default": [], "help": "further files, for tables that read more than one kind"},
)

RAW: list[Argument] = [
    SETTINGS,
    ("--data-root", {"type": Path, "required": True, "help": "folder of the publishers' files"}),
    ("--hub", {"action": argparse.BooleanOptionalAction, "default": False, "help": "fetch what is not there"}),
    OUTPUT,
]

TRAINING: list[Argument] = [
    SETTINGS,
    path("data", help="prepared dataset"),
    ("--prepared-by", {"metavar": "DIGEST", "help": "of the settings that the dataset must have been prepared by"}),
    path("weights", required=False, help="pretrained weights to start from, as `weights` wrote them"),
    path("output", help="folder of model.safetensors, history.csv and run.json"),
    path("checkpoints", help="folder below which the run saves itself"),
    path("tracking", required=False, help="folder of the tracker's files; without it: no tracker"),
    ("--run-name", {"help": "what the tracker calls the run (default: its output)"}),
    DEVICE,
    ("--tracker", {"default": "tensorboard", "help": "a tracker of accelerate, or none (default: tensorboard)"}),
    ("--attempt", {"type": int, "default": 1, "help": "which attempt of the workflow this is"}),
    ("--minutes", {"type": float, "help": "time limit; shortly before it the run saves itself and stops"}),
    WORKERS,
    ("--save-every", {"type": float, "default": 60.0, "help": "least seconds between checkpoints (default: 60)"}),
]
