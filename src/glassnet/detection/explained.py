"""Why boxes were found, for several pictures, boxes and methods: what `glassnet explain` shows of a detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glassnet.detection.detector import Detector
from glassnet.detection.drawing import outline
from glassnet.detection.explaining import METHODS, explain_detection
from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.explain.case import Progress, no_progress
from glassnet.explain.explanation import Explanation
from glassnet.explain.figures.rows import Explained
from glassnet.models.prediction import Picture

_CAM, _COVER = ("layer",), ("size", "stride", "occluder", "seed")
TAKES = {name: _COVER if name == "occlusion" else _CAM for name in METHODS}
"""The settings of each method."""


def explain_detections(
    detector: Detector,
    pictures: Sequence[Picture],
    methods: Sequence[str],
    *,
    boxes: Sequence[int] = (0,),
    threshold: float | None = None,
    settings: Mapping[str, Any] | None = None,
    strict: bool = False,
    progress: Progress = no_progress,
) -> Iterator[Explained]:
    """Yield a row for each of the `boxes` of each picture, 0 being the surest, explained by all `methods` in turn.

    A picture that cannot be read, or in which there is no such box, gives an `Explained` with its error, or raises
    where `strict`. settings: of the methods, by name; each goes to every method that takes it, and "occlusion.stride"
    to one.

    Raises:
        UnknownName: a method. InputError: a setting that no method takes, or that is out of range.
    """
    asked = {name: settings_of(name, methods, settings or {}) for name in dict.fromkeys(methods)}
    for picture in pictures:
        path = str(picture) if isinstance(picture, str | Path) else None
        try:
            found = detector.detect(picture, threshold=threshold)[0]
            if found.error is not None:
                raise PictureError(found.error, kind="unreadable")
            rows = [
                [
                    explain_detection(detector, picture, which=box, method=name, found=found, progress=progress, **how)
                    for name, how in asked.items()
                ]
                for box in boxes
            ]
        except (PictureError, InputError) as error:
            if strict:
                raise
            yield Explained(path, error=str(error))
            continue
        yield from (Explained(path, [outlined(each) for each in maps]) for maps in rows)


def outlined(found: Explanation) -> Explanation:
    """Return an explanation whose picture shows the box that it explains."""
    canvas = Image.fromarray(np.ascontiguousarray(found.picture))
    outline(canvas, [found.settings["box"]])
    return replace(found, picture=np.asarray(canvas))


def settings_of(method: str, methods: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settings that `method` takes; raise for one that none of `methods` takes."""
    if method not in TAKES:
        raise UnknownName("method", method, TAKES, hint=f"boxes are explained by {', '.join(TAKES)}")
    own = {}
    for name, value in settings.items():
        whose, _, inner = name.rpartition(".")
        takers = [each for each in ([whose] if whose else methods) if inner in TAKES.get(each, ())]
        if not takers:
            raise InputError(f"{' and '.join(methods)} of a box takes no setting {name!r}; there are {known(methods)}")
        if method in takers:
            own[inner] = value
    return own


def known(methods: Sequence[str]) -> str:
    """Return the settings of `methods` as words."""
    return ", ".join(dict.fromkeys(setting for name in methods for setting in TAKES.get(name, ())))
