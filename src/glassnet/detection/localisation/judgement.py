"""Everything that can be said about a localiser from its answers and the truth, as one plain, JSON-able record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from glassnet.errors import InputError

WORST = 24
"""So many of the wrong answers are kept."""


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class, over the `support` pictures whose object it is; the measures are None where there is none.

    accuracy: said to be there, class and box right; class_accuracy and mean_iou: of the class and the box alone.
    """

    name: str
    support: int
    accuracy: float | None
    class_accuracy: float | None
    mean_iou: float | None


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """An answer that is not right; None is "no object", in truth or as said.

    iou: of the box with the true one, whether it was given or not; None where there is no object.
    """

    path: str
    truth: str | None
    said: str | None
    score: float
    iou: float | None


@dataclass(frozen=True, kw_only=True)
class LocalisationJudgement:
    """How good a localiser is on `n` pictures, of which `objects` show an object; all shares in [0, 1].

    accuracy: the share of pictures that are right: with an object, it is said to be there, its class is right and the
    IoU of its box is at least 0.5; without one, nothing is said to be there. accuracy_interval: Wilson's 95 % interval.
    presence: whether there is an object, over all pictures. class_accuracy and mean_iou: over the pictures with one,
    whatever is said of its presence; None where there are none. several: pictures with more than one object, of which
    the largest counts. wrong: at most `WORST` of the `n` (1 - accuracy) wrong answers, the worst boxes first.
    left_out: pictures that were not judged, and why.
    """

    network: str
    data: str
    split: str
    classes: tuple[str, ...]
    n: int
    objects: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    presence: float
    class_accuracy: float | None
    mean_iou: float | None
    per_class: list[ClassResult]
    several: int
    wrong: list[Wrong]
    seconds: float
    device: str
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, no NaN and no NumPy; `from_dict` makes the same judgement of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LocalisationJudgement:
        """Return the judgement that `to_dict` wrote, also through JSON; raise `InputError` for anything else."""
        rebuild: dict[str, Callable[[Any], Any]] = {
            "classes": tuple,
            "accuracy_interval": tuple,
            "per_class": lambda rows: [ClassResult(**row) for row in rows],
            "wrong": lambda rows: [Wrong(**row) for row in rows],
        }
        try:
            return cls(**{name: rebuild.get(name, lambda value: value)(value) for name, value in values.items()})
        except (TypeError, AttributeError) as error:
            raise InputError(f"this is not a judgement that this version wrote ({error}); evaluate again") from error
