"""GoogLeNet: filters of several sizes side by side, made cheap by 1x1 convolutions, stacked 22 layers deep.

It won ImageNet 2014 with a twelfth of AlexNet's weights, nearly half of which had been in dense layers: here the mean
over all positions takes their place.

Paper: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842.
Here, `googlenet`: as in the paper, with biases and no batch norm. The paper gives no numbers for its local response
normalisation, so AlexNet's are taken, and no rule for fresh weights, so He's is (2015, arXiv:1502.01852).
`googlenet_bn`: torchvision's layout, for its weights: batch norm (eps 1e-3) in place of biases and of the local
normalisation, 3x3 where the paper has 5x5, the fourth pooling 2x2. Its pixels are normalised with mean and deviation
0.5, as those weights were trained. Torchvision normalises with ImageNet's statistics and lets the network undo it
(`transform_input`, (x * 0.229 + 0.485 - 0.5) / 0.5 for red); here it is the preprocess alone that says what goes in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.models.auxiliary import AuxiliaryClassifier
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.nn.layers.inception import ConvAct, Inception, Layer
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.preprocess import Preprocess

PAPER = "Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842"
HALF_224 = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Pixels in [-1, 1]."""

# 1x1, (reduction, 3x3), (reduction, 5x5), projection after the pooling: the paper's table 1
MODULES = {
    "inception3a": (64, (96, 128), (16, 32), 32),  # (N, 256, 28, 28)
    "inception3b": (128, (128, 192), (32, 96), 64),  # (N, 480, 28, 28)
    "pool3": None,
    "inception4a": (192, (96, 208), (16, 48), 64),  # (N, 512, 14, 14)
    "inception4b": (160, (112, 224), (24, 64), 64),
    "inception4c": (128, (128, 256), (24, 64), 64),
    "inception4d": (112, (144, 288), (32, 64), 64),  # (N, 528, 14, 14)
    "inception4e": (256, (160, 320), (32, 128), 128),  # (N, 832, 14, 14)
    "pool4": None,
    "inception5a": (256, (160, 320), (32, 128), 128),  # (N, 832, 7, 7)
    "inception5b": (384, (192, 384), (48, 128), 128),  # (N, 1024, 7, 7)
}
AUXILIARY = {"inception4a": 512, "inception4d": 528}  # where the auxiliary heads sit, and the channels they see


class PoolTo4(nn.Module):
    """Means over 5x5 at stride 3, (N, C, 14, 14) -> (N, C, 4, 4); maps of another size are divided evenly into 4x4."""

    def forward(self, x: Tensor) -> Tensor:
        """Average `x`."""
        return F.avg_pool2d(x, 5, stride=3) if x.shape[-2:] == (14, 14) else F.adaptive_avg_pool2d(x, 4)


def _stem(in_channels: int, layer: Layer, normalise: bool) -> OrderedDict[str, nn.Module]:
    """(N, C, 224, 224) -> (N, 192, 28, 28)."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["conv1"] = layer(in_channels, 64, 7, 2)  # (N, 64, 112, 112)
    stages["pool1"] = _pool(3)  # (N, 64, 56, 56)
    if normalise:
        stages["norm1"] = LocalResponseNorm()
    stages["conv2"] = nn.Sequential(OrderedDict(reduce=layer(64, 64, 1), conv=layer(64, 192, 3)))  # (N, 192, 56, 56)
    if normalise:
        stages["norm2"] = LocalResponseNorm()
    stages["pool2"] = _pool(3)  # (N, 192, 28, 28)
    return stages


def _pool(kernel: int) -> nn.MaxPool2d:
    """Halve the maps, rounding up: the last window may reach over the edge."""
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def _body(in_channels: int, layer: Layer, dropout: float, *, normalise: bool, large: int, pool4: int) -> nn.Sequential:
    """Build all but the head; shapes above are for 224x224. `pool4` is the side of the fourth pooling's windows."""
    stages, channels = _stem(in_channels, layer, normalise), 192
    for name, widths in MODULES.items():
        if widths is None:
            stages[name] = _pool(pool4 if name == "pool4" else 3)
        else:
            module = Inception(channels, *widths, layer=layer, large=large)
            stages[name], channels = module, module.out_channels
    stages["pool"] = GlobalAveragePool()  # (N, 1024)
    stages["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(stages)


def _auxiliary_head(in_channels: int, classes: int, layer: Layer, pool: nn.Module) -> Classifier:
    """The paper's head on the way: (N, in, H, W) -> (N, classes)."""
    body = OrderedDict(
        pool=pool,  # (N, in, 4, 4)
        conv=layer(in_channels, 128, 1),
        flatten=nn.Flatten(),  # (N, 2048)
        dense=nn.Sequential(OrderedDict(linear=nn.Linear(128 * 4 * 4, 1024), act=nn.ReLU())),
        dropout=nn.Dropout(0.7),
    )
    return Classifier(nn.Sequential(body), nn.Linear(1024, classes))


def _assemble(body: nn.Sequential, classes: int, layer: Layer, pool: Callable[[], nn.Module] | None) -> Classifier:
    """Put the head on, and the auxiliary heads, each with a `pool`, unless that is None."""
    head = nn.Linear(1024, classes)
    if pool is None:
        return Classifier(body, head)
    heads = {stage: _auxiliary_head(seen, classes, layer, pool()) for stage, seen in AUXILIARY.items()}
    return AuxiliaryClassifier(body, head, heads)


@register("googlenet", title="GoogLeNet", paper=PAPER)
def googlenet(classes: int, in_channels: int, auxiliary: bool = True, dropout: float = 0.4) -> Classifier:
    """Build the paper's network."""
    body = _body(in_channels, ConvAct, dropout, normalise=True, large=5, pool4=3)
    network = _assemble(body, classes, ConvAct, PoolTo4 if auxiliary else None)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    network.replace_head(classes)  # with small weights: a rectifier's would start at logits of 5
    return network


@register("googlenet_bn", title="GoogLeNet with batch norm", paper=PAPER, preprocess=HALF_224)
def googlenet_bn(classes: int, in_channels: int, auxiliary: bool = True, dropout: float = 0.2) -> Classifier:
    """Build torchvision's layout."""
    layer = partial(ConvNormAct, norm=partial(nn.BatchNorm2d, eps=1e-3))
    body = _body(in_channels, layer, dropout, normalise=False, large=3, pool4=2)
    network = _assemble(body, classes, layer, partial(nn.AdaptiveAvgPool2d, 4) if auxiliary else None)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01, a=-2.0, b=2.0)
    return network
