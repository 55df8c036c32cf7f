"""The scan of boxes: what the index holds, its splits and fingerprint, its arguments, and the two commands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from glassnet.cli import app
from glassnet.data.annotations import voc as voc_module
from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import rarest_classes, scan_boxes
from glassnet.data.annotations.xml import read_xml
from glassnet.data.problems import Problem
from glassnet.errors import DataError, InputError

Make = Callable[..., Any]
BOX = (10, 20, 30, 40)
CLASSES = {1: "cat", 2: "dog"}


@pytest.fixture
def cells(tmp_path: Path, paint: Make, coco: Make) -> Path:
    """20 pictures: 12 cats, 4 of a cat and a dog, 4 of nothing."""
    pictures = {f"{number}.jpg": [(1, BOX)] for number in range(16)} | {f"{number}.jpg": [] for number in range(16, 20)}
    for number in range(4):
        pictures[f"{number}.jpg"].append((2, (0, 0, 100, 80)))
    for name in pictures:
        paint(f"images/{name}")
    coco(pictures, CLASSES)
    return tmp_path


def test_counts_by_hand(cells: Path) -> None:
    index = scan_boxes(cells)
    assert index.boxes_of_classes().sum(1).tolist() == [16, 4]
    assert index.counts().sum(1).tolist() == [16, 4]
    assert index.background().sum() == 4
    assert sorted(index.box_sizes().tolist())[0] == pytest.approx(1200**0.5)
    assert np.bincount(index.labels).tolist() == [12, 4, 4]  # cat, dog, background
    # every class, background too, is divided 70 / 15 / 15
    assert [len(index.select(split)) for split in ("train", "validation", "test")] == [12, 4, 4]
    assert (index.boxes_of_classes() > 0).all()
    assert scan_boxes(cells, seed=1).splits.tolist() != index.splits.tolist()


def test_the_rarest_class_by_pictures_not_by_boxes(cells: Path) -> None:
    objects = scan_boxes(cells).objects
    assert rarest_classes(objects, 2).tolist() == [1] * 4 + [0] * 12 + [2] * 4


def test_the_fingerprint_covers_the_boxes(cells: Path) -> None:
    path = cells / "cells.json"
    path.write_text(path.read_text().replace('"id": 1, "image_id": 0', '"iscrowd": 0, "id": 1, "image_id": 0'))
    before = scan_boxes(cells)
    assert scan_boxes(cells, cache=False).fingerprint == before.fingerprint
    for old, new in (("10, 20, 30, 40", "10, 20, 30, 41"), ('"iscrowd": 0', '"iscrowd": 1'), ('"cat"', '"cow"')):
        path.write_text(path.read_text().replace(old, new, 1))
        after = scan_boxes(cells)
        assert after.fingerprint != before.fingerprint
        before = after


def test_items_can_be_taken_out(cells: Path) -> None:
    index = scan_boxes(cells)
    shorter = index.without([0, 5], [Problem("0.jpg", "truncated", "cut off")])
    assert isinstance(shorter, BoxIndex)
    assert len(shorter) == len(shorter.objects) == 18
    assert [len(objects) for objects in shorter.objects[:4]] == [2, 2, 2, 1]
    assert shorter.counts().sum(1).tolist() == [14, 3]


def test_copies_with_the_same_and_with_other_contents(tmp_path: Path, paint: Make, coco: Make) -> None:
    for name in "abcd":
        paint(f"{name}.jpg")
    for source, copy in (("a", "e"), ("b", "f")):
        (tmp_path / f"{copy}.jpg").write_bytes((tmp_path / f"{source}.jpg").read_bytes())
    boxes = {f"{name}.jpg": [(1, BOX)] for name in "abcde"} | {"f.jpg": [(1, BOX), (2, BOX)]}
    coco(boxes, CLASSES)
    index = scan_boxes(tmp_path)
    reasons = {problem.path: f"{problem.kind}: {problem.reason}" for problem in index.problems if problem.quarantined}
    assert reasons["e.jpg"] == "duplicate: it is an exact copy of a.jpg"
    assert reasons["f.jpg"] == "conflicting_label: it is an exact copy of b.jpg, but that is labelled '1 cat'"
    assert index.paths == ["a.jpg", "c.jpg", "d.jpg"]
    assert index.classes == ("cat",)  # the only dog is gone


def test_evaluation_takes_the_test_set_or_everything(tmp_path: Path, paint: Make, coco: Make, cells: Path) -> None:
    assert set(scan_boxes(cells, evaluate_only=True).splits.tolist()) == {2}
    own = tmp_path / "own"
    for split in ("train", "test"):
        paint(f"own/{split}/{split}.jpg")
        coco({f"{split}.jpg": [(1, BOX)]}, CLASSES, f"own/{split}/boxes.json")
    index = scan_boxes(own, evaluate_only=True)
    assert index.paths == ["test/test.jpg"]
    assert "evaluated on the source's own test set: 1 of 2 pictures" in index.notes


def test_one_class_and_pictures_of_one_pixel(tmp_path: Path, paint: Make, coco: Make) -> None:
    for number in range(3):
        paint(f"{number}.png", (1, 1))
    coco({f"{number}.png": [(1, (0, 0, 1, 1))] for number in range(3)}, {1: "dot"})
    index = scan_boxes(tmp_path)
    assert (index.classes, len(index)) == (("dot",), 3)
    assert [objects.boxes.tolist() for objects in index.objects] == [[[0, 0, 1, 1]]] * 3
    assert {problem.kind for problem in index.problems} <= {"small_class", "wrong_size"}


def test_names_alike_and_boxes_twice(tmp_path: Path, paint: Make, coco: Make) -> None:
    paint("1.jpg")
    coco({"1.jpg": [(1, BOX), (1, BOX), (2, BOX)]}, {1: "Red cell", 2: "red_cell"})
    found = {problem.kind: str(problem) for problem in scan_boxes(tmp_path).problems}
    assert "'Red cell' only in case or spaces" in found["similar_class"]
    assert "one box is there 2 times: left 10, top 20, right 40, bottom 60" in found["repeated_box"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, r"seed is -1, expected a whole number of at least 0"),
        ({"workers": 0}, r"workers is 0"),
        ({"limit_pixels": 0}, r"limit_pixels is 0"),
        ({"split": (0.5, 0.5, 0.5)}, r"split is \(0.5, 0.5, 0.5\)"),
        ({"group_by": "patient"}, r"group_by is 'patient', but '.*' has no columns"),
    ],
)
def test_wrong_arguments(cells: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scan_boxes(cells, **wrong)


def test_several_formats_are_said(cells: Path, voc: Make) -> None:
    voc("1", [("cat", (5, 5, 30, 30))])
    index = scan_boxes(cells)
    assert index.kind == "voc"
    assert "read as voc; boxes as coco are there too, and --format chooses them" in index.notes
    assert scan_boxes(cells, format="coco").kind == "coco"


def test_a_source_of_test_pictures_alone_cannot_be_trained_on(tmp_path: Path, paint: Make, voc: Make) -> None:
    paint("JPEGImages/1.jpg")
    voc("1", [("cat", (5, 5, 30, 30))])
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (main / "test.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"there are only test pictures, none to train on"):
        scan_boxes(tmp_path)
    assert len(scan_boxes(tmp_path, evaluate_only=True)) == 1


def test_the_check_command_shows_boxes(cells: Path) -> None:
    result = CliRunner().invoke(app, ["data", "check", str(cells)])
    assert result.exit_code == 1  # dog has few boxes
    for expected in ("coco: boxes in pictures that show the class", "box size (square root", "4 pictures without obj"):
        assert expected in result.output
    row = next(line.split() for line in result.output.splitlines() if line.strip().startswith("all"))
    index = scan_boxes(cells)
    boxes = index.boxes_of_classes().sum(0).tolist()
    assert row == ["all", str(boxes[0]), "in", "12", str(boxes[1]), "in", "4", str(boxes[2]), "in", "4"]
    told = json.loads(CliRunner().invoke(app, ["data", "check", str(cells), "--json"]).stdout)
    assert told["format"] == "coco"
    assert sum(told["boxes"]["cat"].values()) == 16
    assert sum(told["background"].values()) == 4


def test_the_convert_command(cells: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    words = ["data", "convert", str(cells), "--to", "yolo", "-o", str(target), "--link"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "20 boxes in 20 pictures, coco -> yolo" in result.output
    assert scan_boxes(target).boxes_of_classes().sum(1).tolist() == [16, 4]
    assert next(iter((target / "images" / "train").iterdir())).is_symlink()
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, InputError)
    assert again.exception.exit_code == 2
    told = CliRunner().invoke(app, ["data", "convert", str(target), "--to", "voc", "-o", str(tmp_path / "b"), "--json"])
    found = json.loads(told.stdout)
    assert (found["from"], found["format"], found["pictures"], found["boxes"]) == ("yolo", "voc", 20, 20)
    assert not next(iter((tmp_path / "b" / "JPEGImages").iterdir())).is_symlink()


def test_xml_is_parsed_again_only_where_something_changed(
    tmp_path: Path, paint: Make, voc: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stems = ["1", "2", "caf\udce9"]
    for stem in stems:
        paint(f"JPEGImages/{stem}.jpg")
    paint("JPEGImages/lonely.jpg")
    for stem in "12":
        voc(stem, [("cat", (5, 5, 30, 30 + int(stem)))], size=(8, 10))
    (tmp_path / "Annotations" / "1.xml").rename(tmp_path / "Annotations" / f"{stems[2]}.xml")
    voc("1", [("cat", (5, 5, 30, 34))], extra="<difficult>1</difficult>")
    for path in (tmp_path / "Annotations").iterdir():
        os.utime(path, ns=(10**18, 10**18))
    read: list[Path] = []
    monkeypatch.setattr(voc_module, "read_xml", lambda path: read.append(path) or read_xml(path))
    first, second = scan_boxes(tmp_path), scan_boxes(tmp_path)
    assert len(read) == 3
    assert second.fingerprint == first.fingerprint
    assert (second.paths, second.problems, second.notes) == (first.paths, first.problems, first.notes)
    assert [objects.boxes.tolist() for objects in second.objects] == [o.boxes.tolist() for o in first.objects]
    voc("1", [("cat", (5, 5, 30, 35))])
    assert scan_boxes(tmp_path).fingerprint != first.fingerprint
    assert len(read) == 6
    scan_boxes(tmp_path)
    assert len(read) == 9  # an XML as young as that may change again unseen
    scan_boxes(tmp_path, cache=False)
    assert len(read) == 12
