"""Paths that part and meet: parallel branches that are added or concatenated, and a shortcut without weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Add(nn.ModuleList):
    """The sum of branches that read one input: (N, C, H, W) -> (N, D, H', W'), which all branches give."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply every branch to `x` and add."""
        first, *others = self
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total


class Concat(nn.ModuleList):
    """The channels of branches that read one input, side by side: (N, C, H, W) -> (N, sum of D, H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply every branch to `x` and concatenate along the channels."""
        return torch.cat([branch(x) for branch in self], 1)


class ZeroPaddedShortcut(nn.Module):
    """Every `stride`-th position, and zeros for the channels that are new: (N, in, H, W) -> (N, out, H / s, W / s).

    He et al. 2015 (arXiv:1512.03385), option A: a shortcut that changes shape but has nothing to learn.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Thin out the positions of `x` and add empty channels behind its own."""
        thin = x[:, :, :: self.stride, :: self.stride]
        return F.pad(thin, (0, 0, 0, 0, 0, self.out_channels - self.in_channels))

    def extra_repr(self) -> str:
        """Return the setting in words."""
        return f"{self.in_channels}, {self.out_channels}, stride={self.stride}"
