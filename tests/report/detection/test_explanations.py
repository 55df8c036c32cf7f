"""Which boxes a report explains, and that it stops in time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from glassnet.detection.detections import Detections
from glassnet.detection.judging.judgement import Box, DetectionJudgement, PictureResult
from glassnet.errors import InputError
from glassnet.explain.explanation import Explanation
from glassnet.report.detection import DetectionReport, explanations
from glassnet.report.detection.explanations import explain_boxes

PIXELS = np.full((40, 40, 3), 120, np.uint8)


def box(label: str, score: float, verdict: str) -> Box:
    return Box(label=label, xyxy=[4.0, 4.0, 20.0, 20.0 + 10 * score], verdict=verdict, score=score)


@pytest.fixture
def judgement(report: Callable[..., DetectionReport]) -> DetectionJudgement:
    found = [
        box("disc", 0.9, "correct"), box("disc", 0.8, "correct"), box("square", 0.7, "correct"),
        box("disc", 0.6, "background"), box("square", 0.5, "background"), box("square", 0.4, "ignored"),
    ]  # fmt: skip
    result = PictureResult(item=3, path="a.png", badness=1, errors={}, truth=[], found=found)
    return dataclasses.replace(report(pictures=0).judgement, worst=[result])


class Finding:
    """Finds again what the judgement says, but for the squares it is told to forget."""

    def __init__(self, judgement: DetectionJudgement, forgets: str = "") -> None:
        self.boxes = [each for each in judgement.worst[0].found if each.label != forgets]

    def detect(self, images: Any, *, threshold: float) -> list[Detections]:
        boxes = [each for each in self.boxes if each.score is not None and each.score >= threshold]
        return [
            Detections(
                boxes=np.array([each.xyxy for each in boxes], np.float32).reshape(-1, 4),
                scores=np.array([each.score for each in boxes], np.float32),
                labels=np.array([("disc", "square").index(each.label) for each in boxes], np.int64),
                classes=("disc", "square"), size=(40, 40),
            )
            for _ in images
        ]  # fmt: skip


def told(
    detector: Any,  # noqa: ARG001
    picture: Any,  # noqa: ARG001
    *,
    found: Detections,
    which: int,
    method: str,
    progress: Any = None,  # noqa: ARG001
) -> Explanation:
    return Explanation(
        array=np.eye(5, dtype=np.float32), method=method, title=method.upper(), kind="map", unit="", picture=PIXELS,
        extent=(0, 40, 0, 40), settings={"box": found.boxes[which].tolist()},
    )  # fmt: skip


def explained(judgement: DetectionJudgement, **choices: Any) -> explanations.Explanations:
    detector = choices.pop("detector", None) or Finding(judgement)
    return explain_boxes(detector, judgement, lambda _: PIXELS, quiet=True, **choices)


def test_the_surest_right_box_of_each_class_and_wrong_one_of_each_kind(
    judgement: DetectionJudgement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "explain_detection", told)
    found = explained(judgement)
    assert [(each.label, each.score, each.verdict) for each in found.boxes] == [
        ("disc", 0.9, "correct"), ("square", 0.7, "correct"), ("disc", 0.6, "background"),
    ]  # fmt: skip
    assert [title for title, _ in found.boxes[0].maps] == ["GRADCAM", "HIRESCAM", "Occlusion"]
    assert found.note == ""
    assert len(explained(judgement, at_most=1).boxes) == 1


def test_a_box_that_is_not_found_again_is_passed_over(
    judgement: DetectionJudgement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "explain_detection", told)
    found = explained(judgement, detector=Finding(judgement, forgets="square"))
    assert [each.label for each in found.boxes] == ["disc", "disc"]


def test_occlusion_remains_where_the_maps_cannot_be_found(
    judgement: DetectionJudgement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_occlusion(*args: Any, method: str, **choices: Any) -> Explanation:
        if method != "occlusion":
            raise InputError("no maps of 4 x 4 positions were found")
        return told(*args, method=method, **choices)

    monkeypatch.setattr(explanations, "explain_detection", only_occlusion)
    found = explained(judgement)
    assert [[title for title, _ in each.maps] for each in found.boxes] == [["Occlusion"]] * 3


def test_it_stops_in_time_and_says_so(judgement: DetectionJudgement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "explain_detection", told)
    clock = iter([0.0, 1.0, 2.0, *[99.0] * 9])
    monkeypatch.setattr(explanations.time, "monotonic", lambda: next(clock))
    found = explained(judgement, seconds=10)
    assert len(found.boxes) == 2
    assert found.note == "Time for the maps of 2 of 3 boxes, and for the occlusion of 0."


def test_an_occlusion_that_would_outlast_its_time_is_given_up(
    judgement: DetectionJudgement, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def slow(*args: Any, method: str, progress: Any = None, **choices: Any) -> Explanation:
        for done in range(1, 6 if progress else 1):  # a second for each fifth of an occlusion
            now[0] += 1.0
            progress(done, 5)
        return told(*args, method=method, **choices)

    monkeypatch.setattr(explanations, "explain_detection", slow)
    monkeypatch.setattr(explanations.time, "monotonic", lambda: now[0])
    found = explained(judgement, seconds=7)
    assert ["Occlusion" in dict(each.maps) for each in found.boxes] == [True, False, False]
    assert now[0] == 8.0, "the second was given up in its third fifth"
    assert found.note == "Time for the maps of 3 of 3 boxes, and for the occlusion of 1."
