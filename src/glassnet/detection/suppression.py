"""Non-maximum suppression: of boxes that show the same thing, the one with the highest score stays.

Greedy: the best box stays and removes all that overlap it by more than a threshold; then the best of the rest, and so
on. That order is all that is sequential. Here the overlapping pairs are found first (`pairs.py`), as few as there are,
and then the greedy order is followed in rounds: every box that no undecided better one overlaps stays, at once.

Kept are the boxes that torchvision.ops.nms keeps, index for index; equal scores are decided by which box comes first.
Soft-NMS: Bodla et al. 2017, arXiv:1704.04503. DIoU-NMS: Zheng et al. 2019, arXiv:1911.08287, section 3.4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glassnet.detection.pairs import Criterion, Strips
from glassnet.errors import InputError

BLOCK = 1024
"""Best boxes that are decided first, and remove others: where objects are few and boxes many, that leaves little."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the numbers (K,) int64 of the boxes that stay, best first.

    Args:
        boxes: (N, 4) float xyxy.
        scores: (N,) float, higher is better.
        iou_threshold: in [0, 1]; a box that overlaps a better one by more is removed.

    Raises:
        InputError: shapes that do not fit, scores or boxes that are not finite, or a threshold outside [0, 1].

    >>> nms(torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]), torch.tensor([0.8, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    _check(boxes, scores, iou_threshold)
    return _greedy(boxes, scores, None, iou_threshold, iou_above(iou_threshold))


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As `nms`, but only boxes of one class `idxs` (N,) int remove one another. Best first over all classes."""
    _check(boxes, scores, iou_threshold)
    return _greedy(boxes, scores, _classes(boxes, idxs), iou_threshold, iou_above(iou_threshold))


def diou_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, idxs: Tensor | None = None) -> Tensor:
    """As `batched_nms`, by IoU minus the squared distance of the centres over the squared diagonal of the hull.

    Boxes whose centres lie apart are two things rather than one seen twice, so more of a crowd stays.
    """
    _check(boxes, scores, iou_threshold)
    groups = None if idxs is None else _classes(boxes, idxs)
    return _greedy(boxes, scores, groups, iou_threshold, diou_above(iou_threshold))


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.3,
    *,
    sigma: float = 0.5,
    method: str = "gaussian",
    score_threshold: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Return the boxes' numbers (K,) and their lowered scores (K,), best first: overlap costs score, not life.

    Each best box lowers the scores of the rest: times exp(-IoU^2 / sigma) ("gaussian"), or times 1 - IoU where that is
    above `iou_threshold` ("linear"). Boxes that fall below `score_threshold` are dropped.

    Raises:
        InputError: as `nms`, for a `sigma` that is not above 0, or a method that is neither.
    """
    _check(boxes, scores, iou_threshold)
    if method not in ("gaussian", "linear"):
        raise InputError(f"method is {method!r}; expected gaussian or linear")
    if not 0 < sigma < math.inf:
        raise InputError(f"sigma is {sigma}; expected a number above 0")
    left = scores.double().clone()  # (N,)
    alive = left >= score_threshold
    kept, values = [], []
    while alive.any():
        best = int(torch.where(alive, left, -torch.inf).argmax())
        kept.append(best)
        values.append(float(left[best]))
        alive[best] = False
        iou = pair_iou(boxes[best : best + 1].expand_as(boxes), boxes).double()
        decay = torch.exp(-(iou**2) / sigma) if method == "gaussian" else torch.where(iou > iou_threshold, 1 - iou, 1.0)
        left = torch.where(alive, left * decay, left)
        alive &= left >= score_threshold
    numbers = torch.tensor(kept, dtype=torch.int64, device=boxes.device)
    return numbers, torch.tensor(values, dtype=scores.dtype, device=boxes.device)


def pair_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the IoU (P,) of `one` (P, 4) with `other` (P, 4), in the order of operations of torchvision's kernel."""
    left, top = torch.maximum(one[:, 0], other[:, 0]), torch.maximum(one[:, 1], other[:, 1])
    right, bottom = torch.minimum(one[:, 2], other[:, 2]), torch.minimum(one[:, 3], other[:, 3])
    intersection = (right - left).clamp(min=0) * (bottom - top).clamp(min=0)
    union = _area(one) + _area(other) - intersection
    return torch.where(intersection > 0, intersection / union, 0)


def iou_above(threshold: float) -> Criterion:
    """Return a criterion for `overlapping_pairs`: IoU > threshold, compared in double as torchvision does."""
    return lambda one, other: pair_iou(one, other).double() > threshold


def diou_above(threshold: float) -> Criterion:
    """Return a criterion: DIoU > threshold, which implies IoU > threshold."""

    def above(one: Tensor, other: Tensor) -> Tensor:
        apart = (one[:, :2] + one[:, 2:] - other[:, :2] - other[:, 2:]) / 2
        hull = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
        distance = (apart**2).sum(1) / ((hull**2).sum(1) + 1e-7)
        return (pair_iou(one, other) - distance).double() > threshold

    return above


def _greedy(boxes: Tensor, scores: Tensor, idxs: Tensor | None, threshold: float, overlaps: Criterion) -> Tensor:
    """Return the numbers of the boxes that stay, best first."""
    order = scores.argsort(descending=True, stable=True)
    boxes, groups = boxes[order], None if idxs is None else idxs[order]
    kept, start = torch.empty(0, dtype=torch.int64, device=boxes.device), 0
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    if len(boxes) > 2 * BLOCK:
        kept = torch.where(_stay(boxes[:BLOCK], None if groups is None else groups[:BLOCK], threshold, overlaps))[0]
        alive &= ~Strips(boxes, groups, threshold).covered_by(kept, overlaps)
        start = BLOCK
    left = start + torch.where(alive[start:])[0]
    stays = left[_stay(boxes[left], None if groups is None else groups[left], threshold, overlaps)]
    return order[torch.cat([kept, stays])]


def _stay(boxes: Tensor, groups: Tensor | None, threshold: float, overlaps: Criterion) -> Tensor:
    """Tell which of `boxes` (N, 4), best first, stay: (N,) bool."""
    undecided = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    if not len(boxes):
        return undecided
    stays = torch.zeros_like(undecided)
    better, worse = Strips(boxes, groups, threshold).pairs(overlaps)
    while len(better):
        blocked = torch.zeros_like(undecided)
        blocked[worse] = True
        free = undecided & ~blocked
        removed = torch.zeros_like(undecided)
        removed[worse[free[better]]] = True
        stays |= free
        undecided &= ~(free | removed)
        open_pairs = undecided[better] & undecided[worse]
        better, worse = better[open_pairs], worse[open_pairs]
    return stays | undecided


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _classes(boxes: Tensor, idxs: Tensor) -> Tensor:
    if idxs.shape != boxes.shape[:1]:
        raise InputError(f"idxs have shape {tuple(idxs.shape)}; expected one class for each of {len(boxes)} boxes")
    return idxs.unique(return_inverse=True)[1]  # from 0 on, so that large numbers cost no precision


def _check(boxes: Tensor, scores: Tensor, threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes have shape {tuple(boxes.shape)}; expected (N, 4)")
    if scores.shape != boxes.shape[:1]:
        raise InputError(f"scores have shape {tuple(scores.shape)}; expected one for each of {len(boxes)} boxes")
    if not 0 <= threshold <= 1:
        raise InputError(f"iou_threshold is {threshold}; expected a number from 0 to 1")
    if not bool(boxes.isfinite().all() & scores.isfinite().all()):
        raise InputError("boxes or scores are not all finite numbers; remove those that are NaN or infinite first")
