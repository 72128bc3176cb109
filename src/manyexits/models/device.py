"""The device that a job computes on: the GPU that is here, or the CPU where there is none or it was asked for.

A GPU that is here and cannot be used ends the job: on the CPU it would run for days, and nobody would notice.
"""

import os

import torch

from manyexits.files import gpu
from manyexits.files.provenance import hardware


def choose(asked: str) -> torch.device:
    """The device to compute on, which has computed something.

    Args:
        asked: `auto`, or `cpu`.

    Raises:
        ValueError: when a GPU is here that torch cannot use; it names driver, CUDA and the remedy.
    """
    if asked == "cpu" or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):  # hidden on purpose
        return torch.device("cpu")
    if not torch.cuda.is_available():
        if gpu.found() is None:
            return torch.device("cpu")
        raise ValueError(_useless(_reason()))
    card = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        torch.ones(1, device=card).add_(1).item()
    except RuntimeError as error:  # a card that torch has no kernels for, that is broken, or another process's alone
        raise ValueError(_useless(_first_line(error))) from error
    return torch.device("cuda")


def seed(number: int, used: torch.device) -> None:
    """Begin the draws on the CPU, and on the device that is used, anew.

    `torch.manual_seed` begins those of every kind of device, and notes for each that is not there who asked for it.
    """
    torch.default_generator.manual_seed(number)
    if used.type == "cuda":
        torch.cuda.manual_seed(number)


def _useless(reason: str) -> str:
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        reason += f", where CUDA_VISIBLE_DEVICES is {visible}"
    return (
        f"a GPU or its driver is here (driver {gpu.found()}), but torch {torch.__version__}, made for {_made_for()},"
        f" cannot use it ({reason}); install a driver or a torch that fit one another, or set device: cpu in the"
        " configuration"
    )


def _made_for() -> str:
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip or 'no, nor for CUDA'}"


def _reason() -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return "it sees no card"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def line(device: torch.device, precision: str, ranks: int) -> str:
    """What a job says first: where it runs and how."""
    driver = gpu.found() or "none"
    if device.type == "cuda":
        where = f"{torch.cuda.get_device_name(device)}, driver {driver}, CUDA {torch.version.cuda}"
    else:
        where = f"{hardware()['cpu']}, {torch.get_num_threads()} threads, driver {driver}, CUDA not used"
    return f"device {device.type}: {where}; precision {precision}; ranks {ranks}"
