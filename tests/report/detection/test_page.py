"""The detection report's page: it needs nothing from outside, says what it must, and a hostile name stays a name."""

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from glassnet.detection.judging.judgement import Box, PictureResult
from glassnet.report.detection import DetectionReport, write_detection_report
from glassnet.report.detection.explanations import Explained, Explanations
from glassnet.report.detection.page import error_rows, render
from glassnet.report.detection.scenes import MOST_BYTES, WORDS, found_svg, look, scenes, summary, truth_svg
from glassnet.report.thumbnails import Thumbnail

Make = Callable[..., DetectionReport]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Collects attributes and text, and checks that every tag that opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    reader.text = " ".join(reader.text.split())
    return reader


@pytest.fixture(scope="module")
def html(report: Make) -> str:
    return render(report())


def test_nothing_comes_from_outside(html: str) -> None:
    reader = read(html)
    wanted = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href", "srcset")]
    assert len(wanted) > 20
    assert [value for value in wanted if not value.startswith(("#", "data:image/"))] == []
    assert "<script" not in html
    assert "@import" not in html


def test_every_id_is_there_once_and_every_link_leads_to_one(html: str) -> None:
    attributes = read(html).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert html.count("data:image/jpeg") == 8  # each picture once, though it is drawn four times
    linked = {value[1:] for name, value in attributes if name == "href" and value.startswith("#")}
    linked |= {value for name, value in attributes if name == "popovertarget"}
    assert linked <= set(ids)


def test_the_headline_numbers_are_said(html: str) -> None:
    text = read(html).text
    for said in (
        "58.0%", "95% interval 52.0% to 63.0%", "89.0%84.0% to 93.0%", "Nine of ten boxes fit roughly",
        "310 of 420", "4.8 points", "(background)", "which has the best F1 on validation", "4 of them show no object",
        "1 picture that could not be judged", "glassnet train shapes --recipe detect --seed 0",
    ):  # fmt: skip
        assert said in text, said


def test_a_picture_is_embedded_once_for_both_sides(report: Make) -> None:
    data = report(pictures=1)
    assert truth_svg(data.scenes[0], "p").count("data:image/jpeg") == 1
    assert found_svg(data.scenes[0], "p").count("data:image/jpeg") == 0
    assert '<use href="#p"/>' in found_svg(data.scenes[0], "p")


def test_each_box_tells_what_it_is(report: Make) -> None:
    scene = report(pictures=1).scenes[0]
    found = found_svg(scene, "p")
    assert "<title>disc, score 0.95, IoU 0.80, right</title>" in found
    assert found.count("<title>") == len(scene.result.found)
    for verdict, kind in (("correct", "right"), ("missed", "missed"), ("ignored", "ignored"), ("both", "wrong")):
        assert look(Box(label="a", xyxy=[0, 0, 1, 1], verdict=verdict)) == kind


def test_boxes_lie_where_they_are_on_a_picture_that_was_scaled_down() -> None:
    box = Box(label="a", xyxy=[100, 200, 400, 600], verdict="class")
    result = PictureResult(item=0, path="x", badness=1, errors={}, truth=[], found=[box])
    judged = type("Judged", (), {"worst": [result]})()
    (scene,) = scenes(judged, lambda _: np.zeros((720, 1440, 3), np.uint8))
    assert (scene.width, scene.height, scene.scale) == (720, 360, 0.5)
    assert 'x="50.0" y="100.0" width="150.0" height="200.0"' in found_svg(scene, "p")


def test_a_small_picture_is_drawn_enlarged_so_that_its_labels_leave_something_to_see() -> None:
    box = Box(label="square", xyxy=[10, 20, 40, 30], verdict="class")
    result = PictureResult(item=0, path="x", badness=1, errors={}, truth=[], found=[box])
    judged = type("Judged", (), {"worst": [result]})()
    (scene,) = scenes(judged, lambda _: np.zeros((32, 48, 3), np.uint8))
    assert (scene.width, scene.height, scene.scale) == (384, 256, 8.0)
    drawn = found_svg(scene, "p")
    assert 'x="80.0" y="160.0" width="240.0" height="80.0"' in drawn
    (height,) = re.findall(r'<g class="label wrong"><rect [^>]*height="([\d.]+)"', drawn)
    assert float(height) < scene.height / 10


