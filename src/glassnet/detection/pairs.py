"""Which boxes overlap by more than a threshold, found without comparing all with all.

Two boxes with IoU > t share at least the fraction t of the wider one's width and of the taller one's height: with
I = iw * ih and a union no smaller than either box, IoU <= iw / w for both widths w. So of two such boxes the right one
begins at most (1 - t) w to the right of the left one, where w is the left one's width, and likewise downwards. Boxes are
sorted into strips as high as that reach, by their left edges within a strip, and each meets only those in its own and
the two neighbouring strips that begin within its reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

AT_ONCE = 1 << 19
"""Pairs that are compared together: some MB, so that the columns stay in the cache."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(boxes (P, 4), boxes (P, 4)) -> whether each pair overlaps too much, (P,) bool; implies IoU > t."""


def overlapping_pairs(boxes: Tensor, groups: Tensor, threshold: float, overlaps: Criterion) -> Tensor:
    """Return the pairs (2, E) of `boxes` (N, 4) xyxy for which `overlaps`, lower number first, each once.

    Only boxes of one group (N,) int meet. `threshold` is the IoU, in [0, 1], that `overlaps` asks for at least.
    """
    found = [torch.empty(2, 0, dtype=torch.int64, device=boxes.device)]
    for one, other in _candidates(boxes, groups, 1 - threshold):
        hits = overlaps(boxes[one], boxes[other])
        pairs = torch.stack([one[hits], other[hits]])
        found.append(pairs.sort(0).values)
    return torch.cat(found, 1)


def _candidates(boxes: Tensor, groups: Tensor, reach: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the numbers (P,), (P,) of boxes that may overlap enough."""
    # A little more than the bound, in double: a pair on it must not be lost to rounding.
    left, top, right, bottom = boxes.double().unbind(1)
    width = ((right - left) * reach).abs() * (1 + 1e-6) + 1e-6
    height = float(((bottom - top) * reach).abs().max()) * (1 + 1e-6) + 1e-6
    strip = ((top - top.min()) / height).floor().long()  # (N,)
    strips = int(strip.max()) + 3  # an empty one between groups, so that neighbours are of one group
    group = groups.unique(return_inverse=True)[1]
    row = group * strips + strip + 1

    span = float((left + width).max() - left.min()) + 1.0
    key = row * span + (left - left.min())  # strip by strip, and from left to right in each
    order = key.argsort()
    key = key[order]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    for offset in (-1, 0, 1):
        begin = key[rank] + offset * span
        first = torch.searchsorted(key, begin)
        last = torch.searchsorted(key, begin + width, right=True)
        if offset == 0:
            first = rank + 1  # of two in one strip the left one finds the other
        yield from _expand(first, last, order)


def _expand(first: Tensor, last: Tensor, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for every box i all pairs (i, order[k]) with first[i] <= k < last[i], at most `AT_ONCE` at a time."""
    counts = (last - first).clamp(min=0)
    ends = counts.cumsum(0)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, done + AT_ONCE, right=True)))
        part = counts[start:stop]
        one = torch.repeat_interleave(torch.arange(start, stop, device=order.device), part)
        within = torch.arange(len(one), device=order.device) - torch.repeat_interleave(ends[start:stop] - part - done, part)
        yield one, order[first[one] + within]
        start = stop
