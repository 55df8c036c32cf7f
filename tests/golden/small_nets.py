"""Small networks that Captum's answers are recorded for, and that the tests build again: the same numbers in both.

`Plain` gives every rectifier a module of its own, as Captum asks for. In `Functional` no hook on a module sees a
rectifier, and in `Preactivation` what a ReLU reads is read by the shortcut too, so that a hook on its input replaces
the signal of both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

GOLDEN = Path(__file__).with_name("captum.json")
SHAPE = (2, 9, 8)
CLASSES = 3
TARGET = 1
RULES = {"gradient": "Saliency", "deconvnet": "Deconvolution", "guided": "GuidedBackprop"}


class Plain(nn.Module):
    """Strided convolution, batch norm, overlapping pooling, a residual sum, a concatenation; a ReLU module for each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act1, self.act2, self.act3, self.act4 = nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(12, 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5 * 3 * 2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act1(self.norm(self.conv1(x))))
        y = self.act3(self.act2(self.conv2(x)) + x)
        y = self.act4(self.conv3(torch.cat([y, x], 1)))
        return self.head(y.flatten(1))


class Reused(Plain):
    """`Plain` with one ReLU module for all four."""

    def __init__(self) -> None:
        super().__init__()
        self.act2 = self.act3 = self.act4 = self.act1


class Functional(Plain):
    """`Plain` with torch's function in place of every module."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.norm(self.conv1(x))))
        y = F.relu(F.relu(self.conv2(x)) + x)
        y = F.relu(self.conv3(torch.cat([y, x], 1)))
        return self.head(y.flatten(1))


class Preactivation(Plain):
    """The shortcut goes past the rectifier, not past the convolution's output alone (He et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.conv1(x)))
        y = self.conv2(self.act2(x)) + x
        y = self.act4(self.conv3(torch.cat([self.act3(y), x], 1)))
        return self.head(y.flatten(1))


NETS: dict[str, type[Plain]] = {
    "plain": Plain,
    "reused": Reused,
    "functional": Functional,
    "preactivation": Preactivation,
}
CAPTUM_IS_RIGHT = ("plain", "reused")


def build(name: str) -> Plain:
    """Return a network with numbers that depend on nothing but this file."""
    net = NETS[name]().eval()
    generator = np.random.default_rng(7)
    for key, tensor in sorted(net.state_dict().items()):
        if tensor.dtype == torch.float32:
            drawn = generator.standard_normal(tuple(tensor.shape)) * 0.4
            tensor.copy_(torch.from_numpy(abs(drawn) + 0.5 if "running_var" in key else drawn))
    return net


def pictures() -> Tensor:
    """Return (2, *SHAPE) float32."""
    return torch.from_numpy(np.random.default_rng(8).standard_normal((2, *SHAPE)).astype(np.float32))
