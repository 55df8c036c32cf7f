"""Receptive fields against where gradients arrive: any small net of positive weights, then the hard joins by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.nn.arithmetic import ReceptiveField, adaptive_windows, covering
from glassnet.nn.layers import Conv2dSame
from glassnet.nn.trace import Layer, trace

SIZE = 22


class Branches(nn.Module):
    """Two convolutions, padded to one size but not to one centre, joined by `how`; each is (kernel, zeros before)."""

    def __init__(self, one: tuple[int, int], other: tuple[int, int], how: str) -> None:
        super().__init__()
        self.one, self.other = self._branch(*one), self._branch(*other)
        self.mix = nn.Conv2d(2, 1, 1, bias=False)
        self.how = how

    @staticmethod
    def _branch(kernel: int, before: int) -> nn.Sequential:
        before = min(before, kernel - 1)
        after = kernel - 1 - before
        return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(1, 1, kernel, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        branches = self.one(x), self.other(x)
        mixed: Tensor = self.mix(torch.cat(branches, 1)) if self.how == "cat" else branches[0] + branches[1]
        return mixed


kernels, strides = st.integers(1, 5), st.integers(1, 3)
convolutions = st.builds(
    lambda k, s, p, d: nn.Conv2d(1, 1, k, s, p, d, bias=False), kernels, strides, st.integers(0, 2), st.integers(1, 2)
)
poolings = st.builds(
    lambda k, s, p, c: nn.AvgPool2d(k, s, min(p, k // 2), ceil_mode=c),
    kernels,
    strides,
    st.integers(0, 2),
    st.booleans(),
)
same = st.builds(lambda k, s: Conv2dSame(1, 1, k, s, bias=False), kernels, strides)
sides = st.tuples(kernels, st.integers(0, 4))
branches = st.builds(Branches, sides, sides, st.sampled_from(["add", "cat"]))
nets = st.lists(st.one_of(convolutions, poolings, same, branches), min_size=1, max_size=4)


def positive(net: nn.Module) -> nn.Module:
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1.0)
    return net.double()


def reached(net: nn.Module, position: int, size: int = SIZE) -> tuple[int, int]:
    """The first and last row of the picture that the output at row `position` depends on."""
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    net(x)[0, 0, position].sum().backward()
    assert x.grad is not None
    rows = x.grad[0, 0].sum(1).nonzero().flatten()
    return int(rows.min()), int(rows.max())


def window(layer: Layer, position: int) -> tuple[float, float]:
    return ReceptiveField(layer.receptive_field[0], layer.stride[0], layer.start[0]).window(position)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(nets)
def test_a_field_is_where_gradients_arrive(parts: list[nn.Module]) -> None:
    net = positive(nn.Sequential(*parts))
    try:
        last = trace(net, (1, SIZE, SIZE)).layers[-1]
    except InputError:
        assume(False)
    assert last.output_shape == tuple(net(torch.ones(1, 1, SIZE, SIZE, dtype=torch.float64)).shape[1:])
    for position in range(last.output_shape[1]):
        try:
            low, high = reached(net, position)
        except RuntimeError:  # nothing but padding in the window
            continue
        first, after = window(last, position)
        assert first <= low <= high <= after
        if first >= 0 and after <= SIZE - 1:  # no padding in it: the window is exact
            assert (low, high) == (first, after)


def test_branches_of_different_centres_have_the_field_of_both() -> None:
    class Apart(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(F.pad(x, (0, 2, 0, 2)), 3, 1) + F.avg_pool2d(F.pad(x, (4, 0, 4, 0)), 5, 1)

    layer = trace(Apart(), (1, 16, 16))["add"]
    # Row i of one reads i to i + 2, of the other i - 4 to i: together seven rows, centred one above i.
    assert (layer.receptive_field, layer.start, layer.stride) == ((7, 7), (-1.0, -1.0), (1, 1))
    assert reached(Apart(), 8, 16) == window(layer, 8) == (4, 10)


def test_a_squeeze_that_is_spread_again_sees_everything_everywhere() -> None:
    class Excitation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.after = nn.Conv2d(1, 1, 3, 2, bias=False), nn.Conv2d(1, 1, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            out: Tensor = self.after(x * x.mean((2, 3), keepdim=True))
            return out

    traced = trace(Excitation(), (1, 21, 21))
    assert traced["mul"].receptive_field == (21, 21)
    assert traced["mul"].stride == (0, 0)  # the window no longer moves
    assert window(traced["after"], 0) == window(traced["after"], 7) == (0.0, 20.0)


@pytest.mark.parametrize("size, out", [(8, 3), (10, 4), (7, 7), (9, 3), (3, 5), (6, 1)])
def test_adaptive_windows_are_torchs(size: int, out: int) -> None:
    for position, (first, last) in enumerate(adaptive_windows(size, out)):
        assert reached(nn.AdaptiveAvgPool2d(out), position, size) == (first, last)
    layer = trace(nn.AdaptiveAvgPool2d(out), (1, size, size)).layers[0]
    for position in range(out):
        low, high = reached(nn.AdaptiveAvgPool2d(out), position, size)
        assert window(layer, position)[0] <= low <= high <= window(layer, position)[1]
    if size % out == 0:
        assert layer.receptive_field == (size // out, size // out)


def test_a_slice_of_every_second_row_and_a_pad_of_channels_are_followed() -> None:
    class ShortcutA(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x[:, :, 1::2, ::2], (0, 0, 0, 0, 1, 1))

    layer = trace(ShortcutA(), (2, 8, 8)).layers[-1]
    assert layer.output_shape == (4, 4, 4)
    assert (layer.receptive_field, layer.stride, layer.start) == ((1, 1), (2, 2), (1, 0))


def test_a_layer_we_do_not_know_may_see_the_whole_map_but_never_too_little() -> None:
    layer = trace(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2)), (1, 8, 8)).layers[-1]
    assert layer.output_shape == (1, 12, 12)
    assert layer.receptive_field == (8, 8)


def test_windows_of_different_steps_are_covered_at_every_position() -> None:
    slow, fast = ReceptiveField(3, 1, 1.0), ReceptiveField(3, 2, 1.0)
    both = slow.join(fast, positions=5)
    for position in range(5):
        first, last = both.window(position)
        assert first <= min(slow.window(position)[0], fast.window(position)[0])
        assert last >= max(slow.window(position)[1], fast.window(position)[1])


def test_one_window_covers_itself() -> None:
    assert covering([(2, 6)]) == ReceptiveField(size=5, jump=5, start=4)
