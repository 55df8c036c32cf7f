"""What a detection network answers before anything is left out: a score for each class, and a box, at every place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Raw(NamedTuple):
    """scores: (N, A, K) logits. boxes: (N, A, 4) xyxy, pixels of the input. A counts all places of all grids."""

    scores: Tensor
    boxes: Tensor


def centres(maps: list[Tensor], input_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the middles of all places of the grids, (A, 2) as x and y, and their strides (A, 2), in input pixels.

    maps: (N, C, h, w) each, of a picture of `input_size` (height, width), fine to coarse; places row by row.
    """
    points, strides = [], []
    for each in maps:
        height, width = each.shape[2:]
        down, across = input_size[0] / height, input_size[1] / width
        y = (torch.arange(height, device=each.device, dtype=torch.float32) + 0.5) * down
        x = (torch.arange(width, device=each.device, dtype=torch.float32) + 0.5) * across
        points.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2))  # (h w, 2)
        strides.append(torch.tensor([across, down], device=each.device).expand(height * width, 2))
    return torch.cat(points), torch.cat(strides)


def flatten(maps: list[Tensor]) -> Tensor:
    """(N, C, h, w) each -> (N, A, C), places in the order of `centres`."""
    return torch.cat([each.flatten(2) for each in maps], 2).transpose(1, 2)
