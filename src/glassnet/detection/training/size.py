"""How large the input of a detector should be: what its smallest class needs, and no more.

Time grows with the square of the input's side, while an object that is large already gains nothing from more pixels.
mAP is a mean over classes, so the class of the smallest objects decides.
"""

from __future__ import annotations

import math

import numpy as np

from glassnet.data.annotations.objects import BoxIndex

MULTIPLE = 32
"""The input's sides are multiples of the coarsest stride, so that all grids divide it evenly."""
SMALL = 32.0
"""Pixels that the median object of the class with the smallest ones is to measure across in the input."""
LEAST, MOST = 320, 640


def class_shares(index: BoxIndex) -> dict[str, float]:
    """Return the side of each class's median training object, as a share of its picture's longer side.

    The side is the square root of the box's area. Classes that the training pictures do not show are left out.
    """
    shares: dict[int, list[float]] = {}
    for item in index.select("train").tolist():
        objects = index.objects[item].only(index.objects[item].counted)
        sides = np.sqrt(np.prod(objects.boxes[:, 2:] - objects.boxes[:, :2], axis=1, dtype=np.float64))
        for label, side in zip(objects.labels.tolist(), sides.tolist(), strict=True):
            shares.setdefault(label, []).append(side / max(index.sizes[item]))
    return {index.classes[label]: float(np.median(each)) for label, each in sorted(shares.items())}


def choose_size(index: BoxIndex) -> tuple[int, str]:
    """Return the input's longer side in pixels, of `LEAST` to `MOST`, and why, in words."""
    name, share = min(class_shares(index).items(), key=lambda pair: pair[1])
    wanted = MULTIPLE * math.ceil(SMALL / max(share, SMALL / MOST) / MULTIPLE)
    size = min(max(wanted, LEAST), MOST)
    return size, f"input of {size} pixels, in which a usual {name!r} is {share * size:.0f} across"
