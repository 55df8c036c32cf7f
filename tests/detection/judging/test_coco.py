"""COCO's average precision: by hand, and equal to pycocotools on random pictures."""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.judging.coco import AveragePrecision, average_precision
from glassnet.errors import InputError

SQUARE = [0.0, 0, 100, 100]


def twelve(result: AveragePrecision) -> list[float]:
    """COCO's numbers in pycocotools's order, with its -1 for what there is none of."""
    sizes = [*result.by_size.values()], [*result.recall_by_size.values()]
    numbers = [result.map, result.map50, result.map75, *sizes[0], *result.recall.values(), *sizes[1]]
    return [-1.0 if number is None else number for number in numbers]


def test_one_object_by_hand(cases: ModuleType) -> None:
    """A box with IoU 0.8 is right up to 0.80, which is 7 of 10 thresholds."""
    said = [cases.found([[0, 0, 100, 80]], [0.9])]
    result = average_precision(said, [Objects.of([SQUARE], [0])], cases.CLASSES)
    assert result.map == pytest.approx(0.7)
    assert (result.map50, result.map75) == (1.0, 1.0)
    assert result.by_size == {"small": None, "medium": None, "large": pytest.approx(0.7)}
    assert result.per_class == [pytest.approx(0.7), None, None]


def test_a_wrong_box_above_a_right_one_by_hand(cases: ModuleType) -> None:
    """Two objects; found: right, wrong, right. Precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)."""
    truth = [Objects.of([SQUARE, [200, 200, 300, 300]], [0, 0])]
    said = [cases.found([SQUARE, [100, 0, 150, 50], [200, 200, 300, 300]], [0.9, 0.8, 0.7])]
    result = average_precision(said, truth, cases.CLASSES)
    assert result.map50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.recall == {1: 0.5, 10: 1.0, 100: 1.0}


def test_a_crowd_takes_many_boxes_by_their_own_area_and_counts_none(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [200, 0, 400, 200]], [0, 0], crowd=[False, True])]
    inside = [[200 + 20 * k, 0, 210 + 20 * k, 10] for k in range(5)]  # IoU with the crowd 0.0025, covered wholly
    half_out = [[190, 0, 209.9, 10]]  # covered by less than half: wrong
    said = [cases.found([*inside, SQUARE], [0.9] * 5 + [0.8])]
    assert average_precision(said, truth, cases.CLASSES).map == pytest.approx(1)
    said = [cases.found([*inside, *half_out, SQUARE], [0.9] * 6 + [0.8])]
    assert average_precision(said, truth, cases.CLASSES).map == pytest.approx(0.5)


def test_a_difficult_object_takes_many_boxes_by_iou_and_counts_none(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [200, 0, 300, 100]], [0, 0], difficult=[False, True])]
    said = [cases.found([[200, 0, 300, 100], [200, 0, 300, 99], SQUARE], [0.9, 0.9, 0.8])]
    assert average_precision(said, truth, cases.CLASSES).map == pytest.approx(1)
    said = [cases.found([[200, 0, 220, 20], SQUARE], [0.9, 0.8])]  # inside it, but IoU 0.04
    assert average_precision(said, truth, cases.CLASSES).map == pytest.approx(0.5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), pictures=st.integers(1, 6), absent=st.sampled_from([None, 0, 2]))
def test_pycocotools_says_the_same(cases: ModuleType, seed: int, pictures: int, absent: int | None) -> None:
    pytest.importorskip("pycocotools")
    said, truth = cases.scattered(seed, pictures=pictures, absent=absent)
    if not any(map(len, said)):
        return  # it cannot read that nothing was found
    theirs = cases.pycocotools_says(said, truth)
    if not any(objects.counted.any() for objects in truth):
        assert theirs.stats[0] == -1
        with pytest.raises(InputError, match="has an object that counts"):
            average_precision(said, truth, cases.CLASSES)
        return
    mine = average_precision(said, truth, cases.CLASSES)
    np.testing.assert_allclose(twelve(mine), theirs.stats, rtol=0, atol=1e-6)
    each = theirs.eval["precision"][:, :, :, 0, 2].mean((0, 1))  # (T, R, K, A, M) -> (K,)
    np.testing.assert_allclose([-1 if ap is None else ap for ap in mine.per_class], each, rtol=0, atol=1e-6)


def test_pycocotools_says_the_same_of_more_than_a_hundred_boxes(cases: ModuleType) -> None:
    pytest.importorskip("pycocotools")
    said, truth = cases.scattered(5, pictures=3, objects=30, boxes=900)
    assert max(np.bincount(one.labels).max() for one in said) > 150
    theirs = cases.pycocotools_says(said, truth)
    np.testing.assert_allclose(twelve(average_precision(said, truth, cases.CLASSES)), theirs.stats, rtol=0, atol=1e-6)


def test_it_is_quick_enough_for_every_validation(cases: ModuleType) -> None:
    """One thread, without waiting; ten times what is asked of an idle machine."""
    said, truth = cases.scattered(0, pictures=87, objects=25, boxes=100)
    start = time.process_time()
    average_precision(said, truth, cases.CLASSES)
    assert time.process_time() - start < 3
