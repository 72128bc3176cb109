"""Batched augmentation of uint8 images, with every random number drawn beforehand.

`draw` takes all random numbers of one effective batch from a generator that depends on (seed, phase, epoch, step)
alone; `apply` is then a pure function of images and numbers. A rank draws for the whole batch and applies its slice,
so that several devices see what one would, and nothing about randomness has to be saved for a resume.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from manyexits.batches import moves, trivial
from manyexits.study.recipe import Recipe

ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)
"""RandomErasing's defaults in torchvision: area as a share of the image, height / width."""
CUT_ASPECT = (3 / 4, 4 / 3)
"""RandomResizedCrop's default in torchvision: width / height."""
ATTEMPTS = 10
"""How often either draws until a rectangle fits."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Draws:
    """The random numbers of B images; None where the recipe does not ask for them."""

    offset: Int[np.ndarray, "b 2"] | None
    """Row and column at which the crop of the padded image starts."""
    flipped: Int[np.ndarray, " b"] | None
    """1: mirror horizontally."""
    angle: Float[np.ndarray, " b"] | None
    """Degrees of a rotation, counter-clockwise."""
    contrast: Float[np.ndarray, " b"] | None
    """Factor of the contrast."""
    operation: Int[np.ndarray, "b 2"] | None
    """TrivialAugment's operation and signed magnitude bin."""
    erased: Int[np.ndarray, "b 4"] | None
    """Top, left, height, width of the erased rectangle; zeros for none."""

    def at(self, positions: Int[np.ndarray, " p"]) -> "Draws":
        """The numbers of some of the images."""
        return _at(self, positions)


@dataclass(frozen=True)
class Mix:
    """How B images are mixed with the batch's own reverse: image i with image B - 1 - i."""

    share: Float[np.ndarray, " b"]
    """Weight of the image itself in its target; 1 where it is not mixed."""
    box: Int[np.ndarray, "b 4"]
    """CutMix's rectangle (top, left, bottom, right); zeros for Mixup."""

    def at(self, positions: Int[np.ndarray, " p"]) -> "Mix":
        """The numbers of some of the images."""
        return _at(self, positions)


Numbers = TypeVar("Numbers", Draws, Mix)


def _at(numbers: Numbers, positions: Int[np.ndarray, " p"]) -> Numbers:
    values = {field.name: getattr(numbers, field.name) for field in fields(numbers)}
    return replace(numbers, **{name: value[positions] for name, value in values.items() if value is not None})


def is_random(recipe: Recipe) -> bool:
    """Whether a recipe changes images or targets at random."""
    moved = (recipe.crop_padding, recipe.resized_crop, recipe.flip, recipe.rotation, recipe.contrast)
    return any((*moved, recipe.trivial_augment, recipe.erasing, recipe.mixup, recipe.cutmix))


def draw(recipe: Recipe, generator: np.random.Generator, batch: int, shape: tuple[int, int]) -> Draws:
    """Random numbers for a batch of views of a shape (H, W), distributed as torchvision's transforms draw them."""
    padding, degrees, contrast = recipe.crop_padding, recipe.rotation, recipe.contrast
    return Draws(
        offset=generator.integers(0, 2 * padding + 1, (batch, 2)) if padding else None,
        flipped=generator.integers(0, 2, batch) if recipe.flip else None,
        angle=generator.uniform(-degrees, degrees, batch) if degrees else None,
        contrast=generator.uniform(max(0, 1 - contrast), 1 + contrast, batch) if contrast else None,
        operation=trivial.draw(generator, batch) if recipe.trivial_augment else None,
        erased=_erased(generator, batch, shape, recipe.erasing) if recipe.erasing else None,
    )


