"""Boxes that are evidently not what their file claims: width and height in place of the far corner, pixels, shares.

A claim is only overruled by numbers that are impossible under it and all possible under the other one. Where the format
leaves no choice that is an error, because guessing would train on wrong boxes; a CSV's columns are taken by what
they hold, and a note says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.sheet import Sheet
from glassnet.data.annotations.sound import Boxes, to_pixels
from glassnet.errors import DataError

_ENOUGH = 3  # boxes: of fewer, each that reaches out is told alone
_FITTING = 0.98  # share of the boxes that must be possible under the other reading
_FEW = 0.05  # share of boxes with the far corner before the near one that is no slip any more
_HALF = 0.5
_ROUNDED = 1.0  # pixels that a box may reach out by
_WORDS = {
    "xyxy": "left, top, right, bottom",
    "xywh": "left, top, width, height",
    "cxcywh": "centre x, centre y, width, height",
}
_ADVICE = {
    "voc": "Pascal VOC has no other way: write xmin, ymin, xmax, ymax in pixels",
    "coco": "COCO has no other way: write bbox as left, top, width, height in pixels",
    "yolo": "YOLO has no other way: write centre x, centre y, width, height divided by the picture's width and height",
    "csv": "name the columns by what they hold: x,y,width,height or xmin,ymin,xmax,ymax",
}


def check_way(sheet: Sheet, boxes: Boxes, sizes: NDArray[np.int32], usable: NDArray[np.bool_]) -> None:
    """Raise `DataError` where boxes are evidently given in another way than their format's; a CSV's way is corrected.

    boxes: as their file gives them. sizes: (N, 2) height and width. usable: (N,) pictures whose size is known.
    """
    rows = usable[boxes.items]
    four, far = boxes.xyxy[rows], sizes[boxes.items[rows]][:, ::-1].astype(np.float64)
    if not len(four):
        return
    found = _evident(four, sheet.way, sheet.relative, far)
    if found is None:
        return
    way, relative, wrong = found
    first = int(np.flatnonzero(wrong)[0])
    given = four[first] + [sheet.counted_from, sheet.counted_from, 0, 0]
    numbers = ", ".join(f"{value:g}" for value in given)
    example = f"{sheet.paths[boxes.items[rows][first]]}: {numbers}"
    claimed, evident = _describe(sheet.way, sheet.relative), _describe(way, relative)
    seen = f"{int(wrong.sum()):,} of {len(four):,} boxes cannot be {claimed} (first: {example})"
    if sheet.kind == "csv":
        sheet.way, sheet.relative = way, relative
        sheet.notes.append(f"boxes are taken as {evident}, whatever the columns are called: {seen}")
        return
    raise DataError(f"the boxes of {sheet.name!r} are evidently {evident}: {seen}; {_ADVICE[sheet.kind]}")


def _describe(way: str, relative: bool) -> str:
    return f"{_WORDS[way]} {'as shares of the picture' if relative else 'in pixels'}"


def _evident(
    four: NDArray[np.float64], way: str, relative: bool, far: NDArray[np.float64]
) -> tuple[str, bool, NDArray[np.bool_]] | None:
    """Return the way that boxes (M, 4) are evidently given in and which of them show it, None for the claimed way."""
    if not relative and (four <= 1).all() and (far > 2 * _ROUNDED).all():
        return way, True, np.ones(len(four), bool)  # else every box were a pixel at most
    large: NDArray[np.bool_] = np.asarray((four > 1 + _HALF).any(1))
    if relative and large.mean() > _HALF:
        return ("xyxy" if _fits(four, "xyxy", False, far) else way), False, large
    inverted: NDArray[np.bool_] = np.asarray((four[:, 2:] < four[:, :2]).any(1))
    if way == "xyxy":
        wrong = inverted.mean() >= _FEW and _fits(four, "xywh", relative, far)
        return ("xywh", relative, inverted) if wrong else None
    out = ~_inside(four, way, relative, far)
    wrong = len(four) >= _ENOUGH and out.mean() > _HALF and _fits(four, "xyxy", relative, far)
    return ("xyxy", relative, out) if wrong else None


def _inside(four: NDArray[np.float64], way: str, relative: bool, far: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which boxes (M, 4), read in a way, have an area and lie in their picture, (M,)."""
    xyxy = to_pixels(four, way, relative, far)
    inside = (xyxy[:, :2] >= -_ROUNDED) & (xyxy[:, 2:] <= far + _ROUNDED) & (xyxy[:, 2:] > xyxy[:, :2])
    return np.asarray(inside.all(1))


def _fits(four: NDArray[np.float64], way: str, relative: bool, far: NDArray[np.float64]) -> bool:
    return bool(_inside(four, way, relative, far).mean() >= _FITTING)
