"""The head: at every place of every grid, which class is here and how far the box reaches from here.

Class and box have towers of their own (decoupled, Tian et al. 2019, FCOS, arXiv:1904.01355). The towers' filters are
shared by all scales, so that few pictures teach them; each scale has batch norms of its own, since its numbers are
distributed differently (Lyu et al. 2022, RTMDet, arXiv:2212.07784). How far a side of the box is away is answered by a
distribution over whole strides, whose mean is the distance (Li et al. 2020, generalized focal loss, arXiv:2006.04388).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glassnet.nn.layers.convolution import Conv2d

PRIOR = 0.01
"""How likely a class is held at any place before anything is learnt (Lin et al. 2017, arXiv:1708.02002, 3.3)."""


class Tower(nn.Module):
    """`depth` 3x3 convolutions shared by all levels, with batch norms of each level's own."""

    def __init__(self, width: int, depth: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(width) for _ in range(depth)) for _ in range(levels))
        self.act = nn.ReLU()

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(N, width, h, w) -> the same."""
        norms = self.norms[level]
        assert isinstance(norms, nn.ModuleList)
        for conv, norm in zip(self.convs, norms, strict=True):
            x = self.act(norm(conv(x)))
        return x


class Head(nn.Module):
    """Maps (N, width, h, w) -> answers (N, classes + 4 bins, h, w): logits, then left, top, right, bottom in bins."""

    def __init__(self, width: int, classes: int, levels: int, *, bins: int, depth: int = 2) -> None:
        super().__init__()
        self.class_tower, self.box_tower = Tower(width, depth, levels), Tower(width, depth, levels)
        self.scores = nn.Conv2d(width, classes, 1)
        self.sides = nn.Conv2d(width, 4 * bins, 1)
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.constant_(self.scores.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]
        nn.init.normal_(self.sides.weight, std=0.01)
        nn.init.zeros_(self.sides.bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the answers of each grid."""
        return [
            torch.cat([self.scores(self.class_tower(x, level)), self.sides(self.box_tower(x, level))], 1)
            for level, x in enumerate(maps)
        ]
