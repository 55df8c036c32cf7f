"""Who learns which object: the places whose answers already fit it best, by class and by box together.

Of the places inside an object the `most` best are its positives, where good is s^alpha u^beta: s the score of its
class there, u the IoU of the box there. A place that several objects want goes to the one its box fits best. The score
a positive has to learn is how good it is among its object's positives, times the best IoU among them. Feng et al.
2021, TOOD, arXiv:2108.07755, equations 2 to 4. Here an object too small to hold any place gets the nearest one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.boxes import box_iou
from glassnet.detection.targets import IGNORED, Targets

MOST, ALPHA, BETA = 13, 1.0, 6.0


@dataclass(frozen=True)
class Assignment:
    """What each place (N, A) has to learn. number: int64, of its object in the picture, -1 for none. quality: float in
    [0, 1], the score for that object's class. passed_over: bool, places inside ignored objects that have none."""

    number: Tensor
    quality: Tensor
    passed_over: Tensor


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, targets: Targets, most: int = MOST) -> Assignment:
    """Return the assignment for class probabilities (N, A, K) and boxes (N, A, 4) at the points (A, 2).

    Boxes are xyxy and points x, y, in pixels of the input.
    """
    count, places = scores.shape[:2]
    longest = targets.labels.shape[1]
    if longest == 0:
        none = torch.zeros(count, places, device=scores.device)
        return Assignment(none.long() - 1, none, none.bool())
    wanted = targets.labels >= 0  # (N, M)
    inside = _inside(points, targets.boxes)  # (N, M, A)
    passed_over = (inside & (targets.labels == IGNORED)[..., None]).any(1)
    inside = _never_empty(inside, points, targets.boxes) & wanted[..., None]
    iou = box_iou(targets.boxes, boxes) * inside  # (N, M, A)
    of_class = targets.labels.clamp(min=0)[:, :, None].expand(-1, -1, places)
    fit = scores.transpose(1, 2).gather(1, of_class).pow(ALPHA) * iou.pow(BETA) * inside  # (N, M, A)
    # Where all boxes are still far off every fit is 0; then the places nearest to the middle are the best.
    ranked = fit + 1e-12 * _nearness(points, targets.boxes) * inside
    best = ranked.topk(min(most, places), 2)
    chosen = torch.zeros_like(inside).scatter_(2, best.indices, best.values > 0) & inside
    ranks = torch.where(chosen, iou + 1e-6 * _nearness(points, targets.boxes), -1.0)
    top = ranks.max(1)  # (N, A): each place goes to one object
    number = torch.where(top.values >= 0, top.indices, -1)
    chosen &= number[:, None, :] == torch.arange(longest, device=number.device)[None, :, None]
    fit, iou = fit * chosen, iou * chosen
    share = fit / fit.amax(2, keepdim=True).clamp(min=1e-12) * iou.amax(2, keepdim=True)
    return Assignment(number, share.amax(1), passed_over & (number < 0))


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return which of the points (A, 2) lie in which boxes (N, M, 4), (N, M, A)."""
    x, y = points.unbind(1)
    left, top, right, bottom = boxes[..., None].unbind(2)  # (N, M, 1) each
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def _nearness(points: Tensor, boxes: Tensor) -> Tensor:
    """Return 1 / (1 + distance in pixels) of the points (A, 2) to the boxes' middles, (N, M, A)."""
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    return 1 / (1 + torch.cdist(middle, points.expand(len(boxes), -1, -1)))


def _never_empty(inside: Tensor, points: Tensor, boxes: Tensor) -> Tensor:
    """Give every object without a place inside the one nearest to its middle."""
    empty = ~inside.any(2)
    if not empty.any():
        return inside
    nearest = _nearness(points, boxes).argmax(2, keepdim=True)
    return inside | torch.zeros_like(inside).scatter_(2, nearest, empty[..., None])
