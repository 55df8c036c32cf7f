"""What a detection report says, as plain data; `page.py` turns it into HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.annotations.objects import BoxIndex
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.detection.localisation.judgement import LocalisationJudgement
from glassnet.files import write_text
from glassnet.report.content import RunFacts
from glassnet.report.detection.explanations import Explanations
from glassnet.report.detection.scenes import Scene


@dataclass(frozen=True, kw_only=True)
class BoxReport(RunFacts):
    """Everything on the page of a run on annotated pictures but for the judgement.

    scenes: the worst pictures, the worst first (see `scenes.scenes`). pictures: how many there are in train, validation
    and test, `background` of them without an object. boxes: (K, 3) objects per class in the same splits. sides: of each
    class the sides of its boxes in the training pictures: the root of the area, in pixels of the network's input.
    """

    scenes: Sequence[Scene]
    pictures: tuple[int, int, int]
    background: tuple[int, int, int]
    boxes: Sequence[Sequence[int]]
    sides: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class DetectionReport(BoxReport):
    """Everything on the page of a detection run.

    judgement: of the test split, or of validation where there is no test; `judged_note` then says so. explanations: why
    some boxes were found, where the report was to say it.
    """

    judgement: DetectionJudgement
    explanations: Explanations = field(default_factory=Explanations)


@dataclass(frozen=True, kw_only=True)
class LocalisationReport(BoxReport):
    """Everything on the page of a localiser's run; `judgement` as in a `DetectionReport`."""

    judgement: LocalisationJudgement


def data_facts(index: BoxIndex, input_size: tuple[int, int]) -> dict[str, Any]:
    """Return those fields of a `DetectionReport` that are about the data, for an input of (height, width) pixels.

    sides are as a picture is scaled by the smaller of both ratios, as a resize with "pad" does it.
    """
    pictures, background = np.zeros(3, np.int64), np.zeros(3, np.int64)
    sides: dict[str, list[float]] = {name: [] for name in index.classes}
    for item, (objects, split) in enumerate(zip(index.objects, index.splits.tolist(), strict=True)):
        pictures[split] += 1
        background[split] += not len(objects)
        if split == 0 and len(objects):
            height, width = (float(side) for side in index.sizes[item])
            scale = min(input_size[0] / height, input_size[1] / width)
            spans = np.clip(objects.boxes[:, 2:] - objects.boxes[:, :2], 0, None).astype(np.float64)
            for label, side in zip(objects.labels.tolist(), np.sqrt(spans.prod(1)) * scale, strict=True):
                sides[index.classes[label]].append(float(side))
    return {
        "data_name": index.name,
        "notes": index.notes,
        "problems": index.problems,
        "pictures": tuple(pictures.tolist()),
        "background": tuple(background.tolist()),
        "boxes": index.boxes_of_classes().tolist(),
        "sides": sides,
    }


def write_detection_report(path: Path, report: DetectionReport) -> Path:
    """Write the page to `path`, atomically; return it. Raises `StorageError` where it cannot be written."""
    from glassnet.report.detection.page import render  # Matplotlib: half a second

    write_text(path, render(report))
    return path
