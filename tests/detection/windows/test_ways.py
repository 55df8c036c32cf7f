from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassnet.detection.windows.head import PatchProduct, with_patch_products
from glassnet.detection.windows.ways import Convolutional, Crops
from glassnet.errors import InputError
from glassnet.models import Network
from glassnet.nn.fully_convolutional import to_fully_convolutional


def finished(network: Network, rows: int, columns: int) -> Tensor:
    """Return noise (1, C, H, W) that so many windows of the network's stride cover."""
    height, width = Convolutional(network).sliding.extent((rows, columns))
    return torch.randn(1, network.preprocess.channels, height, width, generator=torch.Generator().manual_seed(1))


def one_by_one(network: Network, images: Tensor, stride: tuple[int, int]) -> Tensor:
    """Ask the module itself about every window, one after the other: (rows, columns, K)."""
    height, width = network.preprocess.height, network.preprocess.width
    with torch.no_grad():
        return torch.stack(
            [
                torch.stack(
                    [
                        network.module.eval()(images[:, :, top : top + height, left : left + width])[0]
                        for left in range(0, images.shape[3] - width + 1, stride[1])
                    ]
                )
                for top in range(0, images.shape[2] - height + 1, stride[0])
            ]
        )


@pytest.mark.parametrize("name, window, stride", [("lenet5", (32, 32), (4, 4)), ("valid.toml", (24, 20), (4, 4))])
def test_without_padding_both_ways_say_the_same_of_every_window(
    name: str, window: tuple[int, int], stride: tuple[int, int], valid: Network
) -> None:
    torch.manual_seed(0)
    network = valid if name == "valid.toml" else Network.create("lenet5", list("0123456789"), padding=0)
    one_pass = Convolutional(network)
    assert (one_pass.sliding.window, one_pass.sliding.stride, one_pass.context) == (window, stride, ((0, 0), (0, 0)))
    images = finished(network, 6, 9)
    truth = one_by_one(network, images, stride)  # (6, 9, K)
    assert truth.shape[:2] == (6, 9)
    assert truth.std() > 0.01
    torch.testing.assert_close(one_pass.logits(images), truth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(Crops(network, stride, batch_size=7).logits(images), truth, rtol=1e-4, atol=1e-4)


def test_with_padding_the_two_ways_differ_inside_and_crops_are_the_network(padded: Network) -> None:
    one_pass = Convolutional(padded)
    images = finished(padded, 4, 5)
    truth = one_by_one(padded, images, one_pass.sliding.stride)
    torch.testing.assert_close(Crops(padded, one_pass.sliding.stride).logits(images), truth, rtol=1e-4, atol=1e-4)
    assert (one_pass.logits(images) - truth).abs().max() > 0.05
    alone = images[:, :, :16, :16]  # the trained size: there is nothing beyond the window but the zeros it knows
    torch.testing.assert_close(one_pass.logits(alone)[0, 0], truth[0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["valid", "padded"])
@pytest.mark.parametrize("memory", [1, 60_000, 80_000])
def test_tiles_change_nothing(name: str, memory: int, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(name)
    images = finished(network, 9, 23)
    whole, tiled = Convolutional(network), Convolutional(network, memory=memory)
    passes = []
    tiled.network.register_forward_hook(lambda module, given, said: passes.append(given[0].shape))  # noqa: ARG005
    torch.testing.assert_close(tiled.logits(images), whole.logits(images), rtol=1e-5, atol=1e-5)
    assert len(passes) > 1
    if memory == 80_000:
        assert max(shape[2] * shape[3] for shape in passes) <= tiled.pixels


def test_tiles_of_a_deep_padded_network_bring_their_surroundings() -> None:
    torch.manual_seed(0)
    network = Network.create("sprint_s", ["a", "b"])
    whole, tiled = Convolutional(network), Convolutional(network, memory=1)
    images = finished(network, 4, 5)
    torch.testing.assert_close(tiled.logits(images), whole.logits(images), rtol=1e-4, atol=1e-4)
    tiled.context = ((0, 0), (0, 0))  # without them they would not be the same
    assert (tiled.logits(images) - whole.logits(images)).abs().max() > 1e-3


def test_a_multiple_of_the_stride_takes_every_so_many_positions(valid: Network) -> None:
    images = finished(valid, 5, 7)
    every = Convolutional(valid).logits(images)
    coarse = Convolutional(valid, 8)
    assert coarse.sliding.stride == (8, 8)
    assert torch.equal(coarse.logits(images), every[::2, ::2])
    torch.testing.assert_close(Crops(valid, (8, 8)).logits(images), every[::2, ::2], rtol=1e-4, atol=1e-4)


def test_patches_multiplied_are_the_convolution() -> None:
    conv = nn.Conv2d(64, 5, (4, 6)).requires_grad_(False)
    maps = torch.randn(2, 64, 9, 11).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(PatchProduct(conv)(maps), conv(maps), rtol=1e-4, atol=1e-4)


def test_patches_are_laid_out_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(64, 5, (4, 6), bias=False).requires_grad_(False)
    maps = torch.randn(1, 64, 9, 11)
    monkeypatch.setattr("glassnet.detection.windows.head.MOST_PATCHES", 2 * 6 * 64 * 24 * 4)  # two of six rows
    parts: list[int] = []
    monkeypatch.setattr(PatchProduct, "_product", _counting(PatchProduct._product, parts))
    torch.testing.assert_close(PatchProduct(conv)(maps), conv(maps), rtol=1e-4, atol=1e-4)
    assert parts == [2, 2, 2]


def _counting(product, parts):  # type: ignore[no-untyped-def]
    def counted(self, patches):  # type: ignore[no-untyped-def]
        parts.append(patches.shape[1])
        return product(self, patches)

    return counted


def test_only_large_filters_are_multiplied_as_patches() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 64, 7),  # few channels
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 5, padding=2),
        nn.Conv2d(64, 64, 5, groups=64),
        nn.Conv2d(64, 64, 5),
        nn.Conv2d(4096, 1000, 1),
    )
    kinds = [type(layer).__name__ for layer in with_patch_products(network)]
    assert kinds == ["Conv2d"] * 4 + ["PatchProduct"] * 2


