"""The pointing game: does the map's highest point, and how much of the map, lie where the thing is?

Zhang et al. 2016, arXiv:1608.00507, section 4.1 (a hit or a miss), and Wang et al. 2020, arXiv:1910.01279, section 4.3
(the share inside). Only a question for networks that are right for the right reason: a network that knows boats by
water points at water, and its map is right to say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from glassnet.errors import InputError
from glassnet.explain.judging.importance import Floats
from glassnet.models.prediction import Picture
from glassnet.placement import Placement
from glassnet.preprocess import Preprocess, open_picture

Boxes = npt.NDArray[np.float64]

_ORIENTATION = 0x0112  # EXIF's tag; from 5 on the picture lies on its side


def hits(important: Floats, boxes: Boxes, *, tolerance: float = 0.0) -> bool:
    """Tell whether the highest point of a map (H, W) lies in one of `boxes` (n, 4) xyxy in the map's pixels.

    `tolerance` pixels around a box count as in it (the paper allows 15, at its pictures' sizes).
    """
    row, column = divmod(int(np.argmax(important)), important.shape[1])
    x, y = column + 0.5, row + 0.5
    near = (boxes[:, 0] - tolerance <= x) & (x <= boxes[:, 2] + tolerance)
    return bool((near & (boxes[:, 1] - tolerance <= y) & (y <= boxes[:, 3] + tolerance)).any())


def mass_inside(important: Floats, boxes: Boxes) -> float:
    """Return the share of the map's positive sum that lies in `boxes` (n, 4) xyxy in the map's pixels, in [0, 1].

    A pixel belongs to a box that its centre lies in. A map without anything positive has 0 inside.
    """
    rows, columns = np.arange(important.shape[0])[:, None] + 0.5, np.arange(important.shape[1])[None] + 0.5
    inside = np.zeros(important.shape, bool)
    for left, top, right, bottom in boxes:
        inside |= (left <= columns) & (columns <= right) & (top <= rows) & (rows <= bottom)
    positive = np.maximum(important, 0).astype(np.float64)
    total = positive.sum()
    return float(positive[inside].sum() / total) if total else 0.0


def boxes_in_input(boxes: npt.ArrayLike, size: tuple[int, int], preprocess: Preprocess) -> Boxes:
    """Return boxes (n, 4) xyxy in pixels of a picture of `size` (height, width) in pixels of the network's input.

    They go the way the preprocess takes the picture: resized, and the centre kept; what is cut off is cut off the box,
    and a box that lies outside wholly is left out. Raises `InputError` for what are no boxes of that picture.
    """
    given = np.asarray(boxes, np.float64)
    given = given.reshape(0, 4) if given.size == 0 else np.atleast_2d(given)
    if given.ndim != 2 or given.shape[1] != 4 or not (given[:, :2] < given[:, 2:]).all():
        raise InputError(f"boxes are {np.asarray(boxes).tolist()}; expected (n, 4): left, top, right, bottom in pixels")
    height, width = size
    if (given < 0).any() or (given[:, [0, 2]] > width).any() or (given[:, [1, 3]] > height).any():
        raise InputError(f"boxes {given.tolist()} reach out of their picture of {width}x{height} pixels")
    edges = np.array([preprocess.width, preprocess.height] * 2, np.float64)
    moved = np.clip(Placement.of(preprocess, size).to_input(given), 0, edges)
    seen: Boxes = moved[(moved[:, :2] < moved[:, 2:]).all(1)]
    return seen


def upright_size(picture: Picture) -> tuple[int, int]:
    """Return a picture's (height, width), upright, in its own pixels; a file is not decoded."""
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1]
    if isinstance(picture, str | Path) and Path(picture).suffix == ".npy":
        shape = np.load(picture, mmap_mode="r").shape
        return int(shape[0]), int(shape[1])
    if isinstance(picture, Image.Image):
        image = picture
    else:
        image = open_picture(Path(picture).read_bytes() if isinstance(picture, str | Path) else picture)
    width, height = image.size
    return (width, height) if image.getexif().get(_ORIENTATION, 1) >= 5 else (height, width)
