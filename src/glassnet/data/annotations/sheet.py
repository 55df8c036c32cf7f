"""A sheet: what annotation files say about their pictures, before any picture is opened.

Boxes stay as their file gives them (`way`, `relative`); `sound.py` turns them into pixels once the sizes are known.
Columns, not an object for each box: a file of COCO's holds 860,000 of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from glassnet.data.listing import class_name
from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS

Four = tuple[float, float, float, float]


@dataclass
class Sheet:
    """N pictures and M boxes as their source names them.

    name, root: as in `Listing`; kind: "voc", "coco", "yolo" or "csv". classes: their names in the source's own order,
    None where it has no list (then the names that occur, sorted). way: the four numbers of a box are "xyxy", "xywh" or
    "cxcywh", in pixels, or in shares of the picture where `relative`; the first two count from `counted_from`.

    Of each picture: paths, relative to root; splits (None: not said); sizes (height, width) as the source claims, None
    where it does not; groups, what stays on one side of a split. Of each box: items, the number of its picture; names,
    its class; boxes; difficult; crowd. problems: also of pictures that are not in `paths`.
    """

    name: str
    kind: str
    root: Path
    classes: tuple[str, ...] | None = None
    way: str = "xyxy"
    relative: bool = False
    counted_from: int = 0
    paths: list[str] = field(default_factory=list)
    splits: list[int | None] = field(default_factory=list)
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    boxes: list[Four] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def picture(self, path: str, split: int | None = None, size: tuple[int, int] | None = None) -> int:
        """Append a picture and return its number."""
        self.paths.append(path)
        self.splits.append(split)
        self.sizes.append(size)
        return len(self.paths) - 1

    def box(self, item: int, name: str, four: Four, *, difficult: bool = False, crowd: bool = False) -> None:
        """Append a box of picture `item`."""
        self.items.append(item)
        self.names.append(class_name(name))
        self.boxes.append(four)
        self.difficult.append(difficult)
        self.crowd.append(crowd)

    def only(self, keep: Sequence[bool]) -> Sheet:
        """Return the sheet of the pictures where `keep`, one for each, is true; problems and notes stay."""
        kept = [item for item, stays in enumerate(keep) if stays]
        number = {item: position for position, item in enumerate(kept)}
        rows = [row for row, item in enumerate(self.items) if item in number]
        return replace(
            self,
            paths=[self.paths[item] for item in kept],
            splits=[self.splits[item] for item in kept],
            sizes=[self.sizes[item] for item in kept],
            groups=[self.groups[item] for item in kept] if self.groups else [],
            items=[number[self.items[row]] for row in rows],
            names=[self.names[row] for row in rows],
            boxes=[self.boxes[row] for row in rows],
            difficult=[self.difficult[row] for row in rows],
            crowd=[self.crowd[row] for row in rows],
        )

    def doubt(self, item: int, kind: str, reason: str) -> None:
        """Append a problem of picture `item`."""
        split = self.splits[item]
        self.problems.append(Problem(self.paths[item], kind, reason, None if split is None else SPLITS[split]))


def four_numbers(values: Sequence[object]) -> Four | None:
    """Return four finite numbers, or None where `values` (numbers or text) are anything else.

    >>> four_numbers(["1", "2.5", 3, "4"]), four_numbers(["1", "nan", "3", "4"])
    ((1.0, 2.5, 3.0, 4.0), None)
    """
    if len(values) != 4:
        return None
    try:
        numbers = [float(value) for value in values]  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    left, top, right, bottom = numbers
    return (left, top, right, bottom) if all(map(math.isfinite, numbers)) else None
