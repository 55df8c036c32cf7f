"""Figures: what they say, which colours mean which numbers, and files that are whole or absent."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from glassnet.errors import InputError, StorageError
from glassnet.explain.explanation import INPUT, Explanation
from glassnet.explain.figures import panels, style
from glassnet.explain.figures.rows import Explained, figure
from glassnet.explain.figures.save import html, save, save_rows


def make(**changes: Any) -> Explanation:
    picture = np.full((32, 48, 3), 90, np.uint8)
    facts: dict[str, Any] = {
        "array": np.arange(12.0).reshape(3, 4),
        "method": "gradcam",
        "title": "Grad-CAM",
        "kind": "map",
        "unit": "weight for the class",
        "extent": (0.0, 48.0, 0.0, 32.0),
        "picture": picture,
        "label": "tabby $cat$",
        "score": 0.873,
        "layer": "body.stage4",
        "path": "photos/a.jpg",
        "note": "layer stage4, chosen",
    }
    return Explanation(**{**facts, **changes})


def texts(drawn: Figure) -> str:
    """Return every word of a figure."""
    words = [text.get_text() for text in drawn.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(words)


def test_one_explanation_says_method_class_score_layer_and_unit() -> None:
    said = texts(make().plot().figure)
    for words in ("Grad-CAM", "tabby $cat$ 87.3 %", "layer stage4, 3 × 4", "weight for the class"):
        assert words in said


def test_drawing_on_given_axes_returns_them_and_makes_no_figure() -> None:
    ax = Figure().add_subplot()
    assert make().plot(ax) is ax


def test_several_stand_beside_the_picture_and_a_note_stands_once() -> None:
    drawn = figure([Explained("photos/a.jpg", [make(), make(title="Grad-CAM++")])])
    said = texts(drawn)
    assert said.count("layer stage4, chosen") == 1
    assert "Grad-CAM, Grad-CAM++: layer stage4, chosen" in said
    assert "a.jpg" in said
    assert "32 × 48 px" in said
    pictures = [ax for ax in drawn.axes if ax.get_position().height > 0.2]
    assert len(pictures) == 3
    first = pictures[0].get_images()[0].get_array()
    assert (np.asarray(first) == 90 / 255).all(), "the first panel is the picture itself"


def test_a_picture_that_could_not_be_read_is_a_row_of_words() -> None:
    said = texts(figure([Explained("a.jpg", [make()]), Explained("bad.jpg", error="not a picture")]))
    assert "bad.jpg: not a picture" in said


def test_maps_begin_at_zero_and_signed_ones_are_the_same_to_both_sides() -> None:
    assert style.limits(np.array([[1.0, 4.0]]), "map") == (0, 4, False)
    assert style.limits(np.array([[3.0, 4.0]]), "map") == (3, 4, False)
    assert style.limits(np.array([[-1.0, 4.0]]), "map") == (-1, 4, False)
    assert style.limits(np.array([[-1.0, 4.0]]), "signed") == (-4, 4, False)
    assert style.limits(np.zeros((2, 2)), "map") == (0, 1, False)
    assert style.limits(np.zeros((2, 2)), "signed") == (-1, 1, False)


def test_one_outlier_does_not_take_the_colour_from_all_others() -> None:
    array = np.random.default_rng(0).normal(size=(100, 100))
    array[3, 3] = 1e6
    low, high, beyond = style.limits(array, "signed")
    assert low == -high
    assert high < 10
    assert beyond


def lightness(colour: np.ndarray) -> np.ndarray:
    """CIE L* of (..., 3) sRGB in [0, 1], by its definition."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_colours_are_honest() -> None:
    """Lightness falls steadily with a map's number, and with a signed one's distance from zero to either side."""
    grey = np.full((1, 101, 3), 0.72)
    steps = np.linspace(0, 1, 101)[None]
    strong = lightness(style.over(grey, style.colours(steps, 0, 1, "map")))[0]
    assert (np.diff(strong) < 0).all()
    assert strong[0] - strong[-1] > 40
    signed = lightness(style.over(grey, style.colours(2 * steps - 1, -1, 1, "signed")))[0]
    assert (np.diff(signed[50:]) < 0.3).all()
    assert (np.diff(signed[:51]) > -0.3).all()
    assert abs(signed[0] - signed[-1]) < 6, "for and against are equally dark"
    middle = style.over(grey, style.colours(np.zeros((1, 1)), -1, 1, "signed"))[0, 0]
    assert np.ptp(middle) < 0.02, "zero has no colour"


