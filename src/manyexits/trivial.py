"""TrivialAugmentWide (Mueller and Hutter, 2021) on batches: one operation and magnitude per image.

Operations, magnitudes and their order are torchvision's TrivialAugmentWide; images with the same operation are changed
together, each by its own magnitude.
"""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

BINS = 31
OPERATIONS = (
    "identity shear_x shear_y translate_x translate_y rotate brightness color contrast sharpness posterize solarize"
    " autocontrast equalize"
).split()
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
LARGEST = {"shear_x": 0.99, "shear_y": 0.99, "translate_x": 32.0, "translate_y": 32.0, "rotate": 135.0}
BLENDED = {
    "brightness": vision.adjust_brightness,
    "color": vision.adjust_saturation,
    "contrast": vision.adjust_contrast,
    "sharpness": vision.adjust_sharpness,
}
"""Operations that move an image towards or away from a plain version of it, which is what a factor of 0 gives."""


def draw(generator: np.random.Generator, batch: int) -> Int[np.ndarray, "b 2"]:
    """For each image an operation and a magnitude bin; the sign of the magnitude is that of the bin, from 1 on."""
    operation = generator.integers(0, len(OPERATIONS), batch)
    bins = generator.integers(0, BINS, batch) + 1
    sign = np.where(generator.random(batch) <= 0.5, -1, 1)
    return np.stack([operation, bins * sign], axis=1)


def apply(images: UInt8[Tensor, "b 3 h w"], drawn: Int[np.ndarray, "b 2"]) -> UInt8[Tensor, "b 3 h w"]:
    """Each image under its own operation."""
    changed = images.clone()
    strength = (np.abs(drawn[:, 1]) - 1) / (BINS - 1)
    sign = np.sign(drawn[:, 1])
    geometric = np.flatnonzero(np.isin(drawn[:, 0], [OPERATIONS.index(name) for name in GEOMETRIC]))
    if len(geometric):
        theta = np.stack([_inverse(OPERATIONS[drawn[i, 0]], strength[i] * sign[i], images.shape) for i in geometric])
        chosen = torch.from_numpy(geometric).to(images.device)
        changed[chosen] = _warp(images[chosen], torch.from_numpy(theta).to(images.device, torch.float32))
    for number, name in enumerate(OPERATIONS):
        members = np.flatnonzero(drawn[:, 0] == number)
        if name == "identity" or name in GEOMETRIC or len(members) == 0:
            continue
        chosen = torch.from_numpy(members).to(images.device)
        changed[chosen] = _recolour(name, images[chosen], strength[members], sign[members])
    return changed


def _inverse(name: str, strength: float, shape: torch.Size) -> Float[np.ndarray, "2 3"]:
    """Where an output pixel comes from, in coordinates of [-1, 1] (x, y, 1), for one signed strength."""
    height, width = shape[-2:]
    size = strength * LARGEST[name]
    ratio = height / width
    if name == "rotate":
        cos, sin = np.cos(np.deg2rad(size)), np.sin(np.deg2rad(size))
        return np.array([[cos, -sin * ratio, 0], [sin / ratio, cos, 0]])
    if name == "shear_x":  # about the upper left corner, as torchvision does
        return np.array([[1, size * ratio, size * ratio], [0, 1, 0]])
    if name == "shear_y":
        return np.array([[1, 0, 0], [size / ratio, 1, size / ratio]])
    if name == "translate_x":
        return np.array([[1, 0, -2 * int(size) / width], [0, 1, 0]])
    return np.array([[1, 0, 0], [0, 1, -2 * int(size) / height]])


def _warp(images: UInt8[Tensor, "b 3 h w"], theta: Float[Tensor, "b 2 3"]) -> UInt8[Tensor, "b 3 h w"]:
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    warped = functional.grid_sample(images.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return warped.to(torch.uint8)


def _recolour(
    name: str, images: UInt8[Tensor, "b 3 h w"], strength: Float[np.ndarray, " b"], sign: Int[np.ndarray, " b"]
) -> UInt8[Tensor, "b 3 h w"]:
    if name == "autocontrast":
        return vision.autocontrast(images)
    if name == "equalize":
        return vision.equalize(images)
    if name == "posterize":
        bits = torch.from_numpy(8 - np.round(strength * 6)).to(images.device, torch.uint8)
        mask = (256 - 2 ** (8 - bits.int())).to(torch.uint8)
        return images & mask[:, None, None, None]
    if name == "solarize":
        threshold = torch.from_numpy(255 * (1 - strength)).to(images.device, torch.float32)
        return torch.where(images >= threshold[:, None, None, None], 255 - images, images)
    factor = torch.from_numpy(1 + 0.99 * strength * sign).to(images.device, torch.float32)[:, None, None, None]
    original = images.float() / 255
    plain = BLENDED[name](original, 0.0)
    return ((original * factor + plain * (1 - factor)).clamp(0, 1) * 255 + 1e-3).to(torch.uint8)
