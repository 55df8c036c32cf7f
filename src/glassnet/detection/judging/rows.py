"""All found boxes and all true ones as flat columns, in the order that judging needs: checked once, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.errors import InputError

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LIMIT = 100
"""So many of the surest boxes of each class in each picture are judged, as COCO does it."""
SIDES = "left, top, right, bottom in pixels"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The N found boxes, by picture, class, and falling score; equal scores stay in the order they came in.

    picture, label (N,): of which picture and class. score (N,); box (N, 4) xyxy pixels. rank (N,): how many of the
    same picture and class are surer. number (N,): its place among the picture's boxes as they were given.
    """

    picture: Numbers
    label: Numbers
    score: Floats
    box: Floats
    rank: Numbers
    number: Numbers

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The M true boxes, by picture and class, else in the order they came in; columns as `Found`'s, and the marks."""

    picture: Numbers
    label: Numbers
    box: Floats
    crowd: Flags
    difficult: Flags
    number: Numbers

    def __len__(self) -> int:
        return len(self.label)

    @property
    def counted(self) -> Flags:
        """Which of them have to be found, (M,)."""
        counted: Flags = ~(self.crowd | self.difficult)
        return counted


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What was found and what is true in `pictures` pictures, of `classes`."""

    found: Found
    truth: Truth
    pictures: int
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls, found: Sequence[Detections], truth: Sequence[Objects], classes: Sequence[str], *, limit: int = LIMIT
    ) -> Rows:
        """Lay them out flat, at most `limit` boxes of a class in a picture; picture i is found[i] and truth[i].

        Raises:
            InputError: the lengths differ, a class is named twice, the detections are of other classes, a label is no
                class, a score is not in [0, 1], or boxes are evidently not xyxy pixels.
        """
        names = tuple(classes)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"the class {twice!r} is named {names.count(twice)} times; expected each name once")
        if len(found) != len(truth):
            raise InputError(
                f"found has {len(found)} pictures and truth {len(truth)}; expected one entry for each picture in both"
            )
        for number, detections in enumerate(found):
            if tuple(detections.classes) != names:
                raise InputError(
                    f"picture {number}: the detections are of the classes {_few(detections.classes)}, the truth of "
                    f"{_few(names)}; expected the same names in the same order"
                )
        return cls(
            found=_flat_found(found, len(names), limit),
            truth=_flat_truth(truth, len(names)),
            pictures=len(truth),
            classes=names,
        )


def _flat_found(found: Sequence[Detections], classes: int, limit: int) -> Found:
    picture, number = _places([len(one) for one in found])
    box, label = _join([one.boxes for one in found], 4), _join([one.labels for one in found]).astype(np.int64)
    score = _join([one.scores for one in found])
    _check(box, label, picture, number, classes, "found")
    wrong = np.flatnonzero(~((score >= 0) & (score <= 1)))
    if len(wrong):
        raise InputError(
            f"picture {picture[wrong[0]]}: the score of found box {number[wrong[0]]} is {score[wrong[0]]:g}; expected "
            "a number from 0 to 1"
        )
    order = np.lexsort((-score, label, picture))
    group = picture[order] * classes + label[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group)
    order, rank = order[rank < limit], rank[rank < limit]
    return Found(
        picture=picture[order],
        label=label[order],
        score=score[order],
        box=box[order],
        rank=rank,
        number=number[order],
    )


def _flat_truth(truth: Sequence[Objects], classes: int) -> Truth:
    picture, number = _places([len(one) for one in truth])
    box, label = _join([one.boxes for one in truth], 4), _join([one.labels for one in truth]).astype(np.int64)
    _check(box, label, picture, number, classes, "true")
    if len(box) and box.min() >= 0 and box.max() <= 1 and (box % 1 != 0).any():
        raise InputError(
            f"all {len(box)} true boxes lie between 0 and 1; expected {SIDES}; if they are shares of the picture, "
            "convert them with glassnet.detection.relative_to_absolute"
        )
    order = np.lexsort((label, picture))
    return Truth(
        picture=picture[order],
        label=label[order],
        box=box[order],
        crowd=_join([one.crowd for one in truth]).astype(np.bool_)[order],
        difficult=_join([one.difficult for one in truth]).astype(np.bool_)[order],
        number=number[order],
    )


def _check(box: Floats, label: Numbers, picture: Numbers, number: Numbers, classes: int, kind: str) -> None:
    """Raise `InputError` for the first box or label that cannot be."""
    if len(label) != len(box):
        raise InputError(f"there are {len(box)} {kind} boxes and {len(label)} labels; expected one label for each box")
    wrong = np.flatnonzero(~np.isfinite(box).all(1) | (box[:, 2:] < box[:, :2]).any(1))
    if len(wrong):
        first = wrong[0]
        sides = ", ".join(f"{side:g}" for side in box[first])
        if np.isfinite(box[first]).all():
            why = "its right edge lies left of its left one, or its bottom above its top"
            what = "if they are left, top, width, height, convert them with glassnet.detection.xywh_to_xyxy"
        else:
            why, what = "that is not a box", "remove boxes that are not finite numbers"
        raise InputError(
            f"picture {picture[first]}: {kind} box {number[first]} is ({sides}): {why} ({len(wrong)} of {len(box)} "
            f"boxes); expected {SIDES}; {what}"
        )
    wrong = np.flatnonzero((label < 0) | (label >= classes))
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"picture {picture[first]}: {kind} box {number[first]} has label {label[first]}; expected 0 to "
            f"{classes - 1}, a position in the class names"
        )


def _places(counts: list[int]) -> tuple[Numbers, Numbers]:
    """Return of each row its picture and its place there."""
    each = np.asarray(counts, np.int64)
    picture = np.repeat(np.arange(len(each)), each)
    return picture, np.arange(len(picture)) - np.repeat(each.cumsum() - each, each)


def _join(parts: Sequence[NDArray[Any]], width: int = 0) -> Floats:
    """Join columns in double; `width` is that of a table."""
    shape = (-1, width) if width else (-1,)
    rows = [np.asarray(part, np.float64).reshape(shape) for part in parts]
    return np.concatenate(rows) if rows else np.zeros((0, width) if width else 0)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
