"""The index: what a scan of a data source found. Items, labels, sizes, splits, and problems by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from glassnet.errors import UnknownName

__all__ = ["SPLITS", "TEST", "TRAIN", "VALIDATION", "Index"]


@dataclass
class Index:
    """The usable items of a data source, numbered 0 to N - 1, and what was wrong with the others.

    name: as shown to people; kind: "folder", "table", "arrays" or "builtin"; root: what `paths` are relative to.
    classes: class names, K of them; a label is a position in it.
    paths: N relative paths, or None where the pictures are `images`, (N, H, W, C) uint8 in memory.
    labels: (N,) int64 in [0, K). splits: (N,) int8, each TRAIN, VALIDATION or TEST.
    sizes: (N, 2) int32, height and width in pixels as displayed (EXIF orientation applied).
    channels: 1 if every picture is grey, 3 for colour, else the number of channels of the `.npy` pictures.
    groups: (N,) object, what must stay on one side of a split, or None.
    problems: everything found, quarantined items included. notes: what the scan decided, in sentences.
    fingerprint: hex SHA-256 of names, sizes, times (or bytes) and labels: the same data, the same fingerprint.
    """

    name: str
    kind: str
    root: Path | None
    classes: tuple[str, ...]
    paths: list[str] | None
    images: NDArray[np.uint8] | None
    labels: NDArray[np.int64]
    splits: NDArray[np.int8]
    sizes: NDArray[np.int32]
    channels: int
    groups: NDArray[np.object_] | None = None
    problems: list[Problem] = field(default_factory=list)
    fingerprint: str = ""
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, split: str) -> NDArray[np.int64]:
        """Return the numbers of the items in "train", "validation" or "test", ascending, (n,)."""
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS, hint=f"the splits are {', '.join(SPLITS)}")
        return np.flatnonzero(self.splits == SPLITS.index(split)).astype(np.int64)

    def where(self, item: int) -> str:
        """Return the place of an item as the user knows it: its path, or "fashion-mini[17]" for a picture in memory."""
        return f"{self.name}[{item}]" if self.paths is None else self.paths[item]

    def source(self, item: int) -> Path | NDArray[np.uint8]:
        """Return what `Preprocess.intermediate` takes: the item's full path, or its (H, W, C) uint8 pixels."""
        if self.paths is not None:
            return (self.root or Path()) / self.paths[item]
        assert self.images is not None
        pixels: NDArray[np.uint8] = self.images[item]
        return pixels

    def counts(self) -> NDArray[np.int64]:
        """Return how many items each class has in each split, (K, 3): a row a class; train, validation, test."""
        cells = self.labels * len(SPLITS) + self.splits
        return np.bincount(cells, minlength=len(self.classes) * len(SPLITS)).reshape(-1, len(SPLITS)).astype(np.int64)

    def without(self, items: Sequence[int] | NDArray[np.int64], problems: Sequence[Problem]) -> Index:
        """Return the index with `items` quarantined and `problems` (why) appended; the items left are renumbered."""
        keep = np.ones(len(self), dtype=bool)
        keep[np.asarray(items, dtype=np.int64)] = False
        if keep.all():
            return replace(self, problems=[*self.problems, *problems])
        removed = hashlib.sha256(self.fingerprint.encode() + np.flatnonzero(~keep).tobytes())
        return replace(
            self,
            paths=None if self.paths is None else [self.paths[i] for i in np.flatnonzero(keep)],
            images=None if self.images is None else self.images[keep],
            labels=self.labels[keep],
            splits=self.splits[keep],
            sizes=self.sizes[keep],
            groups=None if self.groups is None else self.groups[keep],
            problems=[*self.problems, *problems],
            fingerprint=removed.hexdigest(),
        )
