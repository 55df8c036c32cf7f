"""What a detector found in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glassnet.models.prediction import Picture


@dataclass(frozen=True, kw_only=True)
class Detections:
    """The n objects that a detector found in one picture, the surest first; or why it could not look (`error`).

    boxes: (n, 4) float32 xyxy, pixels of the picture as displayed, inside it. scores: (n,) float32 in [0, 1],
    descending. labels: (n,) int64, positions in `classes`. size: (height, width) of the picture, None with an error.
    path: where the picture is, None for one that came as pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    size: tuple[int, int] | None
    path: str | None = None
    error: str | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def failed(cls, path: str | None, error: str, classes: tuple[str, ...]) -> Detections:
        """Return what stands for a picture that could not be read."""
        none = np.zeros(0, np.float32)
        return cls(
            boxes=none.reshape(0, 4),
            scores=none,
            labels=np.zeros(0, np.int64),
            classes=classes,
            size=None,
            path=path,
            error=error,
        )

    def only(self, which: NDArray[Any]) -> Detections:
        """Return some of them, by a mask (n,) or by numbers."""
        return replace(self, boxes=self.boxes[which], scores=self.scores[which], labels=self.labels[which])

    def above(self, threshold: float | Mapping[str, float]) -> Detections:
        """Return those with a score of at least `threshold`, one number or one for each class (0 for one left out)."""
        if isinstance(threshold, Mapping):
            least = np.array([threshold.get(name, 0.0) for name in self.classes], np.float32)[self.labels]
        else:
            least = np.full(len(self), threshold, np.float32)
        return self.only(self.scores >= least)

    def to_dict(self) -> dict[str, Any]:
        """Return {path, boxes: [{label, score, xyxy}], error} as plain data; pixels with two decimals."""
        rows = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        boxes = [
            {"label": self.classes[label], "score": round(score, 5), "xyxy": [round(side, 2) for side in box]}
            for box, score, label in rows
        ]
        return {"path": self.path, "boxes": boxes, "error": self.error}


class Finder(Protocol):
    """Whatever finds objects in pictures: a detector, or a classifier that slides over them."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""

    def stream(
        self, images: Iterable[Picture], *, threshold: float | Mapping[str, float] | None = None
    ) -> Iterator[Detections]:
        """Yield what is found in each picture, in order; a bad picture gives `Detections` with an error.

        threshold: the least score that is given; None takes the finder's own thresholds.
        """
