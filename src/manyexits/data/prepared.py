"""A prepared dataset: `prepare` writes it, every later stage maps it into memory.

Layout of the folder: arrays/, splits.json, manifest.json, SHA256SUMS (`sha256sum -c SHA256SUMS` checks them all). Small
images lie in arrays/{train,test}_{images,labels}.npy. Photographs that stay where they are have an index instead of
images: arrays/{train,test}_files.csv (path, height, width) and arrays/root.txt, the folder that the paths begin at. Of
texts there are arrays/{train,test}_{tokens,ends}.npy and arrays/tokenizer.json.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from manyexits.data import stored_images, stored_texts
from manyexits.data.images import Images
from manyexits.data.manifest import Splits, TextsManifest, shape_of
from manyexits.data.texts import Texts
from manyexits.files import reading
from manyexits.files.provenance import sha256

MOST = 2**20
"""Tokens of a text where nobody says to how many it is cut."""
AGAIN = "remove the prepared folder and prepare it again"


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset's splits and what its manifest says."""

    manifest: dict[str, Any]
    train: Images | Texts
    validation: Images | Texts
    test: Images | Texts
    folder: Path = Path()
    """Where it lies."""

    @property
    def remark(self) -> str | None:
        """What somebody should know who reads it: how many texts lose their end."""
        splits = {"training": self.train, "validation": self.validation, "test": self.test}
        cut = {name: split.cut for name, split in splits.items() if isinstance(split, Texts) and split.cut}
        if not isinstance(self.train, Texts) or not cut:
            return None
        told = ", ".join(f"{n:,} of {len(splits[name]):,} {name}" for name, n in cut.items())
        return f"longer than {self.train.most} tokens, and cut to them: {told} texts"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.manifest["shape"]
        return height, width, channels

    @property
    def task(self) -> dict[str, Any]:
        """What labels are: `classes`, their number, or `scores`, the lowest and the highest."""
        settings = self.manifest["settings"]
        key = "classes" if settings.get("scores") is None else "scores"
        return {key: settings[key]}

    @property
    def classes(self) -> int | None:
        """Number of classes; None where labels are scores."""
        return self.task.get("classes")

    @property
    def mean(self) -> Float32[np.ndarray, " 3"]:
        """Channel means that images are normalised by, in [0, 1]."""
        return np.array(self.manifest["mean"], dtype=np.float32)

    @property
    def std(self) -> Float32[np.ndarray, " 3"]:
        """Channel standard deviations that images are normalised by, in [0, 1]."""
        return np.array(self.manifest["std"], dtype=np.float32)


def read(folder: Path, workers: int = 0, network: dict[str, Any] | None = None) -> Prepared:
    """Map a prepared folder into memory, and see that it is what its manifest says: sizes, types and ranges of all, and
    checksums of all but the images.

    Args:
        folder: written by `prepare`.
        workers: threads that decode photographs ahead of time, where the dataset is an index of files.
        network: settings of the network that is to read it, which answers with so many classes, or such scores.

    Raises:
        ValueError: when a file of it is missing, damaged, or not the manifest's, or its labels are not the network's.
    """
    shape = shape_of(reading.json_as(folder / "manifest.json", dict, AGAIN))
    manifest = reading.json_as(folder / "manifest.json", shape, AGAIN)
    for name in ("splits.json", "arrays/train_labels.npy", "arrays/test_labels.npy"):
        if name not in manifest.files_sha256:
            raise ValueError(f"{folder / 'manifest.json'} has no checksum of {name}; {AGAIN}")
    for name, expected in manifest.files_sha256.items():
        path = folder / name
        with reading.reading(path, "file of this dataset", AGAIN):
            if not name.endswith("_images.npy") and sha256(path) != expected:
                raise ValueError("its checksum is not the manifest's")
    splits = reading.json_as(folder / "splits.json", Splits, AGAIN)
    n, settings = manifest.n, manifest.settings.model_dump()
    if network is not None and (asked := _labels(network)) != (has := _labels(settings)):
        raise ValueError(f"{folder} has labels of {has}, but the network answers with {asked}; name another of them")
    backbone = (network or {}).get("backbone", {})
    pieces = manifest.vocabulary if isinstance(manifest, TextsManifest) else None
    if network is not None and pieces != (wanted := backbone.get("vocabulary")):
        raise ValueError(
            f"{folder} has {f'a vocabulary of {pieces}' if pieces else 'images'}, but the backbone reads"
            f" {f'one of {wanted}' if wanted else 'images'}; name another of them"
        )
    if settings["scores"] is None and len(manifest.class_names) != settings["classes"]:
        raise ValueError(
            f"{folder / 'manifest.json'} has {len(manifest.class_names)} class names for {settings['classes']} classes;"
            f" {AGAIN}"
        )
    parts: dict[str, tuple[Any, np.ndarray]] = {}
    samples: Any
    for name, size in (("train", n.train + n.validation), ("test", n.test)):
        labels = reading.array(folder / f"arrays/{name}_labels.npy", remedy=AGAIN)
        if isinstance(manifest, TextsManifest):
            what, samples = "tokens", stored_texts.read(folder / "arrays", name, manifest, AGAIN)
        else:
            what, samples = "images", stored_images.read(folder / "arrays", name, manifest.shape, AGAIN)
        for file, values in ((what, samples), ("labels", labels)):
            if len(values) != size:
                raise ValueError(f"{folder}: the file {name}_{file} has {len(values)} samples, not {size}; {AGAIN}")
        _check_labels(folder / f"arrays/{name}_labels.npy", labels, settings)
        parts[name] = (samples, labels)
    indices = {name: np.array(getattr(splits, name).indices, dtype=np.int64) for name in ("train", "validation")}
    for name, members in indices.items():
        if len(members) != getattr(n, name):
            raise ValueError(f"{folder}: the {name} split has {len(members)} samples, not {getattr(n, name)}; {AGAIN}")
    drawn = np.sort(np.concatenate(list(indices.values())))
    if not np.array_equal(drawn, np.arange(len(drawn))):
        raise ValueError(f"{folder / 'splits.json'}: its splits overlap, or leave samples out; {AGAIN}")
    of = partial(Texts, most=backbone.get("length", MOST)) if pieces else partial(Images, workers=workers)
    return Prepared(
        manifest.model_dump(mode="json", exclude_unset=True),
        of(*parts["train"], indices["train"]),
        of(*parts["train"], indices["validation"]),
        of(*parts["test"], np.arange(n.test)),
        folder,
    )


def _labels(settings: dict[str, Any]) -> str:
    """What settings say of labels, in words."""
    scores = settings.get("scores")
    return f"{settings['classes']} classes" if scores is None else f"scores {scores[0]:g} to {scores[1]:g}"


def _check_labels(path: Path, labels: np.ndarray, settings: dict[str, Any]) -> None:
    """Refuse labels that are no classes or scores of the settings."""
    scores = settings.get("scores")
    low, high = scores if scores is not None else (0, settings["classes"] - 1)
    right = labels.ndim == 1 and labels.dtype == (np.int64 if scores is None else np.float64)
    if not right or not ((labels >= low) & (labels <= high)).all():
        what = f"classes 0 to {high}" if scores is None else f"scores {low:g} to {high:g}"
        raise ValueError(f"{path} holds {labels.dtype} {labels.shape} of {what} and others; {AGAIN}")
