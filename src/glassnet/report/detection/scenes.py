"""Pictures with truth and finds side by side, as SVG over one embedded JPEG: sharp at any size, and each box tells
what it is when pointed at.

Colours say right or wrong, not the class: blue what is right, orange what is wrong, yellow what was missed. Wrong boxes
get their labels first, so that they can be read on a picture with thirty objects; the right ones only on one with few.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from glassnet.data.problems import printable
from glassnet.detection.drawing import font, short
from glassnet.detection.judging.judgement import Box, DetectionJudgement, PictureResult
from glassnet.detection.labels import place_labels
from glassnet.detection.pictures import displayed
from glassnet.errors import PictureError
from glassnet.models.prediction import Picture

LARGEST = 720  # px; longer sides are scaled down
SMALLEST = 360  # the drawing's px: below, pictures are drawn enlarged, or labels of readable letters would hide them
MOST_BYTES = 150_000  # of one JPEG, so that 24 of them stay below 5 MB
QUALITIES = (80, 65, 45, 25)
MOST = 24
FEW = 8  # with at most so many boxes on a picture, right ones are labelled as well
LETTER = 0.03  # height of letters, as a share of the picture's width

WORDS = {
    "correct": "right", "found": "found", "missed": "missed", "ignored": "not counted", "localisation": "box off",
    "class": "wrong class", "duplicate": "found twice", "background": "nothing there",
    "both": "wrong class, box off",
}  # fmt: skip
"""What a verdict means, in the words of the page."""
LOOKS = {"correct": "right", "found": "right", "ignored": "ignored", "missed": "missed"}
"""The look of a verdict; of any other it is "wrong"."""


@dataclass(frozen=True)
class Scene:
    """A picture of the judgement as the page shows it: the JPEG `uri`, drawn width x height large, `scale` of that to
    one of the picture's own pixels. `error` says why there is no picture."""

    result: PictureResult
    uri: str = ""
    width: int = 0
    height: int = 0
    scale: float = 1.0
    error: str = ""


def scenes(
    judgement: DetectionJudgement, picture: Callable[[PictureResult], Picture] | None = None, *, most: int = MOST
) -> list[Scene]:
    """Return the worst pictures of a judgement, ready for the page, at most `most`.

    picture: gives a result's picture; by default the file at its path. One that cannot be read any more says so.
    """
    return [_scene(result, picture(result) if picture else result.path) for result in judgement.worst[:most]]


def _scene(result: PictureResult, picture: Picture) -> Scene:
    try:
        image = displayed(picture)
    except PictureError as error:
        return Scene(result, error=str(error))
    width = image.width
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    times = max(1, round(SMALLEST / max(image.size)))
    return Scene(result, _jpeg(image), times * image.width, times * image.height, times * image.width / width)


def _jpeg(image: Image.Image) -> str:
    data = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def truth_svg(scene: Scene, name: str, *, again: bool = False) -> str:
    """Return the picture with the true boxes; it defines the picture `name`, or shows it `again`, as `found_svg`."""
    image = f'<image id="{name}" href="{scene.uri}" width="{scene.width}" height="{scene.height}"/>'
    title = f"Truth: {len(scene.result.truth)} objects"
    return _svg(scene, scene.result.truth, f'<use href="#{name}"/>' if again else image, title)


def found_svg(scene: Scene, name: str) -> str:
    """Return the picture with the boxes found."""
    return _svg(scene, scene.result.found, f'<use href="#{name}"/>', f"Found: {len(scene.result.found)} boxes")


def summary(result: PictureResult) -> str:
    """Return a picture's errors in words: "2 missed · 1 nothing there"; "no error" where there is none."""
    said = [f"{count} {WORDS.get(kind, kind)}" for kind, count in result.errors.items() if count]
    return " · ".join(said) or "no error"


def _svg(scene: Scene, boxes: Sequence[Box], image: str, title: str) -> str:
    order = sorted(boxes, key=lambda box: (look(box) not in ("wrong", "missed"), -(box.score or 0.0)))
    frames = "".join(_frame(scene, box) for box in reversed(order))
    return (
        f'<svg class="scene" role="img" aria-label="{escape(title)}" viewBox="0 0 {scene.width} {scene.height}">'
        f"{image}{frames}{''.join(_labels(scene, order))}</svg>"
    )


def look(box: Box) -> str:
    """Return how a box is drawn: "right", "wrong", "missed" or "ignored"."""
    return LOOKS.get(box.verdict, "wrong")


def _frame(scene: Scene, box: Box) -> str:
    """Return a box as two rectangles: a dark one below keeps the line visible on any ground."""
    left, top, right, bottom = (side * scale for side, scale in zip(box.xyxy, [scene.scale] * 4, strict=True))
    place = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 1):.1f}" height="{max(bottom - top, 1):.1f}"'
    return f'<g class="{look(box)}"><title>{escape(_told(box))}</title><rect class="edge" {place}/><rect {place}/></g>'


def _told(box: Box) -> str:
    parts = [printable(box.label)]
    parts += [f"score {box.score:.2f}"] if box.score is not None else []
    parts += [f"IoU {box.iou:.2f}"] if box.iou is not None else []
    return ", ".join([*parts, WORDS.get(box.verdict, box.verdict)])


def _labels(scene: Scene, boxes: Sequence[Box]) -> Iterator[str]:
    """Yield the labels of boxes, the first ones first served."""
    size = max(11, round(LETTER * max(scene.width, 0.75 * scene.height)))
    letters = font(size)
    texts = [_texts(box, few=len(boxes) <= FEW) for box in boxes]
    corners = np.array([box.xyxy for box in boxes], np.float64).reshape(-1, 4) * scene.scale
    placed = place_labels(
        corners,
        texts,
        (scene.height, scene.width),
        lambda text: (0.94 * letters.getlength(text) + 0.5 * size, 1.3 * size),
    )
    for box, label in zip(boxes, placed, strict=True):
        if label is not None:
            yield (
                f'<g class="label {look(box)}"><rect x="{label.left:.1f}" y="{label.top:.1f}" '
                f'width="{label.width:.1f}" height="{label.height:.1f}"/><text x="{label.left + 0.25 * size:.1f}" '
                f'y="{label.top + 0.97 * size:.1f}" style="--size:{size}px">{escape(label.text)}</text></g>'
            )


def _texts(box: Box, *, few: bool) -> list[str]:
    name, word = short(box.label), WORDS.get(box.verdict, box.verdict)
    if look(box) in ("right", "ignored"):
        return [f"{name} {box.score:.2f}" if box.score is not None else name, name] if few else []
    scored = f"{name} {box.score:.2f}" if box.score is not None else name
    return [f"{scored}: {word}", f"{name}: {word}", name, word]
