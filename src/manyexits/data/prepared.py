"""A prepared dataset: `prepare` writes it, every later stage maps it into memory.

Layout of the folder: arrays/, splits.json, manifest.json, SHA256SUMS (`sha256sum -c SHA256SUMS` checks them all). Small
images lie in arrays/{train,test}_{images,labels}.npy. Photographs that stay where they are have an index instead of
images: arrays/{train,test}_files.csv (path, height, width) and arrays/root.txt, the folder that the paths begin at.
"""

import csv
import hashlib
import io
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32, Int64

from manyexits.data.images import Files, Images, Labels, open_shards
from manyexits.data.raw import Raw, RawPart
from manyexits.files import atomic
from manyexits.files.provenance import sha256
from manyexits.study import components

INDEX = ("path", "height", "width")


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


def prepare(settings: dict[str, Any], root: Path, hub: bool, folder: Path, workers: int = 1) -> list[str]:
    """Read a dataset as its publisher ships it, check it, and write the prepared folder.

    Args:
        settings: the dataset's entry in config.yaml.
        root: folder of the publishers' files.
        hub: whether what is not there may be fetched.
        folder: to be written.
        workers: threads that decode photographs.

    Returns:
        What a person should know of it, a sentence each.

    Raises:
        ValueError: when it is missing, damaged, or not what the configuration says.
    """
    known = components.options("readers", settings["source"]).model_fields
    options = {key: value for key, value in settings.items() if key in known}
    module = components.module("readers", settings["source"])
    raw = module.load(root, hub, workers, **options)
    write(raw, settings, folder)
    found, skipped = len(raw.train.labels) + len(raw.test.labels), raw.skipped
    remarks = []
    if skipped:
        remarks.append(f"{len(skipped)} photographs that cannot be read were left out, the first is {skipped[0]}")
    if module.IMAGES and found + len(skipped) < module.IMAGES and not options.get("per_class"):
        remarks.append(f"{raw.source} has {found + len(skipped):,} images, the complete dataset {module.IMAGES:,}")
    return remarks


def write(raw: Raw, settings: dict[str, Any], folder: Path) -> None:
    """Check a dataset, split it and write the prepared folder, the manifest last but for its checksum.

    Raises:
        ValueError: when its labels are not those of the settings, or it cannot be split.
    """
    name, scores = settings["dataset"], settings.get("scores")
    if scores is None:
        _check_classes(raw, settings)
    else:
        raw = _scored(raw, name, *scores)
    train, validation = split(raw.train.labels, settings["validation"], settings["split_seed"])
    found, tested = (len(np.unique(part.labels)) for part in (raw.train, raw.test))
    if scores is None and tested != found:
        raise ValueError(
            f"{raw.source} has training images of {found} classes, but test images of {tested};"
            " get the complete dataset"
        )
    (folder / "manifest.json").unlink(missing_ok=True)  # an older one must not vouch for what is written now
    files = [file for part in ("train", "test") for file in _write_part(folder / "arrays", part, getattr(raw, part))]
    how = "stratified by class" if scores is None else "at random"
    atomic.write_json(
        folder / "splits.json",
        {
            "rule": f"validation: a share of the training part, {how} (scikit-learn's train_test_split)",
            "share": settings["validation"],
            "seed": settings["split_seed"],
            "sha256_of": "the indices as little-endian int64",
            "train": {"n": len(train), "sha256": _checksum(train), "indices": train.tolist()},
            "validation": {"n": len(validation), "sha256": _checksum(validation), "indices": validation.tolist()},
        },
    )
    mean, std = raw.train.statistics(train)
    labels = {"train": raw.train.labels[train], "validation": raw.train.labels[validation], "test": raw.test.labels}
    atomic.write_json(
        folder / "manifest.json",
        {
            "dataset": name,
            "source": raw.source,
            "licence": raw.licence,
            "settings": settings,
            "shape": list(raw.train.images.shape[1:]),
            "n": {key: len(value) for key, value in labels.items()},
            "class_names": raw.class_names,
            "skipped": raw.skipped,
            "per_class": {key: _per_class(value, len(raw.class_names)) for key, value in labels.items()},
            "mean": settings.get("mean") or mean.tolist(),
            "std": settings.get("std") or std.tolist(),
            "photographs_sha256": {part: getattr(raw, part).sha256 for part in ("train", "test")},
            "files_sha256": {file: sha256(folder / file) for file in [*files, "splits.json"]},
        },
    )
    listed = [*files, "splits.json", "manifest.json"]
    atomic.write_text(folder / "SHA256SUMS", "".join(f"{sha256(folder / file)}  {file}\n" for file in listed))


def _check_classes(raw: Raw, settings: dict[str, Any]) -> None:
    """Refuse classes that are not those of the settings."""
    found = len(np.unique(raw.train.labels))
    if not found == settings["classes"] == len(raw.class_names):
        raise ValueError(
            f"datasets.{settings['dataset']}.classes is {settings['classes']}, but {raw.source} has training images of"
            f" {found} classes and {len(raw.class_names)} class names; correct the key or get the complete dataset"
        )


