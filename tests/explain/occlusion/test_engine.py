"""The engine's parts by hand: how far a change spreads, memory that is kept, positions that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError
from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.convolution import Convolution
from glassnet.explain.occlusion.cost import multiply_adds
from glassnet.explain.occlusion.engine import Engine
from glassnet.explain.occlusion.grid import make_grid
from glassnet.explain.occlusion.plan import grouped, period, spans
from glassnet.models import create


def sums(kernel: int, stride: int, padding: int, length: int) -> nn.Module:
    """A convolution of ones, and a head that reads every position."""
    conv = nn.Conv2d(1, 1, kernel, stride, padding, bias=False)
    nn.init.ones_(conv.weight)
    out = (length + 2 * padding - kernel) // stride + 1
    head = nn.Linear(out * out, out * out, bias=False)
    nn.init.eye_(head.weight)
    return nn.Sequential(conv, nn.Flatten(), head)


def test_a_case_by_hand() -> None:
    """Ones everywhere, 3x3 sums with padding 1 on 4x4: 4 in corners, 6 at borders, 9 within; a 2x2 zero at (0, 1)."""
    engine = Engine(Inside(sums(3, 1, 1, 4), (1, 4, 4)), torch.ones(1, 1, 4, 4))
    found = engine.logits([(0, 1)], torch.zeros(1, 2, 2)).view(4, 4)
    assert found.tolist() == [
        [2, 2, 2, 2],  # 4 - 2, 6 - 4, 6 - 4, 4 - 2
        [4, 5, 5, 4],  # 6 - 2, 9 - 4, 9 - 4, 6 - 2
        [5, 7, 7, 5],  # 6 - 1, 9 - 2, 9 - 2, 6 - 1
        [4, 6, 6, 4],
    ]


@pytest.mark.parametrize("kernel, stride, padding", [(3, 1, 1), (3, 2, 0), (5, 3, 2), (1, 2, 0), (2, 4, 1), (7, 2, 3)])
@pytest.mark.parametrize("size", [1, 3, 6])
def test_spans_are_what_really_changes(kernel: int, stride: int, padding: int, size: int) -> None:
    """Along one axis, all that changes lies in the span; where windows overlap, its ends do change."""
    length = 19
    module, images = sums(kernel, stride, padding, length), torch.ones(1, 1, length, length)
    engine = Engine(Inside(module, (1, length, length)), images)
    starts = np.arange(length - size + 1)
    span = spans(engine.program, 0, starts, size)[1]
    conv = module[0]
    whole = conv(images)[0, 0]
    for start, lo, hi in zip(starts, span.lo, span.hi, strict=True):
        covered = images.clone()
        covered[:, :, start : start + size] = 0
        changed = np.flatnonzero((conv(covered)[0, 0] != whole).any(1).numpy())
        if len(changed):
            assert lo <= changed[0]
            assert changed[-1] < hi
            assert hi - lo <= len(changed) or kernel < stride
            assert (lo, hi) == (changed[0], changed[-1] + 1) or kernel < stride
        assert 0 <= lo < hi <= whole.shape[0]


def test_places_of_one_phase_go_together() -> None:
    places = np.arange(0, 209, 8)
    groups = grouped(places, 32)
    assert sorted(np.concatenate(groups).tolist()) == list(range(27))
    assert all(len(set((places[group] % 32).tolist())) == 1 for group in groups)
    assert max(map(len, groups)) <= 8


@pytest.mark.parametrize("name, wanted", [("mobilenet_v2", 32), ("squeezenet1_0", 16)])
def test_periods_are_the_networks_strides(name: str, wanted: int) -> None:
    torch.manual_seed(0)
    module = create(name, classes=2)
    small = (3, 64, 64)
    program = Engine(Inside(module, small), torch.zeros(1, *small)).program
    assert period(program, 0) == period(program, 1) == wanted


def test_multiply_adds_by_hand() -> None:
    """3x3 over 8x8, padded: 64 windows; a 2x2 occluder in the middle is seen by 4x4 of them, in a corner by 3x3."""
    engine = Engine(Inside(sums(3, 1, 1, 8), (1, 8, 8)), torch.ones(1, 1, 8, 8))
    assert multiply_adds(engine.program, [(3, 3)], (2, 2)) == (9 * 64, 9 * 16)
    assert multiply_adds(engine.program, [(0, 0)], (2, 2)) == (9 * 64, 9 * 9)
    assert multiply_adds(engine.program, [(3, 3), (0, 0)], (2, 2)) == (9 * 64, 9 * 12.5)


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 7), (14, 14), (3, 13)])
@pytest.mark.parametrize("bend", ["", "relu", "relu6"])
def test_a_convolution_by_tiles_is_the_plain_one(size: tuple[int, int], bend: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(130, 128, 3, 3, generator=generator) / 34, torch.randn(130, generator=generator)
    x = torch.randn(3, 128, size[0] + 2, size[1] + 2, generator=generator).contiguous(memory_format=torch.channels_last)
    compute = Convolution(weight, bias, (1, 1), (1, 1), 1, bend)
    wanted = nn.functional.conv2d(x.double(), weight.double(), bias.double())
    wanted = {"": wanted, "relu": wanted.relu(), "relu6": wanted.clamp(0, 6)}[bend]
    assert compute.tiled is not None
    torch.testing.assert_close(compute.tiled(x).double(), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(compute(x).double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_patch_of_its_own_for_each_position(awkward: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    images, patches = torch.randn(1, 3, 16, 16, generator=generator), torch.randn(3, 3, 4, 5, generator=generator)
    engine = Engine(Inside(awkward, (3, 16, 16)), images)
    where = [(12, 11), (0, 3), (5, 5)]
    found = engine.logits(where, patches)
    for index, (y, x) in enumerate(where):
        covered = images.clone()
        covered[:, :, y : y + 4, x : x + 5] = patches[index]
        torch.testing.assert_close(found[index], awkward.eval()(covered)[0].detach(), rtol=1e-4, atol=1e-5)


def test_positions_in_any_order_and_twice(awkward: nn.Module) -> None:
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    engine, patch = Engine(Inside(awkward, (3, 16, 16)), images), torch.zeros(3, 4, 4)
    where = make_grid((16, 16), 4, 3).positions
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(where)), 2))
    torch.testing.assert_close(engine.logits(where[order], patch), engine.logits(where, patch)[torch.from_numpy(order)])


def peak_bytes(engine: Engine, positions: np.ndarray, patch: torch.Tensor) -> int:
    """Return the most memory that torch had in use above the start, by its own record of taking and giving back."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        engine.logits(positions, patch)
    moves = sorted(
        (event.start_ns(), event.nbytes())
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    )
    return int(np.cumsum([size for _, size in moves]).max())


