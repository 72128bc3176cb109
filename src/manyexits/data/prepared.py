"""A prepared dataset: `prepare` writes it, every later stage maps it into memory.

Layout of the folder: arrays/, splits.json, manifest.json, SHA256SUMS (`sha256sum -c SHA256SUMS` checks them all). Small
images lie in arrays/{train,test}_{images,labels}.npy. Photographs that stay where they are have an index instead of
images: arrays/{train,test}_files.csv (path, height, width) and arrays/root.txt, the folder that the paths begin at.
"""

import csv
import hashlib
import io
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32, Int64

from manyexits.data.images import Files, Images, Labels, open_shards
from manyexits.data.manifest import DatasetManifest, Splits
from manyexits.data.raw import Raw, RawPart
from manyexits.files import atomic, reading
from manyexits.files.provenance import sha256
from manyexits.study import components

INDEX = ("path", "height", "width")
AGAIN = "remove the prepared folder and prepare it again"


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
    remarks = write(raw, settings, folder, apart=getattr(module, "OWN", False) and settings.get("shared") != "keep")
    found, skipped = len(raw.train.labels) + len(raw.test.labels), raw.skipped
    if raw.passed_over:
        counted = ", ".join(f"{n:,} {suffix}" for suffix, n in raw.passed_over.items())
        remarks.append(f"files that are no photographs by their suffix were passed over: {counted}")
    if skipped:
        remarks.append(f"{len(skipped)} photographs that cannot be read were left out, the first is {skipped[0]}")
    if module.IMAGES and found + len(skipped) < module.IMAGES and not options.get("per_class"):
        remarks.append(f"{raw.source} has {found + len(skipped):,} images, the complete dataset {module.IMAGES:,}")
    return remarks


def write(raw: Raw, settings: dict[str, Any], folder: Path, apart: bool = False) -> list[str]:
    """Check a dataset, split it and write the prepared folder, the manifest last but for its checksum.

    Args:
        raw: as it came.
        settings: the dataset's entry.
        folder: to be written.
        apart: whether no image may lie in two splits: copies within the training part are kept together, and one in
            the test part is refused. Else the split is drawn as the authors do, and what it shares is told.

    Returns:
        What a person should know of images that lie in two splits, or would have.

    Raises:
        ValueError: when its labels are not those of the settings, or it cannot be split, or the training and the test
            part share images that they may not.
    """
    name, scores = settings["dataset"], settings.get("scores")
    if scores is None:
        _check_classes(raw, settings)
    else:
        raw = _scored(raw, name, *scores)
    train, validation, remarks = _drawn(raw, settings, apart)
    shared = in_two_splits(raw, train, validation)
    if shared and apart:
        raise ValueError(
            f"{raw.source}: {shared}; keep each in one of them, or set shared: keep in the dataset's entry of"
            " config.yaml"
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
            **({"passed_over": raw.passed_over} if raw.passed_over else {}),
            **({"in_two_splits": shared} if shared else {}),
            "per_class": {key: _per_class(value, len(raw.class_names)) for key, value in labels.items()},
            "mean": settings.get("mean") or mean.tolist(),
            "std": settings.get("std") or std.tolist(),
            "photographs_sha256": {part: getattr(raw, part).sha256 for part in ("train", "test")},
            "files_sha256": {file: sha256(folder / file) for file in [*files, "splits.json"]},
        },
    )
    listed = [*files, "splits.json", "manifest.json"]
    atomic.write_text(folder / "SHA256SUMS", "".join(f"{sha256(folder / file)}  {file}\n" for file in listed))
    return remarks + ([f"{shared}; a network is tested on what it has seen"] if shared else [])


