"""Thresholds of the best F1: by hand, and by trying every score."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.judging.matching import match
from glassnet.detection.judging.mistakes import CORRECT, IGNORED, find_mistakes
from glassnet.detection.judging.rows import Rows
from glassnet.detection.judging.thresholds import best_thresholds, checked_thresholds
from glassnet.errors import InputError, UnknownName

SQUARE, OTHER = [0.0, 0, 100, 100], [200.0, 200, 300, 300]


def test_by_hand(cases: ModuleType) -> None:
    """Right at 0.9 and 0.5, wrong at 0.3 and 0.2: best is to take two, halfway between 0.5 and 0.3."""
    said = [cases.found([SQUARE, OTHER, [0, 0, 9, 9], [50, 50, 70, 70]], [0.9, 0.5, 0.3, 0.2])]
    truth = [Objects.of([SQUARE, OTHER], [0, 0])]
    assert best_thresholds(said, truth, cases.CLASSES) == {"cat": pytest.approx(0.4), "dog": 0.5, "owl": 0.5}


def test_the_last_score_is_halved_and_neighbours_stay_apart(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE], [0])]
    assert best_thresholds([cases.found([SQUARE], [0.25])], truth, cases.CLASSES)["cat"] == 0.125
    near = np.nextafter(np.float32(0.5), np.float32(0))
    said = cases.found([SQUARE, OTHER], [0.5, near])
    level = best_thresholds([said], truth, cases.CLASSES)
    assert len(said.above(level)) == 1


def test_equal_scores_are_taken_together(cases: ModuleType) -> None:
    said = [cases.found([SQUARE, *[[0, 0, 9, 9]] * 9, OTHER], [0.5] * 10 + [0.4])]  # 1 of 10 right, then 2 of 11
    truth = [Objects.of([SQUARE, OTHER], [0, 0])]
    assert best_thresholds(said, truth, cases.CLASSES)["cat"] == pytest.approx(0.2)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_no_other_threshold_is_better(cases: ModuleType, seed: int) -> None:
    said, truth = cases.scattered(seed, pictures=3)
    best = best_thresholds(said, truth, cases.CLASSES)
    rows = Rows.of(said, truth, cases.CLASSES)
    matches = match(rows, [0.5])

    def f1(levels: dict[str, float]) -> list[float]:
        least = np.array(list(levels.values()), np.float32)[rows.found.label]
        mistakes = find_mistakes(rows, matches, rows.found.score >= least)
        shares = []
        for label in range(len(cases.CLASSES)):
            verdict = mistakes.verdict[rows.found.label == label]
            boxes = ((verdict >= 0) & (verdict != IGNORED)).sum()
            objects = (rows.truth.counted & (rows.truth.label == label)).sum()
            shares.append(2 * (verdict == CORRECT).sum() / max(boxes + objects, 1))
        return shares

    highest = f1(best)
    for level in (0.0, 0.2, 0.5, 0.8, 1.0):
        assert all(
            one >= other - 1e-12 for one, other in zip(highest, f1(dict.fromkeys(cases.CLASSES, level)), strict=True)
        )


@pytest.mark.parametrize("level", [-0.1, 1.1, math.nan, math.inf])
def test_absurd_thresholds(cases: ModuleType, level: float) -> None:
    with pytest.raises(InputError, match=rf"the threshold of 'dog' is {level}; expected a score from 0 to 1"):
        checked_thresholds({"dog": level}, cases.CLASSES)


def test_a_threshold_of_no_class(cases: ModuleType) -> None:
    with pytest.raises(UnknownName, match="no class is called 'cta'; nearest: cat"):
        checked_thresholds({"cta": 0.5}, cases.CLASSES)
    assert checked_thresholds({"dog": 0.25}, cases.CLASSES).tolist() == [0.5, 0.25, 0.5]
