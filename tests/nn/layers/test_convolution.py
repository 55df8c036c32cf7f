"""The quick convolution: the same numbers and gradients as torch's, wherever it takes its own way."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.nn.layers import convolution
from glassnet.nn.layers.convolution import Conv2d, depthwise


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often the gradient is taken as a product."""
    calls: list[int] = []
    columns = convolution._columns
    monkeypatch.setattr(convolution, "_columns", lambda *arguments: (calls.append(1), columns(*arguments))[1])
    return calls


def gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """Return the output and the gradients of the input and the parameters of a sum of squares."""
    x = x.clone().requires_grad_()
    out = layer(x)
    out.float().square().sum().backward()
    return [tensor.float() for tensor in (out.detach(), x.grad, *(p.grad for p in layer.parameters()))]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0), ((3, 5), (2, 1), (0, 2))]
)
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_equal_torchs(
    kernel: int, stride: int, padding: int, bias: bool, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "WEIGHTS_PER_POSITION", 0)
    torch.manual_seed(0)
    ours = Conv2d(6, 8, kernel, stride, padding, bias=bias).to(torch.bfloat16)  # type: ignore[arg-type]
    plain = nn.Conv2d(6, 8, kernel, stride, padding, bias=bias)  # type: ignore[arg-type]
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(3, 6, 9, 8).to(torch.bfloat16)
    for mine, theirs in zip(gradients(ours, x), gradients(plain.float(), x.float()), strict=True):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))
    assert taken


def test_under_autocast_it_takes_the_product_for_many_channels_on_few_positions(taken: list[int]) -> None:
    torch.manual_seed(0)
    ours = Conv2d(64, 64, 3, padding=1, bias=False)
    plain = copy.deepcopy(ours)
    plain.__class__ = nn.Conv2d
    x = torch.randn(16, 64, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine = gradients(ours, x)
        theirs = gradients(plain, x)
    assert len(taken) == 1
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02 * float(other.abs().max()))


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (0, 1, 0, 1), (1, 2, 2, 2), (2, 0, 0, 0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_depthwise_convolution_equals_the_padded_one(
    stride: int | tuple[int, int], sides: convolution.Sides, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 9, 8).to(dtype).requires_grad_()
    weight, bias = torch.randn(5, 1, 3, 3).to(dtype).requires_grad_(), torch.randn(5).to(dtype).requires_grad_()
    pair = (stride, stride) if isinstance(stride, int) else stride
    out = depthwise(x, weight, bias, pair, sides)
    expected = F.conv2d(F.pad(x.double(), sides), weight.double(), bias.double(), pair, 0, 1, 5)
    tolerance = {"rtol": 0.02, "atol": 0.1} if dtype == torch.bfloat16 else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(out.double(), expected, **tolerance)
    dz = torch.randn_like(expected).to(dtype)
    ours = torch.autograd.grad(out, (x, weight, bias), dz)
    theirs = torch.autograd.grad(expected, (x, weight, bias), dz.double())
    for mine, plain in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.double(), plain.double(), **tolerance)
    with torch.no_grad():
        torch.testing.assert_close(depthwise(x, weight, bias, pair, sides).double(), expected, **tolerance)


def test_a_depthwise_layer_learns_the_same_in_bfloat16() -> None:
    torch.manual_seed(0)
    ours = Conv2d(6, 6, 3, 2, 1, groups=6)
    x = torch.randn(4, 6, 9, 8)
    expected = gradients(copy.deepcopy(ours), x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(ours, x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.03 * float(other.abs().max()))


def test_elsewhere_it_is_torchs_own(taken: list[int]) -> None:
    x = torch.randn(16, 64, 3, 3)
    layer = Conv2d(64, 64, 3, padding=1)
    layer(x).sum().backward()  # float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(torch.randn(16, 64, 32, 32)).float().sum().backward()  # large maps
        with torch.no_grad():
            layer(x)
    assert not taken
