"""Everything that can be said about a detector from what it found and the truth, as one plain, JSON-able record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from glassnet.errors import InputError

WORST = 24
"""So many of the worst pictures are kept."""
DRAWN_CLASSES = 10
"""Precision-recall curves are kept for this many classes, those with the lowest average precision."""


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class. ap: mean over IoU 0.50 to 0.95; ap50: at IoU 0.50; None where there is no object of it.

    precision, recall and f1 are those at `threshold`, at IoU 0.50; support: how many objects are to be found;
    predicted: how many boxes reach the threshold, without those on crowds and difficult objects.
    """

    name: str
    ap: float | None
    ap50: float | None
    threshold: float
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A thinned precision-recall curve at IoU 0.50: x recall, y precision, ascending x, and the scores there.

    It ends where recall does. area: the average precision at IoU 0.50, of the curve made falling.
    """

    name: str
    x: list[float]
    y: list[float]
    scores: list[float]
    area: float | None


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of a picture, xyxy pixels: truth (score None) or found.

    verdict: for a found box "correct", "ignored" (it is on a crowd or a difficult object) or its kind of error; for a
    true one "found", "ignored", or "missed": no right box is on it, though one of another kind may be. iou: of a found
    box with the object that its verdict is about, None where that is none.
    """

    label: str
    xyxy: list[float]
    verdict: str
    score: float | None = None
    iou: float | None = None


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """One picture: its errors at the thresholds, and the boxes to draw. `badness` orders pictures, the worst first.

    It is the number of objects that no right box is on, plus the scores of all wrong boxes. found: the boxes that reach
    the thresholds, the surest first.
    """

    item: int
    path: str
    badness: float
    errors: dict[str, int]
    truth: list[Box]
    found: list[Box]


@dataclass(frozen=True, kw_only=True)
class DetectionJudgement:
    """How good a detector is on `n` pictures with `objects` objects to find; all shares in [0, 1].

    map: mean average precision over IoU 0.50 to 0.95 and classes, as COCO defines it (101 recall points, at most 100
    boxes of a class in a picture); map50, map75 at one IoU; map_interval, map50_interval: 95 % intervals by bootstrap
    over pictures, None for a single one. by_size: map of small (up to 32^2 pixels of area), medium (up to 96^2), large
    objects, None where there are none; found_by_size: of those [how many are found at the thresholds, how many there
    are]. recall100: mean recall with 100 boxes of a class in a picture. precision_recall: of the classes with the
    lowest ap50, at most `DRAWN_CLASSES`.

    confusion counts [true][predicted] over the classes and background (last) at the classes' thresholds, at IoU 0.50.
    errors: how many boxes at the thresholds are wrong for which reason (localisation, class, duplicate, both,
    background), and how many objects are missed; cost: how much map50, over all boxes, would rise if the errors of
    this kind alone were put right. Both as TIDE defines them, see `mistakes.py`. worst: at most `WORST` pictures, those
    with errors. thresholds_from: "card" where they were chosen on validation, else "default". left_out: pictures that
    were not judged, and why.
    """

    network: str
    data: str
    split: str
    classes: tuple[str, ...]
    n: int
    objects: int
    map: float
    map50: float
    map75: float
    by_size: dict[str, float | None]
    recall100: float
    per_class: list[ClassResult]
    precision_recall: list[Curve]
    confusion: list[list[int]]
    errors: dict[str, int]
    cost: dict[str, float]
    worst: list[PictureResult]
    thresholds_from: str
    seconds: float
    device: str
    map_interval: tuple[float, float] | None = None
    map50_interval: tuple[float, float] | None = None
    found_by_size: dict[str, list[int]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, no NaN and no NumPy; `from_dict` makes the same judgement of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectionJudgement:
        """Return the judgement that `to_dict` wrote, also through JSON; raise `InputError` for anything else."""
        rebuild: dict[str, Callable[[Any], Any]] = {
            "classes": tuple,
            "map_interval": _interval,
            "map50_interval": _interval,
            "per_class": lambda rows: [ClassResult(**row) for row in rows],
            "precision_recall": lambda rows: [Curve(**row) for row in rows],
            "worst": lambda rows: [_picture(row) for row in rows],
        }
        try:
            return cls(**{name: rebuild.get(name, lambda value: value)(value) for name, value in values.items()})
        except (TypeError, AttributeError, KeyError) as error:
            raise InputError(f"this is not a judgement that this version wrote ({error}); evaluate again") from error


def _interval(limits: list[float] | None) -> tuple[float, float] | None:
    return None if limits is None else (limits[0], limits[1])


def _picture(row: dict[str, Any]) -> PictureResult:
    boxes = {side: [Box(**box) for box in row[side]] for side in ("truth", "found")}
    return PictureResult(**{**row, **boxes})
