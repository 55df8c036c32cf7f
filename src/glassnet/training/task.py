"""A task tells the loop what it is training for: its loss, the layout of its batches, its evaluation.

The loop knows nothing else of the job, so detection, embeddings and style bring a task each and no second loop.
Classification is the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glassnet.data.batches import Batch
from glassnet.evaluation.calibration import cross_entropy
from glassnet.evaluation.metrics import accuracy, confusion_matrix, macro_f1
from glassnet.nn.regularise import penalty
from glassnet.training.distributed import Workers

AUXILIARY_WEIGHT = 0.3  # of each auxiliary head's loss (Szegedy et al. 2014, arXiv:1409.4842, section 5)


class Task(Protocol):
    """What the loop needs to know of a job."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what `loss` reports beside the loss."""

    @property
    def answers(self) -> dict[str, Tensor]:
        """What the network said in the last evaluation, for the calibration at the end."""

    def parts(self, batch: Any, count: int, device: torch.device) -> Iterator[tuple[Any, int]]:
        """Yield the batch on `device` in `count` parts (fewer when it is small), each with its number of items."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss of a part, with its graph, and its measures (means without a graph), all 0-d."""

    def evaluate(self, model: nn.Module, batches: Iterable[Any], workers: Workers) -> dict[str, float]:
        """Return what validation found, at least `loss` and `score` (higher is better), over all processes."""


class Classification:
    """Name what a picture shows: cross-entropy with label smoothing, class weights and mixed labels.

    class_weights: (K,) float, or None. score: what the best network is chosen by: accuracy, macro_f1, or loss.
    channels_last: the memory layout of the images (N, C, H, W).
    """

    measures = ("accuracy",)

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
        score: str = "accuracy",
        channels_last: bool = True,
    ) -> None:
        self.label_smoothing, self.class_weights, self.score = label_smoothing, class_weights, score
        self.answers: dict[str, Tensor] = {}
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def parts(self, batch: Batch, count: int, device: torch.device) -> Iterator[tuple[Batch, int]]:
        """Yield `batch` on `device` in `count` parts."""
        size = -(-len(batch.labels) // count)
        for start in range(0, len(batch.labels), size):
            part = slice(start, start + size)
            mixed = batch.mix is not None
            yield (
                Batch(
                    images=batch.images[part].to(device, non_blocking=True).contiguous(memory_format=self.layout),
                    labels=batch.labels[part].to(device, non_blocking=True),
                    labels_b=batch.labels_b[part].to(device) if mixed and batch.labels_b is not None else None,
                    mix=batch.mix[part].to(device) if batch.mix is not None else None,
                    items=batch.items[part],
                ),
                len(batch.labels[part]),
            )

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean cross-entropy plus what the layers' regularisers cost, and the accuracy.

        Where two labels are mixed, it is the accuracy for the heavier one. A model with auxiliary heads returns a
        tuple, its own logits first; 0.3 times each of the others' losses is added.
        """
        said = model(batch.images)  # (N, K), or a tuple of them
        logits, *auxiliary = (each.float() for each in (said if isinstance(said, tuple) else (said,)))
        hits = (logits.detach().argmax(1) == batch.labels).float().mean()
        loss = self._batch_loss(logits, batch) + penalty(model)  # after the forward pass, which activities are paid for
        for each in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * self._batch_loss(each, batch)
        return loss, [hits]

    def _batch_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of (N, K) logits with the batch's labels, mixed or not."""
        if batch.mix is None or batch.labels_b is None:
            return self._cross_entropy(logits, batch.labels)
        first = self._cross_entropy(logits, batch.labels, batch.mix)
        return first + self._cross_entropy(logits, batch.labels_b, 1.0 - batch.mix)

    def _cross_entropy(self, logits: Tensor, labels: Tensor, share: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of (N, K) logits; `share` (N,) weighs each item's part in it."""
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        if share is None:
            return F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.label_smoothing)
        each = F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.label_smoothing, reduction="none")
        total = len(labels) if weights is None else weights[labels].sum()
        return (share * each).sum() / total

    def evaluate(self, model: nn.Module, batches: Iterable[Batch], workers: Workers) -> dict[str, float]:
        """Return loss, accuracy, macro_f1 and score over all batches of all processes."""
        pairs = [
            (self._logits(model, part), part.labels)
            for batch in batches
            for part, _ in self.parts(batch, 1, workers.device)
        ]
        logits = workers.gather(torch.cat([logits for logits, _ in pairs])).cpu()  # (n, K)
        labels = workers.gather(torch.cat([labels for _, labels in pairs])).cpu()  # (n,)
        return self.judge(logits, labels)

    def judge(self, said: Tensor, truth: Tensor) -> dict[str, float]:
        """Return loss, accuracy, macro_f1 and score of logits (n, K), and keep them as the answers.

        A broken network's loss is not a number.
        """
        self.answers = {"logits": said, "labels": truth}
        logits, labels = said.numpy(), truth.numpy()
        if not np.isfinite(logits).all():
            return {"loss": float("nan"), "accuracy": 0.0, "macro_f1": 0.0, "score": float("-inf")}
        confusion = confusion_matrix(labels, logits.argmax(1), logits.shape[1])
        found = {
            "loss": float(cross_entropy(logits, labels).mean()),
            "accuracy": accuracy(confusion),
            "macro_f1": float(macro_f1(confusion)),
        }
        return found | {"score": -found["loss"] if self.score == "loss" else found[self.score]}

    @staticmethod
    def _logits(model: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = model(batch.images).detach().float()
        return logits


def balancing_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return a weight for each class, (K,) float32, inverse to its share of `labels`; the mean over items is 1."""
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, dtype=np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights
