"""Writing: back again to the format's precision, whole or not at all, and as pycocotools and XML readers expect it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from glassnet.data.annotations.objects import BoxIndex, Objects
from glassnet.data.annotations.recognise import FORMATS, annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.data.annotations.write import plain_names, write_annotations
from glassnet.errors import DataError, InputError, StorageError, UnknownName

Make = Callable[..., Any]
HEIGHT, WIDTH = 80, 100
CLASSES = ("big cat", "d'og: #1", '<&"é>')
# pixels of the picture by which a box may move: what the digits that are written leave open
PRECISION = {"voc": 1e-4, "coco": 2e-4, "yolo": 1e-5, "csv": 1e-4}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def an_index(root: Path, objects: list[Objects]) -> BoxIndex:
    """An index made by hand: picture 0 and 1 to train, 2 to validate, 3 to test."""
    return BoxIndex(
        name="made",
        kind="voc",
        root=root,
        classes=CLASSES,
        paths=[f"{number}.png" for number in range(4)],
        images=None,
        labels=np.zeros(4, np.int64),
        splits=np.array([0, 0, 1, 2], np.int8),
        sizes=np.array([[HEIGHT, WIDTH]] * 4, np.int32),
        channels=3,
        objects=objects,
    )


def by_name(index: BoxIndex) -> list[int]:
    """The items in the order of their pictures' names, whatever folder they are in."""
    return sorted(range(len(index)), key=lambda item: index.where(item).rpartition("/")[2])


@st.composite
def some_objects(draw: st.DrawFn) -> Objects:
    count = draw(st.integers(0, 4))
    share = st.floats(0, 1, width=32)
    boxes = []
    for _ in range(count):
        left, top = draw(share) * (WIDTH - 2), draw(share) * (HEIGHT - 2)
        boxes.append(
            (left, top, left + 1.5 + draw(share) * (WIDTH - 1.5 - left), top + 1.5 + draw(share) * (HEIGHT - 1.5 - top))
        )
    labels = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    marks = draw(st.lists(st.sampled_from([(0, 0), (1, 0), (0, 1)]), min_size=count, max_size=count))
    found = Objects.of(boxes, labels, [mark[0] for mark in marks], [mark[1] for mark in marks])
    found.boxes[:] = np.minimum(found.boxes, [WIDTH, HEIGHT] * 2)
    return found


whole = Objects.of([(0, 0, WIDTH, HEIGHT), (10, 20, 30, 40.5), (1, 1, 99, 79)], [0, 1, 2])


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects=st.lists(some_objects(), min_size=3, max_size=3))
def test_there_and_back(pictures: Path, tmp_path_factory: Any, name: str, objects: list[Objects]) -> None:
    before = an_index(pictures, [whole, *objects])
    output = tmp_path_factory.mktemp("output") / "new"
    written = write_annotations(before, output, name, copy_pictures=False)
    assert annotation_format(output) == name
    after = scan_boxes(output, cache=False)
    order = by_name(after)
    assert after.splits[order].tolist() == [0, 0, 1, 2]
    assert after.sizes.tolist() == before.sizes.tolist()
    assert written.pictures == 4
    for item, expected in zip(order, before.objects, strict=True):
        kept = expected.only(~expected.crowd) if name == "yolo" else expected
        found = after.objects[item]
        assert [after.classes[label] for label in found.labels] == [CLASSES[label] for label in kept.labels]
        np.testing.assert_allclose(found.boxes, kept.boxes, atol=PRECISION[name])
        if name != "yolo":
            np.testing.assert_array_equal(found.difficult, kept.difficult)
            np.testing.assert_array_equal(found.crowd, kept.crowd)
    assert {problem.kind for problem in after.problems} <= {"small_class", "repeated_box"}


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
def test_whole_pixels_survive_any_two_conversions(pictures: Path, tmp_path: Path, first: str, second: str) -> None:
    before = an_index(pictures, [whole, whole.only(np.array([1])), Objects.of(), whole.only(np.array([2, 0]))])
    write_annotations(before, tmp_path / "a", first, copy_pictures=False)
    write_annotations(scan_boxes(tmp_path / "a"), tmp_path / "b", second)
    after = scan_boxes(tmp_path / "b")
    for item, expected in zip(by_name(after), before.objects, strict=True):
        np.testing.assert_allclose(after.objects[item].boxes, expected.boxes, atol=2e-5)


