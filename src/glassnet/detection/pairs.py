"""Which boxes overlap by more than a threshold, found without comparing all with all.

Two boxes with IoU > t share at least the fraction t of the wider one's width and of the taller one's height: with
I = iw * ih and a union no smaller than either box, IoU <= iw / w for both widths w. So the left edge of one lies at
most (1 - t) w to the right of the other's, where w is the other's width, and likewise downwards. Boxes are sorted into
strips as high as that reach, by their left edges within a strip, and a box is compared with those in its own and the
two neighbouring strips whose left edges lie within reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

AT_ONCE = 1 << 18
"""Pairs that are compared together: some MB, so that the columns stay in the cache."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(boxes (P, 4), boxes (P, 4)) -> whether each pair overlaps too much, (P,) bool; implies IoU > t."""


class Strips:
    """`boxes` (N, 4) xyxy, sorted so that what may overlap by an IoU above `threshold`, in [0, 1], is found quickly.

    Only boxes of one group meet, `groups` (N,) int; None is for a single group.
    """

    def __init__(self, boxes: Tensor, groups: Tensor | None, threshold: float) -> None:
        self.boxes = boxes
        # A little more than the bound, in double: a pair on it must not be lost to rounding.
        left, top, right, bottom = boxes.double().unbind(1)
        reach = (1 - threshold) * (1 + 1e-6)
        self.reach = (right - left).abs() * reach + 1e-6  # (N,) to the right
        height = float((bottom - top).abs().max()) * reach + 1e-6
        row = ((top - top.min()) / height).floor()  # (N,)
        if groups is not None:  # an empty strip between groups, so that neighbours are of one group
            row += groups.double() * (float(row.max()) + 2)
        self.span = float(left.max() - left.min() + 2 * self.reach.max()) + 1.0
        key = row * self.span + (left - left.min())  # strip by strip, and from left to right in each
        self.key, self.order = key.sort()
        self.place = torch.empty_like(self.order)
        self.place[self.order] = torch.arange(len(boxes), device=boxes.device)

    def pairs(self, overlaps: Criterion) -> Tensor:
        """Return all pairs (2, E) of boxes for which `overlaps`, each once, the lower number first."""
        begin = self.key[self.place]
        within = self._within(begin, begin + self.reach, self.place + 1)  # of two, the left one finds the other
        above = self._within(begin - self.span, begin - self.span + self.reach)
        below = self._within(begin + self.span, begin + self.span + self.reach)
        numbers = torch.arange(len(self.boxes), device=self.boxes.device)
        found = [self._meeting(numbers, *window, overlaps) for window in (within, above, below)]
        return torch.cat(found, 1).sort(0).values

    def covered_by(self, chosen: Tensor, overlaps: Criterion) -> Tensor:
        """Tell which boxes, (N,) bool, overlap one of those numbered `chosen` (B,), themselves included."""
        covered = torch.zeros(len(self.boxes), dtype=torch.bool, device=self.boxes.device)
        widest = float(self.reach.max())
        for offset in (-1, 0, 1):
            begin = self.key[self.place[chosen]] + offset * self.span
            window = self._within(begin - widest, begin + self.reach[chosen])
            covered[self._meeting(chosen, *window, overlaps)[1]] = True
        return covered

    def _within(self, begin: Tensor, end: Tensor, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the places (first, behind the last) of the boxes whose keys lie from `begin` to `end`."""
        first = torch.searchsorted(self.key, begin) if first is None else first
        return first, torch.searchsorted(self.key, end, right=True)

    def _meeting(self, numbers: Tensor, first: Tensor, last: Tensor, overlaps: Criterion) -> Tensor:
        """Return the pairs (2, E) of each of `numbers` with the boxes at its places for which `overlaps`."""
        found = [torch.empty(2, 0, dtype=torch.int64, device=self.boxes.device)]
        for one, place in _expand(first, last):
            mine, other = numbers[one], self.order[place]
            hits = overlaps(self.boxes[mine], self.boxes[other])
            found.append(torch.stack([mine[hits], other[hits]]))
        return torch.cat(found, 1)


def _expand(first: Tensor, last: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all pairs (i, k) with first[i] <= k < last[i], at most `AT_ONCE` at a time, or those of one i."""
    counts = (last - first).clamp(min=0)
    ends = counts.cumsum(0)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, done + AT_ONCE, right=True)))
        part = counts[start:stop]
        one = torch.repeat_interleave(torch.arange(start, stop, device=first.device), part)
        before = ends[start:stop] - part - done - first[start:stop]
        yield one, torch.arange(len(one), device=first.device) - torch.repeat_interleave(before, part)
        start = stop
