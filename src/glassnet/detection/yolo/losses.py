"""Losses of a modern detector: how good a class score is by how good its box is, and how far a box is off."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.boxes import box_area


def quality_focal_loss(logits: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """Return |quality - p|^beta times the cross-entropy of p = sigmoid(logits) with `quality` in [0, 1]; any shape.

    What is right already counts little, so that the many places of background do not drown the few objects. With
    quality 0 or 1 it is the focal loss of Lin et al. 2017, without its alpha. Li et al. 2020, arXiv:2006.04388,
    equation 5.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    if beta == 0:
        return entropy
    apart = (quality - logits.sigmoid()).abs()
    return apart.pow(beta) * entropy


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return alpha_t (1 - p_t)^gamma (-log p_t) for targets 0 or 1; any shape (arXiv:1708.02002, equation 5)."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    right = torch.where(targets > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
    weight = torch.where(targets > 0.5, alpha, 1 - alpha)
    return weight * (1 - right).pow(gamma) * entropy


def paired_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the IoU (...,) of each of `boxes1` (..., 4) xyxy with its partner in `boxes2`; 0 without area."""
    sides = torch.minimum(boxes1[..., 2:], boxes2[..., 2:]) - torch.maximum(boxes1[..., :2], boxes2[..., :2])
    shared = sides.clamp(min=0).prod(-1)
    union = box_area(boxes1) + box_area(boxes2) - shared
    return shared / torch.where(union > 0, union, 1)


def complete_iou_loss(found: Tensor, truth: Tensor, eps: float = 1e-7) -> Tensor:
    """Return 1 - CIoU (...,) of each found box (..., 4) xyxy with its partner; in [0, 2.5).

    The value is 1 - `glassnet.boxes.complete_box_iou` of the pairs (Zheng et al. 2019, arXiv:1911.08287, equation 10).
    """
    iou = paired_iou(found, truth)
    hull = torch.maximum(found[..., 2:], truth[..., 2:]) - torch.minimum(found[..., :2], truth[..., :2])
    apart = (found[..., :2] + found[..., 2:] - truth[..., :2] - truth[..., 2:]) / 2
    distance = apart.square().sum(-1) / (hull.square().sum(-1) + eps)
    slopes = [torch.atan2(*(box[..., 2:] - box[..., :2]).clamp(min=eps).unbind(-1)) for box in (found, truth)]
    v = 4 / torch.pi**2 * (slopes[0] - slopes[1]).square()
    with torch.no_grad():
        alpha = v / (1 - iou + v + eps)
    return 1 - iou + distance + alpha * v


def distribution_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Return the cross-entropy (...,) of distributions over whole numbers, `logits` (..., bins), with `distance` (...).

    A distance between two whole numbers asks for both of them, each as much as it is near; it is cut to what the
    bins can say. Distribution focal loss, arXiv:2006.04388, equation 6.
    """
    most = logits.shape[-1] - 1
    distance = distance.clamp(0, most - 0.01)
    below = distance.floor().long()
    share = distance - below  # of the number above
    log = F.log_softmax(logits, -1)
    lower = log.gather(-1, below[..., None]).squeeze(-1)
    upper = log.gather(-1, below[..., None] + 1).squeeze(-1)
    return -(1 - share) * lower - share * upper
