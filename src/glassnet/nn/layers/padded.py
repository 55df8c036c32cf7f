"""Windows with any padding: as many rows and columns as one likes on each side, filled in any of four ways.

PyTorch's own layers pad both sides of an axis alike, and pooling by at most half a window; these take each side for
itself. They are leaves of the trace, and `padding` is what lies before the input (top, left), from which it computes
receptive fields.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Rows and columns to add: top, bottom, left, right."""

Mode = Literal["zeros", "replicate", "reflect", "circular"]
MODES: tuple[Mode, ...] = ("zeros", "replicate", "reflect", "circular")
"""What the border is filled with: zeros, the nearest value, the mirror image, or the opposite border."""


def pad(x: Tensor, sides: Sides, mode: Mode = "zeros", value: float = 0.0) -> Tensor:
    """Return `x` (N, C, H, W) with `sides` added: (N, C, top + H + bottom, left + W + right)."""
    top, bottom, left, right = sides
    if mode == "zeros":
        return F.pad(x, (left, right, top, bottom), value=value)
    return F.pad(x, (left, right, top, bottom), mode=mode)


class PaddedConv2d(nn.Conv2d):
    """`nn.Conv2d` with its own padding on each side."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair,
        sides: Sides,
        *,
        mode: Mode = "zeros",
        dilation: Pair = (1, 1),
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)
        self.padding, self.sides, self.mode = (sides[0], sides[2]), sides, mode

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve `input` (N, C, H, W)."""
        x = pad(input, self.sides, self.mode)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Return the setting in words."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, sides={self.sides}, {self.mode}"
        )


class PaddedMaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d` with its own padding on each side; padding is never the largest value."""

    def __init__(self, kernel_size: Pair, stride: Pair, sides: Sides, *, dilation: Pair = (1, 1)) -> None:
        super().__init__(kernel_size, stride, (sides[0], sides[2]), dilation)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Pad and pool `input` (N, C, H, W)."""
        x = pad(input, self.sides, value=-torch.inf)
        return F.max_pool2d(x, self.kernel_size, self.stride, 0, self.dilation)


class PaddedAvgPool2d(nn.AvgPool2d):
    """`nn.AvgPool2d` with its own padding on each side; `count_include_pad` lets the zeros count in the mean."""

    def __init__(self, kernel_size: Pair, stride: Pair, sides: Sides, *, count_include_pad: bool) -> None:
        super().__init__(kernel_size, stride, (sides[0], sides[2]), count_include_pad=count_include_pad)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Pad and pool `input` (N, C, H, W)."""
        mean = F.avg_pool2d(pad(input, self.sides), self.kernel_size, self.stride)
        if self.count_include_pad:
            return mean
        inside = pad(torch.ones_like(input[:1, :1]), self.sides)  # (1, 1, H', W'): 1 where there is picture
        return mean / F.avg_pool2d(inside, self.kernel_size, self.stride)
