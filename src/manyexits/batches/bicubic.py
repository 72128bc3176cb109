"""Images turned and slanted as Pillow's transform does it with its bicubic filter, each by a matrix of its own."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Pixels = UInt8[Tensor, "b 3 h w"]


def transform(images: Pixels, matrix: Float[np.ndarray, "b 6"]) -> Pixels:
    """Every pixel from where a matrix says it comes from; what comes from outside is black.

    A pixel is weighed out of the 4 x 4 around its source by Keys' cubic with a = -1, first along the rows; beyond the
    border the border counts on. Pillow cuts the result off to whole grey levels, it does not round it.

    Args:
        images: grey levels.
        matrix: for each image a, b, c, d, e, f: the centre of pixel (x, y) comes from (a x + b y + c, d x + e y + f).
    """
    height, width = images.shape[2:]
    a, b, c, d, e, f = torch.from_numpy(matrix).to(images.device).view(-1, 6, 1, 1).unbind(1)
    y = torch.arange(height, device=images.device, dtype=torch.float64).view(-1, 1) + 0.5
    x = torch.arange(width, device=images.device, dtype=torch.float64).view(1, -1) + 0.5
    across, down = a * x + b * y + c, d * x + e * y + f
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    rows, aside = _near(down, height)
    columns, along = _near(across, width)
    levels = images.flatten(2)

    def fetched(row: Tensor, column: Tensor) -> Tensor:
        source = (row * width + column).flatten(1)[:, None].expand(-1, 3, -1)
        return levels.gather(2, source).view_as(images).double()

    between = [_cubic([fetched(row, column) for column in columns], along[:, None]) for row in rows]
    found = _cubic(between, aside[:, None])
    return (found.clamp_(0, 255) * inside[:, None]).to(torch.uint8)


def _near(place: Float[Tensor, "b h w"], size: int) -> tuple[list[Tensor], Float[Tensor, "b h w"]]:
    """The four pixels around each place in one direction, and how far it lies behind the second of them."""
    second = (place - 0.5).floor()
    return [(second.long() + step).clamp(0, size - 1) for step in (-1, 0, 1, 2)], place - 0.5 - second


def _cubic(values: list[Tensor], t: Tensor) -> Tensor:
    """Keys' cubic at t in [0, 1) behind the second of four values; in this order equal values give that value itself,
    which cutting off would else make one less."""
    before, first, second, after = values
    slope = second - before
    curve = 2 * (before - first) + second - after
    return first + t * (slope + t * (curve + t * (first - before - second + after)))
