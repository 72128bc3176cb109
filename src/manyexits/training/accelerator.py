"""Device, precision and ranks of a training: those of its recipe, or none at all."""

import os
from typing import Any

import torch
from accelerate import Accelerator

from manyexits.models import device
from manyexits.study.recipe import Recipe

OTHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "WORLD_SIZE", "RANK", "LOCAL_RANK")
"""What other launchers tell their processes."""


def accelerator_of(recipe: Recipe, asked: str, log_with: dict[str, Any]) -> Accelerator:
    """An Accelerator that runs what the recipe says.

    Args:
        recipe: of the first phase; all phases have its devices and precision.
        asked: for a device: `auto`, or `cpu`.
        log_with: of the tracker.

    Raises:
        ValueError: when that cannot be run here.
    """
    used = device.choose(asked)
    devices = torch.cuda.device_count() if used.type == "cuda" else 0
    if recipe.precision == "fp16" and not devices:
        raise ValueError(
            "the recipe asks for fp16, which needs a GPU, and none is used here; set precision to bf16 or fp32"
        )
    if 0 < devices < recipe.devices:
        raise ValueError(
            f"the recipe asks for {recipe.devices} devices, but visible are {devices};"
            " lower 'devices' in the recipe, or run where there are more"
        )
    _forget()
    precision = "no" if recipe.precision == "fp32" else recipe.precision
    found = Accelerator(cpu=devices == 0, mixed_precision=precision, **log_with)
    if found.num_processes != recipe.devices:
        raise ValueError(f"the recipe asks for {recipe.devices} devices, but {found.num_processes} ranks were started")
    return found


def _forget() -> None:
    """Take from the environment what would have a say in how accelerate trains."""
    ours = "TORCHELASTIC_RUN_ID" in os.environ  # a rank, whose place `launch` tells
    for name in list(os.environ):
        if name.startswith("ACCELERATE_") or (name in OTHERS and not ours):
            del os.environ[name]
