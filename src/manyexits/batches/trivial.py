"""TrivialAugmentWide (Mueller and Hutter, 2021) on batches: one operation and magnitude per image.

Operations, magnitudes and their order are torchvision's TrivialAugmentWide, and so is every pixel. Where an operation
only moves pixels or only replaces grey levels, torchvision itself fills a table once, and a batch is one look-up with a
table per image; the others are computed for all their images together, each by its own magnitude. With bicubic
interpolation shears and rotations are those of torchvision on PIL images.
"""

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

from manyexits.batches import bicubic

BINS = 31
OPERATIONS = (
    "identity shear_x shear_y translate_x translate_y rotate brightness color contrast sharpness posterize solarize"
    " autocontrast equalize"
).split()
LARGEST = {"shear_x": 0.99, "shear_y": 0.99, "translate_x": 32.0, "translate_y": 32.0, "rotate": 135.0}
"""Largest magnitude of the operations that move pixels: slope, pixels, degrees."""
BLENDS = torch.linspace(0, 0.99, BINS).double().numpy()
"""Distance of the factor of brightness, color, contrast and sharpness from 1, for each bin; torchvision's float32."""

Pixels = UInt8[Tensor, "b 3 h w"]
Drawn = Int[np.ndarray, "b 2"]


def draw(generator: np.random.Generator, batch: int) -> Drawn:
    """For each image an operation and a magnitude bin; the sign of the magnitude is that of the bin, from 1 on."""
    operation = generator.integers(0, len(OPERATIONS), batch)
    bins = generator.integers(0, BINS, batch) + 1
    sign = np.where(generator.random(batch) <= 0.5, -1, 1)
    return np.stack([operation, bins * sign], axis=1)


def apply(images: Pixels, drawn: Drawn, interpolation: str = "nearest") -> Pixels:
    """Each image under its own operation.

    Args:
        images: grey levels.
        drawn: operation and signed magnitude bin of each.
        interpolation: of what shears and rotates: nearest or bicubic.
    """
    kind = np.where((interpolation == "bicubic") & BETWEEN[drawn[:, 0]], len(CHANGES), KIND[drawn[:, 0]])
    members = [np.flatnonzero(kind == number) for number in range(len(CHANGES) + 1)]
    parts = [images[:0]]
    for change, chosen in zip([*CHANGES, _slant], members, strict=True):
        if len(chosen):
            parts.append(change(images.index_select(0, torch.from_numpy(chosen).to(images.device)), drawn[chosen]))
    place = torch.from_numpy(np.argsort(np.concatenate(members))).to(images.device)
    return torch.cat(parts).index_select(0, place)


def _keep(images: Pixels, drawn: Drawn) -> Pixels:
    return images


def _move(images: Pixels, drawn: Drawn) -> Pixels:
    """Shear, translate or rotate: each pixel is fetched from its source, number 0 being black."""
    height, width = images.shape[2:]
    source = torch.stack([_source(*pair, height, width, images.device) for pair in drawn.tolist()])
    return functional.pad(images.flatten(2), (1, 0)).gather(2, source[:, None].expand(-1, 3, -1)).view_as(images)


@cache
def _source(operation: int, signed_bin: int, height: int, width: int, device: torch.device) -> Int[Tensor, " p"]:
    """For each pixel the number (from 1) of the one that moves there, 0 for none: an image of numbers, moved."""
    name = OPERATIONS[operation]
    numbers = torch.arange(1, height * width + 1, dtype=torch.float32).view(1, height, width)
    size = math.copysign(float(torch.linspace(0, LARGEST[name], BINS)[abs(signed_bin) - 1]), signed_bin)
    if name == "rotate":
        moved = vision.rotate(numbers, size)
    elif name.startswith("translate"):
        x, y = (int(size), 0) if name == "translate_x" else (0, int(size))
        moved = vision.affine(numbers, angle=0.0, translate=[x, y], scale=1.0, shear=[0.0, 0.0])
    else:
        angle = math.degrees(math.atan(size))
        shear = [angle, 0.0] if name == "shear_x" else [0.0, angle]
        moved = vision.affine(numbers, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0])
    return moved.flatten().to(device, torch.int64)


def _slant(images: Pixels, drawn: Drawn) -> Pixels:
    """Shear or rotate, where a pixel's source lies between pixels."""
    return bicubic.transform(images, np.array([_matrix(*pair, *images.shape[2:]) for pair in drawn.tolist()]))


