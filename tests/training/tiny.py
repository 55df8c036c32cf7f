"""A network and data small enough to train in a second, and a script that trains them in a process of its own.

python tests/training/tiny.py DATA OUTPUT CHOICES, where CHOICES is JSON for `glassnet.training.train.train`.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
from torch import nn

from glassnet.data import builtin
from glassnet.models import registry
from glassnet.preprocess import Preprocess
from glassnet.training.train import train

SHAPE = Preprocess(height=28, width=28, channels=1, crop=1.0)


def layer(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution, its norm, an activation, half the size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
    )


if "tiny" not in registry.names():

    @registry.register("tiny", title="Tiny", paper="none", preprocess=SHAPE, classes=10)
    def tiny(classes: int, in_channels: int) -> registry.Classifier:
        """Everything that has a state: batch norms, dropout, biases."""
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        body = nn.Sequential(OrderedDict(stem=layer(in_channels, 8), stage1=layer(8, 16), pool=pool))
        return registry.Classifier(body, nn.Linear(64, classes))


def write_data(path: Path, train_items: int = 320, test_items: int = 40, classes: int = 10) -> None:
    """Write pictures of fashion-mini's first classes, as many of each, as an .npz file."""
    data = builtin.load("fashion-mini")
    wanted = np.arange(classes)
    rows = [
        np.concatenate(
            [np.flatnonzero((data.is_test == test) & (data.labels == c))[: items // classes] for c in wanted]
        )
        for test, items in ((False, train_items), (True, test_items))
    ]
    arrays = {"x_train": data.images[rows[0]], "y_train": data.labels[rows[0]]}
    np.savez(path, **arrays, x_test=data.images[rows[1]], y_test=data.labels[rows[1]])


if __name__ == "__main__":
    train(sys.argv[1], output=sys.argv[2], network="tiny", **json.loads(sys.argv[3]))
