"""Boxes with labels on a picture, drawn with Pillow alone.

Lines and letters grow with the picture. What was found is a solid line in the colour of its class, with a thin dark
edge that keeps it visible on any ground; truth is a dashed white line, with a label only where nothing was found.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glassnet.data.annotations.objects import Objects
from glassnet.data.problems import printable
from glassnet.detection.detections import Detections
from glassnet.detection.labels import Label, place_labels
from glassnet.detection.pictures import displayed
from glassnet.errors import InputError
from glassnet.models.prediction import Picture

Colour = tuple[int, int, int]
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66),
)  # fmt: skip
"""Okabe and Ito 2008, "Color Universal Design": told apart without red, without green, and in grey print."""
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
EDGE = (0, 0, 0, 120)  # RGBA of the thin dark edge around lines
LINE, LETTER = 0.0042, 0.025  # width of a line and height of letters, as shares of the picture's mean side
SMALLEST_LETTER = 11  # pixels; smaller cannot be read
NAME = 24  # letters of a class name that a label shows

Edges = tuple[int, int, int, int]


def draw(picture: Picture, detections: Detections, *, truth: Objects | None = None, scores: bool = True) -> Image.Image:
    """Return the picture as displayed (RGB, its own size) with what was found, and the truth where it is given.

    scores: labels say the score behind the name. The surest boxes lie on top and get their labels first. Boxes must be
    in pixels of the picture as displayed. Raises `PictureError` where it cannot be read, `InputError` for truth of a
    class that `detections` does not know.
    """
    canvas = displayed(picture)
    pen = _Pen(canvas)
    for box, label in zip(detections.boxes[::-1], detections.labels[::-1].tolist(), strict=True):
        pen.box(box, colour_of(label))
    missed = _draw_truth(pen, detections, truth) if truth is not None else Objects.of()
    names = [short(name) for name in detections.classes]
    texts = [
        [f"{names[label]} {score:.2f}" if scores else names[label], names[label], _first_letters(names[label])]
        for label, score in zip(detections.labels.tolist(), detections.scores.tolist(), strict=True)
    ]
    texts += [[f"missed: {names[label]}", "missed"] for label in missed.labels.tolist()]
    boxes = np.concatenate([detections.boxes, missed.boxes])
    colours = [colour_of(label) for label in detections.labels.tolist()] + [WHITE] * len(missed)
    for place, colour in zip(
        place_labels(boxes, texts, (canvas.height, canvas.width), pen.measure), colours, strict=True
    ):
        if place is not None:
            pen.label(place, colour)
    return canvas


def outline(
    canvas: Image.Image, boxes: Sequence[Sequence[float]], colour: Colour = WHITE, *, width: int | None = None
) -> None:
    """Draw boxes (n, 4) xyxy on an RGB image itself, without labels; lines of `width` pixels, by default as `draw`."""
    pen = _Pen(canvas)
    pen.width = width or pen.width
    for box in boxes:
        pen.box(np.asarray(box, np.float32), colour)


def colour_of(label: int) -> Colour:
    """Return the colour of class number `label`: the palette, then darker, then lighter, and again."""
    base, turn = PALETTE[label % len(PALETTE)], label // len(PALETTE) % 3
    towards, share = ((BLACK, 0.0), (BLACK, 0.4), (WHITE, 0.5))[turn]
    return tuple(round(a + (b - a) * share) for a, b in zip(base, towards, strict=True))  # type: ignore[return-value]


def text_colour(ground: Colour) -> Colour:
    """Return black or white, whichever is easier to read on `ground`: a contrast of at least 4.5 on any."""
    return max(WHITE, BLACK, key=lambda ink: contrast(ink, ground))


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio"); text wants 4.5."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def short(name: str) -> str:
    """Return a class name as labels show it: one line, printable, at most `NAME` letters."""
    name = printable(name)
    return name if len(name) <= NAME else name[: NAME - 1].rstrip() + "…"


def _first_letters(name: str) -> str:
    return name if len(name) <= 4 else name[:3] + "…"


def _luminance(colour: Colour) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _draw_truth(pen: _Pen, detections: Detections, truth: Objects) -> Objects:
    """Draw the truth's boxes; return what had to be found and was not: no box of its class with an IoU of 0.5."""
    if len(truth) and int(truth.labels.max()) >= len(detections.classes):
        raise InputError(
            f"the truth has class number {int(truth.labels.max())}; the detections know {len(detections.classes)}, "
            "numbered from 0: give both the same classes"
        )
    for box, counted in zip(truth.boxes, truth.counted.tolist(), strict=True):
        pen.dashed(box, WHITE, 5.0 if counted else 1.5)
    found = overlaps(truth.boxes, detections.boxes) >= 0.5
    same = truth.labels[:, None] == detections.labels[None]
    return truth.only(truth.counted & ~(found & same).any(1))


def overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the IoU of each of (n, 4) with each of (m, 4) xyxy boxes, (n, m)."""
    import torch  # the drawing itself needs none

    from glassnet.boxes import box_iou

    found: NDArray[np.float64] = box_iou(torch.from_numpy(one), torch.from_numpy(other)).double().numpy()
    return found


class _Pen:
    """Draws on one picture with lines and letters of one size."""

    def __init__(self, canvas: Image.Image) -> None:
        side = (canvas.width * canvas.height) ** 0.5
        self.canvas = canvas
        self.width = max(1, round(LINE * side))
        self.hair = max(1, round(self.width / 3))  # the dark edge
        self.font = font(max(SMALLEST_LETTER, round(LETTER * side)))
        ascent, descent = self.font.getmetrics()
        self.margin = max(2, round(0.25 * ascent))
        self.high = ascent + descent + max(1, self.margin // 2)
        self.pen = ImageDraw.Draw(canvas, "RGBA")  # so that colours with alpha are laid over the picture

    def measure(self, text: str) -> tuple[float, float]:
        """Return the (width, height) of a label."""
        return round(self.font.getlength(text)) + 2 * self.margin, self.high

    def box(self, box: NDArray[np.float32], colour: Colour) -> None:
        """Draw a solid line, its middle on the box's edge where the picture has room for it."""
        self._frame(box, lambda side: [side], colour)

    def dashed(self, box: NDArray[np.float32], colour: Colour, dash: float) -> None:
        """Draw a dashed line, with dashes `dash` times as long as it is wide."""
        self._frame(box, lambda side: _dashes(side, max(2, round(dash * self.width))), colour)

    def label(self, label: Label, ground: Colour) -> None:
        """Draw a label's ground and its text."""
        left, top = round(label.left), round(label.top)
        self.pen.rectangle((left, top, left + label.width - 1, top + label.height - 1), fill=ground)
        self.pen.text((left + self.margin, top), label.text, fill=text_colour(ground), font=self.font)

    def _frame(self, box: NDArray[np.float32], cut: Callable[[Edges], list[Edges]], colour: Colour) -> None:
        """Draw the four sides of a box, each `cut` into strokes, over a dark edge; nothing where it is out of sight."""
        left, top, right, bottom = (round(float(side)) for side in box)
        half = self.width // 2  # the line's middle is on the edge; of an odd width the larger part is inside
        low = (max(0, left - half), max(0, top - half))
        high = (min(self.canvas.width, right + half), min(self.canvas.height, bottom + half))
        if high[0] <= low[0] or high[1] <= low[1]:
            return
        for grown, fill in ((self.hair, EDGE), (0, colour)):
            for side in _sides((*low, *high), grown, self.width + 2 * grown):
                for stroke in cut(side):
                    self.pen.rectangle(stroke, fill=fill)


def _dashes(side: Edges, dash: int) -> list[Edges]:
    """Cut a side into dashes, with gaps of two thirds of a dash."""
    left, top, right, bottom = side
    if right - left >= bottom - top:
        return [(x, top, min(x + dash - 1, right), bottom) for x in range(left, right + 1, dash + (2 * dash + 2) // 3)]
    return [(left, y, right, min(y + dash - 1, bottom)) for y in range(top, bottom + 1, dash + (2 * dash + 2) // 3)]


def _sides(frame: Edges, grown: int, thick: int) -> list[Edges]:
    """Return the sides of a frame as rectangles that do not overlap, both ends included, as Pillow draws them.

    frame: its outer (left, top, right, bottom); grown: pixels by which it is larger; thick: its lines.
    """
    left, top, right, bottom = frame[0] - grown, frame[1] - grown, frame[2] + grown - 1, frame[3] + grown - 1
    low, high = top + thick, bottom - thick  # the first row below the upper side, the last one above the lower
    if low > high or left + thick > right - thick:
        return [(left, top, right, bottom)]  # smaller than its lines
    upper, lower = (left, top, right, low - 1), (left, high + 1, right, bottom)
    return [upper, lower, (left, low, left + thick - 1, high), (right - thick + 1, low, right, high)]


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with Matplotlib and has letters for most of the world's alphabets."""
    found = importlib.util.find_spec("matplotlib")  # not imported: only its folder is needed
    assert found is not None, "Matplotlib is one of our own requirements"
    assert found.origin is not None
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
