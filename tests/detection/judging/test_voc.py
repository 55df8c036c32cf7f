"""Pascal VOC's average precision: by hand, and by the development kit's loop."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.matching import overlap
from glassnet.detection.judging.voc import area_average, eleven_point_average, voc_average_precision
from glassnet.errors import InputError

SQUARE = [0.0, 0, 100, 100]


def test_by_hand(cases: ModuleType) -> None:
    """Right, wrong, right of two objects: recall 1/2, 1/2, 1 and precision 1, 1/2, 2/3."""
    truth = [Objects.of([SQUARE, [200, 200, 300, 300]], [0, 0])]
    said = [cases.found([SQUARE, [100, 0, 150, 50], [200, 200, 300, 300]], [0.9, 0.8, 0.7])]
    area = voc_average_precision(said, truth, cases.CLASSES)
    assert area == {"cat": pytest.approx(1 / 2 + 1 / 2 * 2 / 3), "dog": None, "owl": None}
    points = voc_average_precision(said, truth, cases.CLASSES, way="11 points")
    assert points["cat"] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_a_curve_that_ends_early_is_0_from_there_on() -> None:
    assert eleven_point_average(np.array([0.3]), np.array([1.0])) == pytest.approx(4 / 11)  # 0, 0.1, 0.2, 0.3
    assert area_average(np.array([0.3]), np.array([1.0])) == pytest.approx(0.3)
    assert eleven_point_average(np.zeros(0), np.zeros(0)) == area_average(np.zeros(0), np.zeros(0)) == 0


def test_a_second_box_is_wrong_though_another_object_is_left(cases: ModuleType) -> None:
    """COCO would give it the other object."""
    truth = [Objects.of([SQUARE, [0, 0, 100, 60]], [0, 0])]
    said = [cases.found([SQUARE, [0, 0, 100, 95]], [0.9, 0.8])]
    assert voc_average_precision(said, truth, cases.CLASSES)["cat"] == 0.5


def test_difficult_objects_take_any_number_of_boxes_and_count_none(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [200, 0, 300, 100]], [0, 0], difficult=[False, True])]
    said = [cases.found([[200, 0, 300, 100], [200, 0, 300, 99], SQUARE], [0.9, 0.9, 0.8])]
    assert voc_average_precision(said, truth, cases.CLASSES)["cat"] == 1.0


def slow(said: list[Detections], truth: list[Objects], label: int) -> float:
    """The development kit's loop over all boxes of a class, then the area under the curve point by point."""
    boxes = [
        (-float(s), p, n) for p, one in enumerate(said) for n, s in enumerate(one.scores) if one.labels[n] == label
    ]
    right, used = [], set()
    for _, picture, number in sorted(boxes, key=lambda row: (row[0], row[1])):
        things = np.flatnonzero(truth[picture].labels == label)
        box = said[picture].boxes[[number] * len(things)].astype(np.float64)
        iou = overlap(box, truth[picture].boxes[things].astype(np.float64), np.zeros(len(things), bool))
        if len(things) and iou.max() >= 0.5:
            best = int(things[iou.argmax()])
            if truth[picture].difficult[best]:
                continue
            right.append((picture, best) not in used)
            used.add((picture, best))
        else:
            right.append(False)
    objects = sum(int((one.counted & (one.labels == label)).sum()) for one in truth)
    area, hits = 0.0, np.cumsum(right)
    for place, hit in enumerate(right):
        if hit:
            area += max(hits[k] / (k + 1) for k in range(place, len(right))) / objects
    return area


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_the_development_kits_loop_says_the_same(cases: ModuleType, seed: int) -> None:
    said, truth = cases.scattered(seed, pictures=4, crowds=0.0, difficult=0.2)
    for label, average in enumerate(voc_average_precision(said, truth, cases.CLASSES).values()):
        if average is not None:
            assert average == pytest.approx(slow(said, truth, label), abs=1e-12)


def test_bad_calls(cases: ModuleType) -> None:
    with pytest.raises(InputError, match="iou is 0; expected a number above 0 and at most 1"):
        voc_average_precision([], [], cases.CLASSES, iou=0)
    with pytest.raises(InputError, match="way is '2010'; expected 'area' or '11 points'"):
        voc_average_precision([], [], cases.CLASSES, way="2010")  # type: ignore[arg-type]
