"""Pictures as `data:` URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Shares = npt.NDArray[np.floating[Any]]


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return a picture (H, W, 3) exactly, with a palette where it has few colours: what maps and filters are."""
    image = Image.fromarray(pixels)
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)  # a colour is one number
    if len(np.unique(packed)) <= 256:
        image = image.quantize(256, dither=Image.Dither.NONE)
    return _uri(image, "PNG", optimize=True)


def jpeg(pixels: npt.NDArray[np.uint8]) -> str:
    """Return a picture (H, W, 3) with small losses: what photographs and projections are."""
    return _uri(Image.fromarray(pixels), "JPEG", quality=86, optimize=True)


def to_pixels(shares: Shares) -> npt.NDArray[np.uint8]:
    """Return colours in [0, 1] as uint8."""
    return (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)


def _uri(image: Image.Image, kind: str, **settings: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
