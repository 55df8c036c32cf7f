"""Judge a detector: make the whole record of what it found and what is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.coco import SIZES, AveragePrecision, by_score, match_for_coco, of_rows
from glassnet.detection.judging.confusion import confusion
from glassnet.detection.judging.intervals import map_intervals
from glassnet.detection.judging.judgement import DRAWN_CLASSES, WORST, ClassResult, Curve, DetectionJudgement
from glassnet.detection.judging.matching import Matches, area
from glassnet.detection.judging.mistakes import CORRECT, IGNORED, Mistakes, costs, find_mistakes
from glassnet.detection.judging.pictures import worst_pictures
from glassnet.detection.judging.rows import Floats, Rows
from glassnet.detection.judging.sentences import sentences
from glassnet.detection.judging.thresholds import checked_thresholds
from glassnet.errors import InputError

POINTS = 120
"""At most so many points of a curve are kept."""


def summarise(
    found: Sequence[Detections],
    truth: Sequence[Objects],
    classes: Sequence[str],
    *,
    items: Sequence[int] | np.ndarray,
    where: Callable[[int], str],
    thresholds: Mapping[str, float] | None,
    network: str,
    data: str,
    split: str,
    seconds: float,
    device: str,
    left_out: Sequence[str] = (),
    seed: int = 0,
) -> DetectionJudgement:
    """Judge what was `found` in pictures of which `truth` is known, picture by picture.

    A picture that could not be read (its `Detections` have an error) is not judged, and stands in `left_out`.

    Args:
        found: un-thresholded boxes; the surest 100 of each class in each picture count.
        items: the pictures' numbers in their index, and `where(item)` the path that is shown.
        thresholds: from which score on each class's boxes are believed, as chosen on validation pictures; None, or a
            class left out, takes 0.5.
        seed: draws the bootstrap intervals.

    Raises:
        InputError: nothing to find in any picture, thresholds that are not in [0, 1] or of no class, lengths that
            differ, or boxes, scores and labels that cannot be (see `Rows.of`).
    """
    if not len(found) == len(truth) == len(items):
        raise InputError(
            f"found has {len(found)} pictures, truth {len(truth)} and items {len(items)}; expected one entry for each "
            "picture in all three"
        )
    levels = checked_thresholds(thresholds, classes)
    read = [place for place, one in enumerate(found) if one.error is None]
    unread = [
        f"{one.path or where(int(item))}: {one.error}" for one, item in zip(found, items, strict=True) if one.error
    ]
    if unread and not read:
        raise InputError(f"none of the {len(found)} pictures could be read; the first: {unread[0]}")
    rows = Rows.of([found[place] for place in read], [truth[place] for place in read], classes)
    matches = match_for_coco(rows)
    numbers = of_rows(rows, matches)
    kept = rows.found.score >= levels.astype(np.float32)[rows.found.label]  # as `Detections.above` compares
    mistakes = find_mistakes(rows, matches, kept)
    intervals = map_intervals(rows, matches, seed=seed)
    judgement = DetectionJudgement(
        network=network,
        data=data,
        split=split,
        classes=rows.classes,
        n=rows.pictures,
        objects=int(rows.truth.counted.sum()),
        map=numbers.map,
        map50=numbers.map50,
        map75=numbers.map75,
        map_interval=intervals["map"] if intervals else None,
        map50_interval=intervals["map50"] if intervals else None,
        by_size=numbers.by_size,
        found_by_size=_found_by_size(rows, mistakes),
        recall100=numbers.recall[100],
        per_class=_per_class(rows, mistakes, numbers, levels),
        precision_recall=_curves(rows, matches, numbers),
        confusion=confusion(rows, mistakes).tolist(),
        errors=mistakes.counts(),
        cost=costs(rows, matches),
        worst=worst_pictures(rows, mistakes, items=[int(items[place]) for place in read], where=where, count=WORST),
        thresholds_from="card" if thresholds else "default",
        seconds=seconds,
        device=device,
        left_out=[*left_out, *unread],
    )
    return replace(judgement, sentences=sentences(judgement))


def _per_class(rows: Rows, mistakes: Mistakes, numbers: AveragePrecision, levels: Floats) -> list[ClassResult]:
    """Count each class at its threshold; a share of nothing is 0."""
    results = []
    for label, name in enumerate(rows.classes):
        verdict = mistakes.verdict[rows.found.label == label]
        right = int((verdict == CORRECT).sum())
        predicted = int(((verdict >= 0) & (verdict != IGNORED)).sum())
        support = int((rows.truth.counted & (rows.truth.label == label)).sum())
        results.append(
            ClassResult(
                name=name,
                ap=numbers.per_class[label],
                ap50=numbers.per_class50[label],
                threshold=float(levels[label]),
                precision=right / max(predicted, 1),
                recall=right / max(support, 1),
                f1=2 * right / max(predicted + support, 1),
                support=support,
                predicted=predicted,
            )
        )
    return results


def _found_by_size(rows: Rows, mistakes: Mistakes) -> dict[str, list[int]]:
    """Count [found, to find] of each size; here an object of exactly 32^2 or 96^2 pixels is of the smaller."""
    upper = [most for _, most in SIZES.values()]
    size = np.searchsorted(upper[:-1], area(rows.truth.box))
    return {
        name: [int((size[of] == number).sum()) for of in (mistakes.found_by >= 0, rows.truth.counted)]
        for number, name in enumerate(SIZES)
    }


def _curves(rows: Rows, matches: Matches, numbers: AveragePrecision) -> list[Curve]:
    """Return the curves of the classes with the lowest average precision, in the classes' order."""
    known = [(ap50, label) for label, ap50 in enumerate(numbers.per_class50) if ap50 is not None]
    drawn = sorted(label for _, label in sorted(known)[:DRAWN_CLASSES])
    order = by_score(rows)
    to_find = np.bincount(rows.truth.label[rows.truth.counted], minlength=len(rows.classes))
    curves = []
    for label in drawn:
        chosen = order[label][~matches.ignored[0, 0, order[label]]]
        right, scores = matches.right[0, 0, chosen], rows.found.score[chosen]
        hits = right.cumsum()
        last = np.flatnonzero(np.append(scores[1:] < scores[:-1], True)[: len(scores)])  # equal scores are one point
        last = (
            last[: 1 + int(np.searchsorted(hits[last], hits[-1]))] if len(hits) else last
        )  # no recall is gained after
        points = _thinned(hits[last] / to_find[label], hits[last] / (last + 1.0), scores[last])
        curves.append(
            Curve(
                name=rows.classes[label],
                x=np.round(points[0], 4).tolist() or [0.0],
                y=np.round(points[1], 4).tolist() or [0.0],
                scores=np.round(points[2], 5).tolist() or [1.0],
                area=numbers.per_class50[label],
            )
        )
    return curves


def _thinned(recall: Floats, precision: Floats, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Keep at most `POINTS` points (P,), evenly spread along the drawn line; the ends stay."""
    if len(recall) <= POINTS:
        return recall, precision, scores
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(recall), np.diff(precision)))])
    keep = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], POINTS)).clip(0, len(recall) - 1))
    keep[0], keep[-1] = 0, len(recall) - 1
    return recall[keep], precision[keep], scores[keep]