def test_only_what_is_wrong_is_labelled_in_a_crowd(report: Make) -> None:
    scene = report(pictures=1).scenes[0]
    labels = re.findall(r'<g class="label (\w+)">', found_svg(scene, "p"))
    assert set(labels) == {"wrong"}
    few = dataclasses.replace(scene, result=dataclasses.replace(scene.result, found=scene.result.found[:3]))
    assert set(re.findall(r'<g class="label (\w+)">', found_svg(few, "p"))) == {"right"}


def test_noise_is_pressed_until_the_page_stays_small(report: Make) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (720, 720, 3), dtype=np.uint8)
    data = report(pictures=2)
    shown = scenes(data.judgement, lambda _: noise)
    assert len(shown) == 2
    assert len(shown[0].uri) < 1.4 * MOST_BYTES
    assert 24 * len(shown[0].uri) < 5.5e6


def test_a_picture_that_is_gone_says_so(report: Make, tmp_path: Path) -> None:
    data = report(pictures=2)
    gone = scenes(data.judgement)  # there are no such files
    assert "cannot read pictures/0.jpg" in gone[0].error
    path = write_detection_report(tmp_path / "report.html", dataclasses.replace(data, scenes=gone))
    assert "This picture cannot be shown: cannot read pictures/0.jpg" in read(path.read_text("utf-8")).text


def test_a_hostile_name_stays_a_name(report: Make) -> None:
    names = ("<script>alert(1)</script>", '"><img src=x>', "$\\frac{1}{2}$ & co")
    html = render(report(names, pictures=2))
    reader = read(html)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert names[0] in reader.text


@pytest.mark.parametrize("count", [1, 60])
def test_one_class_and_many(count: int, report: Make) -> None:
    data = report([f"class {number}" for number in range(count)], pictures=1)
    text = read(render(data)).text
    assert ("All 60 classes" in text) == (count == 60)
    assert ("boxes of 1 class in" in text) == (count == 1)


def test_nothing_to_show_is_said(report: Make) -> None:
    data = report(pictures=0)
    judgement = dataclasses.replace(
        data.judgement, sentences=[], left_out=[], map_interval=None, map50_interval=None, found_by_size={},
        thresholds_from="default",
    )  # fmt: skip
    bare = dataclasses.replace(
        data, judgement=judgement, problems=[], history=[], sides={}, background=(0, 0, 0), layers=[], seconds=None
    )
    text = read(render(bare)).text
    assert "There is no picture to show." in text
    assert "which nobody has chosen yet" in text
    assert "over IoU 0.50 to 0.95 mark: at IoU 0.50" in text
    assert "Sizes of the boxes" not in text
    assert "Why these boxes were found" not in text


def test_errors_are_ordered_by_what_they_cost(report: Make) -> None:
    rows = error_rows(report().judgement)
    assert [row["kind"] for row in rows][:3] == ["missed", "background", "localisation"]
    assert rows[-1]["cost"] is None  # "both", whose cost nobody measured
    assert all(row["word"] == WORDS[row["kind"]] and row["meaning"] for row in rows)


def test_a_summary_leaves_out_what_did_not_happen() -> None:
    def result(**errors: int) -> PictureResult:
        return PictureResult(item=0, path="a", badness=0, errors=errors, truth=[], found=[])

    assert summary(result(missed=2, background=0, duplicate=1)) == "2 missed · 1 found twice"
    assert summary(result()) == "no error"


def test_explanations_stand_side_by_side(report: Make) -> None:
    picture = Thumbnail("data:image/png;base64,aaaa", True)
    box = Explained(
        label="<i>disc</i>", score=0.87, verdict="background", path="a/1.png", picture=picture,
        maps=(("Grad-CAM", picture), ("Occlusion", picture)),
    )  # fmt: skip
    html = render(dataclasses.replace(report(pictures=1), explanations=Explanations([box], "Time for 1 of 8.")))
    text = read(html).text
    assert html.count("data:image/png;base64,aaaa") == 3
    assert "<i>disc</i> 0.87, nothing there · a/1.png" in text
    assert "Time for 1 of 8." in text


def test_the_report_is_written_whole(report: Make, tmp_path: Path) -> None:
    path = write_detection_report(tmp_path / "report.html", report(pictures=3))
    assert path.read_text("utf-8").endswith("</html>\n")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
