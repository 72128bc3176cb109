"""A prepared dataset: `prepare` writes it, every later stage maps it into memory.

Layout of the folder: arrays/{train,test}_{images,labels}.npy, splits.json, manifest.json, SHA256SUMS
(`sha256sum -c SHA256SUMS` checks them all).
"""

import hashlib
import importlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from manyexits import atomic
from manyexits.provenance import sha256
from manyexits.sources import Raw

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Images:
    """One split: images stay on disk as uint8 until they are indexed."""

    images: UInt8[np.ndarray, "n h w 3"]
    labels: Int64[np.ndarray, " n"]
    indices: Int64[np.ndarray, " m"]
    """Which of the n images belong to the split."""

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, positions: Int64[np.ndarray, " b"]) -> tuple[UInt8[np.ndarray, "b h w 3"], Int64[np.ndarray, " b"]]:
        """Images and labels at positions within the split."""
        chosen = self.indices[positions]
        return self.images[chosen], self.labels[chosen]


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset's splits and what its manifest says."""

    manifest: dict[str, Any]
    train: Images
    validation: Images
    test: Images

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.manifest["shape"]
        return height, width, channels

    @property
    def mean(self) -> Float32[np.ndarray, " 3"]:
        """Channel means of the training split, in [0, 1]."""
        return np.array(self.manifest["mean"], dtype=np.float32)

    @property
    def std(self) -> Float32[np.ndarray, " 3"]:
        """Channel standard deviations of the training split, in [0, 1]."""
        return np.array(self.manifest["std"], dtype=np.float32)


def prepare(settings: dict[str, Any], root: Path, hub: bool, folder: Path) -> None:
    """Read a dataset as its publisher ships it, check it, and write the prepared folder.

    Raises:
        ValueError: when it is missing, damaged, or not what the configuration says.
    """
    options = {
        k: v
        for k, v in settings.items()
        if k not in ("dataset", "source", "classes", "validation", "split_seed", "version")
    }
    raw = importlib.import_module(f"manyexits.data.{settings['source']}").load(root, hub, **options)
    write(raw, settings, folder)


def write(raw: Raw, settings: dict[str, Any], folder: Path) -> None:
    """Check a dataset, split it and write the prepared folder, the manifest last but for its checksum.

    Raises:
        ValueError: when its classes are not those of the settings, or it cannot be split.
    """
    name = settings["dataset"]
    found = len(np.unique(raw.train_labels))
    if not found == settings["classes"] == len(raw.class_names):
        raise ValueError(
            f"datasets.{name}.classes is {settings['classes']}, but {raw.source} has training images of {found} classes"
            f" and {len(raw.class_names)} class names; correct the key or get the complete dataset"
        )
    train, validation = split(raw.train_labels, settings["validation"], settings["split_seed"])

    arrays = {
        "train_images": raw.train_images,
        "train_labels": raw.train_labels,
        "test_images": raw.test_images,
        "test_labels": raw.test_labels,
    }
    (folder / "manifest.json").unlink(missing_ok=True)  # an older one must not vouch for what is written now
    for key, array in arrays.items():
        atomic.write(folder / "arrays" / f"{key}.npy", partial(_save, array=array))
    atomic.write_json(
        folder / "splits.json",
        {
            "rule": "validation: a share of the training part, stratified by class (scikit-learn's train_test_split)",
            "share": settings["validation"],
            "seed": settings["split_seed"],
            "sha256_of": "the indices as little-endian int64",
            "train": {"n": len(train), "sha256": _checksum(train), "indices": train.tolist()},
            "validation": {"n": len(validation), "sha256": _checksum(validation), "indices": validation.tolist()},
        },
    )
    mean, std = channel_statistics(raw.train_images, train)
    labels = {"train": raw.train_labels[train], "validation": raw.train_labels[validation], "test": raw.test_labels}
    atomic.write_json(
        folder / "manifest.json",
        {
            "dataset": name,
            "source": raw.source,
            "licence": raw.licence,
            "settings": settings,
            "shape": list(raw.train_images.shape[1:]),
            "n": {key: len(value) for key, value in labels.items()},
            "class_names": raw.class_names,
            "skipped": raw.skipped,
            "per_class": {key: _per_class(value, settings["classes"]) for key, value in labels.items()},
            "mean": mean.tolist(),
            "std": std.tolist(),
            "files_sha256": {f"arrays/{key}.npy": sha256(folder / "arrays" / f"{key}.npy") for key in arrays}
            | {"splits.json": sha256(folder / "splits.json")},
        },
    )
    listed = [*(f"arrays/{key}.npy" for key in arrays), "splits.json", "manifest.json"]
    atomic.write_text(folder / "SHA256SUMS", "".join(f"{sha256(folder / file)}  {file}\n" for file in listed))


