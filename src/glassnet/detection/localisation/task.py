"""Classification with localisation as a task of the training loop: its batches, its loss, its evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassnet.detection.localisation.encoding import Size, decode
from glassnet.detection.localisation.losses import BOX_WEIGHT, localisation_loss
from glassnet.detection.localisation.metrics import measures, right
from glassnet.errors import DataError, InputError, UnknownName
from glassnet.nn.regularise import penalty
from glassnet.training.distributed import Workers

SCORES = ("accuracy", "mean_iou", "loss")


@dataclass(frozen=True, kw_only=True)
class LocalisationBatch:
    """images (N, C, H, W) float32; boxes (N, 4) float32 xyxy, pixels of these; labels (N,) int64, -1 for no object.

    items (N,) int64 are numbers in the index.
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor
    items: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, which: slice) -> LocalisationBatch:
        """Return some of it."""
        return LocalisationBatch(
            images=self.images[which], boxes=self.boxes[which], labels=self.labels[which], items=self.items[which]
        )

    def to(self, device: torch.device, layout: torch.memory_format) -> LocalisationBatch:
        """Return it on `device`, its images in a memory layout."""
        return LocalisationBatch(
            images=self.images.to(device, non_blocking=True).contiguous(memory_format=layout),
            boxes=self.boxes.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            items=self.items,
        )

    @property
    def size(self) -> Size:
        """(height, width) of the images."""
        return self.images.shape[2], self.images.shape[3]


class Localisation:
    """Name the one object of a picture and say where it is: a `Task`.

    box_weight: of the squared errors of the box beside the other parts of the loss. score: what the best network is
    chosen by: accuracy (class and box right), mean_iou, or loss. channels_last: the memory layout of the images.
    """

    measures = ("accuracy",)

    def __init__(self, *, box_weight: float = BOX_WEIGHT, score: str = "accuracy", channels_last: bool = True) -> None:
        if not 0 < box_weight < float("inf"):
            raise InputError(f"box_weight is {box_weight}; expected a number above 0")
        if score not in SCORES:
            raise UnknownName("score", score, SCORES, hint=f"it is one of: {', '.join(SCORES)}")
        self.box_weight, self.score = box_weight, score
        self.answers: dict[str, Tensor] = {}
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def parts(
        self, batch: LocalisationBatch, count: int, device: torch.device
    ) -> Iterator[tuple[LocalisationBatch, int]]:
        """Yield `batch` on `device` in `count` parts, fewer when it is small."""
        length = -(-len(batch) // count)
        for start in range(0, len(batch), length):
            part = batch.part(slice(start, start + length)).to(device, self.layout)
            yield part, len(part)

    def loss(self, model: nn.Module, batch: LocalisationBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss plus what the layers' regularisers cost, and the accuracy of class and box."""
        said: Tensor = model(batch.images).float()  # (N, 5 + K)
        loss = localisation_loss(said, batch.boxes, batch.labels, batch.size, box_weight=self.box_weight)
        hits = right(decode(said.detach(), batch.size), batch.boxes, batch.labels).float().mean()
        return loss.total + penalty(model), [hits]

    def evaluate(self, model: nn.Module, batches: Iterable[LocalisationBatch], workers: Workers) -> dict[str, float]:
        """Return loss, accuracy, presence, class_accuracy, mean_iou and score, over all batches of all processes.

        Raises `DataError` where there is no batch.
        """
        columns: list[tuple[Tensor, Tensor, Tensor]] = []
        size: Size | None = None
        for batch in batches:
            for part, _ in self.parts(batch, 1, workers.device):
                columns.append((model(part.images).detach().float(), part.boxes, part.labels))
                size = part.size
        if size is None:
            raise DataError("there is no picture to judge the network on; give a split that has some")
        said, boxes, labels = (workers.gather(torch.cat(column)).cpu() for column in zip(*columns, strict=True))
        return self.judge(said, boxes, labels, size)

    def judge(self, said: Tensor, boxes: Tensor, labels: Tensor, size: Size) -> dict[str, float]:
        """Return the measures of what was said, (n, 5 + K), and keep it with the truth as the answers.

        A broken network's loss is not a number.
        """
        self.answers = {"said": said, "boxes": boxes, "labels": labels}
        if not bool(said.isfinite().all()):
            return {"loss": float("nan"), "accuracy": 0.0, "score": float("-inf")}
        loss = localisation_loss(said, boxes, labels, size, box_weight=self.box_weight).total
        found = {"loss": float(loss)} | measures(decode(said, size), boxes, labels)
        score = -found["loss"] if self.score == "loss" else found.get(self.score, found["accuracy"])
        return found | {"score": score}
