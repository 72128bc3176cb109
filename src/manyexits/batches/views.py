"""The evaluation views of a prepared dataset, on a device, and blank inputs where only their size counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from manyexits.batches import augment
from manyexits.batches.state import State
from manyexits.data.images import Images
from manyexits.data.prepared import Prepared
from manyexits.data.texts import Padded, Texts

EVALUATION_BATCH = 100
"""Samples a pass: larger batches leave the caches of a CPU and take twice the time there."""


@dataclass(frozen=True)
class Part:
    """One slice of a batch, on the device."""

    inputs: State | None
    """What the first stage reads; None where features stand for it."""
    features: list[State] | None
    """What the learning exits read, where neither backbone nor samples change; else None."""
    targets: Shaped[Tensor, "p ..."]
    """In training what the outputs (p, O) should be; in evaluation labels (p,)."""
    seed: int = 0
    """Of what the network itself draws."""


class Views:
    """A dataset's splits as a network is evaluated on them."""

    def __init__(self, data: Prepared, device: torch.device) -> None:
        self.data, self.device = data, device
        if isinstance(data.train, Images):
            self.mean = torch.from_numpy(data.mean).to(device)
            self.std = torch.from_numpy(data.std).to(device)

    def state(self, raw: np.ndarray | Padded) -> State:
        """What a network's first stage reads: normalised images, or ids, segments and mask of texts."""
        if isinstance(raw, Padded):
            return tuple(torch.from_numpy(each).to(self.device) for each in (raw.ids, raw.segments, raw.mask))
        return augment.normalise(torch.from_numpy(raw).to(self.device), self.mean, self.std)

    def whole(
        self, split: Images | Texts, rank: int = 0, ranks: int = 1, size: int = EVALUATION_BATCH
    ) -> Iterator[Part]:
        """A split in order, or a rank's share of it: every `ranks`-th slice of this size."""
        for raw, labels in split.batches(size, rank, ranks):
            yield Part(self.state(raw), None, torch.from_numpy(labels).to(self.device))


@dataclass(frozen=True)
class Blank:
    """Inputs of one sample in which nothing is to be seen."""

    inputs: State
    share: float
    """Of the samples, those that have inputs of this size."""


Blanks = list[Blank]


def blanks(data: Prepared) -> Blanks:
    """Blank inputs for every size that a dataset's samples have; of texts those of the validation split [O]."""
    if isinstance(data.validation, Texts):
        return blank_texts(data.validation.lengths)
    return blank_images(*data.shape)


def counted_for(data: Prepared) -> dict[str, Any]:
    """What costs of a network on a dataset are of: an image of its shape, or a text of its validation split."""
    if isinstance(data.validation, Texts):
        mean = round(float(data.validation.lengths.mean()), 2)
        unit = "FLOPs per text, the mean over the validation split"
        return {"unit": unit, "mean_tokens": mean, "cut": data.validation.cut}
    return {"unit": "FLOPs per image", "image_shape": list(data.shape)}


def blank_texts(lengths: Int64[np.ndarray, " n"]) -> Blanks:
    """Texts of nothing but padding that counts, for every one of these lengths."""
    found, counts = np.unique(lengths, return_counts=True)
    shares = (counts / counts.sum()).tolist()
    return [
        Blank(
            (
                torch.zeros(1, length, dtype=torch.long),
                torch.zeros(1, length, dtype=torch.long),
                torch.ones(1, length, dtype=torch.bool),
            ),
            share,
        )
        for length, share in zip(found.tolist(), shares, strict=True)
    ]


def blank_images(height: int, width: int, channels: int = 3) -> Blanks:
    """A black image, for samples that all have one size."""
    return [Blank(torch.zeros(1, channels, height, width), 1)]