def split(
    labels: Int64[np.ndarray, " n"], share: float, seed: int
) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Sorted indices of the training and the validation split, stratified by class [C].

    Raises:
        ValueError: when a class has one image only, or a part would have fewer images than there are classes.
    """
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(
            np.arange(len(labels)), test_size=share, stratify=labels, random_state=seed
        )
    except ValueError as error:
        counts = Counter(labels.tolist()).values()
        raise ValueError(
            f"{len(labels)} training images of {len(counts)} classes, {min(counts)} of the rarest, cannot be split,"
            f" stratified by class, into {1 - share:g} and {share:g}; change the dataset's key validation or get the"
            " complete dataset"
        ) from error
    return np.sort(train), np.sort(validation)


def channel_statistics(
    images: UInt8[np.ndarray, "n h w c"], indices: Int64[np.ndarray, " m"]
) -> tuple[Float32[np.ndarray, " c"], Float32[np.ndarray, " c"]]:
    """Mean and standard deviation per channel in [0, 1], exact: from the histogram of byte values."""
    counts = np.stack([np.bincount(images[indices, ..., c].ravel(), minlength=256) for c in range(images.shape[-1])])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values**2 / counts.sum(1) - mean**2
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32)


def read(folder: Path) -> Prepared:
    """Map a prepared folder into memory.

    Raises:
        ValueError: when a file of it is missing or its size is not the manifest's.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        splits = json.loads((folder / "splits.json").read_text())
        arrays = {
            key: np.load(folder / "arrays" / f"{key}.npy", mmap_mode="r", allow_pickle=False)
            for key in ("train_images", "train_labels", "test_images", "test_labels")
        }
        indices = {key: np.array(splits[key]["indices"], dtype=np.int64) for key in ("train", "validation")}
        n = {key: int(manifest["n"][key]) for key in ("train", "validation", "test")}
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"the prepared dataset in {folder} cannot be read ({error}); remove the folder and prepare it again"
        ) from error
    sizes = [(f"{key} split", len(value), n[key]) for key, value in indices.items()]
    for key, array in arrays.items():
        sizes.append((f"file {key}.npy", len(array), n["test"] if "test" in key else n["train"] + n["validation"]))
    for what, found, expected in sizes:
        if found != expected:
            raise ValueError(f"{folder}: the {what} has {found} images, not {expected}; prepare it anew")
    train, test = (
        (arrays["train_images"], np.asarray(arrays["train_labels"])),
        (arrays["test_images"], np.asarray(arrays["test_labels"])),
    )
    return Prepared(
        manifest,
        Images(*train, indices["train"]),
        Images(*train, indices["validation"]),
        Images(*test, np.arange(n["test"])),
    )


def _save(file: BinaryIO, array: np.ndarray) -> None:
    np.save(file, array)


def _checksum(indices: np.ndarray) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def _per_class(labels: np.ndarray, classes: int) -> list[int]:
    counts = Counter(labels.tolist())
    return [counts[index] for index in range(classes)]