def _drawn(
    raw: Raw, settings: dict[str, Any], apart: bool
) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"], list[str]]:
    """Places of the training and of the validation split in the training part, and what was done about copies."""
    train, validation = split(raw.train.labels, settings["validation"], settings["split_seed"])
    if settings.get("scores") is None:
        found, tested = (len(np.unique(part.labels)) for part in (raw.train, raw.test))
        if tested != found:
            raise ValueError(
                f"{raw.source} has training images of {found} classes, but test images of {tested};"
                " get the complete dataset"
            )
    copies = copied(raw.train, train, validation) if apart else validation[:0]
    if not len(copies):
        return train, validation, []
    train, validation = np.union1d(train, copies), np.setdiff1d(validation, copies)
    if not len(validation):
        raise ValueError(f"{raw.source}: no photograph is left for the validation split, all are copies; add others")
    return train, validation, [f"{len(copies)} copies of training photographs were left out of the validation split"]


def copied(
    part: RawPart, train: Int64[np.ndarray, " a"], validation: Int64[np.ndarray, " b"]
) -> Int64[np.ndarray, " c"]:
    """Which images of the validation split are in the training split, too."""
    seen = part.seen()
    trained = {seen[place] for place in train.tolist()}
    return np.array([place for place in validation.tolist() if seen[place] in trained], dtype=np.int64)


def in_two_splits(raw: Raw, train: Int64[np.ndarray, " a"], validation: Int64[np.ndarray, " b"]) -> str | None:
    """A sentence on images that lie in two splits: equal files, or files that a network sees as equal."""
    of_train, of_test = raw.train.seen(), raw.test.seen()
    first: dict[bytes, tuple[str, str]] = {}
    shared: dict[bytes, str] = {}
    for split_, places, seen, part in (
        ("training", train.tolist(), of_train, raw.train),
        ("validation", validation.tolist(), of_train, raw.train),
        ("test", range(len(of_test)), of_test, raw.test),
    ):
        for place in places:
            name = f"number {place}" if part.names is None else part.names[place]
            before, where = first.setdefault(seen[place], (name, split_))
            if where != split_ and seen[place] not in shared:
                shared[seen[place]] = f"{before} of the {where} split is {name} of the {split_} split"
    if not shared:
        return None
    return f"{len(shared)} photographs lie in two splits, the first: {next(iter(shared.values()))}"


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
    """Map a prepared folder into memory, and see that it is what its manifest says: sizes, types and ranges of all, and
    checksums of all but the images.

    Args:
        folder: written by `prepare`.
        workers: processes that decode photographs ahead of time, where the dataset is an index of files.

    Raises:
        ValueError: when a file of it is missing, damaged, or not the manifest's.
    """
    manifest = reading.json_as(folder / "manifest.json", DatasetManifest, AGAIN)
    for name in ("splits.json", "arrays/train_labels.npy", "arrays/test_labels.npy"):
        if name not in manifest.files_sha256:
            raise ValueError(f"{folder / 'manifest.json'} has no checksum of {name}; {AGAIN}")
    for name, expected in manifest.files_sha256.items():
        path = folder / name
        with reading.reading(path, "file of this dataset", AGAIN):
            if not name.endswith("_images.npy") and sha256(path) != expected:
                raise ValueError("its checksum is not the manifest's")
    splits = reading.json_as(folder / "splits.json", Splits, AGAIN)
    n, parts = manifest.n, {}
    settings = manifest.settings.model_dump()
    if settings["scores"] is None and len(manifest.class_names) != settings["classes"]:
        raise ValueError(
            f"{folder / 'manifest.json'} has {len(manifest.class_names)} class names for {settings['classes']} classes;"
            f" {AGAIN}"
        )
    for name, size in (("train", n.train + n.validation), ("test", n.test)):
        parts[name] = _read_part(folder / "arrays", name, manifest.shape)
        for what, values in parts[name].items():
            if len(values) != size:
                raise ValueError(f"{folder}: the file {name}_{what} has {len(values)} images, not {size}; {AGAIN}")
        _check_labels(folder / f"arrays/{name}_labels.npy", parts[name]["labels"], settings)
    indices = {name: np.array(getattr(splits, name).indices, dtype=np.int64) for name in ("train", "validation")}
    for name, members in indices.items():
        if len(members) != getattr(n, name):
            raise ValueError(f"{folder}: the {name} split has {len(members)} images, not {getattr(n, name)}; {AGAIN}")
    drawn = np.sort(np.concatenate(list(indices.values())))
    if not np.array_equal(drawn, np.arange(len(drawn))):
        raise ValueError(f"{folder / 'splits.json'}: its splits overlap, or leave images out; {AGAIN}")
    return Prepared(
        manifest.model_dump(mode="json", exclude_unset=True),
        Images(**parts["train"], indices=indices["train"], workers=workers),
        Images(**parts["train"], indices=indices["validation"], workers=workers),
        Images(**parts["test"], indices=np.arange(n.test), workers=workers),
    )


