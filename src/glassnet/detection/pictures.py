"""Whole pictures at their own size, upright and in RGB: what boxes are drawn on."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from glassnet.errors import PictureError
from glassnet.files import open_regular
from glassnet.models.prediction import Picture
from glassnet.placement import displayed_size
from glassnet.preprocess import Preprocess

WHITE = (255, 255, 255)


def displayed(picture: Picture) -> Image.Image:
    """Return `picture` as people see it: upright, RGB, every pixel of it; transparent pixels lie over white.

    A preprocess of exactly its size does it, so a drawing shows the colours that a network is given. Raises
    `PictureError` where it cannot be read.
    """
    if isinstance(picture, str | Path):
        picture = _read(picture)  # once, and not for the size and the pixels
    height, width = displayed_size(picture)
    whole = Preprocess(height=height, width=width, resize="squash", crop=1.0, background=WHITE)
    return Image.fromarray(whole.intermediate(picture))


def _read(path: str | Path) -> bytes:
    try:
        with open_regular(str(path)) as file:
            return file.readall()
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read {path}: {reason}", kind="unreadable") from error
