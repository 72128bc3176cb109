"""Whether a GPU is here, by what its maker's card, driver or tools show on Linux; torch is not asked."""

import re
import shutil
import subprocess
from pathlib import Path

VERSION = "proc/driver/nvidia/version"
SIGNS = {
    "NVIDIA": (VERSION, "dev/nvidiactl", "dev/nvidia[0-9]*", "usr/lib/wsl/lib/libcuda.so*"),
    "AMD": ("dev/kfd",),
}
"""Maker -> what its driver leaves; on Windows, below WSL, NVIDIA's hands in its library."""
VENDOR, DISPLAY = "0x10de", "0x03"
"""An NVIDIA card on the bus, whatever became of its driver. AMD's sit in processors, too, where they say nothing."""


def found(root: Path = Path("/")) -> str | None:
    """Maker, and the driver's version where it is told; None where there is neither card nor driver."""
    if version := re.search(r"\d+\.\d+(\.\d+)?", _read(root / VERSION)):
        return f"NVIDIA {version[0]}"
    for maker, patterns in SIGNS.items():
        if any(next(root.glob(pattern), None) for pattern in patterns):
            return (maker == "NVIDIA" and _asked()) or maker
    return _asked() or _on_the_bus(root)


def _asked() -> str | None:
    """What NVIDIA's own tool says, where it is installed."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None
    try:
        said = subprocess.run([smi], capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if "No devices were found" in said:
        return None
    version = re.search(r"Driver Version: *([\d.]+)", said)
    return f"NVIDIA {version[1]}" if version else "NVIDIA, which does not answer nvidia-smi"


def _on_the_bus(root: Path) -> str | None:
    for device in root.glob("sys/bus/pci/devices/*"):
        if _read(device / "vendor") == VENDOR and _read(device / "class").startswith(DISPLAY):
            return "none, for an NVIDIA card"
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
