"""Where a map of any resolution lies on its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glassnet.explain.explanation import Extent


def spread(array: npt.NDArray[Any], extent: Extent, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a map (h, w) that covers `extent` as one number for each pixel of a picture of `size`, (H, W) float32.

    Bilinear between the centres of the map's cells, constant from the outermost centres to the extent's edges, and 0
    for pixels whose centre lies outside. A map finer than the picture is averaged over about a pixel. Both axes are
    independent, so it is two matrix products.
    """
    left, right, top, bottom = extent
    down = weights(array.shape[0], top, bottom, size[0])  # (H, h)
    across = weights(array.shape[1], left, right, size[1])  # (W, w)
    return (down @ array.astype(np.float64) @ across.T).astype(np.float32)


def weights(cells: int, first: float, last: float, pixels: int) -> npt.NDArray[np.float64]:
    """Return what each of `cells` cells between `first` and `last` gives to each pixel, (pixels, cells).

    A row sums to 1, or to 0 for a pixel outside.
    """
    assert last > first, f"an extent from {first} to {last}"
    step = (last - first) / cells
    centres = np.arange(pixels) + 0.5
    place = np.clip((centres - first) / step - 0.5, 0, cells - 1)  # in cells, counted between centres
    reach = max(1.0, 1 / step)
    found: npt.NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(cells)) / reach)
    found /= found.sum(1, keepdims=True)
    found[(centres < first) | (centres > last)] = 0
    return found
