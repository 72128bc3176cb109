"""One split of a prepared dataset of texts: token ids, cut and padded when they are asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from manyexits.data.frame import Surroundings
from manyexits.data.images import Labels, Request


@dataclass(frozen=True)
class Padded:
    """Texts of one batch with their special tokens, padded to the longest."""

    ids: Int64[np.ndarray, "b t"]
    segments: Int64[np.ndarray, "b t"]
    """0: the first text and what stands before and behind it; else the second."""
    mask: Bool[np.ndarray, "b t"]
    """Where there is no padding."""


@dataclass(frozen=True)
class Tokens:
    """N samples of one or two texts each, untruncated."""

    ids: Int32[np.ndarray, " m"]
    """Of all texts, one after the other, without special tokens."""
    ends: Int64[np.ndarray, "n k"]
    """Where in `ids` each text ends."""
    frame: Surroundings

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Int64[np.ndarray, "n k"]:
        """Tokens of every text, special ones not counted."""
        return np.diff(self.ends.ravel(), prepend=0).reshape(self.ends.shape)


@dataclass(frozen=True)
class Texts:
    """One split."""

    tokens: Tokens
    labels: Labels
    indices: Int64[np.ndarray, " m"]
    """Which of the samples belong to the split."""
    most: int
    """Tokens to which a sample is cut, special ones counted."""

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " m"]:
        """Tokens of every sample of the split once it is cut, special ones counted."""
        return np.minimum(self.tokens.lengths[self.indices].sum(1) + self._special, self.most)

    @property
    def cut(self) -> int:
        """How many samples of the split are longer than `most`, and so lose their end."""
        return int((self.tokens.lengths[self.indices].sum(1) + self._special > self.most).sum())

    def by_length(self) -> tuple["Texts", Int64[np.ndarray, " m"]]:
        """The same split from its shortest text to its longest, and the positions that these have here."""
        order = np.argsort(self.lengths, kind="stable")
        return replace(self, indices=self.indices[order]), order

    @property
    def _special(self) -> int:
        return self.tokens.frame.n(self.tokens.ends.shape[1])

    def take(self, positions: Int64[np.ndarray, " b"]) -> tuple[Padded, Labels]:
        """Samples at positions within the split, each cut and then padded to the longest of them."""
        chosen = self.indices[positions]
        kept = cut(self.tokens.lengths[chosen], self.most - self._special)
        starts = self.tokens.ends[chosen] - self.tokens.lengths[chosen]
        shape = (len(chosen), int(kept.sum(1).max(initial=0)) + self._special)
        frame = self.tokens.frame
        made = Padded(np.full(shape, frame.pad), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool))
        for row, (begins, lengths) in enumerate(zip(starts.tolist(), kept.tolist(), strict=True)):
            texts = [self.tokens.ids[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
            first: list[Any] = [frame.start, texts[0], *([frame.middle] if len(texts) > 1 else [])]
            whole = np.concatenate([*first, *texts[1:], frame.end])
            made.ids[row, : len(whole)] = whole
            made.mask[row, : len(whole)] = True
            if len(texts) > 1:
                made.segments[row, sum(len(part) for part in first) : len(whole)] = frame.second
        return made, self.labels[chosen]

    def read(self, requests: Iterable[Request]) -> Iterator[tuple[Padded, Labels]]:
        """Request by request, in order."""
        return (self.take(request.positions) for request in requests)

    def batches(self, size: int, rank: int = 0, ranks: int = 1) -> Iterator[tuple[Padded, Labels]]:
        """The whole split in order, or a rank's share of it: every `ranks`-th batch."""
        begins = range(rank * size, len(self), ranks * size)
        return self.read(Request(np.arange(begin, min(begin + size, len(self)))) for begin in begins)


def cut(lengths: Int64[np.ndarray, "n k"], most: int) -> Int64[np.ndarray, "n k"]:
    """Lengths of one or two texts cut to so many tokens together, the longer one first, as the tokenizers' library does
    it (`longest_first`)."""
    if lengths.shape[1] == 1:
        return np.minimum(lengths, most)
    short, long = lengths.min(1), lengths.max(1)
    kept = np.where(short > most, short, np.maximum(short, most - short))
    over = short + kept > most
    low, high = np.where(over, most // 2, short), np.where(over, most - most // 2, np.minimum(long, kept))
    fits = (short + long <= most)[:, None]
    first_is_longer = (lengths[:, 0] > lengths[:, 1])[:, None]
    swapped = np.where(first_is_longer, np.stack([high, low], 1), np.stack([low, high], 1))
    return np.where(fits, lengths, swapped)
