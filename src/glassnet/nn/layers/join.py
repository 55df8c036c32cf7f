"""Paths that part and meet: parallel branches that are added or concatenated."""

from __future__ import annotations

import torch
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
