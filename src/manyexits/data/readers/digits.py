"""Handwritten digits (Alpaydin and Kaynak, 1998) as scikit-learn embeds them: 1,797 real digits of 8 x 8 pixels."""

from importlib import metadata
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from manyexits.data.raw import Raw, RawPart

TITLE = "handwritten digits"
HOME = "scikit-learn, which embeds them"
LICENCE = "CC BY 4.0"
SIZE = "nothing to download"
SAMPLES = 1_797


def places(path: str = "") -> tuple[str, ...]:
    """Nowhere: they come with a package."""
    return ()


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    pixels: Annotated[int, Field(ge=1, le=4096)] = 16,
    test: Annotated[float, Field(gt=0, lt=1)] = 0.25,
) -> Raw:
    """Digits, enlarged to `pixels` (bicubic); the share `test` is set aside, stratified, seed 42 [O]."""
    digits = load_digits()
    grey = (digits.images * (255 / 16)).round().astype(np.uint8)
    enlarged = [Image.fromarray(image).resize((pixels, pixels), Image.Resampling.BICUBIC) for image in grey]
    images = np.stack([np.asarray(image.convert("RGB")) for image in enlarged])
    labels = digits.target.astype(np.int64)
    train, held_out = train_test_split(np.arange(len(labels)), test_size=test, stratify=labels, random_state=42)
    train, held_out = np.sort(train), np.sort(held_out)
    source = f"scikit-learn {metadata.version('scikit-learn')}, load_digits"
    names = [str(digit) for digit in range(10)]
    train_part, test_part = (RawPart(images[chosen], labels[chosen]) for chosen in (train, held_out))
    return Raw(train_part, test_part, names, source, LICENCE)
