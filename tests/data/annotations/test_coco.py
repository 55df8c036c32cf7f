"""COCO JSON: its numbers by hand, ids with gaps, several files, and files that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.errors import DataError

Make = Callable[..., Any]
BOX = (10, 20, 30, 40)


def test_left_top_width_height_become_edges(tmp_path: Path, paint: Make, coco: Make) -> None:
    paint("images/1.jpg")
    paint("images/2.jpg")
    file = coco({"1.jpg": [(90, BOX), (3, (0.5, 0, 2, 80), {"iscrowd": 1})], "2.jpg": []}, {90: "zebra", 3: "ant"})
    for source in (tmp_path, file):
        index = scan_boxes(source)
        assert annotation_format(source) == index.kind == "coco"
        assert index.classes == ("ant", "zebra")  # by id, and ids have gaps
        assert index.objects[0].boxes.tolist() == [[10, 20, 40, 60], [0.5, 0, 2.5, 80]]
        assert index.objects[0].labels.tolist() == [1, 0]
        assert index.objects[0].crowd.tolist() == [False, True]
        assert index.objects[0].counted.tolist() == [True, False]
        assert len(index.objects[1]) == 0  # a picture without annotations is background
        assert index.paths == ["images/1.jpg", "images/2.jpg"]


def test_several_files_are_the_splits(tmp_path: Path, paint: Make, coco: Make) -> None:
    for split, year in (("train", 2017), ("val", 2017)):
        names = [f"{split}{number}.jpg" for number in range(3)]
        for name in names:
            paint(f"{split}{year}/{name}")
        coco({name: [(1, BOX)] for name in names}, {1: "cat"}, f"annotations/instances_{split}{year}.json")
        coco({}, {1: "person"}, f"annotations/person_keypoints_{split}{year}.json")
    coco({"train0.jpg": [(1, BOX)]}, {1: "cat"}, "annotations/all.json")  # says no split: it would repeat them
    index = scan_boxes(tmp_path, split=(1, 0, 0))
    assert index.classes == ("cat",)
    assert [len(index.select(split)) for split in ("train", "validation", "test")] == [3, 3, 0]
    assert index.paths is not None
    assert index.paths[0] == "train2017/train0.jpg"


def test_a_picture_in_two_files_is_held_out_once(tmp_path: Path, paint: Make, coco: Make) -> None:
    for name in "ab":
        paint(f"{name}.jpg")
    coco({"a.jpg": [(1, BOX)], "b.jpg": [(1, BOX)]}, {1: "cat"}, "train.json")
    coco({"a.jpg": [(1, BOX), (2, (0, 0, 5, 5))]}, {1: "cat", 2: "dog"}, "test.json")
    index = scan_boxes(tmp_path, split=(1, 0, 0))
    assert index.splits.tolist() == [2, 0]
    assert index.objects[0].boxes.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5]]
    assert any("more than once (in train and test)" in problem.reason for problem in index.problems)


def test_a_file_for_each_split_folder(tmp_path: Path, paint: Make, coco: Make) -> None:
    for split in ("train", "valid", "test"):
        paint(f"{split}/{split}.jpg")
        categories = {0: "cells", 1: "cat"}  # a parent that nothing is annotated as, as Roboflow writes it
        coco({f"{split}.jpg": [(1, BOX)]}, categories, f"{split}/_annotations.coco.json")
    index = scan_boxes(tmp_path)
    assert [len(index.select(split)) for split in ("train", "validation", "test")] == [1, 1, 1]
    assert index.classes == ("cat",)
    assert any(problem.path == "cells" and problem.kind == "small_class" for problem in index.problems)


def test_what_single_annotations_lack(tmp_path: Path, paint: Make, coco: Make) -> None:
    paint("1.jpg")
    coco(
        {"1.jpg": [(1, BOX), (7, BOX), (1, (1, 2, 3)), (1, (1, 2, float("nan"), 4)), (1, (5, 5, 0, 9))], "2.jpg": []},
        {1: "cat"},
    )
    path = tmp_path / "cells.json"
    content = json.loads(path.read_text())
    content["annotations"] += [{"image_id": 99, "category_id": 1, "bbox": BOX}, 5]
    content["images"] += [{"id": 70}]
    path.write_text(json.dumps(content))
    index = scan_boxes(tmp_path)
    reasons = [f"{problem.kind}: {problem.reason}" for problem in index.problems]
    assert index.objects[0].boxes.tolist() == [[10, 20, 40, 60]]
    for expected in (
        "unknown_class: a box is of the class 'category id 7', which the source does not name",
        "bad_box: annotation 1 is left out: its bbox is [1, 2, 3], expected 4 numbers",
        "bad_box: annotation 1 is left out: its bbox is [1, 2, nan, 4]",
        "box_empty: a box has no area",
        "bad_box: 1 annotations are of the image 99, which the file does not list",
        "malformed: image 3 of the list is {'id': 70}; expected an id and a file_name",
        "missing: it was listed but is not there",
    ):
        assert any(reason.startswith(expected) for reason in reasons), expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]},
            r"names the class 'cat' twice \(category ids 1 and 2\)",
        ),
        ({"categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]}, r"gives the category id 1 twice"),
        ({"categories": [{"id": 1}]}, r"has the category \{'id': 1\}, expected an id \(a whole number\) and a name"),
        ({"categories": 5}, r"has a int as 'categories', expected COCO's lists images, annotations, categories"),
        ({"images": [{"id": 1, "file_name": "1.jpg"}] * 2}, r"gives the image id 1 twice"),
    ],
)
def test_files_that_cannot_be_used(coco: Make, change: dict[str, Any], message: str) -> None:
    file = coco({"1.jpg": [(1, BOX)]}, {1: "cat"}, **change)
    with pytest.raises(DataError, match=message):
        scan_boxes(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [], "annotations": [', r"'cells.json' is no readable JSON: .* was it cut off"),
        ("[1, 2]", r"holds a JSON list, expected COCO's object of lists"),
        ('{"images": [], "categories": []}', r"has no list 'annotations'"),
        ('{"images": ' + "[" * 200_000, r"nested without end|no readable JSON"),
    ],
)
def test_json_that_is_no_coco(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "cells.json"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        scan_boxes(file)


def test_no_boxes_at_all(tmp_path: Path, paint: Make, coco: Make) -> None:
    paint("1.jpg")
    coco({"1.jpg": []}, {1: "cat"})
    with pytest.raises(DataError, match=r"1 usable pictures but not a single box; a detector learns from boxes: draw"):
        scan_boxes(tmp_path)
    coco({"1.jpg": [(1, (200, 5, 9, 9))]}, {1: "cat"})
    with pytest.raises(DataError, match=r"not a single box: 1.jpg: box_outside: a box lies outside"):
        scan_boxes(tmp_path)
    with pytest.raises(DataError, match=r"no usable picture among its 1 annotated ones: .*2.jpg: missing"):
        scan_boxes(coco({"2.jpg": [(1, BOX)]}, {1: "cat"}))
