"""The parts of the page: figures as inline SVG, the confusion matrix, thumbnails."""

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image

from glassnet.evaluation.judgement import ClassCurve
from glassnet.preprocess import Preprocess
from glassnet.report import figures, svg
from glassnet.report.matrix import confusion_html
from glassnet.report.thumbnails import centre, thumbnail


def curve_svg(name: str = "pr") -> str:
    curves = [ClassCurve(name=label, x=[0.0, 0.5, 1.0], y=[1.0, 0.8, 0.2], area=0.7) for label in ("cat & dog", "b")]
    return figures.class_curves(name, "a <title>", curves, ["b"], roc=False)


def test_a_figure_is_wellformed_small_and_in_the_pages_colours() -> None:
    text = curve_svg()
    root = ET.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "a <title>"
    assert root.get("width") is None
    assert "<style" not in text  # it would hold for the whole page
    assert "font-family" not in text
    assert not re.search(r"#f1f0e\d", text)
    assert {"var(--accent)", "var(--line)", "var(--rule)"} <= set(re.findall(r"var\(--\w+\)", text))
    assert len(text) < 30_000


def test_hovering_names_the_class() -> None:
    titles = [element.text for element in ET.fromstring(curve_svg()).iter() if element.tag.endswith("title")]
    assert titles == ["cat & dog", "b"]


def test_a_figure_is_the_same_every_time_and_its_ids_are_its_own() -> None:
    assert curve_svg("pr") == curve_svg("pr")
    ids = [set(re.findall(r'id="([^"]+)"', curve_svg(name))) for name in ("pr", "roc")]
    assert not ids[0] & ids[1]


def test_every_role_has_a_colour_of_its_own() -> None:
    assert len({svg.colour(role) for role in svg.ROLES}) == len(svg.ROLES)


def test_learning_curve_with_one_point_of_one_line() -> None:
    text = figures.learning_curve("loss", "Loss", [("muted", [(1.0, 2.0)]), ("accent", [(0.5, 1.5), (1.0, 1.2)])])
    assert "epoch" in text


def test_pyplot_is_never_imported() -> None:
    code = "import sys, glassnet.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_matrix_as_a_table() -> None:
    html = confusion_html([[8, 2], [0, 5]], ("<a>", "b"))
    table = ET.fromstring(html.replace("&ensp;", " "))
    rows = table.findall("tbody/tr")
    assert [[cell.text for cell in row] for row in rows] == [["<a>", "8", "2"], ["b", "·", "5"]]
    wrong = rows[0][2]
    assert (wrong.get("class"), wrong.get("style")) == ("wrong", f"--a:{0.2**0.5:.2f}")
    assert wrong.get("title") == "2 of 10 “<a>” called “b”: 20.0%"
    assert rows[0][1].get("class") == "right deep"


@pytest.mark.parametrize("classes", [25, 71])
def test_the_matrix_as_a_drawing(classes: int) -> None:
    confusion = np.eye(classes, dtype=int) * 3
    confusion[2, 5] = 1
    drawing = confusion_html(confusion.tolist(), [f"<{number}>" for number in range(classes)])
    root = ET.fromstring(drawing)
    cells = {path.get("class"): path.get("d", "") for path in root.iter("path")}
    assert cells["wrong"] == "M5 2h1v1h-1z"
    paths = " ".join(path.get("d", "") for path in root.iter("path"))
    assert paths.count("M") == classes + 1
    assert len(list(root.iter("text"))) == (2 * classes if classes == 25 else 0)


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_small_thumbnail_is_exact() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, 3), dtype=np.uint8)
    small = thumbnail(pixels)
    assert small.pixelated
    assert (np.asarray(decode(small.uri)) == pixels).all()


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB"), (5, "L")])
def test_a_large_thumbnail_is_scaled_down(channels: int, mode: str) -> None:
    pixels = np.full((300, 600, channels), 200, np.uint8)
    large = thumbnail(pixels)
    image = decode(large.uri)
    assert (large.pixelated, image.format, image.mode, image.size) == (False, "JPEG", mode, (224, 112))
    assert abs(int(np.asarray(image)[50, 50].max()) - 200) <= 2
    assert len(large.uri) < 10_000


def test_the_centre_is_what_the_network_is_given() -> None:
    preprocess = Preprocess(height=5, width=4, channels=1, crop=0.5, mean=(0.0,), std=(1.0,))
    stored = np.arange(preprocess.store_height * preprocess.store_width, dtype=np.uint8)
    stored = stored.reshape(preprocess.store_height, preprocess.store_width, 1)
    given = preprocess.finish(torch.from_numpy(stored[None]))[0].permute(1, 2, 0) * 255
    assert centre(stored, 5, 4) == pytest.approx(given.numpy(), abs=1e-3)
