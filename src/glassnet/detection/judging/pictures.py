"""Single pictures: what a detector did right and wrong in each, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glassnet.detection.judging.judgement import Box, PictureResult
from glassnet.detection.judging.mistakes import CORRECT, IGNORED, VERDICTS, Mistakes
from glassnet.detection.judging.rows import Floats, Rows


def badness(rows: Rows, mistakes: Mistakes) -> Floats:
    """Return for each picture the number of objects without a right box, plus the scores of its wrong boxes."""
    wrong = (mistakes.verdict >= 0) & (mistakes.verdict != CORRECT) & (mistakes.verdict != IGNORED)
    lost = rows.truth.counted & (mistakes.found_by < 0)
    bad = np.bincount(rows.truth.picture[lost], minlength=rows.pictures).astype(np.float64)
    np.add.at(bad, rows.found.picture[wrong], rows.found.score[wrong])
    return bad


def worst_pictures(
    rows: Rows, mistakes: Mistakes, *, items: Sequence[int], where: Callable[[int], str], count: int
) -> list[PictureResult]:
    """Return at most `count` pictures that have an error, the worst first; picture i is item `items[i]`."""
    bad = badness(rows, mistakes)
    order = np.argsort(-bad, kind="stable")[:count]
    return [
        _result(rows, mistakes, int(picture), int(items[picture]), where, float(bad[picture]))
        for picture in order
        if bad[picture] > 0
    ]


def _result(
    rows: Rows, mistakes: Mistakes, picture: int, item: int, where: Callable[[int], str], bad: float
) -> PictureResult:
    boxes, objects = rows.found.picture == picture, rows.truth.picture == picture
    return PictureResult(
        item=item,
        path=where(item),
        badness=round(bad, 4),
        errors=mistakes.counts(boxes, objects),
        truth=_truth(rows, mistakes, np.flatnonzero(objects)),
        found=_found(rows, mistakes, np.flatnonzero(boxes & (mistakes.verdict >= 0))),
    )


def _truth(rows: Rows, mistakes: Mistakes, chosen: np.ndarray) -> list[Box]:
    """The true boxes, in the order they were annotated in."""
    chosen = chosen[np.argsort(rows.truth.number[chosen])]
    verdict = np.where(mistakes.found_by >= 0, "found", np.where(rows.truth.counted, "missed", "ignored"))
    return [
        Box(label=rows.classes[rows.truth.label[row]], xyxy=_plain(rows.truth.box[row]), verdict=str(verdict[row]))
        for row in chosen
    ]


def _found(rows: Rows, mistakes: Mistakes, chosen: np.ndarray) -> list[Box]:
    """The found boxes, the surest first."""
    chosen = chosen[np.argsort(-rows.found.score[chosen], kind="stable")]
    return [
        Box(
            label=rows.classes[rows.found.label[row]],
            xyxy=_plain(rows.found.box[row]),
            verdict=VERDICTS[mistakes.verdict[row]],
            score=round(float(rows.found.score[row]), 5),
            iou=round(float(mistakes.iou[row]), 4) if mistakes.truth[row] >= 0 else None,
        )
        for row in chosen
    ]


def _plain(box: Floats) -> list[float]:
    return [round(float(side), 2) for side in box]
