"""The page: it needs nothing from outside, says what it must, and a hostile name stays a name."""

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from glassnet.data.problems import Problem
from glassnet.report import page, parts
from glassnet.report.content import Example, Maps, ReportData
from glassnet.report.thumbnails import Thumbnail

Make = Callable[..., ReportData]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag that opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def outside(reader: Reader, html: str) -> list[str]:
    """Everything on the page that a browser would have to fetch."""
    wanted = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
    fetched = [value for value in wanted if not value.startswith(("#", "data:image/"))]
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL)) + "".join(
        value for name, value in reader.attributes if name in ("style", "clip-path")
    )
    fetched += [url for url in re.findall(r"url\(([^)]*)\)", style) if not url.startswith("#")]
    return fetched + re.findall(r"@import", style)


@pytest.fixture(scope="module", params=[2, 10, 30, 100])
def some_html(request: pytest.FixtureRequest, report_data: Make) -> str:
    names = [f"class {number}" for number in range(request.param)]
    return page.render(report_data(classes=names, n=40 * request.param, side=80))


def test_nothing_comes_from_outside(some_html: str) -> None:
    reader = read(some_html)
    assert outside(reader, some_html) == []
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.tags)
    assert len(some_html) < 3_000_000


def test_the_check_for_outside_can_fail() -> None:
    for html in (
        '<img src="https://a.b/c.png">',
        "<style>@import 'x.css';</style>",
        '<p style="background: url(//a.b)">x</p>',
    ):
        assert outside(read(html), html)


def test_links_and_ids_on_the_page_fit(some_html: str) -> None:
    reader = read(some_html)
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name, value in reader.attributes if name == "href"}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", some_html))
    assert wanted
    assert wanted <= set(ids)


def test_colours_follow_the_theme(some_html: str) -> None:
    style, body = some_html.split("</style>", 1)
    assert "prefers-color-scheme: dark" in style
    assert not re.search(r"#[0-9a-fA-F]{6}\b", body)  # a colour that no theme could change
    used = set(re.findall(r"var\((--[\w-]+)\)", body))
    dark = style.split("prefers-color-scheme: dark")[1]
    assert {"--accent", "--muted", "--rule"} <= used
    for name in used - {"--a"}:
        assert f"{name}:" in style.split("@media")[0]
        assert f"{name}:" in dark


HOSTILE = "<script>alert(1)</script>"


def test_hostile_names_stay_names(report_data: Make) -> None:
    classes = (HOSTILE, '" onload="alert(1)', "$\\frac{1$", "a&b</title><h1>")
    data = report_data(classes=classes)
    losses = [dataclasses.replace(loss, path=HOSTILE + "\udcff.jpg") for loss in data.judgement.top_losses]
    data = dataclasses.replace(
        data,
        judgement=dataclasses.replace(data.judgement, top_losses=losses, network=HOSTILE, data=HOSTILE),
        title=HOSTILE,
        data_name=HOSTILE,
        notes=[HOSTILE],
        problems=[Problem(HOSTILE + "\udcff", "truncated", HOSTILE, "train")],
        recipe={"name": HOSTILE, HOSTILE: HOSTILE},
        machine={HOSTILE: HOSTILE, "glassnet": HOSTILE},
        reproduce=f"glassnet train '{HOSTILE}'",
        layers=[dict.fromkeys(data.layers[0], HOSTILE)],
    )
    html = page.render(data)
    html.encode("utf-8")  # surrogates, which a file could not hold, were made printable
    reader = read(html)
    assert "script" not in reader.tags
    assert reader.tags.count("h1") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    text = "".join(reader.text)
    for name in (*classes, f"glassnet train '{HOSTILE}'", f"{HOSTILE}\\xff.jpg"):
        assert name in text


def test_it_says_what_it_must(report_data: Make) -> None:
    data = report_data()
    text = " ".join("".join(read(page.render(data)).text).split())
    judgement = data.judgement
    for words in (
        f"Trained on {data.pictures[0]:,} pictures of 10 classes in 1 min 23 s with the recipe quick",
        f"{100 * judgement.accuracy:.1f}%",
        f"baseline {100 * judgement.baseline:.1f}%",
        *judgement.sentences().values(),
        "Most confused",
        "Before temperature scaling",
        "Ankle boot",
        "its pixels end after 12 of 64 rows",
        "Validation is 15% of the training pictures",
        "556 M multiply-adds",
        "learning rate",
        "glassnet train fashion --network resnet18 --recipe quick --seed 0",
        "A processor",
    ):
        assert words in text


