"""Pictures inside the page: the very pixels that the network was given, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

SMALL = 64  # px; up to here a picture is kept exactly (PNG) and enlarged in square pixels
LARGEST = 224  # px; longer sides are scaled down


@dataclass(frozen=True)
class Thumbnail:
    """A `data:` URI, and whether it is so small that it should be enlarged without smoothing."""

    uri: str
    pixelated: bool


def thumbnail(pixels: np.ndarray) -> Thumbnail:
    """A decoded picture (H, W, C) uint8 as a thumbnail; of other than 1 or 3 channels the first one, in grey."""
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    small = max(image.size) <= SMALL
    file = io.BytesIO()
    if small:
        image.save(file, "PNG", optimize=True)
    else:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        image.save(file, "JPEG", quality=80, optimize=True)
    kind = "png" if small else "jpeg"
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}", small)


def centre(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle `height` x `width` of a stored picture (H, W, C): the part that the network is given."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
