"""Named filters: hand numbers, SciPy's, the layer that is never trained, the initialiser."""

from __future__ import annotations

import pytest
import scipy.ndimage
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.layers.filters import FILTERS, FixedFilter, fill_with_filters_, filter_kernel
from glassnet.nn.trace import trace

EDGE = torch.tensor([10.0, 10, 10, 0, 0, 0]).repeat(6, 1)[None, None]  # bright on the left


def test_a_vertical_edge_by_hand() -> None:
    # windows over the edge see 3 rows of (10, 10, 0) or (10, 0, 0): 3 * 10 = 30; the frame continues the plain areas
    row = [0.0, 0.0, 30.0, 30.0, 0.0, 0.0]
    assert FixedFilter("vertical", 1)(EDGE)[0, 0].tolist() == [row] * 6
    assert FixedFilter("horizontal", 1)(EDGE).abs().max() == 0
    assert FixedFilter("horizontal", 1)(EDGE.mT)[0, 0].tolist() == torch.tensor([row] * 6).T.tolist()


def test_zero_padding_draws_a_frame() -> None:
    assert FixedFilter("vertical", 1, padding="zero")(EDGE)[0, 0, 2].tolist() == [-30.0, 0.0, 30.0, 30.0, 0.0, 0.0]
    assert FixedFilter("vertical", 1, padding="zero")(EDGE)[0, 0, 0].tolist() == [-20.0, 0.0, 20.0, 20.0, 0.0, 0.0]


def test_the_kernel_of_the_introductory_text() -> None:
    assert filter_kernel("introduction").tolist() == [[-1, 1, -1], [-1, 5, -1], [-2, 2, -2]]
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    # 0*-1 + 1*1 + 2*-1 + 3*-1 + 4*5 + 5*-1 + 6*-2 + 7*2 + 8*-2 = -3
    assert FixedFilter("introduction", 1)(x)[0, 0, 1, 1].item() == -3.0


def test_filters_are_scipys() -> None:
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = {
        "sobel_x": scipy.ndimage.sobel(x.numpy(), axis=1, mode="nearest"),
        "sobel_y": scipy.ndimage.sobel(x.numpy(), axis=0, mode="nearest"),
        "laplacian": scipy.ndimage.laplace(x.numpy(), mode="nearest"),
        "sharpen": x.numpy() - scipy.ndimage.laplace(x.numpy(), mode="nearest"),
    }
    for name, expected in theirs.items():
        torch.testing.assert_close(FixedFilter(name, 1).double()(x[None, None])[0, 0], torch.from_numpy(expected))


@pytest.mark.parametrize("name", FILTERS)
def test_what_a_plain_area_gives(name: str) -> None:
    gain = {"sharpen": 1.0}.get(name, 0.0)  # all but this one answer to change only
    torch.testing.assert_close(FixedFilter(name, 2)(torch.full((1, 2, 5, 5), 7.0)), torch.full((1, 2, 5, 5), 7 * gain))


@pytest.mark.parametrize("x, y", [("vertical", "horizontal"), ("sobel_x", "sobel_y"), ("scharr_x", "scharr_y")])
def test_a_pair_is_each_others_transpose(x: str, y: str) -> None:
    assert torch.equal(filter_kernel(x).T, filter_kernel(y))


@pytest.mark.parametrize("name, slope", [("sobel_x", 8.0), ("scharr_x", 32.0)])
def test_the_gain_on_a_ramp(name: str, slope: float) -> None:
    ramp = torch.arange(6.0).repeat(5, 1)[None, None]
    assert FixedFilter(name, 1)(ramp)[0, 0, 2, 2].item() == slope


def test_a_fixed_filter_takes_each_channel_by_itself_and_is_never_trained() -> None:
    layer = FixedFilter("sobel_x", 3)
    x = torch.randn(2, 3, 6, 6)
    expected = torch.cat([FixedFilter("sobel_x", 1)(x[:, [channel]]) for channel in range(3)], 1)
    torch.testing.assert_close(layer(x), expected)
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["weight"]


def test_a_trace_counts_it_and_a_batch_norm_folds_into_it() -> None:
    net = nn.Sequential(FixedFilter("laplacian", 2), nn.BatchNorm2d(2)).eval()
    nn.init.uniform_(net[1].running_var, 0.5, 2.0)
    layer = trace(net, (2, 8, 8)).layers[0]
    assert (layer.kind, layer.parameters, layer.multiply_adds) == ("FixedFilter", 0, 9 * 2 * 64)
    assert layer.receptive_field == (3, 3)
    x = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(fold_batch_norm(net)(x), net(x))


def test_a_weight_is_filled_in_turn_and_answers_to_the_mean_of_the_channels() -> None:
    conv = nn.Conv2d(3, 5, 3, bias=False, padding=1, padding_mode="replicate")
    assert fill_with_filters_(conv.weight, ["sobel_x", "laplacian"]) is conv.weight
    x = torch.randn(2, 3, 6, 6)
    out, grey = conv(x), x.mean(1, keepdim=True)
    for output, name in enumerate(["sobel_x", "laplacian", "sobel_x", "laplacian", "sobel_x"]):
        torch.testing.assert_close(out[:, [output]], FixedFilter(name, 1)(grey))


def test_a_larger_kernel_has_the_filter_in_its_middle() -> None:
    weight = fill_with_filters_(torch.full((9, 1, 5, 7), 9.0))
    assert weight[7, 0, 1:4, 2:5].tolist() == filter_kernel("sharpen").tolist()
    assert weight.abs().sum() == weight[:, :, 1:4, 2:5].abs().sum()


@pytest.mark.parametrize("shape", [(4, 1, 1, 1), (4, 1, 4, 4), (4, 9)])
def test_a_weight_without_a_middle_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"weight has shape .*; expected \(out, in, h, w\) with odd"):
        fill_with_filters_(torch.zeros(shape))


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(UnknownName, match="no filter is called 'sobel'; nearest: sobel_"):
        FixedFilter("sobel", 1)
    with pytest.raises(InputError, match="names is empty"):
        fill_with_filters_(torch.zeros(1, 1, 3, 3), [])
    with pytest.raises(UnknownName, match="no padding is called 'mirror'"):
        FixedFilter("sobel_x", 1, padding="mirror")
