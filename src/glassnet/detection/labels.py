"""Where the labels of boxes go: near their box, inside the picture, never over another label.

Plain geometry, so that pictures (Pillow) and pages (SVG) place them alike. A label is tried with its longest text first
at some thirty places around and inside its box; the best of those that cover no label placed before is taken, which is
the one that covers the least of other boxes. Where no text fits anywhere the box stays without a label: its colour
still tells the class, and two labels over each other would tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Measure = Callable[[str], tuple[float, float]]
"""A text -> (width, height) of its label in pixels, margins included."""

SLIDES = (0.0, 1.0, 0.5, 0.25, 0.75)  # along an edge: from flush left over flush right to between
INSIDE, OTHER, LATER = 0.35, 1.0, 0.015
"""What a place costs: a label inside its own box, one wholly over another box, and each step down the list of places"""


@dataclass(frozen=True)
class Label:
    """A label in its place: left, top, width and height in pixels, and the text that was found to fit."""

    text: str
    left: float
    top: float
    width: float
    height: float


def place_labels(
    boxes: NDArray[np.floating], texts: Sequence[Sequence[str]], size: tuple[int, int], measure: Measure
) -> list[Label | None]:
    """Return a label for each of `boxes` (n, 4) xyxy, the first ones first served; None where none fits.

    texts: of each box what its label may say, the best first; () for a box without one. size: (height, width) of the
    picture. Labels keep one pixel apart.
    """
    around = np.asarray(boxes, np.float64).reshape(-1, 4)
    placed: list[Label | None] = []
    taken = np.zeros((0, 4))
    for number, box in enumerate(around):
        label = _first_fit(box, np.delete(around, number, 0), texts[number], taken, size, measure)
        placed.append(label)
        if label is not None:
            edges = [label.left - 1, label.top - 1, label.left + label.width + 1, label.top + label.height + 1]
            taken = np.vstack([taken, edges])
    return placed


def _first_fit(
    box: Floats, others: Floats, texts: Sequence[str], taken: Floats, size: tuple[int, int], measure: Measure
) -> Label | None:
    for text in texts:
        width, height = measure(text)
        if width > size[1] or height > size[0]:
            continue
        places, inside = _places(box, width, height, size)
        free = _covered(places, taken) <= 0
        if free.any():
            cost = inside * INSIDE + OTHER * _covered(places, others) + LATER * np.arange(len(places))
            best = int(np.where(free, cost, np.inf).argmin())
            left, top = places[best, :2]
            return Label(text, float(left), float(top), width, height)
    return None


def _places(box: Floats, width: float, height: float, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return places (p, 4) xyxy for a label, those that people expect first, and whether each is inside the box (p,).

    Above, below, inside at the top and at the bottom, each sliding along the edge; beside the box at three heights. All
    are pushed into the picture.
    """
    left, top, right, bottom = box
    rows = [(top - height, 0.0), (bottom, 0.0), (top, 1.0), (bottom - height, 1.0)]
    found = [(left + slide * (right - left - width), y, inside) for y, inside in rows for slide in SLIDES]
    found += [(x, top + s * (bottom - top - height), 0.0) for x in (right, left - width) for s in (0.0, 0.5, 1.0)]
    table = np.array(found)
    x = np.clip(table[:, 0], 0, size[1] - width)
    y = np.clip(table[:, 1], 0, size[0] - height)
    return np.stack([x, y, x + width, y + height], 1), table[:, 2]


def _covered(places: Floats, others: Floats) -> Floats:
    """Return how much of each of `places` (p, 4) is covered by `others` (m, 4), as a sum of shares (p,)."""
    low = np.maximum(places[:, None, :2], others[None, :, :2])
    high = np.minimum(places[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2).sum(1)
    covered: Floats = shared / (places[:, 2:] - places[:, :2]).prod(1)
    return covered
