"""How good a localisation is: right is the class AND a box that overlaps the true one by an IoU of at least 0.5."""

from __future__ import annotations

import torch
from torch import Tensor

from glassnet.boxes import paired_box_iou
from glassnet.detection.localisation.encoding import NOTHING, Located

ENOUGH = 0.5
"""The IoU from which a box is right, and the probability from which an object is there."""


def right(located: Located, boxes: Tensor, labels: Tensor) -> Tensor:
    """Return which of N answers are right, (N,) bool; boxes (N, 4) xyxy input pixels and labels (N,) are the truth.

    With an object: it is said to be there, its class is right and its box overlaps by an IoU of at least 0.5. Without
    (label -1): nothing is said to be there.
    """
    found = located.present >= ENOUGH
    named = located.classes.argmax(1) == labels
    placed = paired_box_iou(located.boxes, boxes) >= ENOUGH
    return torch.where(labels == NOTHING, ~found, found & named & placed)


def measures(located: Located, boxes: Tensor, labels: Tensor) -> dict[str, float]:
    """Return accuracy (of `right`) and presence (of pc alone) over all pictures and, over those with an object only,
    class_accuracy and mean_iou, whatever pc says. The last two are left out where no picture has an object.
    """
    there = labels != NOTHING
    found = {
        "accuracy": float(right(located, boxes, labels).float().mean()),
        "presence": float(((located.present >= ENOUGH) == there).float().mean()),
    }
    if bool(there.any()):
        found["class_accuracy"] = float((located.classes.argmax(1) == labels)[there].float().mean())
        found["mean_iou"] = float(paired_box_iou(located.boxes, boxes)[there].mean())
    return found
