"""Augmentation moves boxes exactly as it moves pixels: painted pictures are found again where their boxes are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.augment import BoxAugment, Tile, compose, move

SIZE = (60, 80)


def painted(box: tuple[int, int, int, int]) -> np.ndarray:
    """A black picture of `SIZE` with one white box."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = 255
    return picture


def whole(**how: object) -> Tile:
    values = {"picture": 0, "area": (0, 0, 80, 60), "scale": 1.0, "shift": (0.0, 0.0), "mirror": (False, False)}
    return Tile(**{**values, **how})  # type: ignore[arg-type]


def found(image: torch.Tensor) -> list[float]:
    """The box of what is more than half white."""
    rows, columns = np.nonzero(image[0].numpy() > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_nothing_done_is_the_picture_itself() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    image = compose([whole()], picture, (0, 0, 0))
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), picture[0], atol=1e-2)


def test_mirrors_are_exact() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    image = compose([whole(mirror=(True, True))], picture, (0, 0, 0))
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), picture[0, ::-1, ::-1], atol=1e-2)
    moved = move([whole(mirror=(True, False))], [Objects.of([[10, 20, 30, 50]], [0])], SIZE)
    assert moved.boxes.tolist() == [[50, 20, 70, 50]]
    moved = move([whole(mirror=(False, True))], [Objects.of([[10, 20, 30, 50]], [0])], SIZE)
    assert moved.boxes.tolist() == [[10, 10, 30, 40]]


def test_what_lies_beside_the_picture_is_background() -> None:
    image = compose([whole(scale=0.5, shift=(20.0, 10.0))], painted((0, 0, 80, 60))[None], (1, 2, 3))
    assert found(image) == [20, 10, 60, 40]
    assert image[:, 0, 0].tolist() == [1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40), st.integers(0, 30), st.integers(12, 40), st.integers(12, 30), st.integers(0, 2**32),
    st.booleans(),
)  # fmt: skip
def test_pixels_and_boxes_go_the_same_way(left: int, top: int, width: int, height: int, seed: int, many: bool) -> None:
    box = (left, top, left + width, top + height)
    pictures = np.stack([painted(box)] + 3 * [np.zeros((*SIZE, 3), np.uint8)])
    objects = [Objects.of([box], [1]), Objects.of(), Objects.of(), Objects.of()]
    augment = BoxAugment(flip=0.5, flip_vertical=0.5, mosaic=float(many), zoom=0.5)
    tiles = augment.layout(0, [1, 2, 3], SIZE, np.random.default_rng(seed))
    assert len(tiles) == (4 if many else 1)
    moved = move(tiles, objects, SIZE)
    image = compose(tiles, pictures, (0, 0, 0))
    if len(moved) == 0:
        assert (image > 200).float().sum() <= 3 * 80  # at most a blurred edge of it
        return
    if min(moved.boxes[0, 2:] - moved.boxes[0, :2]) > 2:
        np.testing.assert_allclose(found(image), moved.boxes[0], atol=1.01)
    assert moved.labels.tolist() == [1]


def test_a_box_of_which_little_is_left_is_difficult() -> None:
    objects = [Objects.of([[0, 0, 40, 40], [30, 0, 70, 40]], [0, 1])]
    moved = move([whole(shift=(-32.0, 0.0))], objects, SIZE)
    assert moved.boxes.tolist() == [[0, 0, 8, 40], [0, 0, 38, 40]]
    assert moved.difficult.tolist() == [True, False]


def test_a_mosaic_covers_the_output_once() -> None:
    tiles = BoxAugment(mosaic=1.0).layout(0, [1, 2, 3, 4], SIZE, np.random.default_rng(5))
    covered = np.zeros(SIZE, int)
    for tile in tiles:
        left, top, right, bottom = tile.area
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()
    assert len({tile.picture for tile in tiles}) == 4


def test_colour_changes_and_stays_in_range() -> None:
    image = torch.rand(3, 8, 8) * 255
    assert BoxAugment().recolour(image, np.random.default_rng(0)) is image
    changed = BoxAugment(colour=0.5).recolour(image, np.random.default_rng(0))
    assert not torch.equal(changed, image)
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_any_channels(channels: int) -> None:
    pictures = np.full((1, *SIZE, channels), 9, np.uint8)
    background = (7,) * channels
    image = compose([whole(scale=0.5)], pictures, background)
    assert image.shape == (channels, *SIZE)
    assert image[:, -1, -1].tolist() == [7.0] * channels