def test_memory_is_counted_in_pixels_of_the_pass(valid: Network) -> None:
    few, many = Convolutional(valid, memory=1 << 20), Convolutional(valid, memory=1 << 21)
    assert many.pixels == pytest.approx(2 * few.pixels, abs=2)
    assert few.pixels * 3 * 4 < 1 << 20  # the input alone takes that much of it


@pytest.mark.parametrize("shape", [(1, 3, 25, 20), (2, 3, 24, 20), (1, 3, 20, 20)])
def test_a_size_that_windows_do_not_cover_is_refused(shape: tuple[int, ...], valid: Network) -> None:
    words = r"expected \(1, C, H, W\) of a size that windows of \(24, 20\) at stride \(4, 4\) cover, such as \(2"
    for way in (Convolutional(valid), Crops(valid, (4, 4))):
        with pytest.raises(InputError, match=words):
            way.logits(torch.zeros(shape))


def test_a_stride_between_the_network_s_own_is_refused(valid: Network) -> None:
    for stride in (6, 2):
        with pytest.raises(InputError, match=rf"stride is {stride}; in one pass .* multiples of 4 x 4 .* way='crops'"):
            Convolutional(valid, stride)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_a_batch_size_that_cannot_be_is_refused(batch_size: int, valid: Network) -> None:
    with pytest.raises(InputError, match=rf"batch_size is {batch_size}; expected a whole number of at least 1"):
        Crops(valid, (4, 4), batch_size=batch_size)


def test_the_map_s_first_and_last_position_are_the_corners_of_the_picture(valid: Network) -> None:
    # A bright corner raises the answers of the windows that hold it, and of no others.
    one_pass = Convolutional(valid)
    dark = torch.zeros(1, 3, *one_pass.sliding.extent((5, 6)))
    bright = dark.clone()
    bright[:, :, -1, -1] = 5.0
    changed = (one_pass.logits(bright) - one_pass.logits(dark)).abs().amax(2) > 1e-6  # (5, 6)
    assert torch.nonzero(changed).tolist() in ([[4, 5]], [])  # the last pixel may be one that the strides leave out
    bright[:, :, -4:, -4:] = 5.0
    changed = (one_pass.logits(bright) - one_pass.logits(dark)).abs().amax(2) > 1e-6
    boxes = one_pass.sliding.boxes((5, 6))
    holds = (boxes[..., 2] > dark.shape[3] - 4) & (boxes[..., 3] > dark.shape[2] - 4)
    assert np.array_equal(changed.numpy(), holds)


def test_the_converted_network_is_what_is_asked(valid: Network) -> None:
    images = finished(valid, 3, 3)
    with torch.no_grad():
        maps = to_fully_convolutional(valid.module)(images)[0]  # (K, 3, 3)
    torch.testing.assert_close(Convolutional(valid).logits(images), maps.permute(1, 2, 0), rtol=1e-4, atol=1e-4)
