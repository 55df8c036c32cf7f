"""What is found in one picture, in the words of other formats: COCO, Pascal VOC, YOLO.

Ours are edges: a box over the whole picture is (0, 0, width, height). COCO has the same edges, as left, top, width and
height. Pascal VOC numbers pixels from 1 and includes both ends: the whole picture is (1, 1, width, height). YOLO has
the centre and the sides as shares of the picture's.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

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


def voc_xml(found: Detections, name: str) -> bytes:
    """Return a Pascal VOC annotation of the picture called `name`: whole pixels, and the score beside each object."""
    height, width = _size(found)
    root = ET.Element("annotation")
    _put(root, "folder", printable(name).rpartition("/")[0])
    _put(root, "filename", printable(name).rpartition("/")[2])
    size = ET.SubElement(root, "size")
    for key, value in (("width", width), ("height", height), ("depth", 3)):
        _put(size, key, value)
    _put(root, "segmented", 0)
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    for box, score, label in rows:
        thing = ET.SubElement(root, "object")
        _put(thing, "name", printable(found.classes[label]))
        _put(thing, "pose", "Unspecified")
        _put(thing, "truncated", 0)
        _put(thing, "difficult", 0)
        _put(thing, "score", f"{score:.5f}")
        corners = ET.SubElement(thing, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), voc_corners(box, width, height), strict=True):
            _put(corners, key, value)
    ET.indent(root, "\t")
    text: bytes = ET.tostring(root, encoding="utf-8")
    return text + b"\n"


def voc_corners(box: list[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the first and last pixel columns and rows of a box, numbered from 1; at least one pixel of the picture."""
    left, right = _pixels(box[0], box[2], width)
    top, bottom = _pixels(box[1], box[3], height)
    return left, top, right, bottom


def yolo_txt(found: Detections) -> str:
    """Return a line "class cx cy width height" for each box, relative to the picture; "" where nothing was found.

    Scores have no place in a file to train on, so they are left out.
    """
    height, width = _size(found)
    lines = []
    for (left, top, right, bottom), label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True):
        shares = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        lines.append(" ".join([str(label), *(f"{share:.6f}" for share in shares)]) + "\n")
    return "".join(lines)


def _pixels(low: float, high: float, length: int) -> tuple[int, int]:
    first = min(max(round(low) + 1, 1), length)
    return first, min(max(round(high), first), length)


def _size(found: Detections) -> tuple[int, int]:
    assert found.size is not None, "a picture without an error has a size"
    return found.size


def _put(parent: ET.Element, name: str, value: object) -> None:
    ET.SubElement(parent, name).text = str(value)
