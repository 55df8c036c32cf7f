"""A neck: every scale learns what the others saw.

Coarse maps know what is there, fine ones where. A way down adds the coarse to the fine (feature pyramid, Lin et al.
2016, arXiv:1612.03144), a way up brings the fine back to the coarse (path aggregation, Liu et al. 2018,
arXiv:1803.01534). Where the backbone ends early, coarser maps are made by striding on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.nn.layers import ConvNormAct


class Pyramid(nn.Module):
    """Maps of the backbone, fine to coarse -> as many maps of `width` channels, at least `levels` of them."""

    def __init__(self, channels: Sequence[int], width: int, levels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNormAct(each, width, 1) for each in channels)
        self.coarser = nn.ModuleList(ConvNormAct(width, width, 3, 2) for _ in range(levels - len(channels)))
        count = max(levels, len(channels))
        self.down = nn.ModuleList(ConvNormAct(width, width, 3) for _ in range(count - 1))
        self.stride = nn.ModuleList(ConvNormAct(width, width, 3, 2) for _ in range(count - 1))
        self.up = nn.ModuleList(ConvNormAct(width, width, 3) for _ in range(count - 1))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return maps (N, width, h, w), fine to coarse."""
        levels = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        for stride in self.coarser:
            levels.append(stride(levels[-1]))
        for place in reversed(range(len(levels) - 1)):  # downwards: from coarse to fine
            levels[place] = self.down[place](levels[place] + like(levels[place + 1], levels[place]))
        for place in range(len(levels) - 1):  # and back
            finer = self.stride[place](levels[place])
            levels[place + 1] = self.up[place](levels[place + 1] + like(finer, levels[place + 1]))
        return levels


def like(x: Tensor, other: Tensor) -> Tensor:
    """Return `x` with the height and width of `other`, by its nearest values; backbones without padding need it."""
    return F.interpolate(x, size=other.shape[2:])
