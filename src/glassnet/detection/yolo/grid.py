"""The first YOLO's grid: every object belongs to the cell that its middle lies in.

The picture is divided into S x S cells. A cell's answer for an object is pc, the confidence that there is one; bx, by,
where its middle lies in the cell, each in [0, 1); bw, bh, its size in cells, which may exceed 1; and a score for each
class. Redmon et al. 2015, arXiv:1506.02640, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from glassnet.detection.targets import Targets
from glassnet.errors import InputError


@dataclass(frozen=True)
class GridTargets:
    """The truth as the grid sees it. pc: (N, S, S) float, 1 where a cell has an object. boxes: (N, S, S, 4) float bx,
    by, bw, bh in cells; labels: (N, S, S) int64, both 0 where there is none. crowded: (N,) int64, how many objects had
    to be left out because another one's middle lies in the same cell: a limit of the method.
    """

    pc: Tensor
    boxes: Tensor
    labels: Tensor
    crowded: Tensor


def encode(targets: Targets, input_size: tuple[int, int], cells: int) -> GridTargets:
    """Return what an S x S grid, S = `cells`, has to answer about pictures of `input_size` (height, width).

    Of several objects in one cell the first one stays. Raises `InputError` for fewer than one cell.
    """
    if cells < 1:
        raise InputError(f"the grid has {cells} x {cells} cells, expected at least 1 x 1")
    height, width = input_size
    count = len(targets.boxes)
    pc = torch.zeros(count, cells, cells)
    boxes = torch.zeros(count, cells, cells, 4)
    labels = torch.zeros(count, cells, cells, dtype=torch.int64)
    crowded = torch.zeros(count, dtype=torch.int64)
    size = torch.tensor([width / cells, height / cells] * 2)
    for picture, number in (targets.labels >= 0).nonzero().tolist():
        box = xyxy_to_cxcywh(targets.boxes[picture, number].cpu()) / size  # in cells
        column, row = (min(cells - 1, max(0, int(middle))) for middle in box[:2].tolist())
        if pc[picture, row, column]:
            crowded[picture] += 1
            continue
        pc[picture, row, column] = 1
        boxes[picture, row, column] = box - torch.tensor([column, row, 0, 0])
        labels[picture, row, column] = targets.labels[picture, number]
    device = targets.boxes.device
    return GridTargets(pc.to(device), boxes.to(device), labels.to(device), crowded.to(device))


def decode(boxes: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Return the boxes (..., S, S, B, 4) bx, by, bw, bh of a grid as xyxy in pixels of the input; inverts `encode`.

    input_size: (height, width) of the picture.
    """
    rows, columns = boxes.shape[-4], boxes.shape[-3]
    height, width = input_size
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    cell = torch.stack([column, row, torch.zeros_like(row), torch.zeros_like(row)], -1)[:, :, None]  # (S, S, 1, 4)
    size = torch.tensor([width / columns, height / rows] * 2, device=boxes.device)
    return cxcywh_to_xyxy((boxes + cell.to(boxes)) * size)


def share_a_cell(targets: Targets, input_size: tuple[int, int], cells: int) -> int:
    """Return how many objects a grid of `cells` x `cells` cannot answer, their cell being another object's."""
    return int(encode(targets, input_size, cells).crowded.sum())
