"""Pascal VOC: its numbers by hand, its lists, what tools and people do to it, and two real data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.errors import DataError

Make = Callable[..., None]


def boxes(index: BoxIndex) -> list[list[float]]:
    return [box for objects in index.objects for box in objects.boxes.tolist()]


def kinds(index: BoxIndex) -> dict[str, str]:
    """{kind: reason}, without the remarks on data as small as a test's."""
    return {problem.kind: problem.reason for problem in index.problems if problem.kind != "small_class"}


def test_corners_count_from_one_and_belong_to_the_box(tmp_path: Path, paint: Make, voc: Make) -> None:
    paint("JPEGImages/1.jpg")
    voc("1", [("cat", (1, 1, 100, 80)), ("dog", (11, 21, 30, 60))], extra="<difficult>1</difficult>")
    index = scan_boxes(tmp_path)
    assert annotation_format(tmp_path) == index.kind == "voc"
    assert index.classes == ("cat", "dog")
    assert boxes(index) == [[0, 0, 100, 80], [10, 20, 30, 60]]
    assert index.objects[0].difficult.all()
    assert not index.objects[0].crowd.any()
    assert index.paths == ["JPEGImages/1.jpg"]


def test_a_zero_tells_that_the_tool_counts_from_zero(tmp_path: Path, paint: Make, voc: Make) -> None:
    for stem in "12":
        paint(f"JPEGImages/{stem}.jpg")
    voc("1", [("cat", (0, 5, 100, 80))])
    voc("2", [("cat", (10, 20, 30, 60))])
    index = scan_boxes(tmp_path)
    assert boxes(index) == [[0, 5, 100, 80], [10, 20, 30, 60]]
    assert any("count from 0" in note and "JPEGImages/1.jpg has a 0" in note for note in index.notes)


def test_the_lists_of_main_are_the_splits(tmp_path: Path, paint: Make, voc: Make) -> None:
    names = ["a 1", "b", "c", "d", "other"]
    for stem in names:
        paint(f"JPEGImages/{stem}.jpg")
        voc(stem, [("cat", (5, 5, 30, 30))])
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (main / "train.txt").write_text("a 1\nb\nlost\n")
    (main / "val.txt").write_text("c  1\n")
    (main / "test.txt").write_text("d.jpg\nb\n")
    (main / "trainval.txt").write_text("a 1\nb\nc\nother\n")
    (main / "cat_train.txt").write_text("other 1\n")
    index = scan_boxes(tmp_path)
    found = {split: [index.where(item)[11:-4] for item in index.select(split)] for split in ("train", "validation")}
    assert found == {"train": ["a 1"], "validation": ["c"]}
    assert [index.where(item)[11:-4] for item in index.select("test")] == ["b", "d"]
    assert "lists it for train and for test; it is only used for test" in kinds(index)["listed_twice"]
    assert "neither an XML file nor a picture" in kinds(index)["missing"]
    (main / "train.txt").unlink()
    (main / "val.txt").unlink()
    index = scan_boxes(tmp_path, split=(0.8, 0.2, 0))
    assert len(index) == 5  # trainval.txt counts where train.txt and val.txt are not
    assert [index.where(item)[11:-4] for item in index.select("test")] == ["b", "d"]


def test_an_empty_xml_is_background_and_a_missing_one_is_not(tmp_path: Path, paint: Make, voc: Make) -> None:
    for stem in "123":
        paint(f"JPEGImages/{stem}.jpg")
    voc("1", [("cat", (5, 5, 30, 30))])
    voc("2", [])
    index = scan_boxes(tmp_path)
    assert [len(objects) for objects in index.objects] == [1, 0]
    assert index.background().sum() == 1
    assert index.labels.tolist() == [0, 1]
    assert "it has no XML file" in kinds(index)["no_annotation"]


def test_bad_xml_sets_its_picture_aside(tmp_path: Path, paint: Make, voc: Make) -> None:
    for stem in ("good", "cut", "bomb", "other", "empty"):
        paint(f"JPEGImages/{stem}.jpg")
    voc("good", [("cat", (5, 5, 30, 30))])
    folder = tmp_path / "Annotations"
    (folder / "cut.xml").write_text("<annotation><object><name>cat</na")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY l0 "lol">{laughs}]><annotation>&l9;</annotation>'
    (folder / "bomb.xml").write_bytes(bomb.encode("utf-16"))
    (folder / "other.xml").write_text("<note/>")
    (folder / "empty.xml").write_text("")
    index = scan_boxes(tmp_path)
    reasons = {problem.path: problem.reason for problem in index.problems if problem.kind == "malformed"}
    assert index.paths == ["JPEGImages/good.jpg"]
    assert "no well-formed XML" in reasons["Annotations/cut.xml"]
    assert "declares a document type (DTD)" in reasons["Annotations/bomb.xml"]
    assert "its root is <note>, expected Pascal VOC's <annotation>" in reasons["Annotations/other.xml"]
    assert "empty file" in reasons["Annotations/empty.xml"]
    with pytest.raises(DataError, match=r"4 pictures or boxes that cannot be used, and strict allows none"):
        scan_boxes(tmp_path, strict=True)


