"""What is in a picture: boxes, their classes, and which of them a judge must pass over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.index import Index
from glassnet.data.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The n objects of one picture; a picture without any is a valid example (background).

    boxes: (n, 4) float32 xyxy, pixels of the picture as displayed, edges and not centres of pixels: a box over the
    whole picture is (0, 0, width, height). labels: (n,) int64, positions in the class names. difficult: (n,) bool,
    Pascal VOC's mark of what is hard even for people; crowd: (n,) bool, COCO's mark of a box around many.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, boxes: Any = (), labels: Any = (), difficult: Any = None, crowd: Any = None) -> Objects:
        """Make them from anything array-like; marks left out are False."""
        marks = [np.zeros(len(labels), bool) if mark is None else np.asarray(mark, bool) for mark in (difficult, crowd)]
        return cls(
            boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
            labels=np.asarray(labels, np.int64).reshape(-1),
            difficult=marks[0],
            crowd=marks[1],
        )

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which of them a detector has to find, (n,): neither difficult nor a crowd."""
        counted: NDArray[np.bool_] = ~(self.difficult | self.crowd)
        return counted

    def only(self, which: NDArray[Any]) -> Objects:
        """Return some of them, by a mask (n,) or by numbers."""
        return Objects(
            boxes=self.boxes[which], labels=self.labels[which], difficult=self.difficult[which], crowd=self.crowd[which]
        )


@dataclass
class BoxIndex(Index):
    """An index of annotated pictures: `objects[i]` are those of item i, `classes` their names.

    `labels` (N,) int64 only serve to split alike: the rarest class that the picture shows, K for background.
    """

    objects: list[Objects] = None  # type: ignore[assignment]  # a field after ones with defaults; always given

    def boxes_of_classes(self) -> NDArray[np.int64]:
        """Return how many objects of each class each split has, (K, 3): a row a class; train, validation, test."""
        counts = np.zeros((len(self.classes), 3), np.int64)
        for objects, split in zip(self.objects, self.splits.tolist(), strict=True):
            counts[:, split] += np.bincount(objects.labels, minlength=len(self.classes))
        return counts

    def counts(self) -> NDArray[np.int64]:
        """Return how many pictures show each class in each split, (K, 3); one that shows two classes counts twice."""
        counts = np.zeros((len(self.classes), 3), np.int64)
        for objects, split in zip(self.objects, self.splits.tolist(), strict=True):
            counts[np.unique(objects.labels), split] += 1
        return counts

    def label_names(self) -> list[str]:
        """Return the names of the classes that every picture shows, in order; "" for background."""
        return [", ".join(self.classes[label] for label in np.unique(each.labels)) for each in self.objects]

    def background(self) -> NDArray[np.int64]:
        """Return how many pictures of each split show nothing, (3,)."""
        empty = np.array([not len(objects) for objects in self.objects], bool)
        return np.bincount(self.splits[empty], minlength=3).astype(np.int64)

    def box_sizes(self) -> NDArray[np.float64]:
        """Return the square root of each box's area, pixels of its picture, (M,): the side of a square as large."""
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(objects.boxes for objects in self.objects)])
        sides: NDArray[np.float64] = np.prod((boxes[:, 2:] - boxes[:, :2]).astype(np.float64), axis=1) ** 0.5
        return sides

    def without(self, items: Sequence[int] | NDArray[np.int64], problems: Sequence[Problem]) -> BoxIndex:
        """Return the index with `items` quarantined and `problems` appended; the items left are renumbered."""
        gone = set(np.asarray(items, dtype=np.int64).tolist())
        left = [objects for item, objects in enumerate(self.objects) if item not in gone]
        shorter = super().without(items, problems)
        assert isinstance(shorter, BoxIndex)
        return replace(shorter, objects=left)
