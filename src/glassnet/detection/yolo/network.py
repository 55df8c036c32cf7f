"""The modern YOLO: any backbone of the registry, a pyramid, anchor-free grids at strides 8, 16 and 32.

Redmon et al. 2015, "You only look once", arXiv:1506.02640, had the idea: the whole picture once, a grid of answers.
What has become of it since is put together here from papers whose parts each have a file: `neck`, `head`, `assignment`,
`losses`. It shares its name with, and no code or weights of, any other YOLO.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glassnet.detection.targets import Targets
from glassnet.detection.yolo.assignment import assign
from glassnet.detection.yolo.backbone import Backbone
from glassnet.detection.yolo.head import Head
from glassnet.detection.yolo.losses import complete_iou_loss, distribution_loss, quality_focal_loss
from glassnet.detection.yolo.neck import Pyramid
from glassnet.detection.yolo.raw import Raw, centres, flatten

BINS = 16
"""How many strides a side of a box may be away from its place, less one: 120 pixels at stride 8, 480 at 32."""
LEVELS = 3
CLASS_WEIGHT, BOX_WEIGHT, SIDES_WEIGHT = 1.0, 2.5, 0.5
"""Of the three losses (Xu et al. 2022, PP-YOLOE, arXiv:2203.16250, section 3.2)."""


class Yolo(nn.Module):
    """images (N, C, H, W) -> `Raw` in evaluation; in training the grids' answers, which `loss` and `decode` take."""

    parts = ("class", "box")
    input_size: tuple[int, int, int]

    def __init__(self, backbone: Backbone, classes: int, *, width: int = 96) -> None:
        super().__init__()
        self.classes = classes
        self.body = backbone
        self.neck = Pyramid([tap.channels for tap in backbone.taps], width, LEVELS)
        self.head = Head(width, classes, max(LEVELS, len(backbone.taps)), bins=BINS)
        self.grids: list[tuple[int, int]] = []

    @property
    def backbone(self) -> nn.Module:
        """The stages that came from a classifier."""
        return self.body

    def answers(self, images: Tensor) -> list[Tensor]:
        """Return each grid's answers (N, K + 4 BINS, h, w), fine to coarse."""
        maps: list[Tensor] = self.head(self.neck(self.body(images)))
        return maps

    def forward(self, images: Tensor) -> Raw | list[Tensor]:
        """Return `Raw` in evaluation, the answers in training."""
        maps = self.answers(images)
        return maps if self.training else self.decode(maps, (images.shape[2], images.shape[3]))

    def decode(self, maps: list[Tensor], input_size: tuple[int, int]) -> Raw:
        """Return what the answers say, for pictures of `input_size` (height, width)."""
        self.grids = [(each.shape[2], each.shape[3]) for each in maps]
        scores, sides = self._split(maps)
        points, strides = centres(maps, input_size)
        return Raw(scores, boxes_of(sides, points, strides))

    def loss(self, maps: list[Tensor], targets: Targets, input_size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """Return the loss, with its graph, and its parts for class and box, all 0-d."""
        scores, sides = self._split(maps)  # (N, A, K), (N, A, 4, BINS)
        points, strides = centres(maps, input_size)
        boxes = boxes_of(sides, points, strides)
        assigned = assign(scores.detach().sigmoid(), boxes.detach(), points, targets)
        positive = assigned.number >= 0  # (N, A)
        total = assigned.quality.sum().clamp(min=1.0)
        quality = torch.zeros_like(scores)
        if positive.any():
            labels = targets.labels.gather(1, assigned.number.clamp(min=0))
            quality.scatter_(2, labels.clamp(min=0)[..., None], (assigned.quality * positive)[..., None])
        each = quality_focal_loss(scores, quality) * ~assigned.passed_over[..., None]
        of_class = each.sum() / total
        if not positive.any():
            return CLASS_WEIGHT * of_class, [of_class.detach(), torch.zeros_like(of_class)]
        picture = positive.nonzero()[:, 0]
        truth = targets.boxes[picture, assigned.number[positive]]  # (P, 4)
        weight = assigned.quality[positive]
        place = points.expand(len(scores), -1, -1)[positive]
        stride = strides.expand(len(scores), -1, -1)[positive]
        of_box = (complete_iou_loss(boxes[positive], truth) * weight).sum() / total
        away = distances(truth, place, stride)  # (P, 4) in strides
        of_sides = (distribution_loss(sides[positive], away).mean(1) * weight).sum() / total
        loss = CLASS_WEIGHT * of_class + BOX_WEIGHT * of_box + SIDES_WEIGHT * of_sides
        return loss, [of_class.detach(), of_box.detach()]

    def _split(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits (N, A, K) and the sides' distributions (N, A, 4, BINS), float32."""
        flat = flatten(maps).float()
        return flat[..., : self.classes], flat[..., self.classes :].reshape(*flat.shape[:2], 4, BINS)


def boxes_of(sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return boxes (N, A, 4) xyxy from distributions (N, A, 4, bins) of the distances to left, top, right, bottom."""
    numbers = torch.arange(sides.shape[-1], dtype=sides.dtype, device=sides.device)
    away = sides.softmax(-1) @ numbers  # (N, A, 4) in strides
    corner, far = points - away[..., :2] * strides, points + away[..., 2:] * strides
    return torch.cat([corner, far], -1)


def distances(boxes: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return how many strides (P, 2) the sides of `boxes` (P, 4) xyxy are away from `points` (P, 2): (P, 4)."""
    return torch.cat([(points - boxes[:, :2]) / strides, (boxes[:, 2:] - points) / strides], -1)
