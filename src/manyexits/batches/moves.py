"""What moves the pixels of a batch of uint8 images (B, H, W, 3), each image by numbers of its own."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional


def cut(images: UInt8[Tensor, "b h w 3"], boxes: Int[np.ndarray, "b 4"]) -> UInt8[Tensor, "b h w 3"]:
    """A part of each image (top, left, height, width), scaled to the size of the whole: bicubic and antialiased.

    Each direction is a product with a matrix of weights, one for each image: first along the rows, whose result is
    rounded to grey levels, then along the columns – as Pillow does it.
    """
    _, height, width, _ = images.shape
    across = _weights(boxes[:, 1], boxes[:, 3], width).to(images.device)
    down = _weights(boxes[:, 0], boxes[:, 2], height).to(images.device)
    rows = torch.einsum("bhwc,bjw->bhjc", images.float(), across).round_().clamp_(0, 255)
    return torch.einsum("bih,bhjc->bijc", down, rows).round_().clamp_(0, 255).to(torch.uint8)


def _weights(begin: Int[np.ndarray, " b"], length: Int[np.ndarray, " b"], size: int) -> Float[Tensor, "b o i"]:
    """How much each pixel of a row counts for each pixel of the scaled part of it: Keys' cubic with a = -1/2, widened
    where the part is made smaller, cut off and renormalised at the part's ends."""
    first, many = (torch.from_numpy(values).double().view(-1, 1, 1) for values in (begin, length))
    scale = many / size
    pixel = torch.arange(size).double()
    centre = first + (pixel.view(1, -1, 1) + 0.5) * scale
    x = ((pixel.view(1, 1, -1) + 0.5 - centre) / scale.clamp(min=1)).abs()
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weight = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weight = torch.where((first <= pixel) & (pixel < first + many), weight, 0.0)
    return (weight / weight.sum(2, keepdim=True)).float()


def rotate(images: UInt8[Tensor, "b h w 3"], degrees: Float[np.ndarray, " b"]) -> UInt8[Tensor, "b h w 3"]:
    """Each image by its own angle about its centre; the nearest pixel counts, what comes from outside is black."""
    batch, height, width, _ = images.shape
    if batch == 0:
        return images
    angle = torch.from_numpy(np.deg2rad(degrees))
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros(batch, dtype=torch.float64)
    rows = [cosine, -sine * height / width, zero, sine * width / height, cosine, zero]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3).to(images.device, torch.float32)
    grid = functional.affine_grid(theta, [batch, 3, height, width], align_corners=False)
    floats = images.permute(0, 3, 1, 2).float()
    turned = functional.grid_sample(floats, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return turned.to(torch.uint8).permute(0, 2, 3, 1)


def crop(images: UInt8[Tensor, "b h w 3"], offset: Int[np.ndarray, "b 2"], padding: int) -> UInt8[Tensor, "b h w 3"]:
    """Each image from its own offset on, after zero padding: every row is a run of pixels, copied as a whole."""
    batch, height, width, _ = images.shape
    if batch == 0:
        return images
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    runs = padded.reshape(-1).unfold(0, 3 * width, 3)
    rows = np.arange(batch)[:, None] * (height + 2 * padding) + np.arange(height) + offset[:, :1]
    begins = torch.from_numpy(rows * (width + 2 * padding) + offset[:, 1:]).to(images.device)
    return runs.index_select(0, begins.reshape(-1)).reshape(images.shape)
