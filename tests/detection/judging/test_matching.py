"""Which box takes which object: hand cases, and a plain loop over the rule's words."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.judging import matching
from glassnet.detection.judging.matching import EVERYWHERE, match, overlap
from glassnet.detection.judging.rows import Rows
from glassnet.errors import InputError

SQUARE = [0.0, 0, 100, 100]


def one_box(box: np.ndarray, thing: np.ndarray, crowd: bool) -> float:
    """IoU, or the share of the box that the crowd covers."""
    width = min(box[2], thing[2]) - max(box[0], thing[0])
    height = min(box[3], thing[3]) - max(box[1], thing[1])
    if width <= 0 or height <= 0:
        return 0.0
    own, other = ((side[2] - side[0]) * (side[3] - side[1]) for side in (box, thing))
    return float(width * height / (own if crowd else own + other - width * height))


def plain_loop(rows: Rows, threshold: float, limits: tuple[float, float]) -> tuple[list[int], list[bool]]:
    """The rule in words, box by box."""
    taken, ignored = [-1] * len(rows.found), [False] * len(rows.found)
    sizes = (rows.truth.box[:, 2] - rows.truth.box[:, 0]) * (rows.truth.box[:, 3] - rows.truth.box[:, 1])
    passed = [
        bool(mark) or not limits[0] <= size <= limits[1] for mark, size in zip(~rows.truth.counted, sizes, strict=True)
    ]
    gone: set[int] = set()
    for box in range(len(rows.found)):
        best, key = -1, (False, threshold)
        for thing in range(len(rows.truth)):
            group = (rows.truth.picture[thing], rows.truth.label[thing])
            if thing in gone or group != (rows.found.picture[box], rows.found.label[box]):
                continue
            iou = one_box(rows.found.box[box], rows.truth.box[thing], bool(rows.truth.crowd[thing]))
            if iou >= threshold and (not passed[thing], iou) >= key:
                best, key = thing, (not passed[thing], iou)
        size = (rows.found.box[box, 2] - rows.found.box[box, 0]) * (rows.found.box[box, 3] - rows.found.box[box, 1])
        taken[box] = best
        ignored[box] = passed[best] if best >= 0 else not limits[0] <= size <= limits[1]
        if best >= 0 and rows.truth.counted[best]:
            gone.add(best)
    return taken, ignored


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([EVERYWHERE, (0.0, 32.0**2), (32.0**2, 96.0**2)]))
def test_a_plain_loop_takes_the_same(cases: ModuleType, seed: int, limits: tuple[float, float]) -> None:
    rows = Rows.of(*cases.scattered(seed, pictures=3, difficult=0.2), cases.CLASSES)
    matches = match(rows, [0.3, 0.5, 0.8], [EVERYWHERE, limits])
    for place, threshold in enumerate((0.3, 0.5, 0.8)):
        taken, ignored = plain_loop(rows, threshold, limits)
        assert matches.taken[1, place].tolist() == taken
        assert matches.ignored[1, place].tolist() == ignored


def test_the_surest_box_goes_first_even_where_another_fits_better(cases: ModuleType) -> None:
    said = [cases.found([[0, 0, 100, 100], [0, 0, 100, 70]], [0.6, 0.9])]
    rows = Rows.of(said, [Objects.of([SQUARE], [0])], cases.CLASSES)
    assert rows.found.number.tolist() == [1, 0]
    assert match(rows, [0.5]).taken[0, 0].tolist() == [0, -1]
    assert match(rows, [0.75]).taken[0, 0].tolist() == [-1, 0]


def test_a_box_takes_what_is_left_rather_than_nothing(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [0, 0, 100, 60]], [0, 0])]
    rows = Rows.of([cases.found([SQUARE, [0, 0, 100, 95]], [0.9, 0.8])], truth, cases.CLASSES)
    assert match(rows, [0.5]).taken[0, 0].tolist() == [0, 1]


def test_an_object_that_counts_goes_before_one_that_does_not(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, [0, 0, 100, 60]], [0, 0], difficult=[True, False])]
    rows = Rows.of([cases.found([SQUARE, SQUARE, SQUARE], [0.9, 0.8, 0.7])], truth, cases.CLASSES)
    matches = match(rows, [0.5])
    assert matches.taken[0, 0].tolist() == [1, 0, 0]
    assert matches.ignored[0, 0].tolist() == [False, True, True]
    assert matches.right[0, 0].tolist() == [True, False, False]


def test_overlap_by_hand() -> None:
    box, thing = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 25, 10]])
    assert overlap(box, thing, np.array([False]))[0] == 50 / 250
    assert overlap(box, thing, np.array([True]))[0] == 0.5
    point = np.zeros((1, 4))
    assert overlap(point, point, np.array([False]))[0] == 0


def test_nothing_found_and_nothing_true(cases: ModuleType) -> None:
    empty = Rows.of([cases.found()], [Objects.of()], cases.CLASSES)
    assert match(empty, [0.5]).taken.shape == (1, 1, 0)
    assert Rows.of([], [], cases.CLASSES).pictures == 0
    assert matching.overlaps(empty, 0.5).iou.shape == (0,)


@pytest.mark.parametrize(
    ("said", "truth", "words"),
    [
        ({}, [], r"found has 1 pictures and truth 0; expected one entry for each picture in both"),
        (
            {"classes": ("a", "b")},
            [Objects.of()],
            r"of the classes a, b, the truth of cat, dog, owl; expected the same",
        ),
        (
            {"boxes": [[50, 60, 20, 30]], "scores": [0.5]},
            [Objects.of()],
            r"picture 0: found box 0 is \(50, 60, 20, 30\): its right edge lies left of its left one, or its bottom "
            r"above its top \(1 of 1 boxes\); .* if they are left, top, width, height, convert them with "
            r"glassnet\.detection\.xywh_to_xyxy",
        ),
        ({}, [Objects.of([[50, 60, 80, 30]], [0])], r"picture 0: true box 0 is \(50, 60, 80, 30\)"),
        ({"boxes": [[0, 0, math.nan, 1]], "scores": [0.5]}, [Objects.of()], "that is not a box .* not finite numbers"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.5]}, [Objects.of()], r"the score of found box 0 is 1\.5; expected"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [math.nan]}, [Objects.of()], "the score of found box 0 is nan"),
        ({}, [Objects.of([SQUARE], [3])], "true box 0 has label 3; expected 0 to 2, a position in the class names"),
        ({}, [Objects.of([SQUARE], [0, 1], [False] * 2)], "1 true boxes and 2 labels; expected one label for each"),
        (
            {},
            [Objects.of([[0.1, 0.2, 0.5, 0.75], [0, 0, 1, 1]], [0, 1])],
            "all 2 true boxes lie between 0 and 1; .* convert them with glassnet.detection.relative_to_absolute",
        ),
    ],
)
def test_what_cannot_be_judged(cases: ModuleType, said: dict[str, Any], truth: list[Objects], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Rows.of([cases.found(**said)], truth, cases.CLASSES)


def test_a_class_named_twice() -> None:
    with pytest.raises(InputError, match="the class 'cat' is named 2 times; expected each name once"):
        Rows.of([], [], ("cat", "dog", "cat"))
