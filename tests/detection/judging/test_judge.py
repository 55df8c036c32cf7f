"""The whole judgement: its parts agree with one another, and it survives JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.coco import average_precision, match_for_coco
from glassnet.detection.judging.intervals import map_intervals, resampled_precisions
from glassnet.detection.judging.judge import POINTS, summarise
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.detection.judging.rows import Rows
from glassnet.detection.judging.sentences import sentences
from glassnet.errors import InputError, UnknownName

SQUARE = [0.0, 0, 100, 100]


def judged(cases: ModuleType, said: list[Detections], truth: list[Objects], **more: Any) -> DetectionJudgement:
    given = {"items": range(len(truth)), "where": "{}.jpg".format, "thresholds": None, "network": "net", "data": "data"}
    return summarise(said, truth, cases.CLASSES, **{**given, "split": "test", "seconds": 1.0, "device": "cpu", **more})


@pytest.fixture(scope="module")
def judgement(cases: ModuleType) -> DetectionJudgement:
    said, truth = cases.scattered(1, pictures=20, boxes=150, difficult=0.1)
    return judged(cases, said, truth, thresholds={"cat": 0.6, "dog": 0.4, "owl": 0.9})


def test_its_parts_agree(cases: ModuleType, judgement: DetectionJudgement) -> None:
    said, truth = cases.scattered(1, pictures=20, boxes=150, difficult=0.1)
    assert judgement.map == average_precision(said, truth, cases.CLASSES).map
    assert judgement.n == 20
    assert judgement.objects == sum(int(one.counted.sum()) for one in truth)
    right = sum(judgement.confusion[label][label] for label in range(3))
    boxes = sum(result.predicted for result in judgement.per_class)
    assert sum(count for kind, count in judgement.errors.items() if kind != "missed") == boxes - right
    assert sum(found for found, _ in judgement.found_by_size.values()) == right
    assert sum(all_ for _, all_ in judgement.found_by_size.values()) == judgement.objects
    for label, result in enumerate(judgement.per_class):
        assert result.recall == judgement.confusion[label][label] / sum(judgement.confusion[label])
        assert result.precision == judgement.confusion[label][label] / sum(row[label] for row in judgement.confusion)
        assert result.f1 == pytest.approx(2 / (1 / result.precision + 1 / result.recall))
    assert [result.threshold for result in judgement.per_class] == [0.6, 0.4, 0.9]
    assert judgement.thresholds_from == "card"
    assert [one.badness for one in judgement.worst] == sorted((one.badness for one in judgement.worst), reverse=True)
    assert {"missed", "found", "ignored"} == {box.verdict for one in judgement.worst for box in one.truth}


def test_curves_are_thinned_and_rise(judgement: DetectionJudgement) -> None:
    for curve in judgement.precision_recall:
        assert len(curve.x) == len(curve.y) == len(curve.scores) <= POINTS
        assert curve.x == sorted(curve.x)
        assert curve.scores == sorted(curve.scores, reverse=True)
        assert 0 < curve.area < 1


def test_a_curve_by_hand(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [200, 200, 300, 300]], [0, 0])]
    boxes = [SQUARE, [100, 0, 150, 50], [200, 200, 300, 300], [0, 0, 9, 9]]
    curve = judged(cases, [cases.found(boxes, [0.75, 0.5, 0.25, 0.125])], truth).precision_recall[0]
    assert (curve.name, curve.x, curve.y) == ("cat", [0.5, 0.5, 1.0], [1.0, 0.5, 0.6667])
    assert curve.scores == [0.75, 0.5, 0.25]


def test_long_curves_keep_their_ends(cases: ModuleType) -> None:
    count = 400
    boxes = np.array([[k * 10, 0, k * 10 + 9, 9] for k in range(count)])
    scores = 1 - np.arange(count) / 1000
    said = [cases.found(boxes[k : k + 50], scores[k : k + 50]) for k in range(0, count, 50)]
    truth = [Objects.of(boxes[k : k + 50 : 2], [0] * 25) for k in range(0, count, 50)]
    curve = judged(cases, said, truth).precision_recall[0]
    assert 50 < len(curve.x) <= POINTS
    assert (curve.x[0], curve.y[0]) == (0.005, 1.0)
    assert curve.x[-1] == 1.0


def test_it_survives_json(judgement: DetectionJudgement) -> None:
    text = json.dumps(judgement.to_dict(), allow_nan=False)
    assert DetectionJudgement.from_dict(json.loads(text)) == judgement
    with pytest.raises(InputError, match=r"not a judgement that this version wrote .*; evaluate again"):
        DetectionJudgement.from_dict({"network": "net"})
    with pytest.raises(InputError, match="not a judgement that this version wrote"):
        DetectionJudgement.from_dict({**judgement.to_dict(), "worst": [{"item": 1}]})


def test_pictures_that_could_not_be_read_are_left_out_by_name(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE], [0])] * 2
    said = [Detections.failed("broken.jpg", "it is truncated", cases.CLASSES), cases.found([SQUARE], [0.9])]
    judgement = judged(cases, said, truth, items=[3, 4], left_out=["gone.jpg: missing"])
    assert (judgement.n, judgement.objects, judgement.map50) == (1, 1, pytest.approx(1))
    assert judgement.left_out == ["gone.jpg: missing", "broken.jpg: it is truncated"]
    assert "2 pictures are not judged" in judgement.sentences[-1]
    with pytest.raises(InputError, match=r"none of the 1 pictures could be read; the first: broken\.jpg: it is trunc"):
        judged(cases, said[:1], truth[:1])


def test_nothing_found(cases: ModuleType) -> None:
    judgement = judged(cases, [cases.found()] * 2, [Objects.of([SQUARE], [0]), Objects.of()])
    assert (judgement.map, judgement.recall100, judgement.errors["missed"]) == (0, 0, 1)
    assert judgement.cost["missed"] == 1
    assert (judgement.precision_recall[0].x, judgement.precision_recall[0].y) == ([0.0], [0.0])
    assert judgement.sentences[0].startswith("Nothing is found: none of 1 object, at a threshold of 0.5")
    json.dumps(judgement.to_dict(), allow_nan=False)


def test_bad_calls(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE], [0])]
    said = [cases.found([SQUARE], [0.9])]
    with pytest.raises(InputError, match="found has 1 pictures, truth 1 and items 2; expected one entry"):
        judged(cases, said, truth, items=[0, 1])
    with pytest.raises(InputError, match="the threshold of 'cat' is nan; expected a score from 0 to 1"):
        judged(cases, said, truth, thresholds={"cat": math.nan})
    with pytest.raises(UnknownName, match="no class is called 'bat'"):
        judged(cases, said, truth, thresholds={"bat": 0.5})
    with pytest.raises(InputError, match=r"none of the 1 pictures has an object that counts \(1 are difficult or cro"):
        judged(cases, said, [Objects.of([SQUARE], [0], difficult=[True])])


def test_drawing_each_picture_once_gives_average_precision(cases: ModuleType) -> None:
    rows = Rows.of(*cases.scattered(3, pictures=8), cases.CLASSES)
    precision = resampled_precisions(rows, match_for_coco(rows), np.ones((1, 8), np.int64))
    assert np.nanmean(precision) == pytest.approx(average_precision(*cases.scattered(3, pictures=8), cases.CLASSES).map)


def test_drawing_a_picture_twice_is_having_it_twice(cases: ModuleType) -> None:
    said, truth = cases.scattered(4, pictures=4)
    said = [replace(one, scores=one.scores + np.float32(k) / 100) for k, one in enumerate(said)]  # no tie across
    said = [replace(one, scores=one.scores / 2) for one in said]
    rows = Rows.of(said, truth, cases.CLASSES)
    weighted = resampled_precisions(rows, match_for_coco(rows), np.array([[2, 0, 1, 1]]))
    drawn = [0, 0, 2, 3]
    twice = average_precision([said[k] for k in drawn], [truth[k] for k in drawn], cases.CLASSES)
    # A right box that counts twice makes one step of the curve, not two: a little may be lost on the way.
    assert np.nanmean(weighted) == pytest.approx(twice.map, abs=0.02)


def test_the_interval_holds_the_number_and_narrows_with_more_pictures(cases: ModuleType) -> None:
    few, many = cases.scattered(5, pictures=10), cases.scattered(5, pictures=80)
    widths = []
    for said, truth in (few, many):
        judgement = judged(cases, said, truth)
        assert judgement.map_interval is not None
        assert judgement.map50_interval is not None
        assert judgement.map_interval[0] < judgement.map < judgement.map_interval[1]
        assert judgement.map50_interval[0] < judgement.map50 < judgement.map50_interval[1]
        widths.append(judgement.map50_interval[1] - judgement.map50_interval[0])
    assert widths[1] < widths[0]


def test_one_picture_has_no_interval(cases: ModuleType) -> None:
    judgement = judged(cases, [cases.found([SQUARE], [0.9])], [Objects.of([SQUARE], [0])])
    assert judgement.map_interval is None
    rows = Rows.of([cases.found()], [Objects.of()], cases.CLASSES)
    with pytest.raises(InputError, match="resamples is 0; expected 1 at least"):
        map_intervals(rows, match_for_coco(rows), resamples=0)


WORDS = {
    "missed": "missed small objects",
    "localisation": "Look whether the annotations are drawn alike",
    "class": "wrong names",
    "duplicate": "Suppress overlapping boxes from a lower IoU on",
    "both": "have the wrong name",
    "background": "objects that nobody annotated",
}


@pytest.mark.parametrize("kind", WORDS)
def test_the_costliest_kind_of_mistake_gets_its_remedy(judgement: DetectionJudgement, kind: str) -> None:
    changed = replace(
        judgement,
        cost={**dict.fromkeys(judgement.cost, 0.02), kind: 0.3},
        found_by_size={"small": [3, 40], "medium": [20, 25], "large": [9, 9]},
    )
    said = " ".join(sentences(changed))
    assert WORDS[kind] in said
    assert "mAP50 would be 0.300 higher" in said


def test_sentences_by_hand(judgement: DetectionJudgement) -> None:
    plain = replace(
        judgement,
        n=87,
        map=0.4,
        map50=0.8,
        map75=0.4,
        map50_interval=(0.75, 0.85),
        objects=74,
        cost=dict.fromkeys(judgement.cost, 0.0) | {"missed": 0.12},
        errors=dict.fromkeys(judgement.errors, 0) | {"missed": 22},
        confusion=[[40, 0, 0, 10], [0, 5, 0, 5], [0, 0, 0, 14], [2, 3, 0, 0]],
        found_by_size={"small": [3, 30], "medium": [20, 22], "large": [22, 22]},
        per_class=[
            replace(judgement.per_class[0], ap50=0.9, predicted=42, support=50, precision=40 / 42, recall=0.8),
            replace(judgement.per_class[1], ap50=0.7, predicted=8, support=10, precision=5 / 8, recall=0.5),
            replace(judgement.per_class[2], ap50=None, predicted=0, support=0),
        ],
    )
    assert sentences(plain) == [
        "Of 74 objects 45 are found (60.8%), and of 50 boxes 45 are right (90.0%), at the thresholds chosen on "
        "validation pictures.",
        "mAP50 is 0.800, and on other pictures of this kind probably between 0.75 and 0.85. COCO's mAP, which also "
        "asks how tightly boxes fit, is 0.400.",
        "Most of what is lost is missed small objects: 22 objects of 74 have no box, and 27 of the 29 that are not "
        "found are small (up to 32 x 32 pixels); without these mistakes mAP50 would be 0.120 higher. A larger input "
        "shows them larger; tiles cut from the pictures do the same.",
        "“dog” is found worst (AP50 0.700; 50.0% of its 10 objects not found), “cat” best (0.900). Only 10 objects, so "
        "this is rough.",
        "The boxes fit loosely: mAP falls from 0.800 at IoU 0.50 to 0.400 at 0.75. Annotations that are not drawn "
        "tightly, or a small input, do that.",
        "There is no object of “owl” here, so nothing is known about finding it.",
    ]


def test_little_is_lost(judgement: DetectionJudgement) -> None:
    assert "Next to nothing is lost" in " ".join(sentences(replace(judgement, map50=0.999)))
    cheap = replace(judgement, cost=dict.fromkeys(judgement.cost, 0.004))
    assert "to put one right would raise mAP50 by 0.004 at most" in " ".join(sentences(cheap))
