"""What is found in one picture, in the words of other formats: COCO, Pascal VOC, YOLO.

Pascal VOC and YOLO are written as annotations are (see `data.annotations.texts`), so what was found can be corrected by
hand and trained on; neither has a place for scores. COCO's annotations have one, and are COCO results too.
"""

from __future__ import annotations

from typing import Any

from glassnet.data.annotations.objects import Objects
from glassnet.data.annotations.texts import Written, voc_text, yolo_text
from glassnet.data.problems import printable
from glassnet.detection.detections import Detections


def coco_image(found: Detections, number: int, name: str) -> dict[str, Any]:
    """Return a COCO image for picture `number` (from 1), called `name` in the file."""
    height, width = _size(found)
    return {"id": number, "file_name": name, "width": width, "height": height}


def coco_annotations(found: Detections, number: int, first: int) -> list[dict[str, Any]]:
    """Return COCO annotations with a score, so that they are COCO results too; ids from `first` on.

    Categories are numbered from 1, in the order of the classes.
    """
    annotations = []
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    for place, ((left, top, right, bottom), score, label) in enumerate(rows):
        sides = [round(side, 2) for side in (left, top, right - left, bottom - top)]
        annotations.append(
            {
                "id": first + place,
                "image_id": number,
                "category_id": label + 1,
                "bbox": sides,
                "area": round(sides[2] * sides[3], 2),
                "iscrowd": 0,
                "score": round(score, 5),
            }
        )
    return annotations


def coco_categories(classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return COCO categories, numbered from 1."""
    return [{"id": number, "name": name} for number, name in enumerate(classes, 1)]


def voc_xml(found: Detections, name: str) -> str:
    """Return the Pascal VOC annotation of the picture called `name`, "/" between folders: pixels counted from 1."""
    folder, _, file = printable(name).rpartition("/")
    return voc_text(_written(found, file), folder, [printable(label) for label in found.classes])


def yolo_txt(found: Detections) -> str:
    """Return a line "class cx cy width height" for each box, as shares of the picture; "" where nothing was found."""
    return yolo_text(_written(found, ""))


def _written(found: Detections, name: str) -> Written:
    return Written(name, _size(found), 0, Objects.of(found.boxes, found.labels))


def _size(found: Detections) -> tuple[int, int]:
    assert found.size is not None, "a picture without an error has a size"
    return found.size
