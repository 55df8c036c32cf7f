"""Classification with localisation as a task of the training loop: its batches, its loss, its evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from glassnet.detection.batches import BoxBatch
from glassnet.detection.localisation.encoding import Size, decode, one_object
from glassnet.detection.localisation.losses import BOX_WEIGHT, localisation_loss
from glassnet.detection.localisation.metrics import measures, right
from glassnet.errors import DataError, InputError, UnknownName
from glassnet.nn.regularise import penalty
from glassnet.training.distributed import Workers

SCORES = ("accuracy", "mean_iou", "loss")


class Localisation:
    """Name the one object of a picture and say where it is: a `Task`, on the batches of annotated pictures.

    Of several objects in a picture the largest is the one.

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

    def parts(self, batch: BoxBatch, count: int, device: torch.device) -> Iterator[tuple[BoxBatch, int]]:
        """Yield `batch` on `device` in `count` parts, fewer when it is small."""
        return batch.parts(count, device, self.layout)

    def loss(self, model: nn.Module, batch: BoxBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss plus what the layers' regularisers cost, and the accuracy of class and box."""
        size = batch.size
        boxes, labels = one_object(batch.targets, size)
        said: Tensor = model(batch.images).float()  # (N, 5 + K)
        loss = localisation_loss(said, boxes, labels, size, box_weight=self.box_weight)
        hits = right(decode(said.detach(), size), boxes, labels).float().mean()
        return loss.total + penalty(model), [hits]

    def evaluate(self, model: nn.Module, batches: Iterable[BoxBatch], workers: Workers) -> dict[str, float]:
        """Return loss, accuracy, presence, class_accuracy, mean_iou and score, over all batches of all processes.

        Raises `DataError` where there is no batch.
        """
        columns: list[tuple[Tensor, Tensor, Tensor]] = []
        size: Size | None = None
        for batch in batches:
            for part, _ in self.parts(batch, 1, workers.device):
                size = part.size
                columns.append((model(part.images).detach().float(), *one_object(part.targets, size)))
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
