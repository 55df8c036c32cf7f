"""The strongest pictures of every channel: hand numbers, a loop over everything, ties, memory, bad settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.inside import Inside
from glassnet.explain.strongest import RunningTop, strongest
from glassnet.models import Network


def whole_numbers(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give convolutions small whole weights, so that sums are exact and ties are ties."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = torch.randint(-1, 2, part.weight.shape, generator=generator).float()
            assert part.bias is not None
            part.bias.data = torch.randint(-1, 2, part.bias.shape, generator=generator).float()
    return module


def summed() -> nn.Module:
    """Return a sum over 2x2 windows, and a difference of neighbours, each two pixels apart."""
    convolution = nn.Conv2d(1, 2, 2, stride=2, bias=False)
    convolution.weight.data = torch.tensor([[[[1.0, 1], [1, 1]]], [[[1.0, -1], [0, 0]]]])
    return nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))


def test_top_pictures_and_their_places_by_hand(network_of: Any, pictures_of: Any) -> None:
    pool = np.zeros((4, 4, 4, 1), np.uint8)
    pool[0, 0, 0] = 7  # the sum is 7 at (0, 0), the difference 7 at (0, 0)
    pool[1, 2:4, 2:4] = 5  # 20 at (1, 1), no difference
    pool[2, 0:2, 2:4] = 5  # 20 at (0, 1): as much as picture 1, and later
    pool[2, 2, 0] = 9  # the difference is 9 at (1, 0)
    network = network_of(summed(), 4, 4)
    found = strongest(network, pictures_of(network, pool), "0", top=3)
    assert found.values.tolist() == [[20, 20, 7], [9, 7, 0]]
    assert found.items.tolist() == [[1, 2, 0], [2, 0, 1]]
    assert list(zip(found.rows[0], found.columns[0], strict=True)) == [(1, 1), (0, 1), (0, 0)]
    assert list(zip(found.rows[1], found.columns[1], strict=True)) == [(1, 0), (0, 0), (0, 0)]
    assert found.pictures == 4
    assert found.rectified  # only a ReLU reads it
    assert found.liveliest(5) == [0, 1]


def naive(maps: torch.Tensor, top: int) -> list[list[tuple[float, int, int]]]:
    """Return (value, picture, place) of each channel's strongest, by sorting all of them: (N, C, h, w)."""
    answers = []
    for channel in range(maps.shape[1]):
        each = []
        for number in range(len(maps)):
            flat = maps[number, channel].flatten().tolist()
            place = max(range(len(flat)), key=lambda p: (flat[p], -p))
            each.append((flat[place], number, place))
        answers.append(sorted(each, key=lambda found: (-found[0], found[1]))[:top])
    return answers


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 40),
    top=st.integers(1, 12),
    size=st.integers(1, 17),
    levels=st.integers(1, 6),
)
def test_the_running_top_is_that_of_a_loop_over_everything(
    seed: int, count: int, top: int, size: int, levels: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(-1, levels, (count, 3, 2, 3), generator=generator).float()  # many ties
    running = RunningTop(3, min(top, count))
    for start in range(0, count, size):
        running.update(maps[start : start + size], torch.arange(start, min(start + size, count)))
    for channel, expected in enumerate(naive(maps, top)):
        found = (running.values[channel], running.items[channel], running.places[channel])
        assert list(zip(*(part.tolist() for part in found), strict=True)) == expected


def test_a_pass_over_a_data_set_is_that_of_a_loop_over_everything(network_of: Any, pictures_of: Any) -> None:
    module = whole_numbers(
        nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 5, 3),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(5 * 2 * 2, 2),
        )
    )
    pool = np.random.default_rng(0).integers(0, 3, (50, 8, 8, 1), dtype=np.uint8)
    network = network_of(module, 8, 8)
    images = network.preprocess.finish(torch.from_numpy(pool))
    for layer in ("0", "1", "3", "4"):
        found = strongest(network, pictures_of(network, pool), layer, top=9, batch_size=7)
        maps = Inside.of(network).play(images, keep=[layer]).kept[layer].round()
        for channel, expected in enumerate(naive(maps, 9)):
            width = maps.shape[3]
            places = (found.rows[channel] * width + found.columns[channel]).tolist()
            values = found.values[channel].round().tolist()
            assert list(zip(values, found.items[channel].tolist(), places, strict=True)) == expected


