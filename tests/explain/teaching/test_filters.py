"""Kernels as people write them, a photo through them, and the sheet: numbers by hand, then the NumPy reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.explain.teaching.filtering import LONGEST, convolve, read_photo
from glassnet.explain.teaching.kernels import kernels
from glassnet.explain.teaching.numbers import plain
from glassnet.explain.teaching.pictures import draw_filtered
from glassnet.explain.teaching.sheet import draw_sheet
from glassnet.explain.teaching.steps import MODES, padded_picture, steps
from glassnet.reference.convolution import convolution_forward
from glassnet.reference.pooling import average_pooling_forward, max_pooling_forward

SOBEL = kernels(["sobel_x"])[0]


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (13, 17, 1), dtype=np.uint8)


def test_names_and_numbers_stand_in_one_list() -> None:
    found = kernels(["sobel_x,scharr_y,-1,1,-1,-1,5,-1,-2,2,-2", "laplacian"])
    assert [kernel.name for kernel in found] == ["sobel_x", "scharr_y", "-1 1 -1 / -1 5 -1 / -2 2 -2", "laplacian"]
    assert found[2].weight.tolist() == [[-1, 1, -1], [-1, 5, -1], [-2, 2, -2]]
    assert [kernel.finds_differences for kernel in found] == [True, True, True, True]
    assert not kernels(["sharpen"])[0].finds_differences


def test_eighteen_numbers_are_two_kernels_and_twenty_five_one() -> None:
    assert [kernel.side for kernel in kernels([",".join("1" * 18)])] == [3, 3]
    assert [kernel.side for kernel in kernels([",".join("1" * 25)])] == [5]
    assert [kernel.side for kernel in kernels([",".join("1" * 49)])] == [7]


@pytest.mark.parametrize(
    "text, error, words",
    [
        ("sobel", UnknownName, "no filter is called 'sobel'; nearest: sobel_"),
        ("1,2,3,4", InputError, "4 numbers stand together in kernel '1,2,3,4'; expected 9 for each 3x3"),
        ("1,1,1,1,sobel_x,1,1,1,1,1", InputError, "4 numbers stand together"),
        ("nan,1,1,1,1,1,1,1,1", InputError, "number is 'nan'; expected a finite one"),
        ("", UnknownName, "no filter is called ''"),
    ],
)
def test_what_is_no_kernel_is_said(text: str, error: type[InputError], words: str) -> None:
    with pytest.raises(error, match=words):
        kernels([text])
    with pytest.raises(InputError, match="no kernel is given; name one of vertical"):
        kernels([])


def test_an_edge_by_hand() -> None:
    picture = np.zeros((3, 4, 1), np.uint8)
    picture[:, 2:] = 10
    found = convolve(picture, SOBEL, padding="valid")
    assert found.answers.tolist() == [[40, 40]]  # (1 + 2 + 1) * 10 at both windows that meet the edge
    assert found.sizes == "(3 − 3) / 1 + 1 = 1 high, (4 − 3) / 1 + 1 = 2 wide"


@pytest.mark.parametrize("beyond", ["zero", "replicate", "reflect"])
@pytest.mark.parametrize("stride, padding", [(1, "same"), (2, 1), (3, 0), (1, 2)])
def test_it_is_the_references_convolution(photo: np.ndarray, stride: int, padding: int | str, beyond: str) -> None:
    found = convolve(photo, SOBEL, stride=stride, padding=padding, beyond=beyond)
    padded = np.pad(photo[:, :, 0].astype(float), found.padding, mode=MODES[beyond])
    weight = SOBEL.weight.numpy().astype(float)
    z, _ = convolution_forward(padded[None, None], weight[None, None], np.zeros(1), stride=stride)
    np.testing.assert_allclose(found.answers, z[0, 0], atol=1e-3)


def test_the_sheets_numbers_are_the_references(photo: np.ndarray) -> None:
    filtered = convolve(photo, SOBEL, stride=2, padding=1, beyond="zero")
    found = steps(filtered, (2, 3))
    padded = padded_picture(filtered)
    np.testing.assert_array_equal(found.window, padded[4:7, 6:9])
    np.testing.assert_array_equal(found.products, found.window * SOBEL.weight.numpy())
    assert found.products.sum() == found.total == filtered.answers[2, 3]
    top, left = found.answers_corner
    np.testing.assert_array_equal(found.answers, filtered.answers[top : top + 4, left : left + 4])
    together = found.answers[None, None].astype(float)
    np.testing.assert_allclose(found.largest, max_pooling_forward(together, 2)[0][0, 0])
    np.testing.assert_allclose(found.mean, average_pooling_forward(together, 2)[0][0, 0], rtol=1e-5)
    y, x = found.corner
    rows, columns = found.surroundings.shape
    np.testing.assert_array_equal(found.surroundings, padded[y : y + rows, x : x + columns])


def test_the_sheet_takes_the_strongest_place_and_holds_at_every_border(photo: np.ndarray) -> None:
    filtered = convolve(photo, SOBEL)
    assert abs(steps(filtered).total) == np.abs(filtered.answers).max()
    rows, columns = filtered.answers.shape
    for at in ((0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)):
        found = steps(filtered, at)
        assert found.total == filtered.answers[at]
        np.testing.assert_allclose(found.products.sum(), found.total, atol=1e-3)
        assert found.surroundings.shape == (7, 7)


def test_the_figures_say_stride_padding_and_sizes(photo: np.ndarray) -> None:
    filtered = convolve(photo, SOBEL, stride=2, padding=1, beyond="zero")
    drawn = draw_filtered([filtered, convolve(photo, kernels(["sharpen"])[0])], "a.jpg")
    said = "\n".join(text.get_text() for ax in drawn.axes for text in ax.findobj(lambda a: hasattr(a, "get_text")))
    for words in ("sobel_x", "3 × 3, stride 2, padding 1 (zero)", "13 × 17 becomes 7 × 9", "a.jpg", "sharpen"):
        assert words in said
    found = steps(filtered, (2, 3))
    sheet = draw_sheet(found, "a.jpg")
    said = "\n".join(text.get_text() for text in sheet.texts)
    for words in ("(13 + 2·1 − 3) / 2 + 1 = 7 high", "row 2, column 3 of the output", f"= {plain(found.total)}"):
        assert words in said
    assert "7 × 9, becomes 3 × 4" in said
    with pytest.raises(InputError, match="25 kernels are given; one figure shows at most 24"):
        draw_filtered([filtered] * 25, "a.jpg")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"stride": 0}, "stride is 0; expected at least 1"),
        ({"padding": -1}, "padding is -1; expected same, valid, or a number"),
        ({"padding": "wide"}, "padding is 'wide'"),
        ({"beyond": "zeros"}, "no padding is called 'zeros'; nearest: zero"),
        ({"padding": 13, "beyond": "reflect"}, "padding 13 reflects more than the 13 x 17 pixels"),
    ],
)
def test_bad_settings_are_said(photo: np.ndarray, settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        convolve(photo, SOBEL, **settings)  # type: ignore[arg-type]


def test_pictures_too_small_are_said() -> None:
    tiny = np.zeros((2, 2, 1), np.uint8)
    with pytest.raises(InputError, match="2 x 2 pixels and padding 0: too small for a kernel of 3 x 3"):
        convolve(tiny, SOBEL, padding=0)
    with pytest.raises(InputError, match="the output has 1 x 1 numbers; pooling needs at least 2 x 2"):
        steps(convolve(np.zeros((3, 3, 1), np.uint8), SOBEL, padding=0))
    with pytest.raises(InputError, match="there is no output at row 5, column 0; it has 3 rows, 3 columns"):
        steps(convolve(np.zeros((3, 3, 1), np.uint8), SOBEL), (5, 0))


def test_a_photo_keeps_its_proportions_and_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (1000, 500), (255, 0, 0)).save(tmp_path / "a.jpg", exif=exif)
    found = read_photo(tmp_path / "a.jpg")
    assert found.shape == (LONGEST, LONGEST // 2, 1)
    assert found[5, 5, 0] == pytest.approx(0.299 * 255, abs=2)
    (tmp_path / "bad.jpg").write_bytes(b"hello")
    for name in ("bad.jpg", "none.jpg"):
        with pytest.raises(PictureError, match=f"cannot read .*{name}"):
            read_photo(tmp_path / name)
