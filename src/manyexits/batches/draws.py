"""The random numbers of one step of training, for the whole effective batch."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from manyexits.batches.augment import Draws, Mix
from manyexits.data.images import Request


@dataclass(frozen=True)
class StepDraws:
    """Drawn before any image is read, so that images can be read ahead of time."""

    chosen: Int[np.ndarray, " b"]
    """Positions in the training split of the effective batch."""
    boxes: Int[np.ndarray, "b 4"] | None
    """The part of each image that is cut out; None: the evaluation view."""
    draws: Draws
    mix: Mix | None
    seed: int
    """Of what the network itself draws in the first slice; the further ones count up from it."""

    def needed(self, positions: Int[np.ndarray, " p"]) -> Int[np.ndarray, " q"]:
        """Positions in the effective batch of a slice's images and of those that they are mixed with, sorted."""
        if self.mix is None:
            return positions
        return np.union1d(positions, len(self.chosen) - 1 - positions)

    def request(self, positions: Int[np.ndarray, " p"]) -> Request:
        """The images of one slice and their partners."""
        needed = self.needed(positions)
        return Request(self.chosen[needed], None if self.boxes is None else self.boxes[needed])
