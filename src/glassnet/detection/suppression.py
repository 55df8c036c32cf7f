"""Non-maximum suppression: of boxes that show the same thing, the one with the highest score stays.

Greedy: the best box stays and removes all that overlap it by more than a threshold; then the best of the rest, and so
on. That order is all that is sequential. Here the overlapping pairs are found first (`pairs.py`), as few as there are,
and then the greedy order is followed in rounds: every box that no undecided better one overlaps stays, at once.

Kept are the boxes that torchvision.ops.nms keeps, index for index; equal scores are decided by which box comes first.
Soft-NMS: Bodla et al. 2017, arXiv:1704.04503. DIoU-NMS: Zheng et al. 2019, arXiv:1911.08287, section 3.4.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from glassnet.detection.pairs import Columns, Criterion, Flags, Floats, Numbers, Strips
from glassnet.errors import InputError

BLOCK = 896
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
    return _greedy(boxes, scores, None, iou_threshold, iou_above(iou_threshold, boxes.dtype))


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As `nms`, but only boxes of one class `idxs` (N,) int remove one another. Best first over all classes."""
    _check(boxes, scores, iou_threshold)
    return _greedy(boxes, scores, _classes(boxes, idxs), iou_threshold, iou_above(iou_threshold, boxes.dtype))


def diou_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, idxs: Tensor | None = None) -> Tensor:
    """As `batched_nms`, by IoU minus the squared distance of the centres over the squared diagonal of the hull.

    Boxes whose centres lie apart are two things rather than one seen twice, so more of a crowd stays.
    """
    _check(boxes, scores, iou_threshold)
    groups = None if idxs is None else _classes(boxes, idxs)
    return _greedy(boxes, scores, groups, iou_threshold, diou_above(iou_threshold, boxes.dtype))


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
    columns = Columns.of(_array(boxes))
    left = _array(scores).astype(np.float64)  # (N,)
    alive = left >= score_threshold
    kept, values = [], []
    while alive.any():
        best = int(np.where(alive, left, -np.inf).argmax())
        kept.append(best)
        values.append(float(left[best]))
        alive[best] = False
        iou = np.nan_to_num(columns.take(np.full(len(left), best)).iou(columns))
        left *= np.exp(-(iou**2) / sigma) if method == "gaussian" else np.where(iou > iou_threshold, 1 - iou, 1.0)
        alive &= left >= score_threshold
    numbers = torch.tensor(kept, dtype=torch.int64, device=boxes.device)
    return numbers, torch.tensor(values, dtype=scores.dtype, device=boxes.device)


def iou_above(threshold: float, dtype: torch.dtype = torch.float32) -> Criterion:
    """Return a criterion for `Strips`: IoU > threshold, as if compared in double, which torchvision does."""
    bound = _below(threshold, dtype)
    return lambda one, other: one.iou(other) > bound


def diou_above(threshold: float, dtype: torch.dtype = torch.float32) -> Criterion:
    """Return a criterion: DIoU > threshold, which implies IoU > threshold."""
    bound = _below(threshold, dtype)

    def above(one: Columns, other: Columns) -> Flags:
        apart_x, apart_y = (
            one.left + one.right - other.left - other.right,
            one.top + one.bottom - other.top - other.bottom,
        )
        width = np.maximum(one.right, other.right) - np.minimum(one.left, other.left)
        height = np.maximum(one.bottom, other.bottom) - np.minimum(one.top, other.top)
        distance = (apart_x**2 + apart_y**2) / 4 / (width**2 + height**2 + 1e-7)
        hits: Flags = one.iou(other) - distance > bound
        return hits

    return above


def _below(threshold: float, dtype: torch.dtype) -> np.floating:
    """Return the largest number of the boxes' type that is not above `threshold`."""
    if dtype == torch.float64:
        return np.float64(threshold)
    near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-1))


def _greedy(boxes: Tensor, scores: Tensor, idxs: Numbers | None, threshold: float, overlaps: Criterion) -> Tensor:
    """Return the numbers of the boxes that stay, best first."""
    order = _best_first(_array(scores))
    columns, groups = Columns.of(_array(boxes).take(order, 0)), None if idxs is None else idxs.take(order)
    kept, left = np.empty(0, dtype=np.int64), np.arange(len(order))
    if len(order) > 2 * BLOCK * (1 if idxs is None else idxs.max(initial=0) + 1):
        kept = np.flatnonzero(_stay(columns[:BLOCK], None if groups is None else groups[:BLOCK], threshold, overlaps))
        covered = Strips(columns, groups, threshold).covered_by(kept, overlaps)
        left = BLOCK + np.flatnonzero(~covered[BLOCK:])
    stays = left[_stay(columns.take(left), None if groups is None else groups[left], threshold, overlaps)]
    return torch.from_numpy(order[np.concatenate([kept, stays])]).to(boxes.device)


def _stay(boxes: Columns, groups: Numbers | None, threshold: float, overlaps: Criterion) -> Flags:
    """Tell which of `boxes`, best first, stay: (N,)."""
    undecided = np.ones(len(boxes), dtype=np.bool_)
    if not len(boxes):
        return undecided
    stays = np.zeros_like(undecided)
    better, worse = Strips(boxes, groups, threshold).pairs(overlaps)
    while len(better):
        free = undecided.copy()
        free[worse] = False
        removed = worse[free[better]]
        stays |= free
        undecided &= ~free
        undecided[removed] = False
        still = undecided[better] & undecided[worse]
        better, worse = better[still], worse[still]
    return stays | undecided


def _best_first(scores: Floats) -> Numbers:
    """Return the order (N,) from the highest score down, of equal ones the first first.

    By one sort of whole numbers, each a score's bits and its place, which is three times as fast as a stable sort.
    """
    if scores.dtype != np.float32:
        return np.argsort(-scores, kind="stable")
    bits = (-(scores + np.float32(0))).view(np.int32).astype(np.int64)  # -0 counts as 0; falling
    rising = np.where(bits < 0, -(bits + 2**31), bits)  # floats are sign and magnitude
    return np.sort((rising << 32) + np.arange(len(scores))) & (2**32 - 1)


def _array(tensor: Tensor) -> Floats:
    """Return a tensor's numbers, float32 or float64."""
    exact = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float32)
    array: Floats = exact.detach().cpu().numpy()
    return array


def _classes(boxes: Tensor, idxs: Tensor) -> Numbers:
    if idxs.shape != boxes.shape[:1]:
        raise InputError(f"idxs have shape {tuple(idxs.shape)}; expected one class for each of {len(boxes)} boxes")
    return np.unique(idxs.cpu().numpy(), return_inverse=True)[1]  # from 0 on: large numbers would cost precision


def _check(boxes: Tensor, scores: Tensor, threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes have shape {tuple(boxes.shape)}; expected (N, 4)")
    if scores.shape != boxes.shape[:1]:
        raise InputError(f"scores have shape {tuple(scores.shape)}; expected one for each of {len(boxes)} boxes")
    if not 0 <= threshold <= 1:
        raise InputError(f"iou_threshold is {threshold}; expected a number from 0 to 1")
    if not all(np.isfinite(_array(numbers)).all() for numbers in (boxes, scores)):  # torch's costs 0.15 ms more
        raise InputError("boxes or scores are not all finite numbers; remove those that are NaN or infinite first")