def _scored(raw: Raw, name: str, low: float, high: float) -> Raw:
    """A dataset whose labels are scores; numbers of classes count as such."""
    parts = [replace(part, labels=part.labels.astype(np.float64)) for part in (raw.train, raw.test)]
    for part in parts:
        outside = part.labels[~((part.labels >= low) & (part.labels <= high))]  # a score that is no number, too
        if len(outside):
            raise ValueError(
                f"datasets.{name}.scores is [{low:g}, {high:g}], but {raw.source} has {len(outside)} other labels, the"
                f" first is {outside[0]:g}; correct the key or get the dataset again"
            )
    return replace(raw, train=parts[0], test=parts[1], class_names=[])


def split(labels: Labels, share: float, seed: int) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Sorted indices of the training and the validation split, stratified where labels are classes [C].

    Raises:
        ValueError: when a class has one image only, or a part would have fewer images than there are classes.
    """
    from sklearn.model_selection import train_test_split

    classes = labels if np.issubdtype(labels.dtype, np.integer) else None
    try:
        train, validation = train_test_split(
            np.arange(len(labels)), test_size=share, stratify=classes, random_state=seed
        )
    except ValueError as error:
        counts = Counter(labels.tolist()).values()
        of = "" if classes is None else f" of {len(counts)} classes, {min(counts)} of the rarest,"
        how = "" if classes is None else ", stratified by class,"
        raise ValueError(
            f"{len(labels)} training images{of} cannot be split{how} into {1 - share:g} and {share:g};"
            " change the dataset's key validation or get the complete dataset"
        ) from error
    return np.sort(train), np.sort(validation)


def read(folder: Path, workers: int = 0) -> Prepared:
    """Map a prepared folder into memory.

    Args:
        folder: written by `prepare`.
        workers: processes that decode photographs ahead of time, where the dataset is an index of files.

    Raises:
        ValueError: when a file of it is missing or its size is not the manifest's.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        splits = json.loads((folder / "splits.json").read_text())
        train, test = (_read_part(folder / "arrays", part, int(manifest["shape"][0])) for part in ("train", "test"))
        indices = {key: np.array(splits[key]["indices"], dtype=np.int64) for key in ("train", "validation")}
        n = {key: int(manifest["n"][key]) for key in ("train", "validation", "test")}
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"the prepared dataset in {folder} cannot be read ({error}); remove the folder and prepare it again"
        ) from error
    sizes = [(f"{key} split", len(value), n[key]) for key, value in indices.items()]
    for name, part, expected in (("train", train, n["train"] + n["validation"]), ("test", test, n["test"])):
        sizes += [(f"file {name}_{what}", len(values), expected) for what, values in part.items()]
    for what, found, expected in sizes:
        if found != expected:
            raise ValueError(f"{folder}: the {what} has {found} images, not {expected}; prepare it anew")
    return Prepared(
        manifest,
        Images(**train, indices=indices["train"], workers=workers),
        Images(**train, indices=indices["validation"], workers=workers),
        Images(**test, indices=np.arange(n["test"]), workers=workers),
    )


def _write_part(folder: Path, name: str, part: RawPart) -> list[str]:
    """Write the training or test part; the names of its files below the prepared folder."""
    for other in ("images.npy", "files.csv"):  # of an earlier preparation, that may have had the other form
        (folder / f"{name}_{other}").unlink(missing_ok=True)
    atomic.write(folder / f"{name}_labels.npy", partial(_save, array=part.labels))
    if isinstance(part.images, Files):
        rows = zip(map(os.fsdecode, part.images.names), *part.images.sizes.T.tolist(), strict=True)
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\n").writerows([INDEX, *rows])
        atomic.write_text(folder / f"{name}_files.csv", table.getvalue())
        atomic.write_text(folder / "root.txt", str(part.images.root))  # no manifest names it: it is this machine's
        return [f"arrays/{name}_labels.npy", f"arrays/{name}_files.csv"]
    atomic.write(folder / f"{name}_images.npy", partial(_save, array=part.images))
    return [f"arrays/{name}_images.npy", f"arrays/{name}_labels.npy"]


def _read_part(folder: Path, name: str, pixels: int) -> dict[str, Any]:
    """Images and labels of the training or test part."""
    labels = np.load(folder / f"{name}_labels.npy", allow_pickle=False)
    if (folder / f"{name}_images.npy").exists() or not (folder / f"{name}_files.csv").exists():
        return {"images": np.load(folder / f"{name}_images.npy", mmap_mode="r", allow_pickle=False), "labels": labels}
    with (folder / f"{name}_files.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    names = np.array([row[0].encode() for row in rows])
    sizes = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 2)
    root = Path((folder / "root.txt").read_text(encoding="utf-8"))
    open_shards(root, (row[0] for row in rows))
    return {"images": Files(root, names, sizes, pixels), "labels": labels}


def _save(file: BinaryIO, array: np.ndarray) -> None:
    np.save(file, array)


def _checksum(indices: np.ndarray) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def _per_class(labels: np.ndarray, classes: int) -> list[int]:
    counts = Counter(labels.tolist())
    return [counts[index] for index in range(classes)]
