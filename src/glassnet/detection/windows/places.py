"""Where windows lie: which part of a picture each answer of a sliding classifier is about.

Position r of a fully convolutional network's map looks through the window of the trained size that begins r strides
from the picture's edge. The stride, the product of all strides before the head, and where the first window begins are
read from the trace: its first output's receptive field, beside that of the one output at the trained size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from glassnet.errors import InputError
from glassnet.nn.trace import Layer, trace

Size = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True)
class Sliding:
    """Windows of `window` (height, width) pixels, `stride` (down, across) pixels apart, in rows and columns."""

    window: Size
    stride: Size

    def fitting(self, size: Size) -> Size:
        """Return the smallest size, at least `size`, that windows cover to its last pixel.

        >>> Sliding((28, 28), (4, 4)).fitting((28, 33))
        (28, 36)
        """
        height, width = (
            window + -(-max(0, side - window) // stride) * stride
            for side, window, stride in zip(size, self.window, self.stride, strict=True)
        )
        return height, width

    def positions(self, size: Size) -> Size:
        """Return how many windows lie wholly in `size`, (rows, columns); 0 where it is smaller than a window."""
        rows, columns = (
            max(0, (side - window) // stride + 1)
            for side, window, stride in zip(size, self.window, self.stride, strict=True)
        )
        return rows, columns

    def extent(self, positions: Size) -> Size:
        """Return the size that so many windows cover; the inverse of `positions` for a size that fits."""
        height, width = (
            window + (count - 1) * stride
            for count, window, stride in zip(positions, self.window, self.stride, strict=True)
        )
        return height, width

    def boxes(self, positions: Size) -> npt.NDArray[np.float32]:
        """Return the windows of a map of `positions` as boxes (rows, columns, 4) float32 xyxy.

        >>> Sliding((28, 28), (4, 4)).boxes((1, 2)).tolist()
        [[[0.0, 0.0, 28.0, 28.0], [4.0, 0.0, 32.0, 28.0]]]
        """
        down, across = (
            np.arange(count, dtype=np.float32) * stride for count, stride in zip(positions, self.stride, strict=True)
        )
        left, top = np.meshgrid(across, down)  # (rows, columns) each
        height, width = self.window
        return np.stack([left, top, left + width, top + height], -1)


def sliding_of(network: nn.Module, window: Size, channels: int) -> Sliding:
    """Return how the windows of a fully convolutional `network` lie that was trained on `window` (height, width).

    Raises `InputError` where its answers are not about windows at even steps: the stride is no whole number, or the
    first window of a larger picture does not begin at its edge.
    """
    alone = last_layer(network, (channels, *window))
    if any(side < 1 or side != int(side) for side in alone.stride):
        raise InputError(
            f"{type(network).__name__} answers every {alone.stride[0]} x {alone.stride[1]} pixels (down x across); "
            "expected whole numbers above 0; use way='crops'"
        )
    sliding = Sliding(window, (int(alone.stride[0]), int(alone.stride[1])))
    larger = sliding.extent((3, 4))
    there = last_layer(network, (channels, *larger))
    shape, shift = there.output_shape[1:], [b - a for a, b in zip(alone.start, there.start, strict=True)]
    if shape != (3, 4) or there.stride != alone.stride or any(shift):
        raise InputError(
            f"{type(network).__name__} gives {'x'.join(map(str, shape))} answers for {larger[0]}x{larger[1]} pixels, "
            f"the first {shift} pixels from the edge; expected 3x4 from the edge on; use way='crops'"
        )
    return sliding


def context_of(network: nn.Module, sliding: Sliding, channels: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how far a window's answer reads beyond it: (above, below) and (left, right), in whole strides.

    What padding makes visible: without it, (0, 0). In strides, rounded up, since pictures are cut at strides.
    """
    alone = last_layer(network, (channels, *sliding.window))
    sides = []
    for axis in (0, 1):
        centre, half = alone.start[axis], (alone.receptive_field[axis] - 1) / 2
        before, after = half - centre, centre + half - (sliding.window[axis] - 1)
        stride = sliding.stride[axis]
        sides.append((_strides(before, stride), _strides(after, stride)))
    return sides[0], sides[1]


def last_layer(network: nn.Module, shape: tuple[int, int, int]) -> Layer:
    """Return the trace's last layer for a picture of `shape` (C, H, W)."""
    return trace(network, shape).layers[-1]


def _strides(pixels: float, stride: int) -> int:
    return max(0, int(-(-pixels // stride)))
