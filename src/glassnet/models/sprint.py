"""Sprint: small networks for small grey pictures that learn in seconds on two cores.

The first layer is not learnt but computed: the principal axes of the data's own 2x2 patches, each scaled to unit
variance, and their negatives, so that a ReLU keeps both signs. It quarters the picture at once and hands on inputs
that are uncorrelated, which lets the rest learn at a high rate from the first step. Behind it every stage convolves,
pools, and only then normalises and rectifies, on a quarter of the values; a linear layer reads the largest value of
every channel.

Source: the frozen whitening layer and its initialisation are those of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds
on a single GPU", arXiv:2404.00498, after Page 2019, "How to train your ResNet".
Here: 28x28 grey pictures, three stages, max-pooling throughout; widths and depth are what two AVX-512 cores manage.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalMaxPool
from glassnet.nn.layers.convolution import Conv2d
from glassnet.preprocess import Preprocess

PAPER = "after Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498"
GREY_28 = Preprocess(height=28, width=28, channels=1, crop=1.0, mean=(0.2860,), std=(0.3530,))
"""Fashion-MNIST's size, mean and deviation."""
PICTURES_TO_WHITEN = 2000  # 392,000 patches: enough for four variances to three digits, in 10 ms
SMALLEST_VARIANCE = 5e-4  # added to each variance, so that an axis along which patches hardly differ is not blown up


def principal_axes(images: Tensor) -> Tensor:
    """Return the principal axes of the 2x2 patches of `images`, each row one, (4 C, C, 2, 2), scaled to unit variance.

    images: (N, C, H, W) float. The patches do not overlap. They are not centred either: the mean patch, mostly
    background, is an axis of its own and scaled like the others.
    """
    patches = F.unfold(images.float(), kernel_size=2, stride=2)  # (N, 4 C, positions)
    patches = patches.transpose(1, 2).flatten(0, 1)  # (N positions, 4 C)
    variances, axes = torch.linalg.eigh(patches.T @ patches / len(patches))  # axes in columns
    scaled: Tensor = axes / (variances + SMALLEST_VARIANCE).sqrt()
    return scaled.T.reshape(-1, images.shape[1], 2, 2)


class Sprint(Classifier):
    """A classifier whose first layer is computed from training pictures, before the first step."""

    @torch.no_grad()
    def initialise_from(self, images: Tensor) -> None:
        """Whiten the input: `images` (N, C, H, W) float are training pictures as the preprocess makes them.

        The first 2,000 are used. Raises `InputError` for another shape.
        """
        whiten = self.body.get_submodule("stem.whiten")
        assert isinstance(whiten, nn.Conv2d)
        if images.ndim != 4 or len(images) == 0 or images.shape[1] != whiten.in_channels:
            raise InputError(f"images have shape {tuple(images.shape)}, expected (N >= 1, {whiten.in_channels}, H, W)")
        axes = principal_axes(images[:PICTURES_TO_WHITEN])
        whiten.weight.copy_(torch.cat([axes, -axes]))


class Residual(nn.Module):
    """relu(x + batch norm of a 3x3 convolution): (N, width, H, W) -> the same shape.

    Its batch norm does not begin at zero, as is the custom: with 400 steps to learn in, that cost 0.3 points on
    held-out pictures (n = 3).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = ConvNormAct(width, width, activation=None)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add the correction to `x`."""
        out: Tensor = self.act(self.residual(x) + x)
        return out


def _stem(in_channels: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, 8 C, H / 2, W / 2): frozen; until it has seen pictures, its axes are the pixels."""
    whiten = nn.Conv2d(in_channels, 8 * in_channels, kernel_size=2, stride=2, bias=False)
    axes = torch.eye(4 * in_channels).view(-1, in_channels, 2, 2)
    whiten.weight.requires_grad_(False)
    whiten.weight[: len(axes)].copy_(axes)
    whiten.weight[len(axes) :].copy_(axes).mul_(-1)
    return nn.Sequential(OrderedDict(whiten=whiten, act=nn.ReLU(inplace=True)))


def _stage(in_channels: int, width: int, residuals: int = 0) -> nn.Sequential:
    """(N, in, H, W) -> (N, width, H / 2, W / 2)."""
    stage = nn.Sequential(
        OrderedDict(
            conv=Conv2d(in_channels, width, 3, padding=1, bias=False),
            pool=nn.MaxPool2d(2),
            norm=nn.BatchNorm2d(width),
            act=nn.ReLU(inplace=True),
        )
    )
    for number in range(1, residuals + 1):
        stage.add_module(f"residual{number}", Residual(width))
    return stage


def _last_stage(in_channels: int, width: int) -> nn.Sequential:
    """(N, in, H, W) -> (N, width): as `_stage`, pooled over all positions."""
    return nn.Sequential(
        OrderedDict(
            conv=Conv2d(in_channels, width, 3, padding=1, bias=False),
            pool=GlobalMaxPool(),
            norm=nn.BatchNorm1d(width),
            act=nn.ReLU(inplace=True),
        )
    )


def sprint(widths: Sequence[int], residuals: Sequence[int], classes: int, in_channels: int) -> Sprint:
    """Build a sprint network of three stages; shapes below are for 28x28 pictures."""
    first, second, third = widths
    body = nn.Sequential(
        OrderedDict(
            stem=_stem(in_channels),  # (N, 8 C, 14, 14)
            stage1=_stage(8 * in_channels, first, residuals[0]),  # (N, first, 7, 7)
            stage2=_stage(first, second, residuals[1]),  # (N, second, 3, 3)
            stage3=_last_stage(second, third),  # (N, third)
        )
    )
    return Sprint(body, nn.Linear(third, classes))


@register("sprint_s", title="Sprint S", paper=PAPER, preprocess=GREY_28, classes=10)
def sprint_s(classes: int, in_channels: int) -> Sprint:
    """Widths 32, 64, 64: for one to three passes over the data."""
    return sprint((32, 64, 64), (0, 0), classes, in_channels)


@register("sprint_m", title="Sprint M", paper=PAPER, preprocess=GREY_28, classes=10)
def sprint_m(classes: int, in_channels: int) -> Sprint:
    """Widths 64, 128, 128 and a residual convolution in the first two stages: for three passes and more."""
    return sprint((64, 128, 128), (1, 1), classes, in_channels)
