"""STS Benchmark (Cer et al., 2017): pairs of sentences with a score of 0 to 5 for how alike their meanings are, in
English; as csv (stsb-en-*.csv), as its publishers' files (sts-*.csv), in GLUE's folder, or the hub's copy.

Its development part is the validation split where the entry says `validation: official`.
"""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manyexits.data.archives import Members, locate, missing
from manyexits.data.hub import columns_of
from manyexits.data.raw import Raw, TextPart

TITLE = "STS Benchmark"
HOME = "https://ixa2.si.ehu.eus/stswiki (Stsbenchmark.tar.gz), or GLUE's STS-B"
LICENCE = "scores CC BY-SA 4.0; the sentences under the terms of their sources"
SIZE = "1.2 MB"
SAMPLES = 8_628
TEXTS = 2
TOKENS = 45
OFFICIAL = True
"""Its publishers set a validation split aside."""


class Layout(NamedTuple):
    """One form in which it is distributed."""

    files: tuple[str, str, str]
    """Of the training, development and test part."""
    columns: tuple[int, int, int]
    """Of the two sentences and of the score."""
    delimiter: str
    header: bool
    width: tuple[int, int]
    """Columns that a row has, at least and at most."""


LAYOUTS = (
    Layout(("stsb-en-train.csv", "stsb-en-dev.csv", "stsb-en-test.csv"), (0, 1, 2), ",", False, (3, 3)),
    Layout(("sts-train.csv", "sts-dev.csv", "sts-test.csv"), (5, 6, 4), "\t", False, (7, 9)),
    Layout(("original/sts-train.tsv", "original/sts-dev.tsv", "original/sts-test.tsv"), (5, 6, 4), "\t", False, (7, 9)),
)
"""GLUE's own test.tsv has no scores; the folder beside it has."""


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return tuple(dict.fromkeys([path, "stsbenchmark", "STS-B", "Stsbenchmark.tar.gz", "STS-B.zip"]))


class Parts(NamedTuple):
    """The dataset as it was read."""

    train: TextPart
    test: TextPart
    validation: int
    """Pairs at the end of the training part that its publishers set aside for validation."""
    source: str
    class_names: list[str]


def look(found: Path) -> Parts:
    """What lies there.

    Raises:
        ValueError: when a file is missing or damaged, or a score is none.
    """
    members = Members(found)
    for layout in LAYOUTS:
        top = members.inside(*layout.files)
        if all(members.has(f"{top}{name}") for name in layout.files):
            break
    else:
        wanted = "; or ".join(", ".join(layout.files) for layout in LAYOUTS)
        raise ValueError(f"{found} does not hold {wanted}; it is incomplete, or test.tsv without scores; get it again")
    train, validation, test = (_read(members, f"{top}{name}", layout) for name in layout.files)
    whole = TextPart([*train.texts, *validation.texts], np.concatenate([train.labels, validation.labels]))
    return Parts(whole, test, len(validation.texts), members.describe(), [])


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "stsbenchmark",
    hub_id: str = "mteb/stsbenchmark-sts",
) -> Raw:
    """Its pairs.

    Args:
        root, hub, workers: as for every dataset.
        path: archive or folder below root.
        hub_id: the hub's name of the dataset.

    Raises:
        ValueError: when it is missing or damaged.
    """
    found = locate(root, places(path))
    absent = missing(TITLE, root, places(path), HOME)
    if found is None and not hub:
        raise absent
    if found is None:
        columns = {"sentence1": "text", "sentence2": "text", "score": "score"}
        splits = ("train", "validation", "test")
        train, validation, test = (
            TextPart(list(zip(first, second, strict=True)), np.array(scores, dtype=np.float64))
            for first, second, scores in columns_of(hub_id, columns, splits, absent)
        )
        whole = TextPart([*train.texts, *validation.texts], np.concatenate([train.labels, validation.labels]))
        listed = Parts(whole, test, len(validation.texts), f"hub: {hub_id}", [])
    else:
        listed = look(found)
    return Raw(listed.train, listed.test, [], listed.source, LICENCE, validation=listed.validation)


def _read(members: Members, name: str, layout: Layout) -> TextPart:
    """One file."""
    text, place = members.text(name), f"{members.path}: {name}"
    if "\0" in text:
        raise ValueError(f"{place} holds a NUL byte and is no text; get the dataset again")
    quoting: Any = csv.QUOTE_MINIMAL if layout.delimiter == "," else csv.QUOTE_NONE
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=layout.delimiter, quoting=quoting, strict=True)
    texts, scores, (least, most) = [], [], layout.width
    try:
        for row in rows:
            if not least <= len(row) <= most:
                raise ValueError(f"it has {len(row)} columns, not {least}{f' to {most}' if most > least else ''}")
            first, second, score = (row[column] for column in layout.columns)
            texts.append((first, second))
            scores.append(_score(score))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{place}, line {rows.line_num}: {error}; get the dataset again") from error
    return TextPart(texts, np.array(scores))


def _score(text: str) -> float:
    """A score.

    Raises:
        ValueError: when it is none of 0 to 5.
    """
    try:
        score = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!a} is no score") from None
    if not 0 <= score <= 5:
        raise ValueError(f"the score {score:g} is not in 0 to 5")
    return score
