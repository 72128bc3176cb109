"""A sample as a page shows it: the beginning of its texts, or a small picture."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from manyexits.data import tokens
from manyexits.data.prepared import Prepared
from manyexits.data.stored_texts import TOKENIZER
from manyexits.data.texts import Texts

LETTERS = 240
"""Of each text."""
SIDE = 96
"""Pixels of a picture, at most."""
PICTURE = "data:image/png;base64,"
"""What a picture begins with: it can be put into a page as it is."""


def excerpts(data: Prepared, positions: list[int]) -> list[str]:
    """Samples of the test split.

    Texts read as their tokenizer reads them, in lower case where it does so; two of one sample stand in two lines.

    Raises:
        ValueError: when the tokenizer cannot be read, or a photograph no longer.
    """
    test = data.test
    if not isinstance(test, Texts):
        images, _ = test.take(np.array(positions, dtype=np.int64))
        return [_picture(image) for image in images]
    tokenizer = tokens.read(data.folder / "arrays" / TOKENIZER, "preparing the dataset again")
    found = []
    for sample in test.indices[positions]:
        ends = test.tokens.ends[sample]
        begins = ends - test.tokens.lengths[sample]
        parts = [test.tokens.ids[begin:end].tolist() for begin, end in zip(begins, ends, strict=True)]
        found.append("\n".join(_cut(tokens.decode(tokenizer, ids)) for ids in parts))
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[:LETTERS].rsplit(' ', 1)[0]} …"


def _picture(image: UInt8[np.ndarray, "h w 3"]) -> str:
    made, file = Image.fromarray(image), io.BytesIO()
    made.thumbnail((SIDE, SIDE))
    made.save(file, format="PNG", optimize=True)
    return PICTURE + base64.b64encode(file.getvalue()).decode("ascii")
