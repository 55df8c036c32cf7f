"""From what a sheet says to boxes that are sound: in pixels of the picture as displayed, inside it, with an area.

What cannot be used is left out, what can be mended is mended, and either is told by name. All boxes go through at
once, as one array: only those with something wrong are looked at one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.objects import Objects
from glassnet.data.annotations.sheet import Sheet
from glassnet.data.annotations.turning import turned_boxes
from glassnet.data.listing import number_classes

SLACK = 0.05  # pixels: a box that reaches out by less was only rounded
TINY = 1.0  # pixels: no object is that small


@dataclass
class Boxes:
    """M boxes as columns: rows (M,) int64, their place in the sheet; items (M,) int64, their picture's number; xyxy
    (M, 4) float64; labels (M,) int64, -1 for a class that the source does not name; difficult and crowd (M,) bool."""

    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]

    def only(self, which: NDArray[np.bool_]) -> Boxes:
        """Return some of them, by a mask (M,)."""
        return Boxes(
            rows=self.rows[which],
            items=self.items[which],
            xyxy=self.xyxy[which],
            labels=self.labels[which],
            difficult=self.difficult[which],
            crowd=self.crowd[which],
        )

    def objects(self, pictures: int) -> list[Objects]:
        """Return the objects of each of `pictures`, in the order of the columns."""
        order = np.argsort(self.items, kind="stable")
        ends = np.cumsum(np.bincount(self.items, minlength=pictures))[:-1]
        columns = (self.xyxy.astype(np.float32), self.labels, self.difficult, self.crowd)
        parts = [np.split(column[order], ends) for column in columns]
        return [
            Objects(boxes=boxes, labels=labels, difficult=difficult, crowd=crowd)
            for boxes, labels, difficult, crowd in zip(*parts, strict=True)
        ]


def class_names(sheet: Sheet) -> tuple[str, ...]:
    """Return the class names that labels are positions in: the source's own order, else the sorted ones that occur."""
    return sheet.classes if sheet.classes is not None else number_classes([name for name in sheet.names if name])[0]


def collect(sheet: Sheet, classes: tuple[str, ...]) -> Boxes:
    """Return a sheet's boxes as columns, still as their file gives them."""
    position = {name: number for number, name in enumerate(classes)}
    count = len(sheet.boxes)
    return Boxes(
        rows=np.arange(count),
        items=np.array(sheet.items, np.int64),
        xyxy=np.array(sheet.boxes, np.float64).reshape(-1, 4) - [sheet.counted_from, sheet.counted_from, 0, 0],
        labels=np.fromiter((position.get(name, -1) for name in sheet.names), np.int64, count),
        difficult=np.array(sheet.difficult, bool),
        crowd=np.array(sheet.crowd, bool),
    )


def make_sound(sheet: Sheet, boxes: Boxes, sizes: NDArray[np.int32], usable: NDArray[np.bool_]) -> Boxes:
    """Return those of a sheet's `boxes` that can be used, in pixels; problems are appended to the sheet's.

    sizes: (N, 2) height and width of the pictures as displayed. usable: (N,) bool, pictures that were opened; boxes of
    the others are dropped, because their picture's own problem says enough.
    """
    boxes = boxes.only(usable[boxes.items])
    far = sizes[boxes.items][:, ::-1].astype(np.float64)  # (M, 2) width, height
    boxes.xyxy = to_pixels(boxes.xyxy, sheet.way, sheet.relative, far)
    turned_boxes(sheet, boxes.items, boxes.xyxy, sizes, usable)
    fate = _judge(boxes, far)
    for row in np.flatnonzero(fate).tolist():
        _tell(sheet, boxes, row, _FATES[fate[row]], far[row])
    boxes.xyxy = np.clip(boxes.xyxy, 0, np.tile(far, 2))
    boxes = boxes.only(~np.isin(fate, _GONE))
    _tell_repeated(sheet, boxes)
    return boxes


def to_pixels(four: NDArray[np.float64], way: str, relative: bool, far: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes (M, 4) of a `way` as xyxy in pixels; `far` (M, 2): width and height of each one's picture."""
    first, second = four[:, :2], four[:, 2:]
    if way == "xywh":
        second = first + second
    elif way == "cxcywh":
        first, second = first - second / 2, first + second / 2
    xyxy: NDArray[np.float64] = np.concatenate([first, second], 1)
    return xyxy * np.tile(far, 2) if relative else xyxy


_FATES = ("", "box_clipped", "tiny_box", "box_outside", "box_empty", "unknown_class")
_GONE = (3, 4, 5)


def _judge(boxes: Boxes, far: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what becomes of each box, (M,): positions in `_FATES`; of several reasons the last one counts."""
    near, end = boxes.xyxy[:, :2], boxes.xyxy[:, 2:]
    sides = end - near
    out = ((near < -SLACK) | (end > far + SLACK)).any(1)
    outside = ((near >= far) | (end <= 0)).any(1)
    fate = np.zeros(len(far), np.int64)
    fate[out] = 1
    fate[(sides <= TINY).all(1) & (far > TINY).all(1)] = 2
    fate[outside] = 3
    fate[(sides <= 0).any(1)] = 4
    fate[boxes.labels < 0] = 5
    return fate


def _tell(sheet: Sheet, boxes: Boxes, row: int, kind: str, far: NDArray[np.float64]) -> None:
    """Append the problem of one box."""
    name = sheet.names[boxes.rows[row]]
    corners = "left {:g}, top {:g}, right {:g}, bottom {:g}".format(*np.round(boxes.xyxy[row], 2))
    picture = f"its picture of {far[0]:g} x {far[1]:g} pixels (width x height)"
    reasons = {
        "box_clipped": f"a box reaches out of {picture} and is cut off there: {corners}",
        "tiny_box": f"a box is not larger than a pixel: {corners}; kept, look whether it was a slip",
        "box_outside": f"a box lies outside {picture} and is left out: {corners}",
        "box_empty": f"a box has no area and is left out: {corners}",
        "unknown_class": f"a box is of the class {name!r}, which the source does not name, and is left out: {corners}",
    }
    sheet.doubt(int(boxes.items[row]), kind, reasons[kind])


def _tell_repeated(sheet: Sheet, boxes: Boxes) -> None:
    """Tell of boxes that are there twice; both stay, because which one is meant nobody knows."""
    rows = np.column_stack([boxes.items, boxes.labels, boxes.xyxy])
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    for row, count in zip(first[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        corners = "left {:g}, top {:g}, right {:g}, bottom {:g}".format(*np.round(boxes.xyxy[row], 2))
        sheet.doubt(
            int(boxes.items[row]), "repeated_box", f"one box is there {count} times: {corners}; remove the others"
        )
