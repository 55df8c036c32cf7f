"""The truth of a batch as tensors: the boxes and labels of every picture, padded to equal numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.data.annotations.objects import Objects

PADDING, IGNORED = -1, -2


@dataclass(frozen=True)
class Targets:
    """boxes: (N, M, 4) float32 xyxy, pixels of the input. labels: (N, M) int64, `PADDING` where there is no object.

    `IGNORED` objects, those that are difficult or a crowd, are neither to be found nor to be called background.
    """

    boxes: Tensor
    labels: Tensor

    @classmethod
    def of(cls, objects: Sequence[Objects]) -> Targets:
        """Pad what is in each of N pictures, boxes in pixels of the input, to the longest list."""
        longest = max((len(each) for each in objects), default=0)
        boxes = torch.zeros(len(objects), longest, 4)
        labels = torch.full((len(objects), longest), PADDING)
        for number, each in enumerate(objects):
            boxes[number, : len(each)] = torch.from_numpy(each.boxes)
            labels[number, : len(each)] = torch.where(
                torch.from_numpy(each.counted), torch.from_numpy(each.labels), IGNORED
            )
        return cls(boxes, labels)

    def to(self, device: torch.device) -> Targets:
        """Return them on `device`."""
        return Targets(self.boxes.to(device, non_blocking=True), self.labels.to(device, non_blocking=True))

    def __getitem__(self, part: slice) -> Targets:
        return Targets(self.boxes[part], self.labels[part])