def test_validation_instead_of_test_is_said(report_data: Make) -> None:
    data = report_data()
    data = dataclasses.replace(
        data,
        judgement=dataclasses.replace(data.judgement, split="validation", left_out=["a.jpg: truncated: ends early"]),
        judged_note="There are no test pictures.",
    )
    text = " ".join("".join(read(page.render(data)).text).split())
    assert "There are no test pictures." in text
    assert "1 more could not be judged; see Data." in text
    assert "2,000 validation pictures." in text
    assert "never seen" not in text


@pytest.mark.parametrize("history", [0, 1])
def test_a_single_validation_draws_no_curve(report_data: Make, history: int) -> None:
    html = page.render(report_data(history=history))
    assert 'id="learning"' not in html
    assert "#learning" not in html


def test_extremes_render(report_data: Make) -> None:
    page.render(report_data(n=1))
    page.render(report_data(classes=("a", "b"), n=3, temperature=1.0))
    everything_right = report_data(classes=("a", "b"), n=60, temperature=1.0)
    assert everything_right.judgement.accuracy == 1
    data = dataclasses.replace(everything_right, problems=[], thresholds={}, seconds=None)
    html = page.render(data)
    assert "There is no mistake to show." in html
    assert "No problem was found" in html
    assert "As the network says it" in html


def test_many_problems_are_counted_and_shortened(report_data: Make) -> None:
    problems = [Problem(f"a/{number}.jpg", "duplicate", "a copy of a/x.jpg", "train") for number in range(700)]
    html = page.render(dataclasses.replace(report_data(), problems=problems))
    assert html.count("a copy of a/x.jpg") == parts.LISTED_PROBLEMS
    assert "and 200 more in problems.csv" in html


@pytest.mark.parametrize(
    "number, text",
    [(832, "832"), (61_706, "61.7 k"), (1.814e9, "1.81 G"), (999.6e3, "1 M"), (12e15, "12,000 T"), (0, "0")],
)
def test_compact(number: float, text: str) -> None:
    assert parts.compact(number) == text


@pytest.mark.parametrize(
    "seconds, text", [(4.23, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (59.99, "1 min 0 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert parts.duration(seconds) == text


@pytest.mark.parametrize(
    "item, text",
    [(None, "–"), (True, "yes"), (0.1, "0.100"), (5e-4, "0.0005"), (8.0, "8"), ([0.5, 1], "0.500, 1"), ("sgd", "sgd")],
)
def test_value(item: object, text: str) -> None:
    assert parts.value(item) == text


def test_a_setting_is_not_rounded_to_another_one() -> None:
    items = (0.9995, 0.0125, 0.1, 8.0, True, None, [0.5, 1.0])
    assert [parts.setting(item) for item in items] == ["0.9995", "0.0125", "0.1", "8", "yes", "–", "0.500, 1"]


def test_what_answers_hung_on_stands_beside_the_pictures(report_data: Make) -> None:
    data = report_data()
    picture, found = Thumbnail("data:image/png;base64,aaaa", True), Thumbnail("data:image/jpeg;base64,bbbb", False)
    example = Example(
        label="<i>Coat</i>", probability=0.9, path="Coat/1.png", picture=picture, map=found, fall=0.25
    )  # fmt: skip
    first = data.judgement.top_losses[0].item
    maps = Maps(losses={first: (found, 0.5)}, examples=[example], note="Time for 2 of 24 pictures.")
    html = page.render(dataclasses.replace(data, maps=maps))
    assert outside(read(html), html) == []
    assert html.count("data:image/jpeg;base64,bbbb") == 2
    text = " ".join(" ".join(read(html).text).split())
    assert "What right answers hang on" in text
    assert "<i>Coat</i> 90.0%, falls by up to 25.0%" in text
    assert "Time for 2 of 24 pictures." in text
    assert "What right answers hang on" not in page.render(data)
