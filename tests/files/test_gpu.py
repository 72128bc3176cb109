"""Whatever shows a GPU or its driver is seen, and nothing else."""

import pytest

from manyexits.files import gpu

KERNEL = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
TABLE = "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes the root of a file system with these files, and perhaps nvidia-smi on PATH."""

    def make(files: dict[str, str], smi: str | None = None):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / "bin").mkdir()
        if smi is not None:
            (tmp_path / "bin/nvidia-smi").write_text(f"#!/bin/sh\n{smi}\n")
            (tmp_path / "bin/nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
        return tmp_path

    return make


def test_a_machine_without_one_has_none(machine):
    processor_and_network = {f"sys/bus/pci/devices/0/{name}": value for name, value in (("vendor", "0x8086\n"),)}
    assert gpu.found(machine(processor_and_network)) is None


def test_the_driver_tells_its_version(machine):
    assert gpu.found(machine({"proc/driver/nvidia/version": KERNEL})) == "NVIDIA 535.104.05"


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("proc/driver/nvidia/version", "NVIDIA"),
        ("dev/nvidiactl", "NVIDIA"),
        ("dev/nvidia0", "NVIDIA"),
        ("dev/nvidia7", "NVIDIA"),
        ("usr/lib/wsl/lib/libcuda.so.1", "NVIDIA"),
        ("dev/kfd", "AMD"),
    ],
)
def test_what_a_driver_leaves_is_seen(machine, file, found):
    assert gpu.found(machine({file: ""})) == found


@pytest.mark.parametrize(
    ("says", "found"),
    [
        (f"echo '{TABLE}'", "NVIDIA 550.54.15"),
        ("echo 'No devices were found'; exit 6", None),
        ("echo 'it could not communicate with the NVIDIA driver'; exit 9", "NVIDIA, which does not answer nvidia-smi"),
    ],
)
def test_nvidias_tool_is_asked(machine, says, found):
    assert gpu.found(machine({}, smi=says)) == found


@pytest.mark.parametrize(
    ("vendor", "kind", "found"),
    [
        ("0x10de", "0x030000", "none, for an NVIDIA card"),
        ("0x10de", "0x030200", "none, for an NVIDIA card"),
        ("0x10de", "0x040300", None),  # the sound of a card's cable
        ("0x8086", "0x030000", None),
        ("0x1002", "0x030000", None),
    ],
)
def test_a_card_whose_driver_is_not_loaded_is_seen_on_the_bus(machine, vendor, kind, found):
    assert gpu.found(machine({"sys/bus/pci/devices/0/vendor": vendor, "sys/bus/pci/devices/0/class": kind})) == found
