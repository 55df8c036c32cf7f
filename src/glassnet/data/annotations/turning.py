"""Annotations made on a picture lying on its side: the tool did not know EXIF orientation, everybody else does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glassnet.data.annotations.sheet import Sheet

_ORIENTATION = 0x0112


def turned_boxes(
    sheet: Sheet,
    items: NDArray[np.int64],
    xyxy: NDArray[np.float64],
    sizes: NDArray[np.int32],
    usable: NDArray[np.bool_],
) -> None:
    """Turn boxes, in place, upright with their picture where the annotation's size is the picture's on its side.

    items: (M,), xyxy: (M, 4) pixels, sizes: (N, 2) height and width as displayed, usable: (N,) pictures to look at.
    A claimed size that is wrong otherwise is told as a problem; the picture's own is what counts.
    """
    for item in np.flatnonzero(usable).tolist():
        claimed, (height, width) = sheet.sizes[item], sizes[item].tolist()
        if claimed is None or claimed == (height, width):
            continue
        said = (
            f"its annotation says {claimed[1]} x {claimed[0]} pixels (width x height), the picture has"
            f" {width} x {height}"
        )
        orientation = _orientation(sheet, item) if claimed == (width, height) else 1
        if orientation >= 5:
            rows = items == item
            xyxy[rows] = _upright(xyxy[rows], orientation, claimed)
            reason = f"{said} when its EXIF orientation is applied; its boxes are turned with it"
        else:
            reason = f"{said}; the boxes are taken as pixels of the picture as it is"
        sheet.doubt(item, "wrong_size", reason)


def _orientation(sheet: Sheet, item: int) -> int:
    try:
        with Image.open(sheet.root / sheet.paths[item]) as image:
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is none, as in `Preprocess`
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(xyxy: NDArray[np.float64], orientation: int, stored: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes (n, 4) of a picture stored as (height, width), of EXIF orientation 5 to 8, as it is displayed.

    All four swap x and y; 6 and 7 then run backwards from right to left, 7 and 8 from bottom to top.
    """
    height, width = stored
    left, top, right, bottom = xyxy.T
    across, down = (top, bottom), (left, right)
    if orientation in (6, 7):
        across = height - bottom, height - top
    if orientation in (7, 8):
        down = width - right, width - left
    return np.stack([across[0], down[0], across[1], down[1]], 1)
