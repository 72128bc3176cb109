"""What a step of training sees of images: cut, augmented and mixed by numbers that are drawn for the whole batch."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from manyexits.batches import augment, moves
from manyexits.batches.draws import StepDraws
from manyexits.batches.views import Views
from manyexits.data.images import Batch, Images
from manyexits.study.recipe import Recipe


class ImageSteps:
    """The training images, as a recipe shows them."""

    def __init__(self, views: Views, recipe: Recipe) -> None:
        assert isinstance(views.data.train, Images)
        self.views, self.recipe, self.split = views, recipe, views.data.train

    @property
    def changes(self) -> bool:
        """Whether an image or its target looks different each time."""
        return augment.is_random(self.recipe)

    def order(self, generator: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Order of the training images in an epoch."""
        return generator.permutation(len(self.split))

    def draw(self, generator: np.random.Generator, chosen: Int[np.ndarray, " b"]) -> StepDraws:
        """All random numbers of one step, for the whole effective batch."""
        height, width, _ = self.views.data.shape
        recipe, size = self.recipe, self.recipe.batch
        part = recipe.resized_crop
        return StepDraws(
            chosen=chosen,
            boxes=augment.draw_boxes(part, generator, self.split.sizes(chosen)) if part else None,
            draws=augment.draw(recipe, generator, size, (height, width)),
            mix=augment.draw_mix(recipe, generator, size, (height, width)),
            seed=int(generator.integers(2**62)),
        )

    def part(
        self, draws: StepDraws, positions: Int[np.ndarray, " p"], batch: Batch, targets: Float[Tensor, "q o"]
    ) -> tuple[Tensor, Float[Tensor, "p o"]]:
        """Images and targets of one slice. A partner outside of it is augmented here once more.

        Args:
            draws: of the step.
            positions: of the slice in the effective batch.
            batch: what `draws.request` asked for.
            targets: of it.
        """
        raw, _ = batch
        needed, views = draws.needed(positions), torch.from_numpy(raw).to(self.views.device)
        if draws.boxes is not None and not self.split.decoded:
            views = moves.cut(views, draws.boxes[needed])
        images = augment.apply(views, draws.draws.at(needed), self.recipe, self.views.mean, self.views.std)
        if draws.mix is None:
            return images, targets
        own = torch.from_numpy(np.searchsorted(needed, positions)).to(self.views.device)
        other = torch.from_numpy(np.searchsorted(needed, self.recipe.batch - 1 - positions)).to(self.views.device)
        mix = draws.mix.at(positions)
        share = torch.from_numpy(mix.share).to(self.views.device, torch.float32)[:, None]
        mixed = augment.mix(images[own], images[other], mix)
        return mixed, share * targets[own] + (1 - share) * targets[other]