def test_a_pictures_own_colours_do_not_show_under_a_map() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 255
    assert np.ptp(style.faded(picture), axis=2).max() == 0


def test_the_outermost_colours_reach_the_edges() -> None:
    array = np.array([[0.0, 1.0], [0.0, 1.0]])
    found = panels.overlaid(make(array=array, extent=(24.0, 40.0, 0.0, 32.0)))
    fine = 224 // 48
    np.testing.assert_allclose(found[0, 0], found[0, 24 * fine], atol=1e-6)
    np.testing.assert_allclose(found[0, 40 * fine], found[0, -1], atol=1e-6)
    assert np.abs(found[0, 0] - found[0, -1]).max() > 0.2


def test_an_image_that_is_an_input_is_shown_as_its_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    array = (picture / 255 - mean) / std
    explanation = make(array=array, kind="image", unit=INPUT, picture=picture, mean=mean, std=std)
    np.testing.assert_allclose(style.as_picture(explanation), picture / 255, atol=1e-6)
    assert INPUT not in texts(explanation.plot().figure), "a picture has no colour bar"


def test_labels_name_the_most_frequent_classes() -> None:
    array = np.array([[0, 0, 7], [0, 2, 7]])
    said = texts(make(array=array, kind="labels", settings={"names": {0: "tabby", 7: "lynx"}}).plot().figure)
    assert "tabby" in said
    assert "lynx" in said
    assert "class 2" in said


def test_a_grey_tiny_picture_is_drawn_in_square_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    drawn = figure([Explained("a.png", [make(picture=picture, extent=(0.0, 28.0, 0.0, 28.0))])])
    assert drawn.axes[0].get_images()[0].get_interpolation() == "nearest"


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".PNG"])
def test_a_figure_is_written(tmp_path: Path, ending: str) -> None:
    path = make().save(tmp_path / f"a{ending}")
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending.lower()]
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_numbers_are_written(tmp_path: Path) -> None:
    save([make()], tmp_path / "one.npz")
    with np.load(tmp_path / "one.npz") as found:
        np.testing.assert_array_equal(found["array"], make().array)
        assert found["extent"].tolist() == [0, 48, 0, 32]
        assert json.loads(str(found["facts"]))["label"] == "tabby $cat$"
    save_rows([Explained("a", [make()]), Explained("b", [make(array=np.eye(2))])], tmp_path / "two.npz")
    with np.load(tmp_path / "two.npz") as found:
        np.testing.assert_array_equal(found["array_1"], np.eye(2))


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot save to .*a\.gif'; let the name end in \.png, \.svg, \.pdf or \.npz"):
        make().save(tmp_path / "a.gif")
    with pytest.raises(StorageError, match="its folder does not exist"):
        make().save(tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_gets_a_picture_with_words() -> None:
    text = make(label='"><script>')._repr_html_()
    assert text.startswith('<img src="data:image/png;base64,')
    assert "<script>" not in text
    assert "Grad-CAM" in html(make())


def test_saving_leaves_no_setting_of_matplotlib_behind(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    make().save(tmp_path / "a.png")
    assert dict(mpl.rcParams) == before


def test_the_figure_is_as_large_as_its_panels(tmp_path: Path) -> None:
    one = save([make()], tmp_path / "one.png").read_bytes()
    two = save([make(), make()], tmp_path / "two.png").read_bytes()
    wide = [Image.open(io.BytesIO(data)).size[0] for data in (one, two)]
    assert wide[1] - wide[0] == pytest.approx((panels.PANEL + 0.22) * style.DPI, abs=2)
