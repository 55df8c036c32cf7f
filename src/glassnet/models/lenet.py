"""LeNet-5: small filters slid over the picture, pooled and slid again, learn to read digits by gradient descent alone.

Weights shared over all positions and pooling make it see the same stroke anywhere; this is where the story begins.

Paper: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86.
Here, as it is commonly built today: 28x28 pictures padded by 2 instead of drawn on 32x32, ReLU instead of a scaled
tanh, max-pooling instead of trained subsampling, every map of C3 sees all maps of S2, and a linear layer instead of
radial basis functions. 61,706 parameters. An adaptive pool, idle at 28x28, lets it take other sizes from 12x12 up.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.models.registry import Classifier, register
from glassnet.preprocess import Preprocess

DIGITS_28 = Preprocess(height=28, width=28, channels=1, crop=1.0, mean=(0.1307,), std=(0.3081,))
"""MNIST's size, mean and deviation."""


@register(
    "lenet5",
    title="LeNet-5",
    paper="LeCun et al. 1998, Gradient-based learning applied to document recognition",
    preprocess=DIGITS_28,
    classes=10,
)
def lenet5(classes: int, in_channels: int) -> Classifier:
    """Build LeNet-5 as commonly built."""
    body = nn.Sequential(
        OrderedDict(
            stage1=_convolve_and_pool(in_channels, 6, padding=2),  # (N, 6, 14, 14)
            stage2=_convolve_and_pool(6, 16),  # (N, 16, 5, 5)
            pool=nn.AdaptiveAvgPool2d(5),
            flatten=nn.Flatten(),  # (N, 400)
            dense1=_dense(16 * 5 * 5, 120),
            dense2=_dense(120, 84),
        )
    )
    return Classifier(body, nn.Linear(84, classes))


def _convolve_and_pool(in_channels: int, out_channels: int, padding: int = 0) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=5, padding=padding)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU(), pool=nn.MaxPool2d(2)))


def _dense(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(linear=nn.Linear(in_features, out_features), act=nn.ReLU()))
