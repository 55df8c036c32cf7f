"""The task of detection: the network's own loss, and COCO's average precision on validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glassnet.data.annotations.objects import Objects
from glassnet.detection.batches import BoxBatch
from glassnet.detection.detections import Detections
from glassnet.detection.detector import select
from glassnet.detection.judging.coco import average_precision
from glassnet.preprocess import Preprocess
from glassnet.training.distributed import Workers

COLUMNS = 7
"""Of a found box in the answers: its item, label, score, and box."""


class Detection:
    """Find the objects of `truth`, a list over all items of an index whose pictures have `sizes` (N, 2).

    score: what the best network is chosen by: map, map50, or (lowest) loss.
    """

    measures = ("class", "box")

    def __init__(
        self,
        preprocess: Preprocess,
        classes: Sequence[str],
        truth: Sequence[Objects],
        sizes: np.ndarray,
        *,
        score: str = "map",
        channels_last: bool = True,
    ) -> None:
        self.preprocess, self.classes, self.truth, self.sizes = preprocess, tuple(classes), truth, sizes
        self.score = score
        self.answers: dict[str, Tensor] = {}
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def parts(self, batch: BoxBatch, count: int, device: torch.device) -> Iterator[tuple[BoxBatch, int]]:
        """Yield `batch` on `device` in `count` parts."""
        return batch.parts(count, device, self.layout)

    def loss(self, model: nn.Module, batch: BoxBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss and its parts for class and box."""
        maps = model(batch.images)
        loss: tuple[Tensor, list[Tensor]] = plain(model).loss(maps, batch.targets, batch.size)
        return loss

    def evaluate(self, model: nn.Module, batches: Iterable[BoxBatch], workers: Workers) -> dict[str, float]:
        """Return loss, map, map50 and score over all batches of all processes, and keep what was found."""
        rows, seen, losses = [torch.zeros(0, COLUMNS, dtype=torch.float64)], [torch.zeros(0, dtype=torch.int64)], []
        network = plain(model)
        for batch in batches:
            for part, count in self.parts(batch, 1, workers.device):
                maps = network.answers(part.images)
                loss, _ = network.loss(maps, part.targets, part.size)
                losses.append(torch.tensor([float(loss) * count, count]))
                raw = network.decode(maps, part.size)
                for number, item in enumerate(part.items.tolist()):
                    found = select(raw, number, self._size(item), self.preprocess)
                    rows.append(as_rows(item, *found))
                seen.append(part.items)
        total = workers.sum(torch.stack(losses).sum(0).to(workers.device)).cpu() if losses else torch.tensor([0.0, 1.0])
        return self.judge(workers.gather(torch.cat(rows)), workers.gather(torch.cat(seen)), float(total[0] / total[1]))

    def judge(self, rows: Tensor, items: Tensor, loss: float) -> dict[str, float]:
        """Return loss, map, map50 and score of what was found (n, 7) in `items`, and keep it as the answers."""
        self.answers = {"found": rows, "items": items}
        if not np.isfinite(loss):
            return {"loss": float("nan"), "map": 0.0, "map50": 0.0, "score": float("-inf")}
        truth = [self.truth[item] for item in items.tolist()]
        if not any(objects.counted.any() for objects in truth):
            return {"loss": loss, "map": 0.0, "map50": 0.0, "score": -loss}  # only background to validate on
        precision = average_precision(from_rows(rows, items, self.classes, self.sizes), truth, self.classes)
        found = {"loss": loss, "map": precision.map, "map50": precision.map50}
        return found | {"score": -loss if self.score == "loss" else found[self.score]}

    def _size(self, item: int) -> tuple[int, int]:
        height, width = self.sizes[item].tolist()
        return height, width


def plain(model: nn.Module) -> Any:
    """Return the network inside of what averages gradients over processes."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def as_rows(item: int, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Tensor:
    """Return what was found in one picture as rows (n, 7) float64: item, label, score, xyxy."""
    table = np.concatenate([np.full((len(scores), 1), item), labels[:, None], scores[:, None], boxes], 1)
    return torch.from_numpy(table.astype(np.float64))


def from_rows(rows: Tensor, items: Tensor, classes: Sequence[str], sizes: np.ndarray) -> list[Detections]:
    """Return the `Detections` of each of `items` that `as_rows` wrote down."""
    table = rows.numpy()
    found = []
    for item in items.tolist():
        mine = table[table[:, 0] == item]
        height, width = sizes[item].tolist()
        found.append(
            Detections(
                boxes=mine[:, 3:].astype(np.float32),
                scores=mine[:, 2].astype(np.float32),
                labels=mine[:, 1].astype(np.int64),
                classes=tuple(classes),
                size=(height, width),
            )
        )
    return found
