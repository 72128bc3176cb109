"""What made a result: versions, device, commit, seed, time, checksums. No host name, user or absolute path."""

import hashlib
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "manyexits",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "accelerate",
    "snakemake",
    "safetensors",
    "scikit-learn",
    "scipy",
    "pillow",
    "pandas",
)
"""Packages whose versions stand in every record: all that touch numbers."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def commit() -> dict[str, Any]:
    """Commit of the checkout that runs, and whether it holds changes; nulls outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            ["git", "-C", here, "status", "--porcelain"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}
    return {"commit": head.stdout.strip(), "changed": bool(changes.stdout.strip())}


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB, the GPU that each rank uses; with torch loaded, also its threads and ranks."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found: dict[str, Any] = {"cpu": _cpu(), "cores": cores(), "memory_gib": round(memory, 1), "devices": []}
    torch = sys.modules.get("torch")
    if torch is not None:
        ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        used = min(ranks, torch.cuda.device_count()) if torch.cuda.is_initialized() else 0
        found["ranks"] = ranks
        found["devices"] = [torch.cuda.get_device_name(index) for index in range(used)]
        found["threads"] = torch.get_num_threads()
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _cpu() -> str:
    """Processor's name as Linux tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def record(settings: Any, inputs_sha256: dict[str, str], *outputs: Path) -> dict[str, Any]:
    """The record of a job: what determines it, what it ran on, and when it ended (UTC).

    Args:
        settings: of the job.
        inputs_sha256: name of an input -> SHA-256, taken when the job read it.
        outputs: files that it has written, beside which the record is to lie.
    """
    return {
        "settings": settings,
        "inputs_sha256": inputs_sha256,
        "outputs_sha256": {path.name: sha256(path) for path in outputs},
        "versions": versions(),
        "hardware": hardware(),
        **commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