def _matrix(operation: int, signed_bin: int, height: int, width: int) -> tuple[float, ...]:
    """Where the pixels come from: slopes from the corner, or a rotation about the centre."""
    name = OPERATIONS[operation]
    size = math.copysign(float(torch.linspace(0, LARGEST[name], BINS)[abs(signed_bin) - 1]), signed_bin)
    if name == "rotate":
        cosine, sine = (round(turn(math.radians(size % 360)), 15) for turn in (math.cos, math.sin))
        x, y = width / 2, height / 2
        return cosine, -sine, sine * y - cosine * x + x, sine, cosine, -sine * x - cosine * y + y
    return (1, size, 0, 0, 1, 0) if name == "shear_x" else (1, 0, 0, size, 1, 0)


def _relevel(images: Pixels, drawn: Drawn) -> Pixels:
    """Brightness, posterize or solarize: each grey level becomes another."""
    tables = torch.stack([_levels(*pair, images.device) for pair in drawn.tolist()])
    return tables.gather(1, images.flatten(1).long()).view_as(images)


@cache
def _levels(operation: int, signed_bin: int, device: torch.device) -> UInt8[Tensor, " 256"]:
    """What becomes of each grey level."""
    name = OPERATIONS[operation]
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 256)
    if name == "brightness":
        changed = vision.adjust_brightness(levels, 1 + math.copysign(BLENDS[abs(signed_bin) - 1], signed_bin))
    elif name == "posterize":
        changed = vision.posterize(levels, 8 - round((abs(signed_bin) - 1) / (BINS - 1) * 6))
    else:
        changed = vision.solarize(levels, 255 * float(torch.linspace(1, 0, BINS)[abs(signed_bin) - 1]))
    return changed.flatten().to(device)


def _factor(drawn: Drawn) -> Float[np.ndarray, " b"]:
    """1 + magnitude: the weight of the images; their plain versions get what is left to 1."""
    return 1 + np.copysign(BLENDS[np.abs(drawn[:, 1]) - 1], drawn[:, 1])


def _color(images: Pixels, drawn: Drawn) -> Pixels:
    return _blend(images, _grey(images), _factor(drawn))


def _contrast(images: Pixels, drawn: Drawn) -> Pixels:
    return contrast(images, _factor(drawn))


def contrast(images: Pixels, factor: Float[np.ndarray, " b"]) -> Pixels:
    """Each image with its own contrast: 0 is the mean of its grey version everywhere, 1 the image."""
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), factor)


def _grey(images: Pixels) -> Float[Tensor, "b 1 h w"]:
    return vision.rgb_to_grayscale(images).float()


def _blend(images: Pixels, plain: Float[Tensor, "b 1 _ _"], factor: Float[np.ndarray, " b"]) -> Pixels:
    own, other = _weights(factor, images.device)
    return (images * own).addcmul_(plain, other).clamp_(0, 255).to(torch.uint8)


def _weights(factor: Float[np.ndarray, " b"], device: torch.device) -> Float[Tensor, "2 b 1 1 1"]:
    """The factors and what is left to 1, rounded to float32 only at the end."""
    return torch.from_numpy(np.stack([factor, 1 - factor])[..., None, None, None]).to(device, torch.float32)


def _sharpen(images: Pixels, drawn: Drawn) -> Pixels:
    """Against the mean of the 3 x 3 neighbourhood, in which the pixel itself counts five times; the border stays."""
    changed = images.float()
    rows = changed[..., :-2, :] + changed[..., 1:-1, :] + changed[..., 2:, :]
    inner = changed[..., 1:-1, 1:-1]
    mean = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner).div_(13).round_()
    inner.addcmul_(mean - inner, _weights(_factor(drawn), images.device)[1])
    return changed.clamp_(0, 255).to(torch.uint8)


def _autocontrast(images: Pixels, drawn: Drawn) -> Pixels:
    return vision.autocontrast(images)


def _equalize(images: Pixels, drawn: Drawn) -> Pixels:
    return vision.equalize(images)


CHANGES = {
    _keep: ("identity",),
    _move: LARGEST,
    _relevel: ("brightness", "posterize", "solarize"),
    _color: ("color",),
    _contrast: ("contrast",),
    _sharpen: ("sharpness",),
    _autocontrast: ("autocontrast",),
    _equalize: ("equalize",),
}
"""Functions, and the operations whose images each changes at once."""
KIND = np.array([[name in names for names in CHANGES.values()].index(True) for name in OPERATIONS])
"""For each operation the number of its function."""
BETWEEN = np.array([name in ("shear_x", "shear_y", "rotate") for name in OPERATIONS])
"""For each operation whether it fetches pixels from between pixels; translations go by whole ones."""
