"""Boxes given in another way than their format's: said where it is evident, and never where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassnet.data.annotations.scan import scan_boxes
from glassnet.errors import DataError

Make = Callable[..., Any]
XYWH = [(50, 40, 30, 20), (60, 10, 20, 30), (5, 5, 40, 60)]
XYXY = [(left, top, left + width, top + height) for left, top, width, height in XYWH]


def table(root: Path, boxes: list[tuple[float, ...]]) -> None:
    rows = "".join(f"1.jpg,cat,{','.join(map(str, box))}\n" for box in boxes)
    (root / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\n" + rows)


def test_a_csv_is_read_as_what_it_holds(tmp_path: Path, paint: Make) -> None:
    paint("1.jpg")
    table(tmp_path, XYWH)
    index = scan_boxes(tmp_path)
    assert index.objects[0].boxes.tolist() == [list(box) for box in XYXY]
    assert any(
        "taken as left, top, width, height in pixels" in note and "2 of 3 boxes cannot be left, top, right" in note
        for note in index.notes
    )


def test_a_csv_of_shares_with_width_and_height(tmp_path: Path, paint: Make) -> None:
    paint("1.jpg")
    table(tmp_path, [(0.5, 0.5, 0.3, 0.25), (0.6, 0.125, 0.2, 0.375)])
    index = scan_boxes(tmp_path)
    np.testing.assert_allclose(index.objects[0].boxes, [(50, 40, 80, 60), (60, 10, 80, 40)], atol=1e-4)
    assert any("taken as left, top, width, height as shares of the picture" in note for note in index.notes)


def test_one_slip_among_many_is_a_slip(tmp_path: Path, paint: Make) -> None:
    paint("1.jpg")
    table(tmp_path, [*XYXY * 10, (50, 40, 30, 60)])
    index = scan_boxes(tmp_path)
    assert len(index.objects[0]) == 30
    assert [problem.kind for problem in index.problems if problem.path == "1.jpg"].count("box_empty") == 1


def test_xml_with_width_and_height(tmp_path: Path, paint: Make, voc: Make) -> None:
    paint("JPEGImages/1.jpg")
    voc("1", [("cat", box) for box in XYWH])
    message = (
        r"are evidently left, top, width, height in pixels: 2 of 3 boxes cannot be left, top, right, bottom in pixels"
        r" \(first: JPEGImages/1.jpg: 50, 40, 30, 20\); Pascal VOC has no other way"
    )
    with pytest.raises(DataError, match=message):
        scan_boxes(tmp_path)


def test_xml_with_shares(tmp_path: Path, paint: Make, voc: Make) -> None:
    paint("JPEGImages/1.jpg")
    voc("1", [("cat", (0.1, 0.2, 0.5, 0.9))])
    with pytest.raises(DataError, match=r"are evidently left, top, right, bottom as shares of the picture: 1 of 1"):
        scan_boxes(tmp_path)


def test_json_with_corners_and_with_shares(tmp_path: Path, paint: Make, coco: Make) -> None:
    paint("1.jpg")
    corners = [(50, 40, 90, 75), (60, 30, 95, 79), (45, 55, 99, 80)]
    coco({"1.jpg": [(1, box) for box in corners]}, {1: "cat"})
    with pytest.raises(DataError, match=r"evidently left, top, right, bottom in pixels: 3 of 3 .* COCO has no other"):
        scan_boxes(tmp_path)
    coco({"1.jpg": [(1, (0.1, 0.2, 0.5, 0.5))]}, {1: "cat"})
    with pytest.raises(DataError, match=r"evidently left, top, width, height as shares of the picture"):
        scan_boxes(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 50 40 30 20\n0 20 20 10 10", r"evidently centre x, centre y, width, height in pixels: 2 of 2"),
        ("0 50 40 90 60\n0 20 20 90 80", r"evidently left, top, right, bottom in pixels"),
        ("0 .5 .5 .9 .9\n0 .6 .6 .95 .9\n0 .7 .5 1 1", r"evidently left, top, right, bottom as shares of the picture"),
    ],
)
def test_txt_with_pixels_or_corners(tmp_path: Path, paint: Make, lines: str, message: str) -> None:
    paint("images/1.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text(lines)
    with pytest.raises(DataError, match=message + r".*YOLO has no other way: write centre x, centre y, width, height"):
        scan_boxes(tmp_path)


def test_random_boxes_are_never_suspected(tmp_path: Path, paint: Make, coco: Make, voc: Make) -> None:
    """Whatever sound boxes there are, each format is taken at its word."""
    paint("1.jpg")
    rng = np.random.default_rng(3)
    for _ in range(20):
        near = rng.integers(0, (90, 70), (int(rng.integers(1, 6)), 2))
        far = rng.integers(near + 1, (101, 81))
        boxes = np.concatenate([near, far], 1)
        coco({"1.jpg": [(1, (*box[:2].tolist(), *(box[2:] - box[:2]).tolist())) for box in boxes]}, {1: "cat"})
        voc("1", [("cat", (box + np.array([1, 1, 0, 0])).tolist()) for box in boxes])
        table(tmp_path, [tuple(box) for box in boxes.tolist()])
        for name in ("coco", "voc", "csv"):
            assert scan_boxes(tmp_path, format=name).objects[0].boxes.tolist() == boxes.tolist()
