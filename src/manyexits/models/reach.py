"""Whether every pixel can change what a backbone says: cropped edges are lost without a word."""

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.func import functional_call

from manyexits.batches.state import State, parts
from manyexits.models.backbones import Backbone, in_mode

TRIES = 8
"""Random images after which a pixel that changed nothing is taken for one that cannot: activations cut some off by
chance."""
SPREAD = 0.02
"""Standard deviation of the values that stand for weights that start at zero, through which no gradient passes."""


def check(backbone: Backbone, blank: State, family: str) -> None:
    """Refuse a backbone none of whose outputs depends on some pixels of the images.

    Raises:
        ValueError: names the pixels, and a size at which the network reads them all.
    """
    images = parts(blank)[0]
    if not images.is_floating_point():  # texts: a network reads all tokens by construction
        return
    lost = ~reached(backbone, images)
    if not lost.any():
        return
    height, width = lost.shape
    rows, columns = (_read(lost.all(dim)) for dim in (1, 0))
    pixels = " and the backbone's pixels" if backbone.pixels is not None else ""
    if rows and columns and not lost[:rows, :columns].any():
        where = f"beyond the first {rows} rows and {columns} columns"
        other = f"to {columns} x {rows}"
    else:
        row, column = (lost.nonzero()[0] + 1).tolist()
        where, other = f"the first of them in row {row}, column {column}", "to another"
    raise ValueError(
        f"{int(lost.sum())} of an image's {width} x {height} pixels reach no output of the backbone {family} ({where});"
        f" set the dataset's size{pixels} {other}, or choose another backbone"
    )


def reached(backbone: Backbone, images: Tensor) -> Bool[Tensor, "h w"]:
    """Pixels on which an output depends, told by gradients; nothing of the backbone changes.

    Args:
        backbone: asked for its own outputs, in evaluation mode.
        images: (B, 3, H, W) of the shape of those that it is for.
    """
    generator = torch.Generator().manual_seed(0)
    found = torch.zeros(images.shape[2:], dtype=torch.bool)
    with in_mode(backbone, training=False), torch.enable_grad():
        for _ in range(TRIES):
            weights = {
                name: value.detach() if value.any() else SPREAD * torch.randn(value.shape, generator=generator)
                for name, value in backbone.named_parameters()
            }
            drawn = torch.randn(images.shape, generator=generator).requires_grad_()
            outputs = functional_call(backbone, weights, (drawn,))
            (gradient,) = torch.autograd.grad(outputs, drawn, torch.randn(outputs.shape, generator=generator))
            found |= (gradient != 0).any(dim=1).any(dim=0)
            if found.all():
                break
    return found


def _read(lost: Bool[Tensor, " n"]) -> int:
    """Lines before those at the end that are lost as a whole."""
    kept = (~lost).nonzero()
    return int(kept[-1]) + 1 if len(kept) else 0
