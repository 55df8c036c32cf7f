"""Why boxes are wrong and what it costs: TIDE's definitions by hand, by a plain loop, and its authors' tool."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.coco import of_rows
from glassnet.detection.judging.confusion import confusion
from glassnet.detection.judging.matching import match, overlap
from glassnet.detection.judging.mistakes import CORRECT, IGNORED, KINDS, VERDICTS, Mistakes, costs, find_mistakes
from glassnet.detection.judging.pictures import badness, worst_pictures
from glassnet.detection.judging.rows import Rows

TIDE: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "golden" / "tide.json").read_text())
SQUARE = [0.0, 0, 100, 100]
FAR = [300.0, 300, 400, 400]


def judged(
    cases: ModuleType, said: list[Detections], truth: list[Objects], least: float = 0.0
) -> tuple[Rows, Mistakes]:
    """The rows, and what is said of those with a score of at least `least`."""
    rows = Rows.of(said, truth, cases.CLASSES)
    return rows, find_mistakes(rows, match(rows, [0.5]), rows.found.score >= np.float32(least))


def verdicts(rows: Rows, mistakes: Mistakes) -> list[str]:
    """In the order in which the boxes were given, of one picture."""
    return [VERDICTS[mistakes.verdict[row]] for row in np.argsort(rows.found.number)]


def test_each_kind_by_hand(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, FAR], [0, 1])]
    boxes = [SQUARE, [0, 0, 100, 90], [0, 0, 100, 40], FAR, [300, 300, 400, 340], [200, 0, 250, 50]]
    said = [cases.found(boxes, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [0, 0, 0, 0, 0, 0])]
    rows, mistakes = judged(cases, said, truth)
    assert verdicts(rows, mistakes) == ["correct", "duplicate", "localisation", "class", "both", "background"]
    assert mistakes.iou.tolist() == pytest.approx([1.0, 0.9, 0.4, 1.0, 0.4, 0.0])
    assert mistakes.truth.tolist() == [0, 0, 0, 1, 1, -1]
    assert mistakes.missed.tolist() == [False, False], "a box of the wrong class is on the second"
    assert mistakes.counts() == dict.fromkeys(KINDS, 1) | {"missed": 0}


def test_below_the_threshold_a_box_says_nothing_and_its_object_is_missed(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, FAR], [0, 1])]
    said = [cases.found([SQUARE, FAR], [0.9, 0.3], [0, 0])]
    _, mistakes = judged(cases, said, truth, 0.5)
    assert mistakes.verdict.tolist() == [CORRECT, -1]
    assert mistakes.missed.tolist() == [False, True]
    assert mistakes.counts()["missed"] == 1


def test_objects_that_count_neither_way_are_neither_missed_nor_mistaken(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, FAR], [0, 0], difficult=[True, False], crowd=[False, True])]
    said = [cases.found([SQUARE, [310, 310, 320, 320], [0, 0, 100, 40]], [0.9, 0.8, 0.7])]
    rows, mistakes = judged(cases, said, truth)
    assert verdicts(rows, mistakes) == ["ignored", "ignored", "background"]
    assert not mistakes.missed.any()


def test_costs_by_hand(cases: ModuleType) -> None:
    """Two cats; found: a duplicate above the second one's box. 51 points of precision 1, 50 of 2/3, or all 1."""
    truth = [Objects.of([SQUARE, FAR], [0, 0])]
    said = [cases.found([SQUARE, SQUARE, FAR], [0.9, 0.8, 0.7])]
    rows = Rows.of(said, truth, cases.CLASSES)
    cost = costs(rows, match(rows, [0.5]))
    assert cost == dict.fromkeys(KINDS, 0.0) | {"duplicate": pytest.approx(50 / 101 / 3)}


def test_costs_of_what_becomes_right_by_hand(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, FAR], [0, 1])]
    near = [[0, 0, 100, 40], [0, 0, 100, 30]]  # two badly placed boxes: the surer one is put right, the other goes
    rows = Rows.of([cases.found(near, [0.9, 0.8])], truth, cases.CLASSES)
    cost = costs(rows, match(rows, [0.5]))
    assert cost["localisation"] == pytest.approx(0.5)  # the cat's AP from 0 to 1, the dog's stays 0
    assert cost["missed"] == pytest.approx(0.5)  # the dog alone; the cat is covered by the mistake on it
    rows = Rows.of([cases.found([FAR, SQUARE], [0.9, 0.8], [0, 0])], truth, cases.CLASSES)
    cost = costs(rows, match(rows, [0.5]))
    assert cost["class"] == pytest.approx(1 - 0.5 / 2)  # the cat from 1/2 to 1, the dog from 0 to 1
    assert cost["missed"] == 0


def one_iou(box: np.ndarray, thing: np.ndarray) -> float:
    return float(overlap(box[None], thing[None], np.array([False]))[0])


