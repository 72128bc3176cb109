"""One photograph of any size, mode and format: decoded to RGB, and brought to a square view.

The evaluation view is that of torchvision's Resize and CenterCrop on PIL images: the short side is scaled to the view's
side (bicubic, antialiased), then the centre is cut out [C: ViT-S on ImageNet].
"""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
"""What counts as a photograph, in upper or lower case."""
UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises over a file that is no whole image."""

View = UInt8[np.ndarray, "p p 3"]


def opened(data: bytes) -> Image.Image:
    """An encoded image in RGB, whatever mode it is stored in: grey, palette, CMYK, alpha (which is dropped), 16 bit.

    A turn that a camera noted in the EXIF data is not made, as torchvision makes none.

    Raises:
        one of UNREADABLE: when it is no whole image, or one of 32 bit.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):  # 16 bit grey, which Pillow would cut off at 255
            grey = np.asarray(image)
            if image.mode == "I" and not (grey.min() >= 0 and 2**8 <= grey.max() < 2**16):
                raise ValueError(f"its 32 bit grey reaches {grey.max()}, which is no 16 bit white; store 8 or 16 bit")
            return Image.fromarray((grey // 256).astype(np.uint8)).convert("RGB")
        if image.mode == "F":
            raise ValueError("its values are no whole numbers; store 8 or 16 bit")
        if image.mode == "P" and "transparency" in image.info:
            return image.convert("RGBA").convert("RGB")
        return image.convert("RGB")


def view(image: Image.Image, pixels: int) -> View:
    """The evaluation view of a photograph."""
    width, height = image.size
    short = min(width, height)
    if short != pixels:
        width, height = (int(pixels * side / short) for side in (width, height))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - pixels) / 2), round((height - pixels) / 2)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)))


def cut(image: Image.Image, box: Sequence[int], pixels: int) -> View:
    """A part of a photograph (top, left, height, width), scaled to a square."""
    top, left, height, width = box
    part = image.crop((left, top, left + width, top + height))
    return np.asarray(part.resize((pixels, pixels), Image.Resampling.BICUBIC))
