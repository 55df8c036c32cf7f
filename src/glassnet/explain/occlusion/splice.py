"""Patches and the maps around them: cut a window of the unoccluded map for each position, lay the changed patch over.

All maps are channels_last, so that a row of a window is one contiguous piece of memory.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.explain.occlusion.plan import Ints, Place

LARGE = 1 << 13
"""From so many numbers in a window on, copying one by one is quicker than torch's indexing."""


class Backdrop:
    """A map of the unoccluded picture (1, C, H, W), as far beyond its borders as anybody asks, filled with `fill`."""

    def __init__(self, maps: Tensor, fill: float) -> None:
        self.maps, self.fill = maps, fill
        self.sides = (0, 0, 0, 0)  # top, bottom, left, right
        self.extended = _rows(maps)
        self._lock = threading.Lock()

    def windows(self, y: Ints, x: Ints, height: int, width: int) -> Tensor:
        """Return the windows of one size that start at rows `y` and columns `x`: (P, C, height, width)."""
        top, left, extended = self._reaching(y, x, height, width)
        H, W, C = extended.shape
        view = extended.as_strided(
            (H - height + 1, W - width + 1, height, width * C), (W * C, C, W * C, 1), extended.storage_offset()
        )
        if height * width * C >= LARGE:
            found = extended.new_empty(len(y), height, width * C)
            for window, row, column in zip(found, (y + top).tolist(), (x + left).tolist(), strict=True):
                window.copy_(view[row, column])
        else:
            found = view[torch.from_numpy(y + top), torch.from_numpy(x + left)]  # (P, height, width C)
        return found.view(len(y), height, width, C).permute(0, 3, 1, 2)

    def _reaching(self, y: Ints, x: Ints, height: int, width: int) -> tuple[int, int, Tensor]:
        H, W = self.maps.shape[2:]
        wanted = (-int(y.min()), int(y.max()) + height - H, -int(x.min()), int(x.max()) + width - W)
        with self._lock:
            if any(want > side for want, side in zip(wanted, self.sides, strict=True)):
                sides = [max(want, side) for want, side in zip(wanted, self.sides, strict=True)]
                top, bottom, left, right = sides
                self.sides = (top, bottom, left, right)
                self.extended = _rows(F.pad(self.maps, (left, right, top, bottom), value=self.fill))
            return self.sides[0], self.sides[2], self.extended

    @property
    def bytes(self) -> int:
        """Memory taken beside the map's own."""
        own = self.extended.data_ptr() == self.maps.data_ptr()
        return 0 if own else self.extended.numel() * self.extended.element_size()


def _rows(maps: Tensor) -> Tensor:
    """Return (1, C, H, W) as (H, W, C), contiguous."""
    return maps[0].permute(1, 2, 0).contiguous()


def spliced(patches: Tensor, at: Place, backdrop: Backdrop, y: Ints, x: Ints, height: int, width: int) -> Tensor:
    """Return windows of the occluded maps, from rows `y` and columns `x`: (P, C, height, width).

    patches: (P, C, at.height, at.width), the changed parts. Where a patch reaches beyond the window, that part of it
    does not count.
    """
    down, right = at.y - y, at.x - x  # where each patch begins in its window
    patches, down = _cropped(patches, 2, down, height)
    patches, right = _cropped(patches, 3, right, width)
    top, left = min(0, int(down.min())), min(0, int(right.min()))
    bottom = max(height, int(down.max()) + patches.shape[2])
    across = max(width, int(right.max()) + patches.shape[3])
    canvas = backdrop.windows(y + top, x + left, bottom - top, across - left)
    overlay(canvas, patches, down - top, right - left)
    if canvas.shape[2:] == (height, width):
        return canvas
    inside = canvas[:, :, -top : height - top, -left : width - left]
    return inside.contiguous(memory_format=torch.channels_last)


def _cropped(patches: Tensor, axis: int, offset: Ints, size: int) -> tuple[Tensor, Ints]:
    """Cut off what lies outside the window for every patch."""
    length = patches.shape[axis]
    before = min(max(0, -int(offset.max())), length - 1)
    after = min(max(0, int(offset.min()) + length - size), length - 1 - before)
    if before or after:
        patches = patches.narrow(axis, before, length - before - after)
    return patches, offset + before


def overlay(canvas: Tensor, patches: Tensor, down: Ints, right: Ints) -> None:
    """Write each patch (P, C, h, w) over its canvas (P, C, H, W), channels_last, from (down, right) on."""
    height, width = patches.shape[2:]
    if (down == down[0]).all() and (right == right[0]).all():
        top, left = int(down[0]), int(right[0])
        canvas[:, :, top : top + height, left : left + width] = patches
        return
    P, C, H, W = canvas.shape
    view = canvas.as_strided(
        (P, H - height + 1, W - width + 1, height, width * C), (H * W * C, W * C, C, W * C, 1), canvas.storage_offset()
    )
    rows = patches.permute(0, 2, 3, 1).reshape(P, height, width * C)
    view[torch.arange(P), torch.from_numpy(down), torch.from_numpy(right)] = rows


def everywhere(count: int) -> Ints:
    """Return the start of a whole map, for each of `count` positions."""
    return np.zeros(count, np.int64)
