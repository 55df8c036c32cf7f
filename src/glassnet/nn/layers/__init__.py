"""Layers that torch does not have, or that several families of networks share; `LEAVES` are those of the trace."""

from __future__ import annotations

from torch import nn

from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.layers.basic import Conv2dSame, ConvNormAct, GlobalAveragePool, GlobalMaxPool, conv2d_same
from glassnet.nn.layers.blocks import PointwiseLinear
from glassnet.nn.layers.convolution import Conv2d
from glassnet.nn.layers.filters import FixedFilter
from glassnet.nn.layers.lenet import PartialConv2d, TrainablePool
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d
from glassnet.nn.layers.radial_basis import RadialBasisOutput
from glassnet.nn.regularise import ActivityPenalty

__all__ = ["LEAVES", "Conv2dSame", "ConvNormAct", "GlobalAveragePool", "GlobalMaxPool", "conv2d_same"]

LEAVES: tuple[type[nn.Module], ...] = (
    ActivityPenalty,
    Conv2d,
    Conv2dSame,
    FixedFilter,
    GlobalAveragePool,
    GlobalMaxPool,
    LocalResponseNorm,
    PaddedAvgPool2d,
    PaddedConv2d,
    PaddedMaxPool2d,
    PartialConv2d,
    PointwiseLinear,
    RadialBasisOutput,
    ScaledTanh,
    TrainablePool,
)
"""Modules of ours that a trace shows as one layer."""
