"""EfficientNet-Lite0: an architecture found by search and scaled by rule, then stripped of what phones compute slowly.

Of EfficientNet's inverted residuals it keeps the mixture of 3x3 and 5x5 filters; squeeze-and-excitation is gone and
swish is ReLU6, which lets it be quantised to integers.

Paper: Tan, Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946; the
Lite variant is TensorFlow's of 2020. Here: as its authors trained it, which is to say TensorFlow's SAME padding, batch
norms with eps 1e-3, pixels as (x - 127) / 128; but without stochastic depth. Weights trained elsewhere may presuppose
PyTorch's habits, `padding="half"` and `epsilon=1e-5`.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from glassnet.errors import UnknownName
from glassnet.models.mobilenet_v2 import InvertedResidual, initialise
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.preprocess import Preprocess

LITE_224 = Preprocess(interpolation="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""(x - 127) / 128 for bytes x, as the network was trained."""

# expansion, channels, blocks, stride of the first, kernel
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
PADDINGS = ("same", "half")


@register(
    "efficientnet_lite0",
    title="EfficientNet-Lite0",
    paper="Tan, Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks, arXiv:1905.11946",
    preprocess=LITE_224,
)
def efficientnet_lite0(
    classes: int, in_channels: int, dropout: float = 0.2, padding: str = "same", epsilon: float = 1e-3
) -> Classifier:
    """Build EfficientNet-Lite0; shapes below are for 224x224. `epsilon` is the batch norms'."""
    if padding not in PADDINGS:
        raise UnknownName("padding", padding, PADDINGS, hint="expected 'same' (TensorFlow's) or 'half' (PyTorch's)")
    norm = partial(nn.BatchNorm2d, eps=epsilon, momentum=0.01)
    layer = partial(ConvNormAct, padding=padding, activation=nn.ReLU6, norm=norm)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = layer(in_channels, 32, 3, stride=2)  # (N, 32, 112, 112)
    channels = 32
    for number, (expansion, out, depth, stride, kernel) in enumerate(STAGES, start=1):
        block = partial(InvertedResidual, expansion=expansion, kernel=kernel, padding=padding, norm=norm)
        rest = (block(out, out, 1) for _ in range(depth - 1))
        stages[f"stage{number}"] = nn.Sequential(block(channels, out, stride), *rest)  # the last one: (N, 320, 7, 7)
        channels = out
    stages["features"] = layer(channels, 1280, 1)  # (N, 1280, 7, 7)
    stages["pool"] = GlobalAveragePool()  # (N, 1280)
    stages["dropout"] = nn.Dropout(dropout)
    network = Classifier(nn.Sequential(stages), nn.Linear(1280, classes))
    initialise(network)
    return network
