"""Many small pictures as one: the tiles of a layer's maps, of patches, of a first layer's filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from glassnet.explain.explanation import Kind, Pixels
from glassnet.explain.figures import style

Tile = npt.NDArray[np.uint8]
"""(h, w, 3) uint8."""
PAPER = 255


def montage(tiles: Sequence[Tile], columns: int, *, gap: int = 2, paper: int = PAPER) -> Pixels:
    """Return tiles of one size in rows of `columns`, (H, W, 3) uint8, with `gap` pixels of `paper` between them."""
    height, width = tiles[0].shape[:2]
    rows = math.ceil(len(tiles) / columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), paper, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    return canvas


def map_tile(values: npt.NDArray[Any], low: float, high: float, size: int) -> Tile:
    """Return a map (h, w) in colours, its longer side about `size` pixels, each number a square of whole pixels.

    Where the map is finer than that, it is made smaller. Numbers below zero need `low` below zero, and are blue then.
    """
    kind: Kind = "signed" if low < 0 else "map"
    edge = max(abs(low), abs(high)) or 1.0
    share = 0.5 + 0.5 * values / edge if kind == "signed" else values / edge
    colours = style.FOR_AND_AGAINST if kind == "signed" else style.STRENGTH
    painted = (colours(np.clip(share, 0, 1))[..., :3] * 255).round().astype(np.uint8)
    return fitted(painted, size, nearest=max(values.shape) <= size)


def fitted(pixels: npt.NDArray[np.uint8], size: int, *, nearest: bool | None = None) -> Tile:
    """Return a picture (h, w, 1 or 3) with its longer side at `size` pixels; tiny ones keep their pixels as squares."""
    whole = np.ascontiguousarray(pixels if pixels.shape[2] == 3 else np.repeat(pixels[:, :, :1], 3, 2))
    height, width = whole.shape[:2]
    scale = size / max(height, width)
    wanted = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = max(height, width) <= style.SMALL if nearest is None else nearest
    how = Image.Resampling.NEAREST if square else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(whole).resize(wanted, how))


def squared(tile: Tile, size: int, *, paper: int = PAPER) -> Tile:
    """Return a tile in the middle of a square of `size` pixels."""
    canvas = np.full((size, size, 3), paper, np.uint8)
    top, left = (size - tile.shape[0]) // 2, (size - tile.shape[1]) // 2
    canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def projected(projection: npt.NDArray[Any]) -> Pixels:
    """Return an image of the input space (H, W, C) as colours around grey, (H, W, 3) uint8, on its own scale."""
    shown = projection if projection.shape[2] in (1, 3) else projection[:, :, :1]
    _, edge, _ = style.limits(shown, "image")
    return (style.around_grey(shown, edge) * 255).round().astype(np.uint8)


def framed(tile: Tile, box: tuple[float, float, float, float]) -> Tile:
    """Draw the outline of `box` (top, left, bottom, right), in shares of the tile's sides, onto a copy of it."""
    drawn = tile.copy()
    height, width = tile.shape[:2]
    top, bottom = (min(height - 1, max(0, round(edge * height))) for edge in (box[0], box[2]))
    left, right = (min(width - 1, max(0, round(edge * width))) for edge in (box[1], box[3]))
    colour = (232, 89, 12)
    drawn[[top, bottom], left : right + 1] = colour
    drawn[top : bottom + 1, [left, right]] = colour
    return drawn
