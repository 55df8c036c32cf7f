"""A stream of detections as files: every format, broken pictures, names that collide, constant memory."""

import contextlib
import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassnet.detection import writing
from glassnet.detection.detections import Detections
from glassnet.detection.writing import FORMATS, Written, write
from glassnet.errors import InputError, StorageError, UnknownName

FOUND = Detections(
    boxes=np.array([[0, 0, 20, 10], [2, 3, 9, 8]], np.float32),
    scores=np.array([0.9, 0.5], np.float32),
    labels=np.array([1, 0]),
    classes=("cat", "dog"),
    size=(12, 24),
    path="b.jpg",
)


def at(path: str | Path) -> Detections:
    return replace(FOUND, path=str(path))


def empty(path: str) -> Detections:
    return at(path).above(1.0)


BROKEN = Detections.failed("broken.jpg", "its pixels end early", FOUND.classes)


def pictures(folder: Path, *names: str) -> list[Path]:
    """Write small pictures, all alike."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 12), (90, 90, 90)).save(path)
    return paths


def test_json_lines(tmp_path: Path) -> None:
    written = write([at("a.jpg"), empty("b.jpg"), BROKEN], tmp_path / "out.jsonl", "json")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "path": "a.jpg",
        "boxes": [
            {"label": "dog", "score": 0.9, "xyxy": [0, 0, 20, 10]},
            {"label": "cat", "score": 0.5, "xyxy": [2, 3, 9, 8]},
        ],
        "error": None,
    }
    assert rows[1] == {"path": "b.jpg", "boxes": [], "error": None}
    assert rows[2] == {"path": "broken.jpg", "boxes": [], "error": "its pixels end early"}
    assert written == Written(pictures=3, boxes=2, failed=1)


def test_csv_has_a_line_for_each_box_and_one_for_a_picture_without_any() -> None:
    stream = io.StringIO()
    write([at("a,1.jpg"), empty("b.jpg"), BROKEN], stream, "csv")
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [row["path"] for row in rows] == ["a,1.jpg", "a,1.jpg", "b.jpg", "broken.jpg"]
    assert rows[1] == {
        "path": "a,1.jpg", "label": "cat", "score": "0.50000", "left": "2.00", "top": "3.00", "right": "9.00",
        "bottom": "8.00", "error": "",
    }  # fmt: skip
    assert (rows[2]["label"], rows[2]["error"]) == ("", "")
    assert rows[3]["error"] == "its pixels end early"


def test_coco_is_one_file_that_pycocotools_takes_as_truth_and_as_results(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    root = tmp_path / "in"
    stream = [at(root / "a.jpg"), BROKEN, empty(str(root / "sub" / "b.jpg")), at(root / "sub" / "c.jpg")]
    write(stream, tmp_path / "out.json", "coco", root=root)
    table = json.loads((tmp_path / "out.json").read_text())
    assert [image["file_name"] for image in table["images"]] == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]
    assert [row["image_id"] for row in table["annotations"]] == [1, 1, 3, 3]
    assert table["errors"] == [{"file_name": "broken.jpg", "error": "its pixels end early"}]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(tmp_path / "out.json"))
        results = truth.loadRes(table["annotations"])
    assert len(results.anns) == 4
    assert truth.cats[2]["name"] == "dog"


def test_a_stream_of_nothing_is_valid_in_every_format(tmp_path: Path) -> None:
    for kind in FORMATS:
        assert write([], tmp_path / kind, kind) == Written()
    assert json.loads((tmp_path / "coco").read_text()) == {"annotations": [], "images": [], "categories": []}


@pytest.mark.parametrize("kind, ending", [("voc", ".xml"), ("yolo", ".txt"), ("pictures", ".jpg")])
def test_folders_come_again_in_the_output(kind: str, ending: str, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", "a.jpg", "sub/a.jpg", "sub/deep/b.jpg")
    write([*map(at, paths), BROKEN], tmp_path / "out", kind, root=tmp_path / "in")
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert made - {"classes.txt"} == {f"a{ending}", f"sub/a{ending}", f"sub/deep/b{ending}", "errors.csv"}
    assert ("classes.txt" in made) == (kind == "yolo")
    assert (tmp_path / "out" / "errors.csv").read_text() == "path,error\nbroken.jpg,its pixels end early\n"


def test_names_that_collide_get_a_number_and_nothing_is_lost(tmp_path: Path) -> None:
    paths = pictures(tmp_path, "x/a.jpg", "y/a.jpg", "z/a.png")
    written = write(map(at, paths), tmp_path / "voc", "voc")
    assert written == Written(pictures=3, boxes=6, renamed=2)
    assert sorted(path.name for path in (tmp_path / "voc").iterdir()) == ["a-2.xml", "a-3.xml", "a.xml"]
    assert b"<filename>a.png</filename>" in (tmp_path / "voc" / "a-3.xml").read_bytes()
    written = write(map(at, paths), tmp_path / "pictures", "pictures")
    assert written.renamed == 1  # a.jpg twice; a.png keeps its ending


def test_pictures_keep_their_format_or_become_png(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", "a.jpg", "b.png", "c.bmp")
    write(map(at, paths), tmp_path / "out", "pictures")
    formats = {}
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as image:
            formats[path.name] = image.format
            assert np.asarray(image).std() > 0  # something was drawn
    assert formats == {"a.jpg": "JPEG", "b.png": "PNG", "c.png": "PNG"}


def test_a_picture_that_vanished_meanwhile_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path / "in", "a.jpg")
    written = write([at(tmp_path / "gone.jpg"), at(path)], tmp_path / "out", "pictures")
    assert (written.failed, written.pictures) == (1, 2)
    assert "cannot read" in (tmp_path / "out" / "errors.csv").read_text()


def test_pictures_from_elsewhere_stay_inside_the_output(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path / "elsewhere", "a.jpg")
    write([at(path)], tmp_path / "out", "voc", root=tmp_path / "in")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["a.xml"]
    assert not list(tmp_path.glob("*.xml"))


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    stream = [at("caf\udce9.jpg")]
    for kind in ("json", "csv", "coco"):
        write(stream, tmp_path / kind, kind)
    assert json.loads((tmp_path / "json").read_text())["path"] == "caf\udce9.jpg"


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    def breaking() -> Iterator[Detections]:
        yield FOUND
        raise RuntimeError("the network broke")

    for kind in ("json", "csv", "coco"):
        path = tmp_path / kind
        path.write_text("before")
        with pytest.raises(RuntimeError, match="the network broke"):
            write(breaking(), path, kind)
        assert path.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["coco", "csv", "json"]


def test_memory_does_not_grow_with_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_IN_MEMORY", 1 << 12)

    def peak(count: int, kind: str) -> int:
        tracemalloc.start()
        write((at(f"{number}.jpg") for number in range(count)), tmp_path / f"{kind}-{count}", kind)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    for kind in ("json", "csv", "coco"):
        peak(10, kind)
        assert peak(800, kind) < peak(50, kind) + 40_000, kind  # the file of 800 has 100 kB and more


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no format is called 'cocoa'; nearest: coco"):
        write([], tmp_path / "x", "cocoa")
    with pytest.raises(InputError, match="voc needs a folder to write to; name one"):
        write([], io.StringIO(), "voc")
    with pytest.raises(InputError, match="coco needs a file to write to"):
        write([], io.StringIO(), "coco")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file, and yolo fills a folder"):
        write([], tmp_path / "file", "yolo")
    with pytest.raises(InputError, match="is not empty; name a new or an empty one"):
        write([], tmp_path, "pictures")
    with pytest.raises(StorageError, match="its folder does not exist"):
        write([FOUND], tmp_path / "no" / "out.json", "json")
    with pytest.raises(InputError, match="a picture came as pixels, without a path"):
        write([replace(FOUND, path=None)], tmp_path / "new", "pictures")
