"""Preparing a dataset: read as its publisher ships it, checked, split, and written to the folder that `prepared.read`
maps into memory."""

import hashlib
import inspect
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from manyexits.data import checkpoints, splits, stored_images, stored_texts
from manyexits.data.images import Labels
from manyexits.data.raw import Raw, TextPart
from manyexits.files import atomic
from manyexits.files.provenance import sha256
from manyexits.study import components


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
    module, options = _reader(settings)
    raw = module.load(root, hub, workers, **options)
    apart = getattr(module, "OWN", False) and settings.get("shared") != "keep"
    with _tokenizer(settings.get("tokenizer"), root, hub) as tokenizer:
        remarks = raw.remarks + write(raw, settings, folder, apart, tokenizer)
    found, skipped = len(raw.train.labels) + len(raw.test.labels), raw.skipped
    if raw.passed_over:
        counted = ", ".join(f"{n:,} {suffix}" for suffix, n in raw.passed_over.items())
        remarks.append(f"files that are no photographs by their suffix were passed over: {counted}")
    if skipped:
        remarks.append(f"{len(skipped)} photographs that cannot be read were left out, the first is {skipped[0]}")
    part = any(options.get(key) for key in ("per_class", "sample"))
    if module.SAMPLES and found + len(skipped) < module.SAMPLES and not part:
        remarks.append(f"{raw.source} has {found + len(skipped):,} samples, the complete dataset {module.SAMPLES:,}")
    return remarks


def look(settings: dict[str, Any], found: Path) -> None:
    """See that `prepare` would read what lies there, as far as it shows before an image is decoded.

    Args:
        settings: the dataset's entry in config.yaml.
        found: its file or folder.

    Raises:
        ValueError: what `prepare` would say.
    """
    module, options = _reader(settings)
    if not hasattr(module, "look"):
        return
    taken = inspect.signature(module.look).parameters
    labelled = module.look(found, **{name: value for name, value in options.items() if name in taken})
    train, _, _ = _understood(labelled, str(found), settings)
    if settings["validation"] == "official":
        return
    splits.split(train, settings["validation"], settings["split_seed"])


def _tokenizer(told: dict[str, Any] | None, root: Path, hub: bool) -> AbstractContextManager[tuple[Path, str] | None]:
    """The tokenizer that an entry of `weights` names, with what a person calls its source; None where none is named."""
    if told is None:
        return nullcontext()
    return checkpoints.opened(told, told["file"], f"the tokenizer of weights.{told['name']}", root, hub)


