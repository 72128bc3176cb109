"""What the steps of a phase see: every effective batch cut into slices, drawn by counters, read ahead.

Every number is drawn for the whole effective batch from (seed, phase, epoch, step), of which a rank takes its slices:
no generator has to be saved for a resume, and several ranks draw what one process would.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from manyexits.batches.image_steps import ImageSteps
from manyexits.batches.state import State, some
from manyexits.batches.text_steps import TextSteps
from manyexits.batches.views import Part, Views
from manyexits.data.texts import Texts
from manyexits.study.recipe import Recipe

ORDER, STEP = 0, 1
"""What a counter is for."""


class Feed:
    """The training samples of one phase."""

    def __init__(self, views: Views, recipe: Recipe, counter: tuple[int, ...], rank: int = 0, ranks: int = 1) -> None:
        """Nothing is read yet.

        Args:
            views: of the dataset.
            recipe: of the phase.
            counter: what tells this phase's draws from all others: seed and phase.
            rank, ranks: which slices of an effective batch are this process's.

        Raises:
            ValueError: when there are fewer samples than a batch has.
        """
        self.recipe, self.counter = recipe, counter
        self.split, self.device, self.classes = views.data.train, views.device, views.data.classes
        self.samples = (TextSteps if isinstance(self.split, Texts) else ImageSteps)(views, recipe)
        self.steps = len(self.split) // recipe.batch
        if self.steps == 0:
            raise ValueError(
                f"batch {recipe.batch} is larger than the {len(self.split)} training samples; choose a smaller one"
            )
        # neighbouring slices go to the ranks of one pass, so that a pass holds what it would if one process ran it
        self.slices = range(rank, ranks * recipe.accumulation, ranks)
        self.features: list[State] | None = None

    @property
    def changes(self) -> bool:
        """Whether a sample or its target looks different each time."""
        return self.samples.changes

    def keep(self, features: list[State]) -> None:
        """From now on parts hold these instead of inputs: what every learning exit reads of all training samples."""
        self.features = features

    def epoch(self, epoch: int, begin: int = 0) -> Iterator[list[Part]]:
        """This process's slices of the effective batches of an epoch, from a step on; samples are read ahead."""
        return self._parts(epoch, range(begin, self.steps))

    def at(self, epoch: int, step: int) -> list[Part]:
        """This process's slices of one effective batch, drawn again."""
        return next(self._parts(epoch, range(step, step + 1)))

    def _parts(self, epoch: int, steps: range) -> Iterator[list[Part]]:
        """This process's slices of the effective batches of some steps."""
        order = self.samples.order(np.random.default_rng([ORDER, *self.counter, epoch]))
        drawn, again = itertools.tee(self._draw(order, epoch, step) for step in steps)
        wanted = (draws.request(self._positions(number)) for draws in drawn for number in self.slices)
        batches = self.split.read(wanted) if self.features is None else None
        for draws in again:
            yield [self._part(draws, number, next(batches) if batches else None) for number in self.slices]

    def _draw(self, order: Int[np.ndarray, " n"], epoch: int, step: int) -> Any:
        """All random numbers of one step, for the whole effective batch."""
        size = self.recipe.batch
        chosen = order[step * size : (step + 1) * size]
        return self.samples.draw(np.random.default_rng([STEP, *self.counter, epoch, step]), chosen)

    def _positions(self, number: int) -> Int[np.ndarray, " p"]:
        """Positions in the effective batch of a slice."""
        return np.arange(number * self.recipe.per_device, (number + 1) * self.recipe.per_device)

    def _part(self, draws: Any, number: int, batch: Any) -> Part:
        """One slice."""
        positions, seed = self._positions(number), draws.seed + number
        if batch is None:
            return self._kept(draws.chosen[positions], seed)
        inputs, targets = self.samples.part(draws, positions, batch, self._targets(batch[1]))
        return Part(inputs, None, targets, seed)

    def _kept(self, chosen: Int[np.ndarray, " p"], seed: int) -> Part:
        """Kept features of some training samples."""
        assert self.features is not None
        rows = torch.from_numpy(chosen).to(self.device)
        features = [some(each, rows) for each in self.features]
        return Part(None, features, self._targets(self.split.labels[self.split.indices[chosen]]), seed)

    def _targets(self, labels: np.ndarray) -> Float[Tensor, "p o"]:
        """Labels as what the outputs should be: classes one-hot, scores as they are."""
        values = torch.from_numpy(labels).to(self.device)
        return values.float()[:, None] if self.classes is None else functional.one_hot(values, self.classes).float()
