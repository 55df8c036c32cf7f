"""Why boxes were found: a right one of each class and a wrong one of each kind, from the judgement's worst pictures.

Bounded: at most so many boxes in so many seconds, and the report says where it stopped. Class maps cost one forward
and one backward, so each box gets one; occlusion costs hundreds of forwards, and comes while time is left: one that is
not done by then is given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from glassnet.detection.detections import Detections
from glassnet.detection.drawing import outline
from glassnet.detection.explaining import Detector, explain_detection
from glassnet.detection.judging.judgement import Box, DetectionJudgement, PictureResult
from glassnet.detection.pictures import displayed
from glassnet.errors import GlassnetError, InputError
from glassnet.explain.explanation import Explanation
from glassnet.explain.progress import live
from glassnet.models.prediction import Picture
from glassnet.report.thumbnails import Thumbnail

AT_MOST = 8
"""Boxes explained in a report."""
SIDE = 320
"""Pixels of the longer side of a picture on the page."""
CLASS_MAPS = ("gradcam", "hirescam")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A box, what it was, the network's input with the box on it, and (method's title, map) pairs."""

    label: str
    score: float
    verdict: str
    path: str
    picture: Thumbnail
    maps: tuple[tuple[str, Thumbnail], ...]


@dataclass(frozen=True)
class Explanations:
    """What was explained; note: what a reader must know, as that time ran out."""

    boxes: list[Explained] = field(default_factory=list)
    note: str = ""


def explain_boxes(
    detector: Detector,
    judgement: DetectionJudgement,
    picture: Callable[[PictureResult], Picture] | None = None,
    *,
    at_most: int = AT_MOST,
    seconds: float = 20.0,
    quiet: bool = False,
) -> Explanations:
    """Explain boxes of the judgement's pictures; `picture` as in `scenes.scenes`.

    The maps of layers come first, for all boxes; then occlusion while there is time. A box that the detector does not
    find again, or a picture that cannot be read any more, is passed over.
    """
    ends = time.monotonic() + seconds
    chosen = list(_chosen(judgement, at_most))
    asked: list[_Asked] = []
    explained: list[Explained] = []
    with live("explaining", quiet=quiet) as progress:
        for result, box in chosen:
            if time.monotonic() <= ends:
                found = _found_again(detector, picture(result) if picture else result.path, box)
                if found is not None:
                    asked.append(found)
                    explained.append(_explain(detector, found, result, box))
                progress(len(explained), 2 * len(chosen))
        with suppress(_TimeUpError):
            for number, each in enumerate(asked):
                covered = _map(_cover(detector, each, ends))
                before = explained[number]
                explained[number] = replace(before, maps=(*before.maps, ("Occlusion", covered)))
                progress(len(chosen) + number + 1, 2 * len(chosen))
    return Explanations(explained, _note(explained, len(chosen), time.monotonic() > ends))


class _TimeUpError(Exception):
    """An occlusion was given up."""


def _cover(detector: Detector, asked: _Asked, ends: float) -> Explanation:
    """Return the occlusion of a box; raise `_TimeUpError` where it is not done by then."""

    def check(done: int, total: int) -> None:
        if done < total and time.monotonic() > ends:
            raise _TimeUpError

    check(0, 1)
    return explain_detection(
        detector, asked.picture, found=asked.found, which=asked.which, method="occlusion", progress=check
    )


@dataclass(frozen=True)
class _Asked:
    """A box that the detector found again: in which picture, among which detections, and its number there."""

    picture: Picture
    found: Detections
    which: int


def _chosen(judgement: DetectionJudgement, at_most: int) -> Iterator[tuple[PictureResult, Box]]:
    """Yield the surest right box of each class, then the surest wrong one of each kind."""
    pairs = [(result, box) for result in judgement.worst for box in result.found]
    pairs.sort(key=lambda pair: -(pair[1].score or 0.0))
    seen: set[tuple[str, str]] = set()
    taken = []
    for result, box in pairs:
        kind = ("right", box.label) if box.verdict == "correct" else ("wrong", box.verdict)
        if box.verdict != "ignored" and kind not in seen:
            seen.add(kind)
            taken.append((kind, result, box))
    for _, result, box in sorted(taken, key=lambda each: each[0][0])[:at_most]:
        yield result, box


def _found_again(detector: Detector, picture: Picture, box: Box) -> _Asked | None:
    """Return where the detector finds the box, up to a pixel; None where it does not."""
    threshold = max(0.0, (box.score or 0.0) - 0.01)
    try:
        (found,) = detector.detect([picture], threshold=threshold)
    except GlassnetError:
        return None
    if found.error is not None or not len(found):
        return None
    same = np.array([found.classes[label] == box.label for label in found.labels.tolist()])
    away = np.where(same, np.abs(found.boxes - np.asarray(box.xyxy, np.float32)).max(1), np.inf)
    which = int(away.argmin())
    return _Asked(picture, found, which) if away[which] <= 1.0 else None


def _explain(detector: Detector, asked: _Asked, result: PictureResult, box: Box) -> Explained:
    maps = []
    shown = None
    for method in CLASS_MAPS:
        try:
            shown = explain_detection(detector, asked.picture, found=asked.found, which=asked.which, method=method)
        except InputError:  # a module whose maps are not where they are looked for: occlusion needs none
            continue
        maps.append((shown.title, _map(shown)))
    picture = displayed(asked.picture) if shown is None else Image.fromarray(_three(shown.picture))
    return Explained(
        label=box.label,
        score=box.score or 0.0,
        verdict=box.verdict,
        path=result.path,
        picture=_with_box(picture, box.xyxy if shown is None else shown.settings["box"]),
        maps=tuple(maps),
    )


def _map(explained: Explanation) -> Thumbnail:
    """Return the map over the greyed picture, with the box drawn on it."""
    from glassnet.explain.figures import panels  # Matplotlib
    from glassnet.explain.page import uris

    image = Image.fromarray(uris.to_pixels(panels.overlaid(explained)))
    scale = image.width / explained.picture.shape[1]
    return _with_box(image, [side * scale for side in explained.settings["box"]])


def _with_box(image: Image.Image, box: Sequence[float]) -> Thumbnail:
    """Return an image at the page's size with the box on it: drawn afterwards, so that its line stays visible."""
    from glassnet.explain.page import uris

    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    outline(shown, [[side * scale for side in box]], width=2)
    return Thumbnail(uris.jpeg(np.asarray(shown)), pixelated=False)


def _three(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels[:, :, :1], 3, 2)


def _note(explained: list[Explained], chosen: int, late: bool) -> str:
    covered = sum(any(title == "Occlusion" for title, _ in each.maps) for each in explained)
    if not late or (len(explained), covered) == (chosen, chosen):
        return ""
    return f"Time for the maps of {len(explained)} of {chosen} boxes, and for the occlusion of {covered}."
