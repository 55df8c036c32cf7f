"""Small pictures put together: places by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError
from glassnet.explain.figures.first_layer import draw_filters, filter_tiles, first_filters
from glassnet.explain.figures.grids import fitted, framed, map_tile, montage, projected, squared
from glassnet.explain.figures.patches import draw_patches
from glassnet.explain.inside import Inside
from glassnet.explain.patches import ChannelPatches, Patch


def plain(value: int, height: int = 2, width: int = 3) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_tiles_are_laid_row_by_row() -> None:
    found = montage([plain(1), plain(2), plain(3)], 2, gap=1, paper=9)
    assert found.shape == (5, 7, 3)
    np.testing.assert_array_equal(found[0, :, 0], [1, 1, 1, 9, 2, 2, 2])
    np.testing.assert_array_equal(found[2, :, 0], 9)
    np.testing.assert_array_equal(found[4, :, 0], [3, 3, 3, 9, 9, 9, 9])


def test_all_maps_of_a_layer_share_a_scale() -> None:
    weak, strong = map_tile(np.ones((2, 2)), 0, 10, 4), map_tile(np.full((2, 2), 10.0), 0, 10, 4)
    assert weak.mean() > strong.mean() + 50, "the stronger, the darker"
    below, above = map_tile(np.full((1, 1), -5.0), -10, 10, 1)[0, 0], map_tile(np.full((1, 1), 5.0), -10, 10, 1)[0, 0]
    assert below[2] > below[0], "blue"
    assert above[0] > above[2], "orange"


def test_tiny_pictures_keep_square_pixels_and_ratios() -> None:
    picture = np.zeros((2, 4, 1), np.uint8)
    picture[0, 0] = 200
    found = fitted(picture, 8)
    assert found.shape == (4, 8, 3)
    assert set(np.unique(found)) == {0, 200}
    assert squared(found, 8).shape == (8, 8, 3)
    assert squared(found, 8)[0, 0, 0] == 255


def test_zero_is_grey_in_a_projection() -> None:
    image = np.zeros((2, 2, 3))
    image[0, 0] = [1, -1, 0.5]
    np.testing.assert_allclose(projected(image)[0, 0], [255, 0, 191], atol=1)
    np.testing.assert_allclose(projected(image)[1, 1], 128, atol=1)
    assert projected(np.zeros((2, 2, 5))).shape == (2, 2, 3)


def test_a_frame_is_drawn_on_a_copy() -> None:
    tile = plain(0, 10, 10)
    found = framed(tile, (0.0, 0.0, 0.5, 0.5))
    assert found[0, 3, 0] > 0
    assert found[5, 3, 0] > 0
    assert found[8, 8, 0] == 0
    assert tile.max() == 0


def test_first_filters_of_colour_grey_and_many_channels() -> None:
    for channels, expected in ((3, 3), (1, 1), (5, 1)):
        module = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        found = first_filters(Inside(module, (channels, 9, 9)))
        assert found.weight.shape == (4, expected, 3, 3)
        assert bool(found.note) == (channels == 5)
        tiles = filter_tiles(found, 6)
        assert [tile.shape for tile in tiles] == [(6, 6, 3)] * 4
        weight = module[0].weight.detach().mean(1) if channels == 5 else module[0].weight.detach()[:, 0]
        red = 127.5 + 127.5 * weight[0, 0, 0] / np.abs(found.weight).max()
        assert tiles[0][0, 0, 0] == pytest.approx(float(red), abs=1)
    assert draw_filters(found, "mine").axes


def test_a_network_without_filters_says_so() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(InputError, match="has no convolution, so it has no filters to draw"):
        first_filters(Inside(module, (1, 4, 4)))


def channel(number: int, patches: int, *, whole: bool = False) -> ChannelPatches:
    layer = Inside(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 9, 9)).trace["0"]
    patch = Patch(
        item=0, where="a.png", label="cat", value=2.5, position=(1, 1), field=(1, 1, 4, 4), box=(0, 0, 9, 9),
        outline=(2, 2, 5, 5) if whole else None, pixels=np.zeros((9, 9, 3), np.uint8),
        projection=np.zeros((9, 9, 3), np.float32),
    )  # fmt: skip
    return ChannelPatches(
        layer=layer, channel=number, patches=(patch,) * patches, pictures=50, dead=patches == 0, rule="deconvnet"
    )


def test_patches_say_channel_answers_and_the_dead() -> None:
    drawn = draw_patches([channel(3, 9), channel(1, 0), channel(2, 4, whole=True)], "mine")
    said = "\n".join(text.get_text() for text in drawn.texts)
    assert "channel 3   answers 2.5 to 2.5" in said
    assert "dead: never above zero" in said
    assert "strongest of 50 pictures" in " ".join(said.split())
    assert len(drawn.axes) == 4, "crops and projections of the two that live"
    with pytest.raises(InputError, match="65 channels are given; one figure shows at most 64"):
        draw_patches([channel(0, 0)] * 65, "mine")


def test_nothing_of_torchs_state_is_touched() -> None:
    found = channel(3, 9)
    state = torch.get_rng_state()
    draw_patches([found], "mine")
    assert torch.equal(torch.get_rng_state(), state)
