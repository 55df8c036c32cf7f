"""Where a picture's pixels come to lie in a network's input, and back: what a preprocess does to coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from glassnet.preprocess import PIXEL_LIMIT, Preprocess, Source, open_source, orientation_of

Boxes = TypeVar("Boxes", bound=Any)


@dataclass(frozen=True)
class Placement:
    """x of the input = `scale_x` x + `left`, y likewise, for x and y in pixels of the picture as displayed.

    Coordinates are of edges: 0 is the picture's left edge, its width the right one.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float

    @classmethod
    def of(cls, preprocess: Preprocess, size: tuple[int, int]) -> Placement:
        """Return where a picture of `size` (height, width) comes to lie in the input of `preprocess`."""
        height, width = size
        stored = preprocess.store_width, preprocess.store_height
        across, down = stored[0] / width, stored[1] / height
        inside = stored
        if preprocess.resize == "shortest":
            across = down = max(across, down)
        elif preprocess.resize == "pad":  # to whole pixels, as the resize does it
            scale = min(across, down)
            inside = (
                max(1, min(stored[0], round(width * scale))),
                max(1, min(stored[1], round(height * scale))),
            )
            across, down = inside[0] / width, inside[1] / height
        if preprocess.resize == "shortest":
            left, top = (stored[0] - width * across) / 2, (stored[1] - height * down) / 2
        else:
            left, top = float((stored[0] - inside[0]) // 2), float((stored[1] - inside[1]) // 2)
        cut = (stored[0] - preprocess.width) // 2, (stored[1] - preprocess.height) // 2  # the centre crop
        return cls(across, down, left - cut[0], top - cut[1])

    def to_input(self, boxes: Boxes) -> Boxes:
        """Return `boxes` (..., 4) xyxy of the picture in pixels of the input; arrays or tensors."""
        placed: Boxes = boxes * self._like(boxes, self._scale()) + self._like(boxes, self._shift())
        return placed

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Return `boxes` (..., 4) xyxy of the input in pixels of the picture; the inverse of `to_input`."""
        placed: Boxes = (boxes - self._like(boxes, self._shift())) / self._like(boxes, self._scale())
        return placed

    def _scale(self) -> list[float]:
        return [self.scale_x, self.scale_y] * 2

    def _shift(self) -> list[float]:
        return [self.left, self.top] * 2

    @staticmethod
    def _like(boxes: Any, numbers: list[float]) -> Any:
        if isinstance(boxes, np.ndarray):
            return np.asarray(numbers, boxes.dtype)
        return boxes.new_tensor(numbers)


def displayed_size(source: Source, *, pixel_limit: int = PIXEL_LIMIT) -> tuple[int, int]:
    """Return the (height, width) of a picture as displayed, its EXIF orientation applied; the pixels stay unread.

    Raises `PictureError` as `Preprocess.intermediate` does.
    """
    opened = open_source(source, pixel_limit)
    if not isinstance(opened, Image.Image):
        return opened.shape[0], opened.shape[1]
    width, height = opened.size
    return (width, height) if orientation_of(opened) >= 5 else (height, width)  # 5 to 8 lie on their side
