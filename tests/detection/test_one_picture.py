"""One picture in COCO's, Pascal VOC's and YOLO's words, with numbers done by hand."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glassnet.data.annotations.scan import scan_boxes
from glassnet.detection import one_picture
from glassnet.detection.detections import Detections

SIDES = ("xmin", "ymin", "xmax", "ymax")
FOUND = Detections(
    boxes=np.array([[0, 0, 200, 100], [10, 20, 50, 40], [199.7, 99.8, 200, 100]], np.float32),
    scores=np.array([0.9, 0.5, 0.25], np.float32),
    labels=np.array([1, 0, 1]),
    classes=("cat", "dog & co"),
    size=(100, 200),
    path="a/b.jpg",
)


def test_coco_has_edges_as_left_top_width_height_and_numbers_categories_from_1() -> None:
    rows = one_picture.coco_annotations(FOUND, 7, 3)
    assert rows[0]["bbox"] == [0, 0, 200, 100]
    assert rows[1] == {
        "id": 4, "image_id": 7, "category_id": 1, "bbox": [10, 20, 40, 20], "area": 800, "iscrowd": 0, "score": 0.5,
    }  # fmt: skip
    assert one_picture.coco_image(FOUND, 7, "b.jpg") == {"id": 7, "file_name": "b.jpg", "width": 200, "height": 100}
    assert one_picture.coco_categories(FOUND.classes)[1] == {"id": 2, "name": "dog & co"}


def test_voc_numbers_pixels_from_1_and_says_which_picture() -> None:
    root = ET.fromstring(one_picture.voc_xml(FOUND, "a/b.jpg"))
    names = ("folder", "filename", "size/width", "size/height")
    assert [root.findtext(name) for name in names] == ["a", "b.jpg", "200", "100"]
    assert [thing.findtext("name") for thing in root.findall("object")] == ["dog & co", "cat", "dog & co"]
    corners = [[thing.findtext(f"bndbox/{side}") for side in SIDES] for thing in root.findall("object")]
    assert corners[:2] == [["1", "1", "200", "100"], ["11", "21", "50", "40"]]


def test_voc_stays_xml_with_any_name() -> None:
    hostile = replace(FOUND, classes=("\x01<cat>", "caf\udce9"))
    root = ET.fromstring(one_picture.voc_xml(hostile, "a/\x02\udce9.jpg").encode())
    assert len(root.findall("object")) == 3


def test_yolo_has_the_centre_and_the_sides_as_shares() -> None:
    rows = [[float(word) for word in line.split()] for line in one_picture.yolo_txt(FOUND).splitlines()]
    assert rows[:2] == [[1, 0.5, 0.5, 1, 1], [0, 0.15, 0.3, 0.2, 0.2]]
    assert one_picture.yolo_txt(FOUND.above(0.99)) == ""


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo"])
def test_our_own_reader_finds_the_same_boxes_again(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (2, 100, 200, 3), dtype=np.uint8)
    whole = FOUND.only(np.array([0, 1]))
    for number in range(2):
        folder = tmp_path / ("images" if kind == "yolo" else "JPEGImages" if kind == "voc" else ".")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels[number]).save(folder / f"{number}.png")
        if kind == "voc":
            (tmp_path / "Annotations").mkdir(exist_ok=True)
            (tmp_path / "Annotations" / f"{number}.xml").write_text(one_picture.voc_xml(whole, f"{number}.png"))
        if kind == "yolo":
            (tmp_path / "labels").mkdir(exist_ok=True)
            (tmp_path / "labels" / f"{number}.txt").write_text(one_picture.yolo_txt(whole))
            (tmp_path / "classes.txt").write_text("cat\ndog & co\n")
    if kind == "coco":
        table = {
            "images": [one_picture.coco_image(whole, n + 1, f"{n}.png") for n in range(2)],
            "annotations": [row for n in range(2) for row in one_picture.coco_annotations(whole, n + 1, 2 * n + 1)],
            "categories": one_picture.coco_categories(whole.classes),
        }
        (tmp_path / "annotations.json").write_text(json.dumps(table))
    index = scan_boxes(tmp_path, evaluate_only=True, cache=False)
    assert index.kind == kind
    for objects in index.objects:
        order = np.argsort(-objects.boxes[:, 2])
        np.testing.assert_allclose(objects.boxes[order], whole.boxes, atol=1e-3)
        assert [index.classes[label] for label in objects.labels[order]] == ["dog & co", "cat"]
