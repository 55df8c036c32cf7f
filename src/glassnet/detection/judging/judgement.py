"""Everything that can be said about a detector from what it found and the truth, as one plain, JSON-able record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class. ap: mean over IoU 0.50 to 0.95; ap50: at IoU 0.50; None where there is no object of it.

    precision, recall and f1 are those at `threshold`, at IoU 0.50; predicted: how many boxes reach it.
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
    """A thinned precision-recall curve at IoU 0.50: x recall, y precision, ascending x, and the scores there."""

    name: str
    x: list[float]
    y: list[float]
    scores: list[float]
    area: float | None


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of a picture: truth (score None) or found. verdict: for a found box, "correct" or its kind of error; for
    a true one, "found", "missed" or "ignored"."""

    label: str
    xyxy: list[float]
    verdict: str
    score: float | None = None
    iou: float | None = None


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """One picture: its errors at the thresholds, and the boxes to draw. `badness` orders pictures, the worst first."""

    item: int
    path: str
    badness: float
    errors: dict[str, int]
    truth: list[Box]
    found: list[Box]


@dataclass(frozen=True, kw_only=True)
class DetectionJudgement:
    """How good a detector is on `n` pictures with `objects` objects; all shares in [0, 1].

    map: mean average precision over IoU 0.50 to 0.95 and classes, as COCO defines it (101 recall points, at most 100
    boxes a picture); map50, map75 at one IoU; by_size: of small (< 32^2 pixels of area), medium (< 96^2), large
    objects, None where there are none; recall100: mean recall with 100 boxes a picture. confusion counts
    [true][predicted] over the classes and background (last) at the classes' thresholds, at IoU 0.50. errors: how many
    boxes at the thresholds are wrong for which reason (localisation, class, duplicate, background), and how many
    objects are missed; cost: how much map50 would rise if the errors of this kind alone were put right.
    thresholds_from: "card" where they were chosen on validation, else "default".
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
    sentences: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; `from_dict` makes the same judgement of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectionJudgement:
        """Return the judgement that `to_dict` wrote."""
        picture = [
            PictureResult(
                **{**row, "truth": [Box(**b) for b in row["truth"]], "found": [Box(**b) for b in row["found"]]}
            )
            for row in values["worst"]
        ]
        return cls(
            **{
                **values,
                "classes": tuple(values["classes"]),
                "per_class": [ClassResult(**row) for row in values["per_class"]],
                "precision_recall": [Curve(**row) for row in values["precision_recall"]],
                "worst": picture,
            }
        )
