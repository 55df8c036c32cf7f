"""The input's size follows the class with the smallest objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassnet.data.annotations.scan import scan_boxes
from glassnet.detection.training.recipes import RECIPES
from glassnet.detection.training.size import choose_size, class_shares


def annotated(folder: Path, boxes: dict[str, list[int]]) -> Path:
    """Write one picture of 1000x500 for each class, with square boxes of the given sides."""
    rows = ["path,label,xmin,ymin,xmax,ymax,split"]
    for number, (name, sides) in enumerate(boxes.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (500, 1000, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows += [f"{name}.png,{name},0,0,{side},{side},train" for side in sides]
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    "smallest, size",
    [
        (80, 416),  # 32 of 400 pixels: the next multiple of 32
        (50, 640),  # exactly 32 of 640
        (420, 320),  # large ones: the least
        (3, 640),  # specks: the most
    ],
)
def test_a_usual_object_of_the_smallest_class_is_32_pixels_across(tmp_path: Path, smallest: int, size: int) -> None:
    index = scan_boxes(annotated(tmp_path, {"cat": [440] * 9, "mouse": [smallest - 1, smallest, 450]}))
    assert class_shares(index)["mouse"] == pytest.approx(smallest / 1000)  # the median of three
    found, why = choose_size(index)
    assert found == size
    assert why == f"input of {size} pixels, in which a usual 'mouse' is {smallest * size / 1000:.0f} across"


def test_the_recipe_leaves_the_size_to_the_data() -> None:
    assert RECIPES.find("detect").size == 0
    assert RECIPES.find("detect", size=512).size == 512
