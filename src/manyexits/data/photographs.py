"""One photograph of any size, mode and format: decoded to RGB, and brought to a square view.

The evaluation view is that of torchvision's Resize and CenterCrop on PIL images: the short side is scaled to the view's
side (bicubic, antialiased), then the centre is cut out [C: ViT-S on ImageNet].
"""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

FORMATS = {
    "JPEG": (".jpeg", ".jpg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
    "AVIF": (".avif",),
}
"""Format that Pillow is asked for, and no other -> suffixes of its files, in upper or lower case."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""What counts as a photograph."""
MOST_PIXELS = 2**26
"""Of a photograph, and of its form whose short side is that of the view: 200 MB in memory."""
UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises over a file that is no whole image."""
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limit is below Pillow's
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of damaged notes beside whole pixels

View = UInt8[np.ndarray, "p p 3"]


def opened(data: bytes) -> Image.Image:
    """An encoded image in RGB, whatever mode it is stored in: grey, palette, CMYK, alpha (which is dropped), 16 bit.

    A turn that a camera noted in the EXIF data is not made, as torchvision makes none.

    Raises:
        one of UNREADABLE: when it is no whole image, or one of 32 bit.
    """
    with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
        _check_size(image.width, image.height)
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


def view(image: Image.Image, pixels: int, resampling: Image.Resampling = Image.Resampling.BICUBIC) -> View:
    """The evaluation view of a photograph, scaled by one of Pillow's filters.

    Raises:
        ValueError: for one so long that scaled to the view's side it would not fit into memory.
    """
    width, height = image.size
    short = min(width, height)
    if short != pixels:
        width, height = (int(pixels * side / short) for side in (width, height))
        _check_size(width, height, " scaled to the view's side")
        image = image.resize((width, height), resampling)
    left, top = round((width - pixels) / 2), round((height - pixels) / 2)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)))


def _check_size(width: int, height: int, when: str = "") -> None:
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels{when}, more than {MOST_PIXELS:,}")


def cut(image: Image.Image, box: Sequence[int], pixels: int) -> View:
    """A part of a photograph (top, left, height, width), scaled to a square."""
    top, left, height, width = box
    part = image.crop((left, top, left + width, top + height))
    return np.asarray(part.resize((pixels, pixels), Image.Resampling.BICUBIC))