def draw_boxes(
    smallest: float, generator: np.random.Generator, sizes: Int[np.ndarray, "b 2"]
) -> Int[np.ndarray, "b 4"]:
    """The part (top, left, height, width) of each image that RandomResizedCrop cuts out.

    Args:
        smallest: share of the image's area that the part has at least; it has the whole of it at most.
        generator: of the step.
        sizes: height and width of each image.
    """
    low, high = CUT_ASPECT
    drawn = _rectangles(generator, sizes, (smallest, 1.0), (1 / high, 1 / low))
    fits = np.logical_and.reduce((drawn > 0) & (drawn <= sizes[:, None]), axis=2)
    found = fits.any(1)[:, None]
    # where no attempt fits: the largest part of an allowed aspect, from the centre
    height, width = sizes.T
    central = np.minimum(sizes, np.round(np.stack([width / low, height * high], axis=1)).astype(int))
    size = np.where(found, drawn[np.arange(len(sizes)), fits.argmax(1)], central)
    free = sizes - size
    corner = np.where(found, np.floor(generator.random(sizes.shape) * (free + 1)), free // 2).astype(int)
    return np.concatenate([corner, size], axis=1)


def draw_mix(recipe: Recipe, generator: np.random.Generator, batch: int, shape: tuple[int, int]) -> Mix | None:
    """Mixup's and CutMix's numbers, one for the whole batch or one for each image; None where nothing is mixed."""
    if not (recipe.mixup or recipe.cutmix):
        return None
    n = batch if recipe.mix_per == "element" else 1
    mixed = generator.random(n) < recipe.mix_probability
    if not mixed.any():
        return None
    switch = recipe.mix_switch if recipe.mixup and recipe.cutmix else float(bool(recipe.cutmix))
    cut = generator.random(n) < switch
    drawn = [generator.beta(alpha, alpha, n) for alpha in (recipe.mixup or 1.0, recipe.cutmix or 1.0)]
    share = np.where(mixed, np.where(cut, drawn[1], drawn[0]), 1.0)
    size = np.array(shape)
    half = (0.5 * np.sqrt(1 - share)[:, None] * size).astype(int)
    centre = generator.integers(0, size, (n, 2))
    box = np.concatenate([np.clip(centre - half, 0, size), np.clip(centre + half, 0, size)], axis=1)
    box *= (mixed & cut)[:, None]
    covered = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / size.prod()
    share = np.where(cut, 1 - covered, share)
    return Mix(np.repeat(share, batch // n), np.repeat(box, batch // n, axis=0))


def apply(
    images: UInt8[Tensor, "b h w 3"], draws: Draws, recipe: Recipe, mean: Float[Tensor, " 3"], std: Float[Tensor, " 3"]
) -> Float[Tensor, "b 3 h w"]:
    """Crop, flip, rotate, change contrast, TrivialAugment, normalise, erase – in this order, unless the recipe has
    TrivialAugment first."""
    if recipe.trivial_first:
        images = _trivial(images, draws, recipe)
    if draws.offset is not None:
        images = moves.crop(images, draws.offset, recipe.crop_padding)
    if draws.flipped is not None:
        chosen = torch.from_numpy(np.arange(len(images)) + len(images) * draws.flipped).to(images.device)
        images = torch.cat([images, images.flip(2)]).index_select(0, chosen)
    if draws.angle is not None:
        images = moves.rotate(images, draws.angle)
    if draws.contrast is not None:
        images = trivial.contrast(images.permute(0, 3, 1, 2), draws.contrast).permute(0, 2, 3, 1)
    if not recipe.trivial_first:
        images = _trivial(images, draws, recipe)
    floats = normalise(images, mean, std)
    if draws.erased is not None:
        for index in np.flatnonzero(draws.erased[:, 2]):
            top, left, height, width = draws.erased[index]
            floats[index, :, top : top + height, left : left + width] = 0
    return floats


def _trivial(images: UInt8[Tensor, "b h w 3"], draws: Draws, recipe: Recipe) -> UInt8[Tensor, "b h w 3"]:
    """Under TrivialAugment, if the recipe asks for it."""
    if draws.operation is None:
        return images
    channels_first = images.permute(0, 3, 1, 2).contiguous()
    return trivial.apply(channels_first, draws.operation, recipe.trivial_interpolation).permute(0, 2, 3, 1)


def normalise(
    images: UInt8[Tensor, "b h w 3"], mean: Float[Tensor, " 3"], std: Float[Tensor, " 3"]
) -> Float[Tensor, "b 3 h w"]:
    """uint8 to floats of mean 0 and deviation 1 per channel. This alone is the evaluation transform."""
    scaled = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return scaled.mul_((1 / (255 * std))[:, None, None]).sub_((mean / std)[:, None, None])


def mix(images: Float[Tensor, "b 3 h w"], partners: Float[Tensor, "b 3 h w"], how: Mix) -> Float[Tensor, "b 3 h w"]:
    """Images mixed with their partners."""
    height, width = images.shape[2:]
    top, left, bottom, right = torch.from_numpy(how.box).to(images.device).view(-1, 4, 1, 1).unbind(1)
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    inside = (top <= y) & (y < bottom) & (left <= x) & (x < right)
    share = torch.from_numpy(how.share).to(images.device, images.dtype).view(-1, 1, 1)
    outside = torch.where((bottom - top) * (right - left) > 0, 1.0, share)
    own = torch.where(inside, 0.0, outside)[:, None]
    return images * own + partners * (1 - own)


def _rectangles(
    generator: np.random.Generator, sizes: Int[np.ndarray, "b 2"], area: Range, aspect: Range
) -> Int[np.ndarray, "b 10 2"]:
    """Ten rectangles (height, width) for each image, of which the first that fits counts.

    Args:
        generator: of the step.
        sizes: height and width of the images.
        area: least and largest, as shares of the image's.
        aspect: least and largest height / width; its logarithm is uniform.
    """
    tries = (len(sizes), ATTEMPTS)
    pixels = generator.uniform(area[0], area[1], tries) * sizes.prod(1, keepdims=True)
    ratio = np.exp(generator.uniform(math.log(aspect[0]), math.log(aspect[1]), tries))
    return np.round(np.sqrt(np.stack([pixels * ratio, pixels / ratio], axis=2))).astype(int)


def _erased(
    generator: np.random.Generator, batch: int, shape: tuple[int, int], probability: float
) -> Int[np.ndarray, "b 4"]:
    """Rectangles to erase (top, left, height, width); zeros for none."""
    sizes = np.tile(np.array(shape), (batch, 1))
    drawn = _rectangles(generator, sizes, ERASED_AREA, ERASED_ASPECT)
    fits = np.logical_and.reduce(drawn < np.array(shape), axis=2)
    size = drawn[np.arange(batch), fits.argmax(1)]
    erased = fits.any(1) & (generator.random(batch) < probability)
    corner = np.floor(generator.random((batch, 2)) * (sizes - size + 1)).astype(int)
    return np.concatenate([corner, size], axis=1) * erased[:, None]
