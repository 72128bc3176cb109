"""Pretrained weights as torchvision or timm publish them: read, checked, and written as safetensors.

The names inside stay the publisher's; only the file's format changes.
"""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from manyexits.data import checkpoints
from manyexits.files import atomic, made, reading
from manyexits.files.provenance import sha256

STATISTICS = ("num_batches_tracked", "running_mean", "running_var")
"""BatchNorm's buffers, which are no parameters."""
BEGINNINGS = {
    rb"version https://git-lfs": "a Git LFS pointer, which stands for the weights: run `git lfs pull` where it lies",
    rb"(\xef\xbb\xbf)?\s*<[!?a-z]": "a web page",
    rb"\s*[{\[]": "JSON text, such as the list of the parts of a file: name the weights themselves",
    rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!": "an archive: unpack it, and name the file inside",
    rb"\x89HDF": "HDF5, as Keras and TensorFlow write it: name weights of torchvision or timm",
    rb"\x93NUMPY": "a NumPy array: name weights of torchvision or timm",
    rb"\s*$": "empty",
}
"""How files begin that are no weights -> what they are, and what to do."""
BEGINNING = 64
"""Bytes that tell it."""


def fetch(settings: dict[str, Any], root: Path, hub: bool, folder: Path) -> None:
    """Read weights as their publisher ships them, check them, and write model.safetensors, then manifest.json.

    Raises:
        ValueError: when they are missing, damaged, no plain state dict, or not those that the configuration means.
    """
    name, home = settings["weights"], settings["home"]
    configuration = _configuration(settings, root, hub) if settings["configuration"] else None
    with checkpoints.opened(settings, settings["file"], f"the file of weights.{name}", root, hub) as (path, source):
        try:
            found = sha256(path)
        except OSError as error:
            raise ValueError(
                f"{path} is no file that can be read ({error.strerror}); put the file of weights.{name} there"
            ) from error
        if not found.startswith(settings["sha256"] or ""):
            raise ValueError(
                f"{path} has the SHA-256 {found}, which does not begin with {settings['sha256']}; get it again from"
                f" {home}, or correct weights.{name}.sha256"
            )
        weights = _read(path, home)
        by = made.by(settings, file=path)
        try:
            packed = save(weights, made.metadata(by))
        except Exception as error:  # safetensors has its own limits, such as types of numbers
            raise ValueError(
                f"{path} holds what safetensors cannot ({type(error).__name__}); get another file from {home}"
            ) from error
    (folder / "manifest.json").unlink(missing_ok=True)  # an older one must not vouch for what is written now
    atomic.write(folder / "model.safetensors", lambda file: file.write(packed))
    manifest = {
        "weights": name,
        "source": f"{source}, sha256 {found}",
        "licence": settings["licence"],
        "settings": settings,
        "n_parameters": sum(value.numel() for key, value in weights.items() if not key.endswith(STATISTICS)),
        **({"configuration": configuration} if configuration else {}),
        "files_sha256": {"model.safetensors": sha256(folder / "model.safetensors")},
    }
    atomic.write_json(folder / "manifest.json", manifest)


def _configuration(settings: dict[str, Any], root: Path, hub: bool) -> dict[str, Any]:
    """What a checkpoint says of its own network."""
    name, file = settings["weights"], settings["configuration"]
    with checkpoints.opened(settings, file, f"the configuration of weights.{name}", root, hub) as (path, _):
        found: dict[str, Any] = reading.json_as(path, dict[str, Any], f"get it again from {settings['home']}")
    return found


def _read(path: Path, home: str) -> dict[str, Tensor]:
    """A plain state dict; of a pickle nothing but tensors is ever loaded."""
    _check_kind(path, home)
    try:
        safe = path.suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way, and torch's own advice is to trust it
        if more := _more(path):
            raise ValueError(
                f"{path} holds more than weights ({more}), and nothing else is ever loaded; save the state dict alone,"
                f" or get another file from {home}"
            ) from error
        raise ValueError(
            f"{path} is damaged, or holds more than weights ({type(error).__name__}); get it again from {home}"
        ) from error
    values = content.items() if isinstance(content, dict) else [("all of it", content)]
    odd = [wrong for name, value in values if (wrong := _odd(name, value))]
    if odd or not content:
        raise ValueError(
            f"{path} is no plain state dict, name -> tensor ({odd[0] if odd else 'it is empty'}); save the state dict"
            f" alone, or get another file from {home}"
        )
    if lost := [name for name, value in content.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise ValueError(
            f"{path} holds values that are no finite numbers, NaN or infinity, in {lost[0]}; get it again, or another"
            f" file, from {home}"
        )
    # safetensors wants no shared memory
    return {name: value.detach().contiguous().clone() for name, value in content.items()}


def _check_kind(path: Path, home: str) -> None:
    """Refuse what is no file of weights, or one under another name, by its first bytes."""
    with path.open("rb") as file:
        begin = file.read(BEGINNING)
    safe = len(begin) > 8 and begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= path.stat().st_size - 8
    if safe and path.suffix != ".safetensors":
        raise ValueError(
            f"{path} is safetensors under another name; let it end in .safetensors, here and where it is named"
        )
    if begin.startswith(b"PK") and path.suffix == ".safetensors":
        raise ValueError(
            f"{path} is a file of torch.save under another name; let it end in .pth, here and where it is named"
        )
    kind = next((what for bytes_, what in BEGINNINGS.items() if re.match(bytes_, begin, re.IGNORECASE)), None)
    if kind and not safe:
        what, _, advice = kind.partition(": ")
        raise ValueError(f"{path} is {what}; {f'{advice}, or ' if advice else ''}get the weights from {home}")


def _more(path: Path) -> str:
    """What a pickle holds beside tensors, where that can be told without running it."""
    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # no pickle, or a damaged one
        return ""
    return ", ".join(sorted(name for name in names if name.isprintable())[:3])


def _odd(name: Any, value: Any) -> str:
    """What is wrong with an entry of a state dict; nothing if nothing is."""
    if not isinstance(name, str) or not name.isprintable():
        return f"{name!a} is no name"
    if not torch.is_tensor(value):
        return f"{name} is a {type(value).__name__}"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return f"{name} is no plain tensor"
    return ""
