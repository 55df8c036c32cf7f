"""Where the occluder goes, and how its results are laid out over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glassnet.errors import InputError
from glassnet.explain.occlusion.operators import Pair
from glassnet.explain.occlusion.plan import Ints

Floats = npt.NDArray[np.float64]
SHARE = 14
"""By default the occluder's side is a fourteenth of the picture's shorter side: 16 pixels of 224."""
SMALLEST = 4
"""But at least so many pixels: covering less of a small picture changes little. The default stride is half the side."""


@dataclass(frozen=True)
class Grid:
    """The occluder's size and its places: top rows `y` and left columns `x`, every pair of them is a position."""

    picture: Pair
    size: Pair
    stride: Pair
    y: Ints
    x: Ints

    @property
    def shape(self) -> Pair:
        """(rows, columns) of positions."""
        return len(self.y), len(self.x)

    @property
    def positions(self) -> Ints:
        """All positions, row by row: (P, 2), top row and left column."""
        return np.stack(np.meshgrid(self.y, self.x, indexing="ij"), -1).reshape(-1, 2)

    def averaged(self, values: Floats) -> Floats:
        """Spread values (rows, columns), one for each position, over the picture (H, W).

        A pixel gets the mean over all positions that cover it. Between occluders that do not touch it gets that of the
        nearest.
        """
        down, across = _cover(self.y, self.size[0], self.picture[0]), _cover(self.x, self.size[1], self.picture[1])
        counts = down.sum(0)[:, None] * across.sum(0)[None, :]
        result: Floats = (down.T @ values @ across) / counts
        return result

    def nearest(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Spread values (rows, columns) over the picture: each pixel gets that of the nearest occluder's centre."""
        rows = _nearest(self.y, self.size[0], self.picture[0])
        columns = _nearest(self.x, self.size[1], self.picture[1])
        return values[rows[:, None], columns[None, :]]


def make_grid(
    picture: Pair, size: int | Sequence[int] | None = None, stride: int | Sequence[int] | None = None
) -> Grid:
    """Return the positions of an occluder of `size` every `stride` pixels (each a number, or height and width).

    The first position is at the top left, the last ones at the bottom and the right border, also where the stride does
    not divide what remains. Raises `InputError` for a size or stride that is not a whole number of at least 1, and for
    an occluder larger than the picture.
    """
    shorter = min(picture)
    sizes = _pair("size", min(max(SMALLEST, round(shorter / SHARE)), shorter) if size is None else size)
    for side, limit, word in zip(sizes, picture, ("high", "wide"), strict=True):
        if side > limit:
            raise InputError(
                f"the occluder is {side} pixels {word}, and the picture {limit}; choose a size of at most {limit}"
            )
    strides = _pair("stride", tuple(max(1, side // 2) for side in sizes) if stride is None else stride)
    y, x = (_places(picture[axis], sizes[axis], strides[axis]) for axis in (0, 1))
    return Grid(picture, sizes, strides, y, x)


def _places(length: int, size: int, stride: int) -> Ints:
    last = length - size
    return np.unique(np.append(np.arange(0, last + 1, stride), last)).astype(np.int64)


def _pair(name: str, value: Any) -> Pair:
    pair = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    whole = len(pair) == 2 and all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in pair)
    if not whole:
        raise InputError(f"{name} is {value!r}; expected a whole number of pixels from 1 up, or a pair (height, width)")
    return pair[0], pair[1]


def _cover(starts: Ints, size: int, length: int) -> Floats:
    """Return which place covers which pixel along an axis, (places, length) of 0 and 1; gaps go to the nearest."""
    pixels = np.arange(length)
    covered = (pixels >= starts[:, None]) & (pixels < starts[:, None] + size)
    gaps = ~covered.any(0)
    covered[_nearest(starts, size, length)[gaps], pixels[gaps]] = True
    return covered.astype(np.float64)


def _nearest(starts: Ints, size: int, length: int) -> Ints:
    """Return for each pixel along an axis the place whose centre is nearest."""
    centres = starts + size / 2
    found: Ints = np.abs(np.arange(length)[:, None] + 0.5 - centres).argmin(1)
    return found
