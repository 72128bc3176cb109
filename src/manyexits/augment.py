"""Batched augmentation of uint8 images, with every random number drawn beforehand.

`draw` takes all random numbers of one effective batch from a generator that depends on (seed, phase, epoch, step)
alone; `apply` is then a pure function of images and numbers. A rank draws for the whole batch and applies its slice,
so that several devices see what one would, and nothing about randomness has to be saved for a resume.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from manyexits import trivial

ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 3.3)
ERASING_ATTEMPTS = 10
"""RandomErasing's defaults in torchvision: area as a share of the image, height / width, attempts to fit."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of B images; None where the recipe does not ask for them."""

    offset: Int[np.ndarray, "b 2"] | None
    """Row and column at which the crop of the padded image starts."""
    flipped: Int[np.ndarray, " b"] | None
    """1: mirror horizontally."""
    operation: Int[np.ndarray, "b 2"] | None
    """TrivialAugment's operation and signed magnitude bin."""
    erased: Int[np.ndarray, "b 4"] | None
    """Top, left, height, width of the erased rectangle; zeros for none."""

    def at(self, positions: Int[np.ndarray, " p"]) -> "Draws":
        """The numbers of some of the images."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return Draws(**{name: None if value is None else value[positions] for name, value in values})


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed with its own reverse: image i with image B - 1 - i."""

    share: float
    """Weight of the image itself in its target."""
    box: tuple[int, int, int, int] | None
    """CutMix's rectangle (top, left, bottom, right); None for Mixup."""


def is_random(recipe: dict[str, Any]) -> bool:
    """Whether a recipe changes images or targets at random."""
    keys = ("crop_padding", "flip", "trivial_augment", "erasing", "mixup", "cutmix")
    return any(recipe[key] for key in keys)


def draw(recipe: dict[str, Any], generator: np.random.Generator, batch: int, shape: tuple[int, int]) -> Draws:
    """Random numbers for a batch of images of a shape (H, W), distributed as torchvision's transforms draw them."""
    padding = recipe["crop_padding"]
    return Draws(
        offset=generator.integers(0, 2 * padding + 1, (batch, 2)) if padding else None,
        flipped=generator.integers(0, 2, batch) if recipe["flip"] else None,
        operation=trivial.draw(generator, batch) if recipe["trivial_augment"] else None,
        erased=_rectangles(generator, batch, shape, recipe["erasing"]) if recipe["erasing"] else None,
    )


def draw_mix(recipe: dict[str, Any], generator: np.random.Generator, shape: tuple[int, int]) -> Mix | None:
    """Mixup's or CutMix's numbers for one batch, or None where it is not mixed."""
    if not (recipe["mixup"] or recipe["cutmix"]) or generator.random() >= recipe["mix_probability"]:
        return None
    cut = not recipe["mixup"] or (recipe["cutmix"] and generator.random() < recipe["mix_switch"])
    alpha = recipe["cutmix"] if cut else recipe["mixup"]
    share = float(generator.beta(alpha, alpha))
    if not cut:
        return Mix(share, None)
    height, width = shape
    half = 0.5 * np.sqrt(1 - share)
    y, x = generator.integers(0, height), generator.integers(0, width)
    top, bottom = (int(np.clip(y + sign * int(half * height), 0, height)) for sign in (-1, 1))
    left, right = (int(np.clip(x + sign * int(half * width), 0, width)) for sign in (-1, 1))
    return Mix(1 - (bottom - top) * (right - left) / (height * width), (top, left, bottom, right))


def apply(
    images: UInt8[Tensor, "b h w 3"], draws: Draws, padding: int, mean: Float[Tensor, " 3"], std: Float[Tensor, " 3"]
) -> Float[Tensor, "b 3 h w"]:
    """Crop, flip, TrivialAugment, normalise, erase – in this order."""
    if draws.offset is not None:
        images = _crop(images, draws.offset, padding)
    if draws.flipped is not None:
        chosen = torch.from_numpy(np.arange(len(images)) + len(images) * draws.flipped).to(images.device)
        images = torch.cat([images, images.flip(2)]).index_select(0, chosen)
    if draws.operation is not None:
        images = trivial.apply(images.permute(0, 3, 1, 2).contiguous(), draws.operation).permute(0, 2, 3, 1)
    floats = normalise(images, mean, std)
    if draws.erased is not None:
        for index in np.flatnonzero(draws.erased[:, 2]):
            top, left, height, width = draws.erased[index]
            floats[index, :, top : top + height, left : left + width] = 0
    return floats


def normalise(
    images: UInt8[Tensor, "b h w 3"], mean: Float[Tensor, " 3"], std: Float[Tensor, " 3"]
) -> Float[Tensor, "b 3 h w"]:
    """uint8 to floats of mean 0 and deviation 1 per channel. This alone is the evaluation transform."""
    scaled = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return scaled.mul_((1 / (255 * std))[:, None, None]).sub_((mean / std)[:, None, None])


def mix(images: Float[Tensor, "b 3 h w"], partners: Float[Tensor, "b 3 h w"], how: Mix) -> Float[Tensor, "b 3 h w"]:
    """Images mixed with their partners."""
    if how.box is None:
        return images * how.share + partners * (1 - how.share)
    top, left, bottom, right = how.box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return mixed


def _crop(images: UInt8[Tensor, "b h w 3"], offset: Int[np.ndarray, "b 2"], padding: int) -> UInt8[Tensor, "b h w 3"]:
    """Each image from its own offset on, after zero padding: every row is a run of pixels, copied as a whole."""
    batch, height, width, _ = images.shape
    if batch == 0:
        return images
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    runs = padded.reshape(-1).unfold(0, 3 * width, 3)
    rows = np.arange(batch)[:, None] * (height + 2 * padding) + np.arange(height) + offset[:, :1]
    begins = torch.from_numpy(rows * (width + 2 * padding) + offset[:, 1:]).to(images.device)
    return runs.index_select(0, begins.reshape(-1)).reshape(images.shape)


def _rectangles(
    generator: np.random.Generator, batch: int, shape: tuple[int, int], probability: float
) -> Int[np.ndarray, "b 4"]:
    """Rectangles to erase: for each image the first of ten attempts that fits, or none."""
    height, width = shape
    size = (batch, ERASING_ATTEMPTS)
    area = generator.uniform(*ERASED_AREA, size) * height * width
    aspect = np.exp(generator.uniform(np.log(ERASED_ASPECT[0]), np.log(ERASED_ASPECT[1]), size))
    h, w = np.round(np.sqrt(area * aspect)).astype(int), np.round(np.sqrt(area / aspect)).astype(int)
    fits = (h < height) & (w < width)
    first = np.arange(batch), fits.argmax(1)
    h, w = h[first], w[first]
    erased = fits.any(1) & (generator.random(batch) < probability)
    top = np.floor(generator.random(batch) * (height - h + 1)).astype(int)
    left = np.floor(generator.random(batch) * (width - w + 1)).astype(int)
    return np.stack([top, left, h, w], axis=1) * erased[:, None]
