"""YOLO as it was first: one grid of S x S cells, each with B boxes and one set of class scores, squared errors.

Redmon, Divvala, Girshick, Farhadi 2015, "You only look once: unified, real-time object detection", arXiv:1506.02640.
Here: any backbone, pooled to S x S, and convolutions in place of the paper's dense layers; confidence, position and
class pass a sigmoid or softmax, since they are shares; as in the paper the size's square root is what is predicted.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from glassnet.boxes import paired_box_iou
from glassnet.detection.targets import Targets
from glassnet.detection.yolo.backbone import Backbone
from glassnet.detection.yolo.grid import decode, encode
from glassnet.detection.yolo.raw import Raw
from glassnet.errors import InputError
from glassnet.nn.layers import ConvNormAct

COORDINATES, NO_OBJECT = 5.0, 0.5
"""lambda_coord and lambda_noobj, the paper's section 2.2."""


class Cells(nn.Module):
    """The backbone's coarsest map, pooled to the grid: maps, fine to coarse -> (N, width, S, S)."""

    def __init__(self, channels: int, width: int, cells: int) -> None:
        super().__init__()
        self.before = nn.Sequential(ConvNormAct(channels, width, 1), ConvNormAct(width, width, 3))
        self.pool = nn.AdaptiveAvgPool2d(cells)
        self.after = ConvNormAct(width, width, 3)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Pool the last of `maps`."""
        grid: Tensor = self.after(self.pool(self.before(maps[-1])))
        return grid


class YoloV1(nn.Module):
    """images (N, C, H, W) -> `Raw` of S S B places in evaluation; in training the grid's answers.

    cells: S of the grid; boxes: B, of which the one that fits an object best learns it.
    """

    parts = ("class", "box")
    input_size: tuple[int, int, int]

    def __init__(self, backbone: Backbone, classes: int, *, width: int = 256, cells: int = 7, boxes: int = 2) -> None:
        super().__init__()
        if cells < 1 or boxes < 1:
            raise InputError(f"cells is {cells} and boxes is {boxes}; expected at least 1 of each")
        self.classes, self.cells, self.boxes = classes, cells, boxes
        self.body = backbone
        self.neck = Cells(backbone.taps[-1].channels, width, cells)
        self.head = nn.Conv2d(width, 5 * boxes + classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.head.bias))
        self.grids: list[tuple[int, int]] = [(cells, cells)]

    @property
    def backbone(self) -> nn.Module:
        """The stages that came from a classifier."""
        return self.body

    def answers(self, images: Tensor) -> list[Tensor]:
        """Return the grid's answers (N, 5 B + K, S, S), in a list of one."""
        return [self.head(self.neck(self.body(images)))]

    def forward(self, images: Tensor) -> Raw | list[Tensor]:
        """Return `Raw` in evaluation, the answers in training."""
        maps = self.answers(images)
        return maps if self.training else self.decode(maps, (images.shape[2], images.shape[3]))

    def decode(self, maps: list[Tensor], input_size: tuple[int, int]) -> Raw:
        """Return what the answers say: a box's score for a class is pc times the class's probability."""
        pc, boxes, classes = self._split(maps)
        scores = pc[..., None] * classes[:, :, :, None]  # (N, S, S, B, K)
        logits = torch.logit(scores.flatten(1, 3), eps=1e-6)
        return Raw(logits, decode(boxes, input_size).flatten(1, 3))

    def loss(self, maps: list[Tensor], targets: Targets, input_size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """Return the paper's loss (equation 3), a mean over pictures, and its parts for class and box, all 0-d.

        In a cell with an object, the box that fits it best answers for it, and its confidence learns their IoU.
        """
        pc, boxes, classes = self._split(maps)
        truth = encode(targets, input_size, self.cells)
        here = truth.pc > 0  # (N, S, S)
        wanted = truth.boxes[:, :, :, None].expand_as(boxes)
        with torch.no_grad():
            iou = paired_box_iou(decode(boxes, input_size), decode(wanted, input_size))  # (N, S, S, B)
            responsible = torch.zeros_like(iou).scatter_(3, iou.argmax(3, keepdim=True), 1.0) * here[..., None]
        apart = (boxes[..., :2] - wanted[..., :2]).square().sum(-1)
        # The square root of a share of the picture: an error of so many pixels counts more in a small box.
        roots = (boxes[..., 2:].clamp(min=1e-8).sqrt() - wanted[..., 2:].sqrt()) / self.cells**0.5
        of_box = ((apart + roots.square().sum(-1)) * responsible).sum()
        of_pc = ((pc - iou).square() * responsible).sum()
        of_nothing = (pc.square() * (1 - responsible)).sum()
        label = nn.functional.one_hot(truth.labels, self.classes)
        of_class = ((classes - label).square().sum(-1) * here).sum()
        count = len(pc)
        loss = (COORDINATES * of_box + of_pc + NO_OBJECT * of_nothing + of_class) / count
        return loss, [of_class.detach() / count, of_box.detach() / count]

    def _split(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return pc (N, S, S, B), boxes (N, S, S, B, 4) bx, by, bw, bh in cells, class shares (N, S, S, K)."""
        grid = maps[0].float().permute(0, 2, 3, 1)  # (N, S, S, 5 B + K)
        boxes = grid[..., : 5 * self.boxes].reshape(*grid.shape[:3], self.boxes, 5)
        pc, middle, roots = boxes[..., 0].sigmoid(), boxes[..., 1:3].sigmoid(), boxes[..., 3:]
        size = (roots + 1).square()  # at first one cell
        return pc, torch.cat([middle, size], -1), grid[..., 5 * self.boxes :].softmax(-1)