def test_folding_and_stopping_do_not_change_what_a_layer_answers(small_network: Network, pictures_of: Any) -> None:
    pool = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    pictures = pictures_of(small_network, pool)
    images = small_network.preprocess.finish(torch.from_numpy(pool))
    inside = Inside.of(small_network)
    convolution = next(layer for layer in inside.trace if layer.kind == "Conv2d")
    norm = next(layer for layer in inside.trace if layer.kind == "BatchNorm2d")
    for layer in (convolution, norm, inside.trace.layers[-1]):
        found = strongest(small_network, pictures, layer.name, top=4, batch_size=8)
        output = inside.play(images, keep=[layer.name]).kept[layer.name]
        maps = output if output.ndim == 4 else output[:, :, None, None]
        peaks = maps.amax((2, 3)).T.sort(1, descending=True)  # (C, N)
        np.testing.assert_allclose(found.values, peaks.values[:, :4], rtol=1e-4, atol=1e-4)
        assert (found.items == peaks.indices[:, :4].numpy()).all()
        taken = maps[torch.from_numpy(found.items), torch.arange(maps.shape[1])[:, None], found.rows, found.columns]
        np.testing.assert_allclose(found.values, taken, rtol=1e-4, atol=1e-4)


def test_what_is_kept_depends_on_the_channels_alone() -> None:
    running = RunningTop(6, 9)
    for start in range(0, 400, 50):
        running.update(torch.rand(50, 6, 8, 8), torch.arange(start, start + 50))
        held = [value for value in vars(running).values() if isinstance(value, torch.Tensor)]
        assert len(held) == len(vars(running))
        assert sum(tensor.untyped_storage().nbytes() for tensor in held) == 6 * 9 * (4 + 8 + 8)


def test_some_items_only_and_their_numbers_are_the_indexs(network_of: Any, pictures_of: Any) -> None:
    pool = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    network = network_of(summed(), 4, 4)
    seen: list[tuple[int, int]] = []
    found = strongest(
        network, pictures_of(network, pool), "0", items=np.array([3, 8, 5]), top=2, batch_size=2,
        progress=lambda *state: seen.append(state),
    )  # fmt: skip
    assert found.items[0].tolist() == [8, 5]
    assert found.pictures == 3
    assert seen == [(2, 3), (3, 3)]


def test_a_channel_that_never_answers_is_dead(network_of: Any, pictures_of: Any) -> None:
    module = summed()
    module[0].weight.data[1] = -1.0
    network = network_of(module, 4, 4)
    found = strongest(network, pictures_of(network, np.full((3, 4, 4, 1), 9, np.uint8)), "1")
    assert found.dead.tolist() == [False, True]
    assert found.liveliest(2) == [0]
    assert found.values.shape == (2, 3)  # there are but three pictures


def test_bad_settings_are_refused(network_of: Any, pictures_of: Any) -> None:
    network = network_of(summed(), 4, 4)
    pictures = pictures_of(network, np.zeros((3, 4, 4, 1), np.uint8))
    with pytest.raises(UnknownName, match="no layer is called 'conv9'"):
        strongest(network, pictures, "conv9")
    with pytest.raises(InputError, match="top is 0; expected a whole number of at least 1"):
        strongest(network, pictures, "0", top=0)
    with pytest.raises(InputError, match="squares: there is no picture to look at"):
        strongest(network, pictures, "0", items=np.array([], np.int64))
    with pytest.raises(InputError, match="batch size is 0"):
        strongest(network, pictures, "0", batch_size=0)
    with pytest.raises(InputError, match="decoded for another input"):
        strongest(network_of(summed(), 6, 6), pictures, "0")
    network.module[0].weight.data[0, 0, 0, 0] = float("nan")  # type: ignore[index,union-attr,operator]
    with pytest.raises(InputError, match="numbers that are not finite"):
        strongest(network, pictures, "0")


def test_a_layer_that_is_neither_maps_nor_a_vector_is_refused(network_of: Any, pictures_of: Any) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(2), nn.Flatten(), nn.Linear(32, 2))
    network = network_of(module, 4, 4)
    with pytest.raises(InputError, match="layer '1' gives 2x16 numbers; expected channels of maps, or one vector"):
        strongest(network, pictures_of(network, np.zeros((3, 4, 4, 1), np.uint8)), "1")
