"""Which found box stands for which true one: COCO's greedy rule, for all thresholds and area ranges in one go.

The surest box of a class in a picture takes the object it overlaps most, at the threshold at least; then the next one
takes the best of what is left. Objects that are to be passed over are taken only where no other object is left, and a
box that takes one counts neither for nor against the detector. They are: crowds, and difficult objects, which many
boxes may take; and objects whose area is out of range, which one box may take. A box overlaps a crowd by the share of
its own area that the crowd covers, everything else by intersection over union (Lin et al. 2014, arXiv:1405.0312, and
cocodataset.org/#detection-eval).

Only pairs that overlap by the least threshold matter, and those are few. They are decided in rounds: in each the next
box of every picture and class, all thresholds and ranges together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glassnet.detection.judging.rows import Flags, Floats, Numbers, Rows

EVERYWHERE = (0.0, 1e10)
"""The area range (least, most), in pixels, that COCO calls "all"."""


@dataclass(frozen=True)
class Pairs:
    """P found boxes and true ones that overlap: found (P,) and truth (P,) are row numbers; iou (P,)."""

    found: Numbers
    truth: Numbers
    iou: Floats


@dataclass(frozen=True)
class Matches:
    """taken (A, T, N): for each area range, threshold and found box the true box it takes, -1 for none.

    ignored (A, T, N): the box counts neither for nor against; passed_over (A, M): nor does the true box.
    """

    taken: Numbers
    ignored: Flags
    passed_over: Flags

    @property
    def right(self) -> Flags:
        """The found boxes that count as right, (A, T, N)."""
        right: Flags = (self.taken >= 0) & ~self.ignored
        return right


def overlaps(rows: Rows, least: float, *, across_classes: bool = False) -> Pairs:
    """Return the pairs of one picture, and of one class unless `across_classes`, with an overlap of `least`, > 0.

    In the order of the found boxes, then of rising overlap, then of the true boxes.
    """
    found, truth = rows.found, rows.truth
    classes = 1 if across_classes else len(rows.classes)
    mine, theirs = ((side.picture * classes + (0 if across_classes else side.label)) for side in (found, truth))
    first = theirs.searchsorted(mine)
    counts = theirs.searchsorted(mine, side="right") - first
    one = np.repeat(np.arange(len(found)), counts)
    other = np.arange(len(one)) - np.repeat(counts.cumsum() - counts - first, counts)
    iou = overlap(found.box[one], truth.box[other], truth.crowd[other])
    near = np.flatnonzero(iou >= least)
    one, other, iou = one[near], other[near], iou[near]
    order = np.lexsort((other, iou, one))
    return Pairs(one[order], other[order], iou[order])


def overlap(found: Floats, truth: Floats, crowd: Flags) -> Floats:
    """Return the IoU (P,) of boxes (P, 4) xyxy with their partners (P, 4); with a `crowd` (P,) the share covered."""
    sides = np.minimum(found[:, 2:], truth[:, 2:]) - np.maximum(found[:, :2], truth[:, :2])
    shared = np.where((sides > 0).all(1), sides[:, 0] * sides[:, 1], 0.0)
    own = area(found)
    whole = np.where(crowd, own, own + area(truth) - shared)
    iou: Floats = shared / np.where(whole > 0, whole, 1.0)
    return iou


def area(box: Floats) -> Floats:
    """Return the areas (N,) of boxes (N, 4) xyxy."""
    areas: Floats = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    return areas


def match(
    rows: Rows,
    thresholds: Sequence[float] | Floats,
    ranges: Sequence[tuple[float, float]] = (EVERYWHERE,),
    *,
    pairs: Pairs | None = None,
) -> Matches:
    """Match at each of T `thresholds` (IoU, above 0) and for each of A area `ranges` (least, most), both inclusive.

    pairs: those that overlap by the least threshold, where they are known already.
    """
    least = np.minimum(np.asarray(thresholds, np.float64), 1 - 1e-10)  # so that equal boxes reach 1
    pairs = overlaps(rows, float(least.min())) if pairs is None else pairs
    passed_over = _outside(area(rows.truth.box), ranges) | ~rows.truth.counted  # (A, M)
    taken = _take_in_rounds(rows, pairs, least, passed_over)
    padded = np.concatenate([passed_over, np.zeros((len(ranges), 1), np.bool_)], 1)  # the last is for -1
    ignored = padded[np.arange(len(ranges))[:, None, None], taken]
    ignored |= (taken < 0) & _outside(area(rows.found.box), ranges)[:, None]
    return Matches(taken, ignored, passed_over)


def _take_in_rounds(rows: Rows, pairs: Pairs, least: Floats, passed_over: Flags) -> Numbers:
    """Return which true box each found one takes, (A, T, N), -1 for none."""
    shape = len(passed_over), len(least)
    taken = np.full((*shape, len(rows.found)), -1, np.int64)
    gone = np.zeros((*shape, len(rows.truth)), np.bool_)
    reusable = ~rows.truth.counted
    for of_round in _rounds(rows, pairs):
        number, other = np.arange(len(of_round)), pairs.truth[of_round]
        able = (pairs.iou[of_round] >= least[:, None]) & ~gone[..., other]  # (A, T, P)
        # The last able pair of a box is its best one; one that counts beats all that do not.
        value = np.where(able, number + len(number) * ~passed_over[:, None, other], -1)
        first = np.flatnonzero(np.diff(pairs.found[of_round], prepend=-1))
        best = np.maximum.reduceat(value, first, axis=2)  # (A, T, boxes of the round)
        a, t, box = np.nonzero(best >= 0)
        chosen = best[a, t, box] % len(number)
        taken[a, t, pairs.found[of_round][first][box]] = other[chosen]
        gone[a, t, other[chosen]] = ~reusable[other[chosen]]
    return taken


def _rounds(rows: Rows, pairs: Pairs) -> list[Numbers]:
    """Part the pairs (P,) into rounds: each has at most one box of a picture and class, the surer ones earlier."""
    boxes, of = np.unique(pairs.found, return_inverse=True)
    group = rows.found.picture[boxes] * len(rows.classes) + rows.found.label[boxes]
    turn = (np.arange(len(boxes)) - group.searchsorted(group))[of]  # (P,)
    order = turn.argsort(kind="stable")
    return np.split(order, np.flatnonzero(np.diff(turn[order])) + 1) if len(order) else []


def _outside(areas: Floats, ranges: Sequence[tuple[float, float]]) -> Flags:
    """Tell which areas (N,) lie outside each of the A ranges, (A, N)."""
    bounds = np.asarray(ranges, np.float64)  # (A, 2)
    outside: Flags = (areas < bounds[:, :1]) | (areas > bounds[:, 1:])
    return outside
