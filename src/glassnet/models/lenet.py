"""LeNet-5: small filters slid over the picture, pooled and slid again, learn to read digits by gradient descent alone.

Weights shared over all positions and pooling make it see the same stroke anywhere; this is where the story begins.

Paper: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86.
Here twice. `lenet5` is what is commonly built today: ReLU instead of a scaled tanh, max-pooling instead of a trained
one, every map of C3 sees all maps of S2, and a linear layer instead of radial basis functions; 61,706 parameters.
`lenet5_1998` is the paper's, with its 60,000 trained parameters and 340,908 connections, its stages called as there.
Both take 28x28 pictures and pad them by 2, where the paper draws them on 32x32; `lenet5` does so too with `padding=0`.
An adaptive pool, idle at the designed size, lets them take other sizes, from 12x12 up. What the paper says of training
(step sizes by second derivatives, a constant class for what is no character) is not here; see `RadialBasisOutput` for
the criterion.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from glassnet.errors import InputError
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.layers.lenet import LENET5_C3, PartialConv2d, TrainablePool
from glassnet.nn.layers.padding import padding_mode as torch_mode
from glassnet.nn.layers.radial_basis import CODE, RadialBasisOutput
from glassnet.preprocess import Preprocess

PAPER = "LeCun et al. 1998, Gradient-based learning applied to document recognition"
DIGITS_28 = Preprocess(height=28, width=28, channels=1, crop=1.0, mean=(0.1307,), std=(0.3081,))
"""MNIST's size, mean and deviation."""


def _lenet5_preprocess(width: float = 1.0, padding_mode: str = "zero", padding: int = 2) -> Preprocess:  # noqa: ARG001
    """The picture and its padding make up the paper's 32x32."""
    if not isinstance(padding, int) or isinstance(padding, bool) or not 0 <= padding <= 2:
        raise InputError(f"padding is {padding!r}; expected 0, 1 or 2, for pictures of 32, 30 or 28 pixels")
    return replace(DIGITS_28, height=32 - 2 * padding, width=32 - 2 * padding)


@register("lenet5", title="LeNet-5", paper=PAPER, preprocess=_lenet5_preprocess, classes=10)
def lenet5(
    classes: int, in_channels: int, width: float = 1.0, padding_mode: str = "zero", padding: int = 2
) -> Classifier:
    """Build LeNet-5 as commonly built; `width` scales every layer, `padding_mode` is what C1 reads beyond the edge.

    padding: of C1; with 0 it takes 32x32 pictures, as the paper does, and every position of its score maps is exactly
    the answer about one window of a larger picture.
    """
    if not 0.05 <= width <= 100:
        raise InputError(f"width is {width}; expected 0.05 to 100 times LeNet-5's 6, 16, 120 and 84")
    c1, c3, c5, f6 = (max(1, round(width * maps)) for maps in (6, 16, 120, 84))
    body = nn.Sequential(
        OrderedDict(
            stage1=_convolve_and_pool(in_channels, c1, padding, padding_mode),  # (N, 6, 14, 14)
            stage2=_convolve_and_pool(c1, c3),  # (N, 16, 5, 5)
            pool=nn.AdaptiveAvgPool2d(5),
            flatten=nn.Flatten(),  # (N, 400)
            dense1=_dense(c3 * 5 * 5, c5),
            dense2=_dense(c5, f6),
        )
    )
    return Classifier(body, nn.Linear(f6, classes))


def _convolve_and_pool(
    in_channels: int, out_channels: int, padding: int = 0, padding_mode: str = "zero"
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 5, padding=padding, padding_mode=torch_mode(padding_mode))
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU(), pool=nn.MaxPool2d(2)))


def _dense(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(linear=nn.Linear(in_features, out_features), act=nn.ReLU()))


class RadialBasisClassifier(Classifier):
    """A classifier whose head measures distances to fixed codes: the nearest one has the largest logit."""

    head: RadialBasisOutput  # type: ignore[assignment]

    def __init__(self, body: nn.Sequential, head: RadialBasisOutput) -> None:
        super().__init__(body, head)  # type: ignore[arg-type]

    def replace_head(self, classes: int) -> None:
        """Put the codes of `classes` in place of the old ones; there is nothing to train in them."""
        self.head = RadialBasisOutput(self.features_size, classes).to(self.head.codes)


@register("lenet5_1998", title="LeNet-5 as in 1998", paper=PAPER, preprocess=DIGITS_28, classes=10)
def lenet5_1998(classes: int, in_channels: int) -> RadialBasisClassifier:
    """Build LeNet-5 as published. C1 pads with the nearest value, which on a digit's plain ground is the 32x32 picture.

    Every layer up to F6 is squashed. For ten classes the codes are bitmaps of the digits, class k being digit k; for
    another number they are random.
    """
    c1 = nn.Conv2d(in_channels, 6, 5, padding=2, padding_mode="replicate")
    body = nn.Sequential(
        OrderedDict(
            c1=_squashed(c1),  # (N, 6, 28, 28)
            s2=_squashed(TrainablePool(6)),  # (N, 6, 14, 14)
            c3=_squashed(PartialConv2d(6, LENET5_C3, 5)),  # (N, 16, 10, 10)
            s4=_squashed(TrainablePool(16)),  # (N, 16, 5, 5)
            pool=nn.AdaptiveAvgPool2d(5),
            c5=_squashed(nn.Conv2d(16, 120, 5)),  # (N, 120, 1, 1)
            flatten=nn.Flatten(),  # (N, 120)
            f6=_squashed(nn.Linear(120, CODE)),  # (N, 84)
        )
    )
    network = RadialBasisClassifier(body, RadialBasisOutput(CODE, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):  # the paper's appendix A: uniform in +-2.4 / fan-in
            bound = 2.4 / module.weight[0].numel()
            nn.init.uniform_(module.weight, -bound, bound)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return network


def _squashed(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layer=layer, act=ScaledTanh()))
