"""A map placed on its picture: numbers by hand, an independent interpolation, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from glassnet.explain.explanation import Explanation
from glassnet.explain.placing import spread


def test_two_cells_on_four_pixels_by_hand() -> None:
    # centres of the cells at 1 and 3, of the pixels at 0.5, 1.5, 2.5, 3.5
    found = spread(np.array([[0.0, 4.0]]), (0, 4, 0, 1), (1, 4))
    np.testing.assert_allclose(found, [[0, 1, 3, 4]])
    assert found.dtype == np.float32


def test_beyond_its_extent_the_outermost_numbers_stand() -> None:
    found = spread(np.array([[1.0, 3.0]]), (1, 3, 0, 2), (3, 4))
    np.testing.assert_array_equal(found, [[1, 1, 3, 3]] * 3)


def test_several_maps_at_once() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 4, 5))
    found = spread(maps, (0, 20, 0, 12), (12, 20))
    np.testing.assert_array_equal(found[1], spread(maps[1], (0, 20, 0, 12), (12, 20)))


def test_an_extent_beyond_the_picture_is_cut() -> None:
    found = spread(np.array([[0.0, 1.0]]), (-4, 4, 0, 1), (1, 4))  # cells 4 wide, centres at -2 and 2
    np.testing.assert_allclose(found, [[0.625, 0.875, 1, 1]])


@pytest.mark.parametrize("cells, size", [((7, 7), (224, 224)), ((3, 5), (20, 41)), ((28, 28), (28, 28))])
def test_it_equals_torchs_bilinear_interpolation_over_the_whole_picture(
    cells: tuple[int, int], size: tuple[int, int]
) -> None:
    array = np.random.default_rng(0).normal(size=cells)
    theirs = F.interpolate(torch.from_numpy(array)[None, None], size=size, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(spread(array, (0, size[1], 0, size[0]), size), theirs[0, 0], atol=1e-6)


def test_a_map_finer_than_the_picture_is_averaged() -> None:
    found = spread(np.tile([0.0, 1.0], 8)[None], (0, 4, 0, 1), (1, 4))  # stripes of a quarter of a pixel
    np.testing.assert_allclose(found, np.full((1, 4), 0.5), atol=0.13)
    np.testing.assert_allclose(spread(np.full((9, 9), 2.0), (0, 2, 0, 2), (2, 2)), np.full((2, 2), 2.0))


def test_resized_is_spread_and_refuses_what_is_no_map() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    facts = {"method": "m", "title": "M", "unit": "u", "extent": (0.0, 4.0, 0.0, 4.0), "picture": picture}
    explanation = Explanation(array=np.eye(2), kind="map", **facts)
    np.testing.assert_array_equal(explanation.resized(), spread(np.eye(2), (0, 4, 0, 4), (4, 4)))
    with pytest.raises(ValueError, match="M gives labels, not a map that could be spread over the picture"):
        Explanation(array=np.eye(2, dtype=int), kind="labels", **facts).resized()
