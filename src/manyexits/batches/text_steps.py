"""What a step of training sees of texts: batches of like lengths, each slice padded to its longest."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from manyexits.batches.state import State
from manyexits.batches.views import Views
from manyexits.data.images import Labels, Request
from manyexits.data.texts import Padded, Texts
from manyexits.study.recipe import Recipe

POOL = 16
"""Batches whose texts are sorted by length together: few enough for an epoch's batches to differ from the last one's,
enough for little padding."""


@dataclass(frozen=True)
class TextDraws:
    """The random numbers of one step, for the whole effective batch."""

    chosen: Int[np.ndarray, " b"]
    """Positions in the training split."""
    seed: int
    """Of what the network itself draws in the first slice."""

    def request(self, positions: Int[np.ndarray, " p"]) -> Request:
        """The texts of one slice."""
        return Request(self.chosen[positions])


class TextSteps:
    """The training texts. They are not augmented."""

    changes = False

    def __init__(self, views: Views, recipe: Recipe) -> None:
        assert isinstance(views.data.train, Texts)
        self.views, self.batch = views, recipe.batch
        self.lengths = views.data.train.lengths

    def order(self, generator: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Order of the training texts in an epoch: batches of like lengths, then what fills no batch."""
        shuffled = generator.permutation(len(self.lengths))
        whole, rest = np.split(shuffled, [len(shuffled) // self.batch * self.batch])
        size = POOL * self.batch
        pools = (whole[begin : begin + size] for begin in range(0, len(whole), size))
        sorted_ = np.concatenate([rest[:0], *(pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools)])
        batches = generator.permutation(sorted_.reshape(-1, self.batch))
        # in a batch the shorter must not all be one rank's
        return np.concatenate([generator.permuted(batches, axis=1).ravel(), rest])

    def draw(self, generator: np.random.Generator, chosen: Int[np.ndarray, " b"]) -> TextDraws:
        """All random numbers of one step."""
        return TextDraws(chosen, int(generator.integers(2**62)))

    def part(
        self,
        draws: TextDraws,
        positions: Int[np.ndarray, " p"],
        batch: tuple[Padded, Labels],
        targets: Float[Tensor, "p o"],
    ) -> tuple[State, Float[Tensor, "p o"]]:
        """Texts and targets of one slice."""
        return self.views.state(batch[0]), targets
