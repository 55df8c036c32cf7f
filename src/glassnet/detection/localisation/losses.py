"""The loss of classification with localisation: with no object only pc counts.

As the texts have it: a logistic loss for pc; where there is an object also squared errors of (bx, by, bh, bw) and the
cross-entropy of the class. All are means over all pictures of the batch, so an object's box weighs the same however
many pictures beside it show nothing. The box's part is multiplied by 5, YOLO's lambda_coord (Redmon et al. 2015,
arXiv:1506.02640, equation 3): errors of shares are small numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from glassnet.detection.localisation.encoding import BOX, CLASSES, NOTHING, PRESENT, Size, shares
from glassnet.errors import InputError

BOX_WEIGHT = 5.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The loss and what it is made of, each 0-d: presence + box_weight box + classes."""

    total: Tensor
    presence: Tensor
    box: Tensor
    classes: Tensor


def localisation_loss(
    said: Tensor, boxes: Tensor, labels: Tensor, size: Size, *, box_weight: float = BOX_WEIGHT
) -> Parts:
    """Return the loss of what the network `said` (N, 5 + K) logits, N at least 1.

    boxes: (N, 4) xyxy pixels of the input of `size`; labels: (N,) int64, -1 where there is no object.
    Raises `InputError` for shapes that do not fit.
    """
    if said.ndim != 2 or boxes.shape != (len(said), 4) or labels.shape != said.shape[:1] or not len(said):
        raise InputError(
            f"said {tuple(said.shape)}, boxes {tuple(boxes.shape)} and labels {tuple(labels.shape)} came; "
            "expected (N, 5 + K), (N, 4) and (N,), N at least 1"
        )
    there = labels != NOTHING
    presence = F.binary_cross_entropy_with_logits(said[:, PRESENT], there.to(said.dtype))
    errors = (said[:, BOX].sigmoid() - shares(boxes, size).to(said.dtype)) ** 2  # (N, 4)
    box = (errors.sum(1) * there).sum() / len(said)
    classes = F.cross_entropy(said[:, CLASSES], labels, ignore_index=NOTHING, reduction="sum") / len(said)
    return Parts(total=presence + box_weight * box + classes, presence=presence, box=box, classes=classes)
