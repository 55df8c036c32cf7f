"""Folding: the same outputs, fewer layers, and the original untouched."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.layers import Conv2dSame, ConvNormAct
from glassnet.nn.layers.convolution import Conv2d


def with_statistics(module: nn.Module) -> nn.Module:
    """Give the batch norms statistics and weights that a mistake would show."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.uniform_(layer.bias, -1, 1)
    return module


class Shared(nn.Module):
    """A convolution read by two, and one called twice: neither may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.fork, self.twice = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fork(x)
        x = self.norm1(x) + x
        out: Tensor = self.norm2(self.twice(x)) + self.norm3(self.twice(-x))
        return out


def kinds(module: nn.Module) -> list[type[nn.Module]]:
    return [type(layer) for layer in module.modules() if not list(layer.children())]


def test_outputs_agree_and_the_norms_are_gone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(ConvNormAct(3, 8, 3, 2, padding="same"), ConvNormAct(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1))
    with_statistics(net).eval()
    folded = fold_batch_norm(net)
    x = torch.randn(2, 3, 15, 15)
    torch.testing.assert_close(folded(x), net(x), rtol=1e-5, atol=1e-5)
    assert kinds(folded) == [Conv2dSame, nn.ReLU, Conv2d, nn.ReLU, nn.Conv2d]


def test_what_is_shared_stays() -> None:
    torch.manual_seed(0)
    net = with_statistics(Shared()).eval()
    folded = fold_batch_norm(net)
    assert kinds(folded).count(nn.BatchNorm2d) == 3
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(folded(x), net(x))


def test_a_norm_that_stands_first_stays() -> None:
    net = with_statistics(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))).eval()
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(fold_batch_norm(net)(x), net(x))


def test_the_original_is_untouched_and_the_copy_is_for_evaluation() -> None:
    net = with_statistics(ConvNormAct(3, 8, 3)).train()
    before = copy.deepcopy(net.state_dict())
    folded = fold_batch_norm(net)
    folded(torch.randn(2, 3, 5, 5))
    assert net.training
    assert all(layer.training for layer in net.modules())
    assert not any(layer.training for layer in folded.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_copy_is_channels_last() -> None:
    folded = fold_batch_norm(ConvNormAct(3, 8, 3))
    weight = folded.get_submodule("conv").weight
    assert isinstance(weight, Tensor)
    assert weight.is_contiguous(memory_format=torch.channels_last)
