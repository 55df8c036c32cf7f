from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from glassnet.detection.windows.places import Sliding, context_of, sliding_of
from glassnet.errors import InputError
from glassnet.models import create
from glassnet.nn.fully_convolutional import to_fully_convolutional


def test_windows_by_hand() -> None:
    sliding = Sliding((4, 6), (2, 3))
    assert sliding.positions((8, 12)) == (3, 3)  # tops 0, 2, 4; lefts 0, 3, 6
    assert sliding.fitting((7, 10)) == (8, 12)
    assert sliding.fitting((1, 6)) == (4, 6)
    assert sliding.positions((3, 6)) == (0, 1)
    assert sliding.boxes((2, 2)).tolist() == [[[0, 0, 6, 4], [3, 0, 9, 4]], [[0, 2, 6, 6], [3, 2, 9, 6]]]


sides = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(window=sides, step=sides, size=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_fitting_size_is_covered_to_its_last_pixel(window: tuple, step: tuple, size: tuple) -> None:  # type: ignore[type-arg]
    sliding = Sliding(window, (min(step[0], window[0]), min(step[1], window[1])))
    fitting = sliding.fitting(size)
    assert all(full >= side for full, side in zip(fitting, size, strict=True))
    boxes = sliding.boxes(sliding.positions(fitting))
    assert boxes[0, 0].tolist() == [0, 0, window[1], window[0]]
    assert boxes[-1, -1, 2:].tolist() == [fitting[1], fitting[0]]
    assert sliding.extent(sliding.positions(fitting)) == fitting
    assert sliding.fitting(fitting) == fitting
    spare = [full - max(side, least) for full, side, least in zip(fitting, size, window, strict=True)]
    assert all(0 <= each < stride for each, stride in zip(spare, sliding.stride, strict=True))


@pytest.mark.parametrize(
    "name, window, stride, context",
    [
        ("vgg16", 224, 32, (3, 3)),  # 212 pixels see the last maps, 7x7 of these 404: 90 beyond the window on each side
        ("resnet18", 224, 32, None),
        ("squeezenet1_0", 224, 16, None),
        ("lenet5", 28, 4, (1, 1)),
        ("sprint_m", 32, None, None),
    ],
)
def test_registered_networks_slide_by_the_product_of_their_strides(
    name: str, window: int, stride: int | None, context: tuple[int, int] | None
) -> None:
    with torch.device("cpu" if name == "sprint_m" else "meta"):  # a norm's numbers are copied into its other form
        network = create(name)
    channels = network.input_size[0]
    plain = to_fully_convolutional(network, (channels, window, window))
    sliding = sliding_of(plain, (window, window), channels)
    assert stride is None or sliding.stride == (stride, stride)
    assert context is None or context_of(plain, sliding, channels) == (context, context)


def test_where_a_window_lies_is_what_its_answer_depends_on() -> None:
    # The gradient of one position's score reaches exactly the pixels of its window.
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, stride=2), nn.Flatten(), nn.Linear(2 * 4 * 3, 1))
    plain = to_fully_convolutional(network, (1, 11, 9))
    sliding = sliding_of(plain, (11, 9), 1)
    assert sliding == Sliding((11, 9), (2, 2))
    assert context_of(plain, sliding, 1) == ((0, 0), (0, 0))
    images = torch.randn(1, 1, 17, 15, requires_grad=True)
    plain(images)[0, 0, 2, 1].backward()
    assert images.grad is not None
    rows, columns = torch.where(images.grad[0, 0] != 0)
    left, top, right, bottom = sliding.boxes((4, 4))[2, 1].tolist()
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


class Halves(nn.Module):
    """Adds a map to itself at half the resolution, brought back by repeating: positions are no longer alike."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = nn.functional.interpolate(images[:, :, ::2, ::2], scale_factor=1.5)
        return out


def test_a_network_of_uneven_steps_is_refused() -> None:
    with pytest.raises(InputError, match=r"answers every .* expected whole numbers above 0; use way='crops'"):
        sliding_of(nn.Sequential(Halves(), nn.Conv2d(1, 1, 3)), (4, 4), 1)
    with pytest.raises(InputError, match=r"gives 5x6 answers for 10x11 pixels.* expected 3x4 from the edge on"):
        sliding_of(nn.Sequential(nn.Conv2d(1, 1, 6)), (8, 8), 1)


def test_the_examples_slide_or_say_why_not() -> None:
    from glassnet.models import Network

    for path in sorted((Path(__file__).parents[3] / "examples" / "networks").glob("*.toml")):
        network = Network.create(str(path), ["a", "b"])
        shape = network.module.input_size
        sliding = sliding_of(to_fully_convolutional(network.module), shape[1:], shape[0])
        assert min(sliding.stride) >= 1