@pytest.mark.parametrize(
    "four", [("nan", 1, 5, 5), ("inf", 1, 5, 5), ("", 1, 5, 5), ("1e999", 1, 5, 5), ("x", 1, 2, 3)]
)
def test_a_box_that_is_no_four_numbers_is_left_out(
    tmp_path: Path, paint: Make, voc: Make, four: tuple[object, ...]
) -> None:
    paint("JPEGImages/1.jpg")
    voc("1", [("cat", four), ("cat", (5, 5, 30, 30))])
    index = scan_boxes(tmp_path)
    assert boxes(index) == [[4, 4, 30, 30]]
    assert f"object 1 (cat) is left out: xmin '{four[0]}'" in kinds(index)["bad_box"]


def test_the_pictures_size_counts_not_the_xmls(tmp_path: Path, paint: Make, voc: Make) -> None:
    for stem in "12":
        paint(f"JPEGImages/{stem}.jpg")
    voc("1", [("cat", (5, 5, 30, 30))], size=(160, 200))
    voc("2", [("cat", (5, 5, 30, 30))], size=(0, 0))
    index = scan_boxes(tmp_path)
    assert boxes(index) == [[4, 4, 30, 30]] * 2
    reasons = [problem.reason for problem in index.problems if problem.kind == "wrong_size"]
    assert "its annotation says 200 x 160 pixels (width x height), the picture has 100 x 80" in reasons[0]
    assert "says 0 x 0" in reasons[1]
    assert index.sizes.tolist() == [[80, 100]] * 2


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_on_a_picture_on_its_side_are_turned_with_it(tmp_path: Path, voc: Make, orientation: int) -> None:
    """A white rectangle is painted into the stored pixels; the box has to be where it is displayed."""
    from PIL import Image, ImageOps

    stored = np.zeros((40, 100, 3), np.uint8)  # displayed: 100 high, 40 wide
    stored[4:14, 10:40] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "JPEGImages").mkdir()
    Image.fromarray(stored).save(tmp_path / "JPEGImages" / "1.png", exif=exif)
    voc("1", [("cat", (11, 5, 40, 14))], size=(40, 100))
    index = scan_boxes(tmp_path)
    with Image.open(tmp_path / "JPEGImages" / "1.png") as image:
        shown = np.asarray(ImageOps.exif_transpose(image))[:, :, 0]
    rows, columns = (np.flatnonzero((shown > 0).any(axis)) for axis in (1, 0))
    assert boxes(index) == [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]
    assert index.sizes.tolist() == [[100, 40]]
    assert "its boxes are turned with it" in kinds(index)["wrong_size"]
    voc("1", [("cat", (11, 5, 40, 14))], size=(100, 40))  # drawn on the upright picture: nothing to do
    index = scan_boxes(tmp_path)
    assert boxes(index) == [[10, 4, 40, 14]]
    assert "wrong_size" not in kinds(index)


def test_the_picture_of_an_xml_is_found_whatever_it_says(tmp_path: Path, paint: Make, voc: Make) -> None:
    paint("images/1.png")
    paint("images/renamed.jpg")
    voc("1", [("cat", (5, 5, 30, 30))])  # <filename> says 1.jpg
    voc("2", [("cat", (5, 5, 30, 30))])
    xml = tmp_path / "Annotations" / "2.xml"
    xml.write_text(xml.read_text().replace("2.jpg", r"C:\photos\renamed.jpg"))
    voc("3", [("cat", (5, 5, 30, 30))])
    index = scan_boxes(tmp_path)
    assert index.paths == ["images/1.png", "images/renamed.jpg"]
    missing = [problem.path for problem in index.problems if problem.kind == "missing"]
    assert missing == ["images/3.jpg"]


@pytest.mark.parametrize("layout", ["flat", "split folders"])
def test_other_places_of_the_files(tmp_path: Path, paint: Make, voc: Make, layout: str) -> None:
    places = [""] if layout == "flat" else ["train/", "valid/", "test/"]
    for place in places:
        for number in range(3):
            stem = f"{place.replace('/', '')}{number}"
            paint(f"{place}{stem}.jpg")
            voc(stem, [("cat", (5, 5, 30, 30))])
            (tmp_path / "Annotations" / f"{stem}.xml").rename(tmp_path / place / f"{stem}.xml")
    (tmp_path / "Annotations").rmdir()
    index = scan_boxes(tmp_path)
    counts = [len(index.select(split)) for split in ("train", "validation", "test")]
    assert counts == ([1, 1, 1] if layout == "flat" else [3, 3, 3])


def test_blood_cells_as_published(shared_data: Path) -> None:
    index = scan_boxes(shared_data / "bccd")
    assert index.classes == ("Platelets", "RBC", "WBC")
    assert index.boxes_of_classes().sum(1).tolist() == [361, 4155, 372]
    assert [len(index.select(split)) for split in ("train", "validation", "test")] == [205, 87, 72]
    assert (index.channels, index.kind) == (3, "voc")
    tiny = [problem.path for problem in index.problems if problem.kind == "tiny_box"]
    assert tiny == ["JPEGImages/BloodImage_00338.jpg", "JPEGImages/BloodImage_00343.jpg"]
    first = index.objects[(index.paths or []).index("JPEGImages/BloodImage_00000.jpg")]
    assert first.boxes[0].tolist() == [259, 176, 491, 376]  # xmin 260, ymin 177, xmax 491, ymax 376


def test_raccoons_without_their_copies(shared_data: Path) -> None:
    index = scan_boxes(shared_data / "raccoon")
    assert (len(index), index.classes) == (196, ("raccoon",))
    assert [problem.kind for problem in index.problems] == ["duplicate"] * 4
    assert index.boxes_of_classes().sum() == 213
