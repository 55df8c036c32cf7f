"""YOLO txt: its numbers by hand, the layouts in use, data.yaml, and lines that are something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.errors import DataError

Make = Callable[..., None]
LINE = "0 0.5 0.25 0.2 0.5\n"  # of 100 x 80 pixels: 40, 0, 60, 40


def write(root: Path, **texts: str) -> None:
    """Write files; "__" in a name is "/" and a name without a suffix gets .txt."""
    for name, text in texts.items():
        path = root / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_centre_and_size_as_shares_become_pixels(tmp_path: Path, paint: Make) -> None:
    for name in ("1", "2", "3"):
        paint(f"images/{name}.jpg")
    write(tmp_path, labels__1=LINE + "1 0.1 0.1 0.2 0.2", labels__2="", classes="cat\ndog\n\n")
    index = scan_boxes(tmp_path)
    assert annotation_format(tmp_path) == index.kind == "yolo"
    assert index.objects[0].boxes.tolist() == [[40, 0, 60, 40], [0, 0, 20, 16]]
    assert index.objects[0].labels.tolist() == [0, 1]
    assert [len(objects) for objects in index.objects] == [2, 0, 0]  # empty and missing: background
    assert any(note.startswith("1 pictures have no .txt") and "images/3.jpg" in note for note in index.notes)


@pytest.mark.parametrize("folders", ["images/{}", "{}/images"])
@pytest.mark.parametrize("yaml", [True, False])
def test_split_folders_with_and_without_a_yaml(tmp_path: Path, paint: Make, folders: str, yaml: bool) -> None:
    for split in ("train", "val", "test"):
        place = folders.format(split)
        paint(f"{place}/{split}.jpg")
        write(tmp_path, **{f"{place.replace('images', 'labels')}/{split}": LINE})
    if yaml:
        lines = "".join(f"{split}: ../{folders.format(split)}\n" for split in ("train", "val", "test"))
        (tmp_path / "data.yaml").write_text(f"# cells\npath: /content/elsewhere\n{lines}nc: 1\nnames: ['red cell']\n")
    index = scan_boxes(tmp_path)
    assert [len(index.select(split)) for split in ("train", "validation", "test")] == [1, 1, 1]
    assert index.classes == (("red cell",) if yaml else ("0",))
    assert yaml or any("called by their numbers" in note for note in index.notes)
    if yaml:
        assert len(scan_boxes(tmp_path / "data.yaml")) == 3


def test_labels_beside_the_pictures_and_lists_of_pictures(tmp_path: Path, paint: Make) -> None:
    for name in ("1", "2"):
        paint(f"{name}.jpg")
        write(tmp_path, **{name: LINE})
    assert annotation_format(tmp_path) == "yolo"
    assert len(scan_boxes(tmp_path)) == 2
    write(tmp_path, train="./1.jpg\n", val="2.jpg\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames:\n  0: cat\n")
    index = scan_boxes(tmp_path, split=(0.5, 0.5, 0))
    assert (index.paths, index.splits.tolist()) == (["1.jpg", "2.jpg"], [0, 1])


def test_lines_that_are_something_else(tmp_path: Path, paint: Make) -> None:
    paint("images/1.jpg")
    lines = [
        "0 0.5 0.5 0.2", "cat 0.5 0.5 0.2 0.2", "7 0.5 0.5 0.2 0.2", "0 nan 0.5 0.2 0.2", "0 0.5 0.5 0 0.2",
        "0 0.95 0.5 0.2 0.2", "0 3 3 0.1 0.1", "0 0.5 0.5 0.2 0.2 0.9", "0.5 0.5 0.5 0.2 0.2",
        "0 0.1 0.1 0.5 0.1 0.5 0.6", "1 0.5 0.5 0.1 0.1",
    ]  # fmt: skip
    write(tmp_path, labels__1=LINE + "\n".join(lines), labels__9=LINE, labels__LICENSE="MIT", classes="cat\ndog")
    index = scan_boxes(tmp_path)
    found = [f"{problem.kind}: {problem.reason}" for problem in index.problems if problem.kind != "small_class"]
    for expected in (
        "bad_box: labels/1.txt, line 2 is left out: '0 0.5 0.5 0.2'; expected a class number and centre x",
        "bad_box: labels/1.txt, line 3",
        "unknown_class: a box is of the class 'number 7'",
        "bad_box: labels/1.txt, line 5",
        "box_empty",
        "box_clipped: a box reaches out of its picture of 100 x 80 pixels (width x height) and is cut off there",
        "box_outside",
        "bad_box: labels/1.txt, line 9",
        "bad_box: labels/1.txt, line 10",
        "missing: its labels are here, its picture is not",
    ):
        assert sum(reason.startswith(expected) for reason in found) == 1, expected
    assert index.objects[0].boxes.tolist() == [
        [40, 0, 60, 40],
        [85, 32, 100, 48],
        pytest.approx([10, 8, 50, 48]),  # the box around a polygon
        pytest.approx([45, 36, 55, 44]),
    ]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (
            "train: images\nnames: [cat, cat]",
            r"names the class 'cat' twice \(numbers 0 and 1\); give each its own name",
        ),
        ("train: images\nnames: ['']", r"has a class without a name"),
        ("train: images\nnames: cat", r"has names: 'cat', expected a list of class names"),
        ("train: images\nnames: {a: cat}", r"numbers its names 'a', expected 0, 1, 2"),
        ("train: pictures\nnames: [cat]", r"says train: pictures, but neither .*pictures is there; correct it"),
        ("names: [cat]\ntrain:\n", r"names no folder of pictures; expected train: images/train"),
        ("train: images\nnames: [cat,\n  dog]", r"opens a bracket that this line does not close"),
        ("train: images\nnames: [cat]\n???", r"line 3: '\?\?\?' is not understood; expected 'key: value'"),
        ("train: images\ntrain: labels\nnames: [cat]", r"has the key 'train' twice \(line 2\)"),
        ("train: images\nnames:\n  0: cat\n  0: dog", r"line 4: the class number 0 is there twice"),
    ],
)
def test_a_data_yaml_that_cannot_be_used(tmp_path: Path, paint: Make, yaml: str, message: str) -> None:
    paint("images/1.jpg")
    write(tmp_path, labels__1=LINE)
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(DataError, match=message):
        scan_boxes(tmp_path)


def test_a_yaml_of_another_program_is_left_alone(tmp_path: Path, paint: Make) -> None:
    paint("images/1.jpg")
    write(tmp_path, labels__1=LINE)
    (tmp_path / "ci.yaml").write_text("jobs: &anchor\n  - {broken\n")
    assert scan_boxes(tmp_path).classes == ("0",)
