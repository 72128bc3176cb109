"""Which samples are for training, validation and test, and whether one lies in two of these splits."""

from collections import Counter
from typing import Any

import numpy as np
from jaxtyping import Int64

from manyexits.data.images import Labels
from manyexits.data.raw import Raw, RawPart, TextPart


def drawn(
    raw: Raw, settings: dict[str, Any], apart: bool
) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"], list[str]]:
    """Places of the training and of the validation split in the training part, and what was done about copies.

    Args:
        raw: the dataset as it came.
        settings: its entry.
        apart: whether copies of training images are left out of the validation split.

    Raises:
        ValueError: when it cannot be split, or nothing is left for validation.
    """
    if settings["validation"] == "official":
        if not raw.validation:
            raise ValueError(f"{raw.source} has no validation split of its own; set validation to a share")
        first = len(raw.train.labels) - raw.validation
        train, validation = np.split(np.arange(len(raw.train.labels)), [first])
    else:
        train, validation = split(raw.train.labels, settings["validation"], settings["split_seed"])
    copies = copied(raw.train, train, validation) if apart else validation[:0]
    if not len(copies):
        return train, validation, []
    train, validation = np.union1d(train, copies), np.setdiff1d(validation, copies)
    if not len(validation):
        raise ValueError(f"{raw.source}: no photograph is left for the validation split, all are copies; add others")
    return train, validation, [f"{len(copies)} copies of training photographs were left out of the validation split"]


def rule(settings: dict[str, Any]) -> str:
    """How the validation split is chosen, in words."""
    if settings["validation"] == "official":
        return "validation: what the publishers set aside for it"
    how = "stratified by class" if settings.get("scores") is None else "at random"
    return f"validation: a share of the training part, {how} (scikit-learn's train_test_split)"


def split(labels: Labels, share: float, seed: int) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Sorted indices of the training and the validation split, stratified where labels are classes [C].

    Raises:
        ValueError: when a class has one sample only, or a part would have fewer samples than there are classes.
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
            f"{len(labels)} training samples{of} cannot be split{how} into {1 - share:g} and {share:g};"
            " change the dataset's key validation or get the complete dataset"
        ) from error
    return np.sort(train), np.sort(validation)


def copied(
    part: RawPart | TextPart, train: Int64[np.ndarray, " a"], validation: Int64[np.ndarray, " b"]
) -> Int64[np.ndarray, " c"]:
    """Which samples of the validation split are in the training split, too."""
    seen = part.seen()
    trained = {seen[place] for place in train.tolist()}
    return np.array([place for place in validation.tolist() if seen[place] in trained], dtype=np.int64)


def in_two_splits(raw: Raw, train: Int64[np.ndarray, " a"], validation: Int64[np.ndarray, " b"]) -> str | None:
    """A sentence on samples that lie in two splits: equal files, texts, or files that a network sees as equal."""
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
    what = "texts" if isinstance(raw.train, TextPart) else "photographs"
    return f"{len(shared)} {what} lie in two splits, the first: {next(iter(shared.values()))}"
