"""Losses of a modern detector: how good a class score is by how good its box is, and how far a box is off."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from glassnet.boxes import paired_complete_box_iou


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


def complete_iou_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - CIoU (...,) of each found box (..., 4) xyxy with its partner; in [0, 2.5).

    Zheng et al. 2019, arXiv:1911.08287, equation 10.
    """
    return 1 - paired_complete_box_iou(found, truth)


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