def test_the_files_as_others_read_them(pictures: Path, tmp_path: Path) -> None:
    marked = Objects.of([(10, 20, 30, 40.5), (0, 0, 5, 5)], [1, 0], [True, False], [False, True])
    index = an_index(pictures, [marked, Objects.of(), whole, whole])
    notes = {name: write_annotations(index, tmp_path / name, name).notes for name in FORMATS}
    root = ElementTree.parse(tmp_path / "voc/Annotations/0.xml").getroot()
    corners = [[node.text for node in bounds] for bounds in root.iter("bndbox")]
    assert corners == [["11", "21", "30", "40.5"], ["1", "1", "5", "5"]]
    assert [node.text for node in root.iter("difficult")] == ["1", "1"]
    assert [root.findtext(f"size/{side}") for side in ("width", "height")] == ["100", "80"]
    assert (tmp_path / "voc/ImageSets/Main/train.txt").read_text() == "0\n1\n"
    content = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text("utf-8"))
    first = content["annotations"][0]
    assert (first["bbox"], first["area"], first["iscrowd"], first["category_id"]) == ([10, 20, 20, 20.5], 410, 0, 2)
    assert (tmp_path / "yolo/labels/train/0.txt").read_text() == "1 0.20000000 0.37812500 0.20000000 0.25625000\n"
    assert (tmp_path / "yolo/labels/train/1.txt").read_text() == ""
    assert (tmp_path / "csv/annotations.csv").read_text("utf-8").splitlines()[:4] == [
        "path,label,xmin,ymin,xmax,ymax,split,difficult,crowd",
        "images/0.png,d'og: #1,10,20,30,40.5,train,1,0",
        "images/0.png,big cat,0,0,5,5,train,0,1",
        "images/1.png,,,,,,train,,",
    ]
    assert notes["yolo"] == [
        "1 crowd boxes are left out: YOLO has no mark for them",
        "1 difficult boxes are written as ordinary ones: YOLO has no mark for them",
    ]
    assert notes["voc"] == ["1 crowd boxes are marked difficult: Pascal VOC has no mark for crowds"]
    assert "do not know" in notes["coco"][0]
    assert notes["csv"] == []
    assert (tmp_path / "voc/JPEGImages/0.png").read_bytes() == (pictures / "0.png").read_bytes()


def test_pycocotools_loads_what_is_written(pictures: Path, tmp_path: Path) -> None:
    """pycocotools 2.0: the boxes of a file judged against themselves have an average precision of 1."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is not installed")
    write_annotations(an_index(pictures, [whole, Objects.of(), whole, whole]), tmp_path / "coco", "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(tmp_path / "coco/annotations/instances_train.json"))
        results = [{**annotation, "score": 0.9} for annotation in truth.loadAnns(truth.getAnnIds())]
        judge = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert len(truth.getImgIds()) == 2
    assert judge.stats[0] == pytest.approx(1)


def test_nothing_is_overwritten_and_nothing_half_done_remains(pictures: Path, tmp_path: Path) -> None:
    index = an_index(pictures, [whole] * 4)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"the folder '.*full' is not empty; choose one that is new or empty"):
        write_annotations(index, full, "voc")
    with pytest.raises(InputError, match=r"mine.txt' is a file; choose a folder"):
        write_annotations(index, full / "mine.txt", "voc")
    with pytest.raises(UnknownName, match=r"no annotation format is called 'pascal'"):
        write_annotations(index, tmp_path / "new", "pascal")
    index.paths = ["0.png", "1.png", "2.png", "gone.png"]
    with pytest.raises(DataError, match=r"the picture '.*gone.png' cannot be copied: No such file"):
        write_annotations(index, tmp_path / "new", "yolo")
    with pytest.raises(StorageError, match=r"cannot make the folder"):
        write_annotations(index, full / "mine.txt" / "new", "yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    index.paths = [f"{number}.png" for number in range(4)]
    write_annotations(index, tmp_path / "empty", "yolo", copy_pictures=False)
    assert (tmp_path / "empty/images/test/3.png").is_symlink()


def test_names_that_would_meet_or_leave_the_folder() -> None:
    paths = ["a/1.jpg", "b/1.png", "A/1.JPG", "../../etc/x.jpg", "caf\udce9.jpg", ".hidden.jpg", "c:d.jpg"]
    names = plain_names(paths)
    assert names == ["a_1.jpg", "b_1.png", "A_1_2.JPG", "x.jpg", "caf_.jpg", "_.hidden.jpg", "c_d.jpg"]
    assert len({name.rpartition(".")[0].casefold() for name in names}) == len(paths)
