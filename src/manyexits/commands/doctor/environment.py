"""Python, packages, commands and devices of this machine, by Python alone."""

import os
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from manyexits.commands.doctor import Finding, Gpu
from manyexits.files import gpu
from manyexits.files.provenance import cores, hardware

PYTHON = (3, 11)
"""As in pyproject.toml."""
SLURM = ("sbatch", "squeue", "scancel")
"""What Snakemake's executor calls."""
LISTED = 5


def python() -> Finding:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == PYTHON:
        return Finding("ok", "Python", version)
    wanted = ".".join(map(str, PYTHON))
    return Finding("missing", "Python", f"{version}, but the packages are pinned for {wanted}; install Python {wanted}")


def packages(lock: Path) -> Finding:
    """The installed packages against the pinned ones."""
    if not lock.exists():
        return Finding("note", "packages", f"{lock} is not here; versions are not compared")
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    versions = {name: _installed(name) for name in pins}
    absent = [name for name, version in versions.items() if version is None]
    if absent:
        return Finding("missing", "packages", f"{_some(absent)} of {len(pins)} are missing; install them: make setup")
    # a build tag such as +cu130 is the same version for another device
    pairs = [(name, str(version).partition("+")[0]) for name, version in versions.items()]
    others = [f"{name} {version} (pinned: {pins[name]})" for name, version in pairs if version != pins[name]]
    if others:
        return Finding("note", "packages", f"not as pinned: {_some(others)}; numbers may differ; make setup mends it")
    return Finding("ok", "packages", f"all {len(pins)} as pinned in {lock}")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def which(command: str) -> str | None:
    """Where a command lies: beside the interpreter, as for the jobs of a workflow, or on PATH."""
    return shutil.which(command, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def commands() -> list[Finding]:
    """The commands that the workflow calls."""
    remedies = {"git": "install it (Debian: apt-get install git)", "snakemake": "install the packages: make setup"}
    found = [
        Finding("ok", name, str(which(name))) if which(name) else Finding("missing", name, f"not found; {remedy}")
        for name, remedy in remedies.items()
    ]
    if absent := [name for name in SLURM if not which(name)]:
        says = f"not here ({', '.join(absent)}), and optional: everything then runs on this machine"
        return [*found, Finding("ok", "Slurm", says)]
    return [*found, Finding("ok", "Slurm", "here: --profile slurm hands trainings to it")]


def slurm() -> bool:
    """Whether trainings can be handed to a cluster from here."""
    return all(which(name) for name in SLURM)


def gpus() -> list[Gpu]:
    """The cards that trainings would see."""
    if gpu.found() is None:
        return []  # torch, whose import takes seconds, sees none either
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        with torch.cuda.device(index):
            card = torch.cuda.get_device_properties(index)
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            found.append(Gpu(card.name, card.total_memory / 2**30, bf16))
    return found


def devices(cards: list[Gpu], memory_gib: int, n_gpus: int, device: str) -> list[Finding]:
    """Cores, memory and GPUs.

    Args:
        cards: the GPUs that are here.
        memory_gib, n_gpus: what the largest training asks for.
        device: of the study: `auto`, or `cpu`.
    """
    memory = hardware()["memory_gib"]
    says = f"{memory:.0f} GiB"
    if memory < memory_gib:
        says += f"; the largest training asks for {memory_gib} GiB"
    found = [
        Finding("ok", "CPU", f"{cores()} cores"),
        Finding("ok" if memory >= memory_gib else "note", "memory", says),
    ]
    for number, card in enumerate(cards):
        says = f"{card.name}, {card.memory_gib:.0f} GiB, {'' if card.bf16 else 'no '}bf16"
        found.append(Finding("ok" if card.bf16 else "note", f"GPU {number}", says))
    driver = None if cards or device == "cpu" else gpu.found()
    if driver:
        says = f"it or its driver is here (driver {driver}), but torch cannot use it: install a driver or a torch that"
        found.append(Finding("missing", "GPU", f"{says} fit one another, or set device: cpu in the configuration"))
    elif not cards:
        found.append(Finding("note", "GPU", "none: trainings here would run on the CPU"))
    if n_gpus > max(1, len(cards)):
        found.append(Finding("note", "GPUs", f"the largest training asks for {n_gpus}"))
    return found
