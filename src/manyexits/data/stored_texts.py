"""Texts as a prepared folder holds them: token ids, untruncated, and the tokenizer that made them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from manyexits.data.manifest import TextsManifest
from manyexits.data.raw import Raw, Stored, TextPart
from manyexits.data.texts import Tokens
from manyexits.files import atomic, reading
from manyexits.files.provenance import sha256

TOKENIZER = "tokenizer.json"


def write(
    raw: Raw, settings: dict[str, Any], folder: Path, train: Int64[np.ndarray, " m"], tokenizer: tuple[Path, str] | None
) -> Stored:
    """Write the token ids of both parts and their tokenizer.

    Args:
        raw: the dataset.
        settings: its entry.
        folder: of the arrays.
        train: indices of the training split, of whose texts a vocabulary is made.
        tokenizer: file of the one to be used, and its source; None: a vocabulary is made.

    Raises:
        ValueError: when that is no tokenizer, or the vocabulary too small.
    """
    from manyexits.data import tokens  # here alone a tokenizer is needed

    parts: dict[str, TextPart] = {name: getattr(raw, name) for name in ("train", "test")}
    if tokenizer is None:
        of_train = (text for place in train.tolist() for text in parts["train"].texts[place])
        used, source = tokens.words(of_train, settings["vocabulary"]), "words and letters of the training split"
    else:
        path, source = tokenizer
        used, source = tokens.read(path, "where it is from"), f"{source}, sha256 {sha256(path)}"
    frame = tokens.frame(used, source)
    made = {name: tokens.encode(used, part.texts) for name, part in parts.items()}
    for name, (ids, ends) in made.items():
        atomic.write(folder / f"{name}_tokens.npy", partial(np.save, arr=ids))
        atomic.write(folder / f"{name}_ends.npy", partial(np.save, arr=ends))
    atomic.write_text(folder / TOKENIZER, used.to_str())
    whole = {name: Tokens(*each, frame).lengths.sum(1) + frame.n(each[1].shape[1]) for name, each in made.items()}
    form = {
        "texts": len(parts["train"].texts[0]),
        # of few words a vocabulary has fewer pieces than it was to have
        "vocabulary": settings.get("vocabulary") or used.get_vocab_size(),
        "tokenizer": source,
    }
    counted = {
        name: {"mean": round(float(lengths.mean()), 2), "most": int(lengths.max())} for name, lengths in whole.items()
    }
    files = [f"{name}_{what}.npy" for name in parts for what in ("tokens", "ends", "labels")]
    return Stored(form | {"frame": frame.model_dump()}, {"tokens": counted}, [TOKENIZER, *files])


def read(folder: Path, name: str, manifest: TextsManifest, remedy: str) -> Tokens:
    """The token ids of the training or test part.

    Raises:
        ValueError: when they are missing, damaged, or no ids of the vocabulary.
    """
    ids = reading.array(folder / f"{name}_tokens.npy", mapped=True, remedy=remedy)
    ends = reading.array(folder / f"{name}_ends.npy", remedy=remedy)
    if ids.dtype != np.int32 or ids.ndim != 1 or not ((ids >= 0) & (ids < manifest.vocabulary)).all():
        raise ValueError(f"{folder / f'{name}_tokens.npy'} holds other than ids of the vocabulary; {remedy}")
    if (
        ends.dtype != np.int64
        or ends.shape[1:] != (manifest.texts,)
        or (np.diff(ends.ravel(), prepend=0) < 0).any()
        or ends.ravel()[-1:].tolist() != [len(ids)]
    ):
        raise ValueError(f"{folder / f'{name}_ends.npy'} does not say where texts end; {remedy}")
    return Tokens(ids, ends, manifest.frame)
