"""Masks over the picture: maps scaled to be some, and random ones; many at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glassnet.explain.placing import spread


def to_unit(maps: Tensor) -> Tensor:
    """Scale each of maps (N, h, w) to reach from 0 to 1; a constant map becomes 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    spans = high - low
    return torch.where(spans > 0, (maps - low) / torch.where(spans > 0, spans, 1), 0)


def random_masks(
    count: int, size: tuple[int, int], *, cells: int, share: float, seed: int, batch: int
) -> Iterator[Tensor]:
    """Yield `count` random masks (at most `batch`, H, W) in [0, 1], as RISE has them.

    A grid of `cells` x `cells` cells, each 1 with probability `share` and 0 otherwise, is enlarged bilinearly to one
    cell more than the picture and cut out at a random shift of up to one cell, so that cells' edges fall everywhere
    (Petsiuk et al. 2018, arXiv:1806.07421, section 3.2). The masks depend on `seed` and not on `batch`.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    cell = (-(-height // cells), -(-width // cells))
    enlarged = ((cells + 1) * cell[0], (cells + 1) * cell[1])
    whole = (0.0, float(enlarged[1]), 0.0, float(enlarged[0]))
    masks: list[Tensor] = []
    for number in range(count):
        grid = (torch.rand(cells + 1, cells + 1, generator=generator) < share).float()
        top, left = (int(torch.randint(side, (), generator=generator)) for side in cell)
        large = torch.from_numpy(spread(grid.numpy(), whole, enlarged))
        masks.append(large[top : top + height, left : left + width])
        if len(masks) == batch or number == count - 1:
            yield torch.stack(masks)
            masks = []