@pytest.mark.slow
def test_the_memory_bound_is_kept_by_smaller_batches() -> None:
    torch.manual_seed(0)
    module, shape = create("resnet20_cifar", classes=3), (3, 64, 64)
    images, patch = torch.randn(1, *shape), torch.zeros(3, 24, 24)
    positions = make_grid((64, 64), 24, 4).positions
    inside = Inside(module, shape)  # torch's record is of one thread, so there is one worker
    free, bound = Engine(inside, images, workers=1), Engine(inside, images, memory=16, workers=1)
    kept = sum(value.numel() * 4 for value in bound.program.values)
    unbound, within = peak_bytes(free, positions, patch), peak_bytes(bound, positions, patch)
    assert kept + within <= 16e6 < kept + unbound
    torch.testing.assert_close(bound.logits(positions, patch), free.logits(positions, patch), rtol=1e-4, atol=1e-5)
    sizes = [
        max(
            len(numbers)
            for numbers, _ in Engine(inside, images, memory=20, workers=workers)._batches(positions, (24, 24))
        )
        for workers in (1, 4)
    ]
    assert sizes[0] > sizes[1] >= 1  # what is in work at the same time shares the memory


@pytest.mark.parametrize(
    "positions, size, message",
    [
        ([(0, 13)], (4, 4), "an occluder of 4 columns starts at 13; expected 0 to 12"),
        ([(-1, 0)], (4, 4), "an occluder of 4 rows starts at -1; expected 0 to 12"),
        ([(0, 0)], (17, 4), "the occluder has 17 rows; expected 1 to the picture's 16"),
        ([], (4, 4), "positions are empty"),
    ],
)
def test_positions_that_cannot_be(
    awkward: nn.Module, positions: list[tuple[int, int]], size: tuple[int, int], message: str
) -> None:
    engine = Engine(Inside(awkward, (3, 16, 16)), torch.zeros(1, 3, 16, 16))
    with pytest.raises(InputError, match=message):
        engine.logits(positions, torch.zeros(3, *size))


def test_the_engine_takes_one_picture(awkward: nn.Module) -> None:
    with pytest.raises(InputError, match=r"images have shape \(2, 3, 16, 16\); expected one picture"):
        Engine(Inside(awkward, (3, 16, 16)), torch.zeros(2, 3, 16, 16))