def plain_loop(rows: Rows) -> list[str]:
    """The definitions in words, for what is found in all pictures."""
    matches = match(rows, [0.5])
    said = []
    for box in range(len(rows.found)):
        own, other = [0.0], [0.0]
        for thing in np.flatnonzero((rows.truth.picture == rows.found.picture[box]) & rows.truth.counted):
            list_of = own if rows.truth.label[thing] == rows.found.label[box] else other
            list_of.append(one_iou(rows.found.box[box], rows.truth.box[thing]))
        if matches.ignored[0, 0, box]:
            said.append("ignored")
        elif matches.taken[0, 0, box] >= 0:
            said.append("correct")
        elif 0.1 <= max(own) < 0.5:
            said.append("localisation")
        elif max(other) >= 0.5:
            said.append("class")
        elif max(own) >= 0.5:
            said.append("duplicate")
        else:
            said.append("both" if max(other) > 0.1 else "background")
    return said


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_a_plain_loop_says_the_same(cases: ModuleType, seed: int) -> None:
    rows, mistakes = judged(cases, *cases.scattered(seed, pictures=3, difficult=0.2))
    assert [VERDICTS[number] for number in mistakes.verdict] == plain_loop(rows)
    for row in np.flatnonzero(mistakes.truth >= 0):
        thing = mistakes.truth[row]
        assert rows.truth.picture[thing] == rows.found.picture[row]
        assert mistakes.iou[row] == one_iou(rows.found.box[row], rows.truth.box[thing])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_every_box_and_every_object_is_counted_once(cases: ModuleType, seed: int) -> None:
    rows, mistakes = judged(cases, *cases.scattered(seed, pictures=4, difficult=0.2), 0.4)
    counts = confusion(rows, mistakes)
    objects = np.bincount(rows.truth.label[rows.truth.counted], minlength=3)
    boxes = (mistakes.verdict >= 0) & (mistakes.verdict != IGNORED)
    assert counts[:3].sum(1).tolist() == objects.tolist()
    assert counts[:, :3].sum(0).tolist() == np.bincount(rows.found.label[boxes], minlength=3).tolist()
    assert counts.trace() == (mistakes.verdict == CORRECT).sum()
    assert counts[3, 3] == 0


def test_confusion_by_hand(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE, FAR, [0, 200, 50, 250]], [0, 1, 2])]
    said = [cases.found([SQUARE, FAR, FAR, [200, 0, 250, 50]], [0.9, 0.8, 0.7, 0.6], [0, 0, 2, 2])]
    counts = confusion(*judged(cases, said, truth))
    # The surer of two wrong names for the dog is counted against it, the other against background.
    assert counts.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 2, 0]]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_to_put_mistakes_right_never_leads_above_1(cases: ModuleType, seed: int) -> None:
    said, truth = cases.scattered(seed, pictures=3)
    if not any(one.counted.any() for one in truth):
        return
    rows = Rows.of(said, truth, cases.CLASSES)
    cost = costs(rows, match(rows, [0.5]))
    assert tuple(cost) == KINDS
    assert all(0 <= value <= 1 - of_rows(rows).map50 + 1e-9 for value in cost.values())


def test_the_worst_picture_comes_first_with_a_verdict_on_each_box(cases: ModuleType) -> None:
    truth = [Objects.of([SQUARE], [0]), Objects.of([SQUARE, FAR], [0, 1]), Objects.of()]
    said = [
        cases.found([SQUARE], [0.9]),
        cases.found([SQUARE, [0, 0, 100, 80]], [0.9, 0.75]),
        cases.found([[0, 0, 9, 9]], [0.5]),
    ]
    rows, mistakes = judged(cases, said, truth)
    assert badness(rows, mistakes).tolist() == [0, 1.75, 0.5]
    worst = worst_pictures(rows, mistakes, items=[7, 8, 9], where="picture{}.jpg".format, count=5)
    assert [(one.item, one.path, one.badness) for one in worst] == [(8, "picture8.jpg", 1.75), (9, "picture9.jpg", 0.5)]
    assert [(box.label, box.verdict, box.iou) for box in worst[0].found] == [
        ("cat", "correct", 1.0),
        ("cat", "duplicate", 0.8),
    ]
    assert [(box.label, box.verdict, box.score) for box in worst[0].truth] == [
        ("cat", "found", None),
        ("dog", "missed", None),
    ]
    assert worst[0].errors == dict.fromkeys(KINDS, 0) | {"duplicate": 1, "missed": 1}
    assert worst[1].found[0].iou is None
    assert len(worst_pictures(rows, mistakes, items=[7, 8, 9], where=str, count=1)) == 1


@pytest.mark.parametrize("one", TIDE, ids=range(len(TIDE)))
def test_the_authors_tool_says_the_same(cases: ModuleType, one: dict[str, Any]) -> None:
    truth = [Objects.of(picture["objects"], picture["labels"]) for picture in one["pictures"]]
    said = [cases.found(picture["boxes"], picture["scores"], picture["called"]) for picture in one["pictures"]]
    rows = Rows.of(said, truth, cases.CLASSES)
    matches = match(rows, [0.5])
    mistakes = find_mistakes(rows, matches)
    assert mistakes.counts() == one["said"]["counts"]
    reading = 2e-3  # it compares recall with k / 100, pycocotools with linspace: now and then one of 101 points differs
    assert of_rows(rows).map50 == pytest.approx(one["said"]["map50"], abs=reading)
    cost = costs(rows, matches)
    place, name = (set(mistakes.truth[mistakes.verdict == VERDICTS.index(kind)]) for kind in ("localisation", "class"))
    for kind, value in one["said"]["costs"].items():
        if kind in ("localisation", "class") and place & name:
            # Of two kinds of mistake on one object the tool puts right the surer box's only: less is gained.
            assert cost[kind] >= value - reading
        else:
            assert cost[kind] == pytest.approx(value, abs=reading)
