"""Whole pictures at their own size, upright and in RGB: what boxes are drawn on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from glassnet.errors import InputError, PictureError
from glassnet.files import open_regular
from glassnet.models.prediction import Picture
from glassnet.preprocess import ORIENTATIONS, Preprocess, open_picture

WHITE = (255, 255, 255)


def displayed(picture: Picture) -> Image.Image:
    """Return `picture` as people see it: upright, RGB, every pixel of it; transparent pixels lie over white.

    A preprocess of exactly its size does it, so a drawing shows the colours that a network is given. Raises
    `PictureError` where it cannot be read.
    """
    source = _read(picture)
    height, width = displayed_size(source)
    whole = Preprocess(height=height, width=width, resize="squash", crop=1.0, background=WHITE)
    return Image.fromarray(whole.intermediate(source))


def displayed_size(picture: Picture) -> tuple[int, int]:
    """Return (height, width) of `picture` as displayed, from its header alone where it is a file."""
    source = _read(picture)
    if isinstance(source, bytes) and not source.startswith(b"\x93NUMPY"):
        source = open_picture(source)
    if isinstance(source, Image.Image):
        turned = ORIENTATIONS.get(_orientation(source)) is not None and _orientation(source) >= 5
        return (source.width, source.height) if turned else (source.height, source.width)
    shape = _shape(source)
    if len(shape) not in (2, 3) or 0 in shape:
        raise PictureError(f"an array of shape {shape} came, expected (H, W) or (H, W, C) with H, W, C above 0")
    return int(shape[0]), int(shape[1])


def _read(picture: Picture) -> Any:
    """Return a path's bytes, and anything else as it is."""
    if not isinstance(picture, str | Path):
        if not isinstance(picture, bytes | Image.Image | np.ndarray):
            raise InputError(f"a {type(picture).__name__} came; expected a path, bytes, a PIL image or a NumPy array")
        return picture
    try:
        with open_regular(str(picture)) as file:
            return file.readall()
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read {picture}: {reason}", kind="unreadable") from error


def _shape(source: Any) -> tuple[int, ...]:
    if isinstance(source, np.ndarray):
        return tuple(source.shape)
    try:
        array: np.ndarray[Any, Any] = np.load(io.BytesIO(source), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise PictureError(f"the .npy file cannot be read: {error}", kind="unreadable") from error
    return tuple(array.shape)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block does not make the pixels worse
        return 1
