"""What a localising network says about a picture, as numbers: y = (pc, bx, by, bh, bw, c1 ... cK).

pc is whether there is an object, (bx, by) the middle of its box and (bh, bw) the box's height and width, as shares of
the input's sides from its upper left corner on, and c1 ... cK its class. Without an object only pc means something.
The network says logits: pc and the box go through a sigmoid, since all of them lie in [0, 1], the classes through a
softmax.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.boxes import box_area, clip_boxes_to_image
from glassnet.detection.targets import Targets
from glassnet.errors import InputError

PRESENT, BOX, CLASSES = 0, slice(1, 5), slice(5, None)
NOTHING = -1
"""The label of a picture without an object."""
Size = tuple[int, int]
"""(height, width) of the network's input, pixels."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """What was said of N pictures: present (N,) and classes (N, K) probabilities, boxes (N, 4) xyxy input pixels."""

    present: Tensor
    boxes: Tensor
    classes: Tensor


def encode(boxes: Tensor, labels: Tensor, size: Size, classes: int) -> Tensor:
    """Return y (N, 5 + K) of one object per picture; where there is none all of it is 0.

    boxes: (N, 4) float xyxy, pixels of the input of `size`. labels: (N,) int64, -1 where there is no object.
    Raises `InputError` for a label beyond the classes.
    """
    if len(labels) and not NOTHING <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(f"labels from {int(labels.min())} to {int(labels.max())} came; expected -1 to {classes - 1}")
    there = labels != NOTHING
    y = torch.zeros(len(boxes), 5 + classes, dtype=torch.promote_types(boxes.dtype, torch.float32))
    y[:, PRESENT] = there.to(y.dtype)
    y[:, BOX] = shares(boxes, size) * there[:, None]
    y[:, CLASSES] = F.one_hot(labels.clamp(min=0), classes) * there[:, None]
    return y


def shares(boxes: Tensor, size: Size) -> Tensor:
    """Return (bx, by, bh, bw) of boxes (..., 4) xyxy pixels of an input of `size`; the inverse of `pixels`."""
    height, width = size
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack(
        [(left + right) / 2 / width, (top + bottom) / 2 / height, (bottom - top) / height, (right - left) / width], -1
    )


def pixels(box: Tensor, size: Size) -> Tensor:
    """Return boxes (..., 4) xyxy, pixels of an input of `size`, of (bx, by, bh, bw); they may reach beyond it."""
    height, width = size
    x, y, h, w = box.unbind(-1)
    return torch.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], -1)


def decode(said: Tensor, size: Size) -> Located:
    """Return what the network's `said` (N, 5 + K) means; boxes are cut to the input."""
    return Located(
        present=said[:, PRESENT].sigmoid(),
        boxes=clip_boxes_to_image(pixels(said[:, BOX].sigmoid(), size), size),
        classes=said[:, CLASSES].softmax(1),
    )


def one_object(targets: Targets, size: Size) -> tuple[Tensor, Tensor]:
    """Return boxes (N, 4) xyxy, input pixels, and labels (N,) int64 of one object per picture: the largest there.

    Those that are difficult or a crowd do not count. What the preprocess cuts away is not there: a box is cut to the
    input, and an object of which nothing is left makes a picture without one, of label -1 and box 0.
    """
    count = len(targets.labels)
    boxes = torch.cat([clip_boxes_to_image(targets.boxes, size), targets.boxes.new_zeros(count, 1, 4)], 1)
    labels = torch.cat([targets.labels, targets.labels.new_full((count, 1), NOTHING)], 1)  # (N, M + 1): nothing, last
    area = torch.where(labels >= 0, box_area(boxes), 0.0)
    place = torch.where(area.amax(1) > 0, area.argmax(1), labels.shape[1] - 1)
    each = torch.arange(count, device=place.device)
    return boxes[each, place], labels[each, place]
