"""Masks over the picture: maps spread to its pixels, and random ones; many at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glassnet.explain.explanation import Extent


def spread(maps: Tensor, extent: Extent, size: tuple[int, int]) -> Tensor:
    """Spread maps (N, h, w) that lie at `extent` over a picture of `size` (H, W): (N, H, W), bilinear.

    Between the outermost positions' centres and the extent's edge the outermost values stand; beyond it, 0.
    """
    left, right, top, bottom = extent
    rows = _weights(size[0], maps.shape[1], top, bottom).to(maps)  # (H, h)
    columns = _weights(size[1], maps.shape[2], left, right).to(maps)  # (W, w)
    return rows @ maps @ columns.T


def _weights(pixels: int, positions: int, first: float, last: float) -> Tensor:
    """Return how much each of `positions` numbers from edge `first` to edge `last` counts at each pixel's centre."""
    centres = torch.arange(pixels, dtype=torch.float64) + 0.5
    place = (centres - first) / (last - first) * positions - 0.5
    near = place.clamp(0, positions - 1)
    below = near.floor().long().clamp(max=max(positions - 2, 0))
    share = near - below
    weights = torch.zeros(pixels, positions, dtype=torch.float64)
    at = torch.arange(pixels)
    weights[at, below] = 1 - share
    if positions > 1:
        weights[at, below + 1] = share
    weights[(centres < first) | (centres > last)] = 0
    return weights


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
        grid = (torch.rand(1, cells + 1, cells + 1, generator=generator) < share).float()
        top, left = (int(torch.randint(side, (), generator=generator)) for side in cell)
        masks.append(spread(grid, whole, enlarged)[0, top : top + height, left : left + width])
        if len(masks) == batch or number == count - 1:
            yield torch.stack(masks)
            masks = []