def _reader(settings: dict[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    """Who reads a dataset, and what an entry of config.yaml tells it."""
    known = components.options("readers", settings["source"]).model_fields
    options = {key: value for key, value in settings.items() if key in known}
    return components.module("readers", settings["source"]), options


def write(
    raw: Raw, settings: dict[str, Any], folder: Path, apart: bool = False, tokenizer: tuple[Path, str] | None = None
) -> list[str]:
    """Check a dataset, split it and write the prepared folder, the manifest last but for its checksum.

    Args:
        raw: as it came.
        settings: the dataset's entry.
        folder: to be written.
        apart: whether no image may lie in two splits: copies within the training part are kept together, and one in
            the test part is refused. Else the split is drawn as the authors do, and what it shares is told.
        tokenizer: file of the one that texts are stored by, and its source; None: a vocabulary is made of them.

    Returns:
        What a person should know of images that lie in two splits, or would have.

    Raises:
        ValueError: when its labels are not those of the settings, or it cannot be split, or the training and the test
            part share images that they may not.
    """
    of_train, of_test, class_names = _understood(raw, raw.source, settings)
    parts = replace(raw.train, labels=of_train), replace(raw.test, labels=of_test)
    raw = replace(raw, train=parts[0], test=parts[1], class_names=class_names)
    train, validation, remarks = splits.drawn(raw, settings, apart)
    shared = splits.in_two_splits(raw, train, validation)
    if shared and apart:
        raise ValueError(
            f"{raw.source}: {shared}; keep each in one of them, or set shared: keep in the dataset's entry of"
            " config.yaml"
        )
    (folder / "manifest.json").unlink(missing_ok=True)  # an older one must not vouch for what is written now
    for name in ("train", "test"):
        atomic.write(folder / f"arrays/{name}_labels.npy", partial(np.save, arr=getattr(raw, name).labels))
    if isinstance(raw.train, TextPart):
        stored = stored_texts.write(raw, settings, folder / "arrays", train, tokenizer)
    else:
        stored = stored_images.write(raw, settings, folder / "arrays", train)
    files = [f"arrays/{file}" for file in stored.files]
    atomic.write_json(
        folder / "splits.json",
        {
            "rule": splits.rule(settings),
            "share": settings["validation"],
            "seed": settings["split_seed"],
            "sha256_of": "the indices as little-endian int64",
            "train": {"n": len(train), "sha256": _checksum(train), "indices": train.tolist()},
            "validation": {"n": len(validation), "sha256": _checksum(validation), "indices": validation.tolist()},
        },
    )
    labels = {"train": raw.train.labels[train], "validation": raw.train.labels[validation], "test": raw.test.labels}
    atomic.write_json(
        folder / "manifest.json",
        {
            "dataset": settings["dataset"],
            "source": raw.source,
            "licence": raw.licence,
            "settings": settings,
            **stored.form,
            "n": {key: len(value) for key, value in labels.items()},
            "class_names": raw.class_names,
            "skipped": raw.skipped,
            **({"passed_over": raw.passed_over} if raw.passed_over else {}),
            **({"in_two_splits": shared} if shared else {}),
            "per_class": {key: _per_class(value, len(raw.class_names)) for key, value in labels.items()},
            **stored.statistics,
            "files_sha256": {file: sha256(folder / file) for file in [*files, "splits.json"]},
        },
    )
    listed = [*files, "splits.json", "manifest.json"]
    atomic.write_text(folder / "SHA256SUMS", "".join(f"{sha256(folder / file)}  {file}\n" for file in listed))
    return remarks + ([f"{shared}; a network is tested on what it has seen"] if shared else [])


def _understood(labelled: Any, source: str, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels of the training and of the test part as the settings mean them, and names of the classes.

    Args:
        labelled: what has `train.labels`, `test.labels` and `class_names`.
        source: what a person calls it.
        settings: the dataset's entry.

    Raises:
        ValueError: for classes or scores that are not those of the settings.
    """
    name, parts = settings["dataset"], (labelled.train.labels, labelled.test.labels)
    if settings.get("scores") is not None:
        train, test = (_scores(part, name, source, *settings["scores"]) for part in parts)
        return train, test, []
    found, tested = (len(np.unique(part)) for part in parts)
    names = labelled.class_names
    if not found == settings["classes"] == len(names):
        raise ValueError(
            f"datasets.{name}.classes is {settings['classes']}, but {source} has training samples of"
            f" {found} classes and {len(names)} class names; correct the key or get the complete dataset"
        )
    if tested != found:
        raise ValueError(
            f"{source} has training samples of {found} classes, but test samples of {tested}; get the complete dataset"
        )
    return *parts, names


def _scores(labels: Labels, name: str, source: str, low: float, high: float) -> Labels:
    """Labels that are scores; numbers of classes count as such."""
    scores = labels.astype(np.float64)
    outside = scores[~((scores >= low) & (scores <= high))]  # a score that is no number, too
    if len(outside):
        raise ValueError(
            f"datasets.{name}.scores is [{low:g}, {high:g}], but {source} has {len(outside)} other labels, the"
            f" first is {outside[0]:g}; correct the key or get the dataset again"
        )
    return scores


def _checksum(indices: np.ndarray) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def _per_class(labels: np.ndarray, classes: int) -> list[int]:
    counts = Counter(labels.tolist())
    return [counts[index] for index in range(classes)]
