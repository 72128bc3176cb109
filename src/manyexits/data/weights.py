"""Pretrained weights as torchvision or timm publish them: read, checked, and written as safetensors.

The names inside stay the publisher's; only the file's format changes.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from manyexits.data.archives import locate, missing
from manyexits.files import atomic
from manyexits.files.provenance import sha256

STATISTICS = ("num_batches_tracked", "running_mean", "running_var")
"""BatchNorm's buffers, which are no parameters."""


def fetch(settings: dict[str, Any], root: Path, hub: bool, folder: Path) -> None:
    """Read weights as their publisher ships them, check them, and write model.safetensors, then manifest.json.

    Raises:
        ValueError: when they are missing, damaged, no plain state dict, or not those that the configuration means.
    """
    name, file, home = settings["weights"], settings["file"], settings["home"]
    absent = missing(f"the file of weights.{name}", root, [file], home)
    path, source = locate(root, [file]), file
    if path is None:
        if not (hub and settings["hub"]):
            raise absent
        path, source = _from_hub(settings["hub"], file, absent), f"hub: {settings['hub']}/{file}"
    found = sha256(path)
    if not found.startswith(settings["sha256"] or ""):
        raise ValueError(
            f"{path} has the SHA-256 {found}, which does not begin with {settings['sha256']}; get it again from {home},"
            f" or correct weights.{name}.sha256"
        )
    weights = _read(path, home)
    (folder / "manifest.json").unlink(missing_ok=True)  # an older one must not vouch for what is written now
    atomic.write(folder / "model.safetensors", lambda file: file.write(save(weights, {"format": "pt"})))
    manifest = {
        "weights": name,
        "source": f"{source}, sha256 {found}",
        "licence": settings["licence"],
        "settings": settings,
        "n_parameters": sum(value.numel() for key, value in weights.items() if not key.endswith(STATISTICS)),
        "files_sha256": {"model.safetensors": sha256(folder / "model.safetensors")},
    }
    atomic.write_json(folder / "manifest.json", manifest)


def _from_hub(identifier: str, file: str, absent: ValueError) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(identifier, file))
    except Exception as error:  # the hub's client has no common base for being offline, refused or unknown
        raise ValueError(
            f"{absent}; the hub's {identifier} could not be read either ({type(error).__name__})"
        ) from error


def _read(path: Path, home: str) -> dict[str, Tensor]:
    """A plain state dict; of a pickle nothing but tensors is ever loaded."""
    try:
        safe = path.suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is damaged, or holds more than weights ({reason}); get it again from {home}"
        ) from error
    values = content.items() if isinstance(content, dict) else [("all of it", content)]
    odd = [f"{key} is a {type(value).__name__}" for key, value in values if not torch.is_tensor(value)]
    if odd or not content:
        raise ValueError(
            f"{path} is no plain state dict, name -> tensor ({odd[0] if odd else 'it is empty'}); save the state dict"
            f" alone, or get another file from {home}"
        )
    return {key: value.contiguous().clone() for key, value in content.items()}  # safetensors wants no shared memory
