"""A listing: the items that a source names, with their classes, before any picture is opened."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassnet.data.problems import Problem, printable
from glassnet.data.splits import SPLITS


@dataclass
class Listing:
    """N items as their source names them: the fields of an `Index`, as far as they are known without opening any.

    splits: (N,) int8 where the source gives them, else None. official: the validation and test sets are published
    ones, so they stay as they are even where they repeat pictures. content: a hash of `images` and `labels` that is
    known already, or "".
    """

    name: str
    kind: str
    root: Path | None
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    paths: list[str] | None = None
    images: NDArray[np.uint8] | None = None
    splits: NDArray[np.int8] | None = None
    groups: NDArray[np.object_] | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    official: bool = False
    content: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, item: int) -> str:
        """Return the place of an item as the user knows it."""
        return f"{self.name}[{item}]" if self.paths is None else self.paths[item]

    def split_of(self, item: int) -> str | None:
        """Return the name of the split that the source gives an item, None where it gives none."""
        return None if self.splits is None else SPLITS[self.splits[item]]

    def only(self, keep: NDArray[np.bool_]) -> Listing:
        """Return the listing of the items where `keep`, (N,) bool, is true."""
        return replace(
            self,
            labels=self.labels[keep],
            paths=None if self.paths is None else [self.paths[i] for i in np.flatnonzero(keep)],
            images=None if self.images is None else self.images[keep],
            splits=None if self.splits is None else self.splits[keep],
            groups=None if self.groups is None else self.groups[keep],
            content=self.content and f"{self.content} {np.packbits(keep).tobytes().hex()}",
        )


def class_name(name: str) -> str:
    """Return a class's name as it is kept and shown: printable, and with composed accents (NFC).

    macOS stores "é" as two characters and other systems as one, so train/ and test/ copied from two machines would
    otherwise hold two different classes that look the same.
    """
    return printable(unicodedata.normalize("NFC", name).strip())


def number_classes(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the sorted distinct class names and each item's position in them, (N,) int64.

    Names that are all whole numbers are sorted as numbers (2 before 10), others as text.
    """
    distinct = set(names)
    numeric = all(name.isascii() and name.isdigit() for name in distinct)
    classes = tuple(sorted(distinct, key=(lambda name: (int(name), name)) if numeric else None))
    position = {name: number for number, name in enumerate(classes)}
    return classes, np.fromiter((position[name] for name in names), np.int64, len(names))
