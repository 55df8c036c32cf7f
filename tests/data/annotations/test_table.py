"""CSV: the spellings of many tools, what the numbers are by name and by value, and rows that are no box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.errors import DataError, InputError, UnknownName

Make = Callable[..., None]
SAME = [[10, 20, 40, 60]]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("path,label,xmin,ymin,xmax,ymax\n1.jpg,cat,10,20,40,60", ""),
        ("filename,width,height,class,xmin,ymin,xmax,ymax\n1.jpg,100,80,cat,10,20,40,60", ""),
        ("Image;X1;Y1;X2;Y2;Class Name\n1.jpg;10;20;40;60;cat", ""),
        ("image_path\tcategory\tleft\ttop\tright\tbottom\n1.jpg\tcat\t10\t20\t40\t60", ""),
        ("ImageID,Source,LabelName,XMin,XMax,YMin,YMax\n1,x,cat,0.1,0.4,0.25,0.75", "as shares of the picture"),
        ("path,label,x,y,width,height\n1.jpg,cat,10,20,30,40", "left, top, width and height, as the columns say"),
        ("img,name,x_center,y_center,w,h\n1.jpg,cat,0.25,0.5,0.3,0.5", "centre, width and height as shares"),
        ("label,bbox_x,bbox_y,bbox_width,bbox_height,image_name,img_w,img_h\ncat,10,20,30,40,1.jpg,100,80", "left"),
    ],
)  # fmt: skip
def test_spellings(tmp_path: Path, paint: Make, text: str, note: str) -> None:
    paint("images/1.jpg")
    (tmp_path / "boxes.csv").write_text(text)
    for source in (tmp_path, tmp_path / "boxes.csv"):
        index = scan_boxes(source)
        assert annotation_format(source) == index.kind == "csv"
        assert index.objects[0].boxes.tolist() == [pytest.approx(SAME[0], abs=1e-4)]
        assert (index.classes, index.paths) == (("cat",), ["images/1.jpg"])
        assert any(note in line for line in index.notes)
        assert "wrong_size" not in {problem.kind for problem in index.problems}


def test_splits_marks_background_and_rows_that_are_no_box(tmp_path: Path, paint: Make) -> None:
    for number in range(5):
        paint(f"{number}.jpg")
    (tmp_path / "annotations.csv").write_text(
        "path,label,xmin,ymin,xmax,ymax,split,difficult,is_crowd\n"
        "0.jpg,cat,10,20,40,60,train,1,0\n0.jpg,dog,1,2,3,4,train,0,1\n1.jpg,,,,,,val,,\n"
        "2.jpg,cat,10,20,,60,test,0,0\n2.jpg,cat,nan,20,40,60,test,0,0\n2.jpg,,1,2,30,40,test,0,0\n"
        "2.jpg,cat,1,2,30,40,test,0,0\n,cat,1,2,3,4,test,0,0\n9.jpg,cat,1,2,3,4,test,0,0\n"
    )
    index = scan_boxes(tmp_path)
    assert index.splits.tolist() == [0, 1, 2]
    assert [len(objects) for objects in index.objects] == [2, 0, 1]
    assert index.objects[0].difficult.tolist() == [True, False]
    assert index.objects[0].crowd.tolist() == [False, True]
    found = [f"{problem.kind}: {problem.path}: {problem.reason}" for problem in index.problems]
    for expected in (
        "bad_box: 2.jpg: the box of row 5 (cat) is left out: xmin '10', ymin '20', xmax '', ymax '60'",
        "bad_box: 2.jpg: the box of row 6 (cat) is left out: xmin 'nan'",
        "unknown_class: 2.jpg: a box is of the class ''",
        "no_label: annotations.csv, row 9: its path is empty",
        "missing: 9.jpg: it was listed but is not there",
        "no_annotation: 3.jpg: no row of the table names it",
        "no_annotation: 4.jpg",
    ):
        assert sum(line.startswith(expected) for line in found) == 1, expected


def test_a_table_for_each_split_beside_the_pictures_folder(tmp_path: Path, paint: Make) -> None:
    for split in ("train", "test"):
        paint(f"images/{split}.jpg")
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{split}_labels.csv").write_text(
            f"filename,class,xmin,ymin,xmax,ymax\n{split}.jpg,cat,10,20,40,60\n"
        )
    index = scan_boxes(tmp_path, split=(0.9, 0, 0.1))
    assert index.splits.tolist() == [2, 0]
    assert scan_boxes(tmp_path / "data" / "test_labels.csv").paths == ["../images/test.jpg"]


def test_groups_stay_together(tmp_path: Path, paint: Make) -> None:
    rows = []
    for number in range(12):
        paint(f"{number}.jpg")
        rows.append(f"{number}.jpg,cat,10,20,40,60,patient{number // 3}")
    (tmp_path / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax,patient\n" + "\n".join(rows))
    index = scan_boxes(tmp_path, group_by="patient", split=(0.5, 0.25, 0.25))
    assert index.groups is not None
    sides = {group: set(index.splits[index.groups == group].tolist()) for group in set(index.groups.tolist())}
    assert [len(side) for side in sides.values()] == [1] * 4
    with pytest.raises(UnknownName, match=r"no column is called 'patent'; nearest: patient"):
        scan_boxes(tmp_path, group_by="patent")


def test_a_table_of_classes_has_no_boxes(tmp_path: Path, paint: Make) -> None:
    paint("1.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,cat\n")
    assert annotation_format(tmp_path) is None
    with pytest.raises(DataError, match=r"has no boxes in a format that is known; expected one of these: voc: Anno"):
        scan_boxes(tmp_path)
    with pytest.raises(DataError, match=r"has no csv annotations; expected a .csv \(expected the columns path,label"):
        scan_boxes(tmp_path, format="csv")
    with pytest.raises(UnknownName, match=r"no annotation format is called 'coko'; nearest: coco"):
        scan_boxes(tmp_path, format="coko")
    with pytest.raises(InputError, match=r"does not exist"):
        scan_boxes(tmp_path / "nowhere")
    for nothing in ("fashion-mini", str(tmp_path / "nowhere"), "", "a\0b"):
        assert annotation_format(nothing) is None
