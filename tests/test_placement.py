"""Placement: where it says that a box comes to lie is where the preprocess puts the pixels of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glassnet.placement import Placement
from glassnet.preprocess import FILTERS, RESIZES, Preprocess

SIZES = [(120, 200), (210, 90), (61, 47), (64, 48), (33, 500)]


def plain(height: int, width: int, resize: str, **other: object) -> Preprocess:
    """A preprocess whose input is the picture's pixels, 0 to 1."""
    return Preprocess(height=height, width=width, resize=resize, mean=(0, 0, 0), std=(1, 1, 1), **other)  # type: ignore[arg-type]


def seen(preprocess: Preprocess, source: np.ndarray | Path) -> np.ndarray:
    """Return the network's input of a picture, (height, width) in [0, 1]."""
    batch = torch.from_numpy(preprocess.intermediate(source)[None])
    return preprocess.finish(batch)[0, 0].numpy().astype(np.float64)


def painted_box(pixels: np.ndarray) -> list[float]:
    """Return the edges, to a fraction of a pixel, of the one white rectangle on black (H, W): from its sums and middle.

    A resize blurs edges but keeps, in each direction, the rectangle's sum and its centre of gravity.
    """
    edges = []
    for axis in (0, 1):
        profile = pixels.sum(axis) / pixels.sum(axis).max()
        middle = (profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum()
        edges.append((middle - profile.sum() / 2, middle + profile.sum() / 2))
    return [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]


def test_the_edges_of_a_painted_box_are_found() -> None:
    pixels = np.zeros((20, 30))
    pixels[3:9, 10:25] = 1
    assert painted_box(pixels) == pytest.approx([10, 3, 25, 9])
    pixels[3:9, 25] = 0.5
    assert painted_box(pixels) == pytest.approx([10, 3, 25.5, 9], abs=0.25)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.6])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shape", [(96, 96), (80, 111)], ids=str)
def test_a_painted_rectangle_lies_where_the_placement_says(
    resize: str, crop: float, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    """Any picture, any rule: a rectangle well inside what the input shows is found where it was promised."""
    height, width = size
    preprocess = plain(*shape, resize, crop=crop)
    placement = Placement.of(preprocess, size)
    shown = placement.to_picture(np.array([0.0, 0, shape[1], shape[0]]))
    left, top = np.maximum(shown[:2], 0)
    right, bottom = np.minimum(shown[2:], (width, height))
    # Not in the middle, where a wrong scale or shift could hide, and on whole pixels of the picture.
    box = np.array([left + 0.2 * (right - left), top + 0.3 * (bottom - top), 0, 0]).round()
    box[2:] = np.array([left + 0.55 * (right - left), top + 0.8 * (bottom - top)]).round()
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 255
    found = painted_box(seen(preprocess, pixels))
    # A filter's weights at the pixels of an edge are rounded to 8 bits and not quite symmetric when enlarging.
    np.testing.assert_allclose(placement.to_input(box), found, atol=0.12)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", sorted(FILTERS))
def test_every_filter_puts_pixels_at_the_same_place(resize: str, interpolation: str) -> None:
    preprocess = plain(90, 70, resize, crop=0.9, interpolation=interpolation)
    pixels = np.zeros((300, 260, 3), np.uint8)
    pixels[60:180, 80:200] = 255
    box = Placement.of(preprocess, (300, 260)).to_input(np.array([80.0, 60, 200, 180]))
    tolerance = 0.75 if interpolation == "nearest" else 0.2
    np.testing.assert_allclose(box, painted_box(np.clip(seen(preprocess, pixels), 0, 1)), atol=tolerance)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_on_its_side_counts_as_displayed(tmp_path: Path, orientation: int) -> None:
    shown = np.zeros((120, 200, 3), np.uint8)
    shown[30:90, 20:100] = 255
    turned = np.rot90(shown, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "turned.png", exif=exif)
    preprocess = plain(64, 64, "pad")
    box = Placement.of(preprocess, (120, 200)).to_input(np.array([20.0, 30, 100, 90]))
    np.testing.assert_allclose(box, painted_box(seen(preprocess, tmp_path / "turned.png")), atol=0.12)


def test_by_hand() -> None:
    squash = Placement.of(plain(50, 100, "squash", crop=1.0), (100, 100))
    assert squash == Placement(scale_x=1.0, scale_y=0.5, left=0.0, top=0.0)
    pad = Placement.of(plain(100, 100, "pad", crop=1.0), (50, 100))
    assert pad == Placement(scale_x=1.0, scale_y=1.0, left=0.0, top=25.0)
    shortest = Placement.of(plain(100, 100, "shortest", crop=1.0), (50, 100))
    assert shortest == Placement(scale_x=2.0, scale_y=2.0, left=-50.0, top=0.0)
    cropped = Placement.of(plain(80, 80, "squash", crop=0.8), (100, 100))
    assert cropped == Placement(scale_x=1.0, scale_y=1.0, left=-10.0, top=-10.0)
    assert cropped.to_input(np.array([[10.0, 10, 90, 90]])).tolist() == [[0, 0, 80, 80]]
    one = Placement.of(plain(64, 64, "pad"), (1, 1))  # the smallest picture there is
    assert one.to_input(torch.tensor([0.0, 0, 1, 1])).tolist()[2] > 64


@given(
    st.sampled_from(RESIZES),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.floats(0.1, 1),
    st.lists(st.floats(-100, 3000), min_size=4, max_size=4),
)
def test_there_and_back_is_the_same_place(
    resize: str, size: tuple[int, int], shape: tuple[int, int], crop: float, box: list[float]
) -> None:
    placement = Placement.of(plain(*shape, resize, crop=crop), size)
    boxes = np.array([box])
    np.testing.assert_allclose(placement.to_picture(placement.to_input(boxes)), boxes, rtol=1e-9, atol=1e-6)
    tensors = placement.to_input(torch.tensor([box], dtype=torch.float64))
    np.testing.assert_allclose(tensors.numpy(), placement.to_input(boxes), rtol=1e-9, atol=1e-6)
    whole = placement.to_input(np.array([0.0, 0, size[1], size[0]]))
    if resize == "shortest":  # the picture covers the input
        assert (whole[:2] <= 1e-6).all()
        assert (whole[2:] >= np.array(shape)[::-1] - 1e-6).all()
    if resize == "pad" and crop == 1:  # and here the input holds the picture
        assert (whole[:2] >= -1e-6).all()
        assert (whole[2:] <= np.array(shape)[::-1] + 1e-6).all()
