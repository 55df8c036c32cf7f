"""Where maps of any resolution lie on their picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glassnet.explain.explanation import Extent


def spread(maps: npt.NDArray[Any], extent: Extent, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return maps (..., h, w) that lie at `extent` as one number for each pixel of a picture, (..., H, W) float32.

    Bilinear between the centres of a map's cells. From the outermost centres on, the outermost numbers stand, up to the
    picture's edges: a border that no cell is centred on still belongs to the nearest one. A map finer than the picture
    is averaged over about a pixel. Both axes are independent, so it is two matrix products.
    """
    left, right, top, bottom = extent
    down = weights(maps.shape[-2], top, bottom, size[0])  # (H, h)
    across = weights(maps.shape[-1], left, right, size[1])  # (W, w)
    return (down @ maps.astype(np.float64) @ across.T).astype(np.float32)


def weights(cells: int, first: float, last: float, pixels: int) -> npt.NDArray[np.float64]:
    """Return what each cell between `first` and `last` gives to each pixel, (pixels, cells); rows sum to 1."""
    assert last > first, f"an extent from {first} to {last}"
    step = (last - first) / cells
    centres = np.arange(pixels) + 0.5
    place = np.clip((centres - first) / step - 0.5, 0, cells - 1)  # in cells, counted between centres
    reach = max(1.0, 1 / step)
    found: npt.NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(cells)) / reach)
    found /= found.sum(1, keepdims=True)
    return found
