"""What a report says, as plain data: made from a run in `report.py`, turned into HTML by `page.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glassnet.data.problems import Problem
from glassnet.evaluation.judgement import Judgement
from glassnet.report.thumbnails import Thumbnail


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture that was called rightly, what its answer hung on, and how far the probability falls at most."""

    label: str
    probability: float
    path: str
    picture: Thumbnail
    map: Thumbnail
    fall: float


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What was explained. losses: by the item's number, the map and the largest fall of the answer's probability.

    note: what a reader must know, as that time ran out.
    """

    losses: dict[int, tuple[Thumbnail, float]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What the report of any run says beside what was judged, whatever its task.

    title: the run's name; created: when the network was made, ISO 8601; seconds: training time. judged_note: what a
    reader must know about the judged pictures, as that they are not a test split. history: the lines of metrics.jsonl.
    reason: why this network and recipe, one line. layers: rows of the trace; multiply_adds: for one picture.
    reproduce: shell commands, one a line.
    """

    title: str
    created: str
    seconds: float | None
    judged_note: str
    data_name: str
    notes: Sequence[str]
    problems: Sequence[Problem]
    history: Sequence[Mapping[str, Any]]
    network_title: str
    reason: str
    input_shape: tuple[int, ...]
    layers: Sequence[Mapping[str, str]]
    parameters: int
    multiply_adds: int
    recipe: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    machine: Mapping[str, Any]
    reproduce: str

    def series(self, name: str) -> list[tuple[float, float]]:
        """(epoch, value) of the lines of the history that have a number called `name`."""
        rows = [(row.get("epoch"), row.get(name)) for row in self.history]
        return [(float(x), float(y)) for x, y in rows if isinstance(x, int | float) and isinstance(y, int | float)]


@dataclass(frozen=True, kw_only=True)
class ReportData(RunFacts):
    """Everything on the page.

    judgement: of the test split, or of validation where there is no test; `judged_note` then says so.
    thumbnails: one for each of the judgement's top losses. counts: (K, 3) pictures per class in train, validation and
    test. maps: what answers hung on, where the report was to explain them.
    """

    judgement: Judgement
    thumbnails: Sequence[Thumbnail]
    counts: Sequence[Sequence[int]]
    thresholds: Mapping[str, float]
    maps: Maps = field(default_factory=Maps)

    @property
    def pictures(self) -> tuple[int, int, int]:
        """How many pictures there are in train, validation and test."""
        train, validation, test = (sum(column) for column in zip(*self.counts, strict=True))
        return train, validation, test
