"""AlexNet: the idea of LeNet-5, a thousand times larger, on a million photographs, with ReLU, dropout and two GPUs.

It halved the error of the year's ImageNet competition, and computer vision turned to learning within months.

Paper: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", NIPS 25.
`alexnet_2012` is the paper's: in the second, fourth and fifth convolution each half of the maps (then: each GPU) sees
only its own half, responses are normalised across channels behind the first two, pooling windows of 3 overlap at stride
2, weights start at a deviation of 0.01 and some biases at 1. 60,965,224 parameters.
`alexnet` is the layout of most published weights, after Krizhevsky 2014, "One weird trick for parallelizing
convolutional neural networks", arXiv:1404.5997: one tower with fewer filters in front, no normalisation, dropout before
the dense layers; 61,100,840. It starts from He's initialisation (2015, arXiv:1502.01852).
Here both take 224x224 pictures: the paper says 224, which with its 11x11 windows at stride 4 gives its 55x55 maps only
if they are padded by 2 (or drawn at 227, as others do). An adaptive pool to 6x6, idle at 224x224, takes other sizes
from 63x63 up.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.models.registry import Classifier, register
from glassnet.nn.layers.normalisation import LocalResponseNorm

_BIASED = tuple(f"body.{stage}." for stage in ("conv2", "conv4", "conv5", "dense6", "dense7"))


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int,
    towers: int = 1,
    normalise: bool = False,
    pool: bool = False,
) -> nn.Sequential:
    """Convolution -> ReLU -> (normalisation) -> (3x3 maximum at stride 2, so windows overlap).

    With two `towers` each half of the outputs sees its half of the inputs: a grouped convolution.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=towers)
    layers["act"] = nn.ReLU()
    if normalise:
        layers["norm"] = LocalResponseNorm()
    if pool:
        layers["pool"] = nn.MaxPool2d(kernel_size=3, stride=2)
    return nn.Sequential(layers)


def _dense(in_features: int, dropout: float, *, dropout_first: bool) -> nn.Sequential:
    """(N, in) -> (N, 4096)."""
    drop = ("dropout", nn.Dropout(dropout))
    layers = [("linear", nn.Linear(in_features, 4096)), ("act", nn.ReLU())]
    return nn.Sequential(OrderedDict([drop, *layers] if dropout_first else [*layers, drop]))


@register(
    "alexnet",
    title="AlexNet, one tower",
    paper="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997",
)
def alexnet(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Build the one-tower AlexNet; shapes below are for 224x224."""
    body = nn.Sequential(
        OrderedDict(
            conv1=_convolution(in_channels, 64, 11, stride=4, padding=2, pool=True),  # (N, 64, 27, 27)
            conv2=_convolution(64, 192, 5, padding=2, pool=True),  # (N, 192, 13, 13)
            conv3=_convolution(192, 384, 3, padding=1),  # (N, 384, 13, 13)
            conv4=_convolution(384, 256, 3, padding=1),  # (N, 256, 13, 13)
            conv5=_convolution(256, 256, 3, padding=1, pool=True),  # (N, 256, 6, 6)
            pool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),  # (N, 9216)
            dense6=_dense(256 * 6 * 6, dropout, dropout_first=True),
            dense7=_dense(4096, dropout, dropout_first=True),  # (N, 4096)
        )
    )
    network = Classifier(body, nn.Linear(4096, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    nn.init.normal_(network.head.weight, std=0.01)
    return network


@register(
    "alexnet_2012",
    title="AlexNet as in 2012, two towers",
    paper="Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, NIPS 25",
)
def alexnet_2012(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Build AlexNet as published; shapes below are for 224x224."""
    body = nn.Sequential(
        OrderedDict(
            conv1=_convolution(in_channels, 96, 11, stride=4, padding=2, normalise=True, pool=True),  # (N, 96, 27, 27)
            conv2=_convolution(96, 256, 5, padding=2, towers=2, normalise=True, pool=True),  # (N, 256, 13, 13)
            conv3=_convolution(256, 384, 3, padding=1),  # (N, 384, 13, 13), where the towers meet
            conv4=_convolution(384, 384, 3, padding=1, towers=2),  # (N, 384, 13, 13)
            conv5=_convolution(384, 256, 3, padding=1, towers=2, pool=True),  # (N, 256, 6, 6)
            pool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),  # (N, 9216)
            dense6=_dense(256 * 6 * 6, dropout, dropout_first=False),
            dense7=_dense(4096, dropout, dropout_first=False),  # (N, 4096)
        )
    )
    network = Classifier(body, nn.Linear(4096, classes))
    for name, module in network.named_modules():
        if isinstance(
            module, nn.Conv2d | nn.Linear
        ):  # the paper's section 5: a ReLU with bias 1 lets gradients through
            nn.init.normal_(module.weight, std=0.01)
            assert module.bias is not None
            nn.init.constant_(module.bias, 1.0 if name.startswith(_BIASED) else 0.0)
    return network
