"""A GPU that is here and cannot be used ends a job, and its first line says where it runs."""

import pytest
import torch

from manyexits.files import gpu
from manyexits.files.provenance import hardware
from manyexits.models import device


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this machine one with, or without, a driver and a usable card."""

    def make(driver: str | None, usable: bool, visible: str | None = None, broken: str | None = None):
        def ones(*_, device):
            if broken:
                raise RuntimeError(broken)
            return torch.zeros(1) + 1

        monkeypatch.setattr(gpu, "found", lambda: driver)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(usable))
        monkeypatch.setattr(torch, "ones", ones)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


NVIDIA = "NVIDIA 535.104.05"


@pytest.mark.parametrize("asked", ["auto", "cpu"])
def test_without_a_driver_the_cpu_computes(machine, asked):
    machine(None, usable=False)
    assert device.choose(asked) == torch.device("cpu")


def test_a_card_that_can_be_used_is_used_unless_the_cpu_was_asked_for(machine):
    machine(NVIDIA, usable=True)
    assert device.choose("auto") == torch.device("cuda")
    assert device.choose("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("usable", "broken", "visible", "reason"),
    [
        (False, None, None, "NVIDIA"),  # torch's own words
        (False, None, "7", "where CUDA_VISIBLE_DEVICES is 7"),
        (True, "CUDA error: no kernel image is available\nfor execution", None, "(CUDA error: no kernel image is"),
        (True, "CUDA error: uncorrectable ECC error", "0", "ECC error, where CUDA_VISIBLE_DEVICES is 0"),
    ],
)
def test_a_card_that_cannot_be_used_ends_the_job_with_driver_cuda_and_remedy(machine, usable, broken, visible, reason):
    machine(NVIDIA, usable=usable, broken=broken, visible=visible)
    with pytest.raises(ValueError, match=r"driver is here \(driver NVIDIA 535.104.05\), but torch") as caught:
        device.choose("auto")
    assert f"CUDA {torch.version.cuda}" in str(caught.value)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("or set device: cpu in the configuration")
    assert "\n" not in str(caught.value)
    assert device.choose("cpu") == torch.device("cpu")


@pytest.mark.parametrize("visible", ["", "-1"])
def test_cards_that_were_hidden_on_purpose_are_no_fault(machine, visible):
    machine(NVIDIA, usable=False, visible=visible)
    assert device.choose("auto") == torch.device("cpu")


def test_the_first_line_tells_device_driver_cuda_precision_and_ranks(machine):
    machine(None, usable=False)
    said = device.line(torch.device("cpu"), "bf16", 2)
    assert said.startswith("device cpu: ")
    assert said.endswith(f"{torch.get_num_threads()} threads, driver none, CUDA not used; precision bf16; ranks 2")


def test_a_card_that_was_not_used_is_not_in_the_record(machine, monkeypatch):
    machine(NVIDIA, usable=True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Card")
    assert hardware()["devices"] == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert hardware()["devices"] == ["Card"]