def _check_labels(path: Path, labels: np.ndarray, settings: dict[str, Any]) -> None:
    """Refuse labels that are no classes or scores of the settings."""
    scores = settings.get("scores")
    low, high = scores if scores is not None else (0, settings["classes"] - 1)
    right = labels.ndim == 1 and labels.dtype == (np.int64 if scores is None else np.float64)
    if not right or not ((labels >= low) & (labels <= high)).all():
        what = f"classes 0 to {high}" if scores is None else f"scores {low:g} to {high:g}"
        raise ValueError(f"{path} holds {labels.dtype} {labels.shape} of {what} and others; {AGAIN}")


def _write_part(folder: Path, name: str, part: RawPart) -> list[str]:
    """Write the training or test part; the names of its files below the prepared folder."""
    for other in ("images.npy", "files.csv"):  # of an earlier preparation, that may have had the other form
        (folder / f"{name}_{other}").unlink(missing_ok=True)
    atomic.write(folder / f"{name}_labels.npy", partial(_save, array=part.labels))
    if isinstance(part.images, Files):
        rows = zip(map(os.fsdecode, part.images.names), *part.images.sizes.T.tolist(), strict=True)
        table = io.StringIO(newline="")
        plain, quoted = (
            csv.writer(table, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        plain.writerow(INDEX)
        for row in rows:  # csv sees no need to quote a carriage return, and then reads it as the end of a row
            (quoted if "\r" in row[0] else plain).writerow(row)
        atomic.write_text(folder / f"{name}_files.csv", table.getvalue())
        atomic.write_text(folder / "root.txt", str(part.images.root))  # no manifest names it: it is this machine's
        return [f"arrays/{name}_labels.npy", f"arrays/{name}_files.csv"]
    atomic.write(folder / f"{name}_images.npy", partial(_save, array=part.images))
    return [f"arrays/{name}_images.npy", f"arrays/{name}_labels.npy"]


def _read_part(folder: Path, name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Images and labels of the training or test part."""
    labels = reading.array(folder / f"{name}_labels.npy", remedy=AGAIN)
    path = folder / f"{name}_images.npy"
    if path.exists() or not (folder / f"{name}_files.csv").exists():
        images = reading.array(path, mapped=True, remedy=AGAIN)
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(f"{path} holds {images.dtype} {images.shape[1:]}, not uint8 {shape}; {AGAIN}")
        return {"images": images, "labels": labels}
    path = folder / f"{name}_files.csv"
    rows = reading.table(path, INDEX, AGAIN)
    root = Path(reading.text(folder / "root.txt", AGAIN))
    with reading.reading(path, "index of photographs", AGAIN):
        names = np.array([row[0].encode() for row in rows])
        sizes = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 2)
        open_shards(root, (row[0] for row in rows))
    return {"images": Files(root, names, sizes, shape[0]), "labels": labels}


def _save(file: BinaryIO, array: np.ndarray) -> None:
    np.save(file, array)


def _checksum(indices: np.ndarray) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def _per_class(labels: np.ndarray, classes: int) -> list[int]:
    counts = Counter(labels.tolist())
    return [counts[index] for index in range(classes)]
