"""Small networks with every difficulty, and pictures to look at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassnet.data.index import Index
from glassnet.data.pictures import Pictures
from glassnet.models import Network
from glassnet.models.base import new_card
from glassnet.preprocess import Preprocess


class Awkward(nn.Module):
    """In-place activations, one ReLU called three times, `+=`, a concatenation, functions, a branch read twice."""

    input_size = (3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(16, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        y = self.norm(self.conv2(x))
        y += x
        y = self.act(y)
        z = torch.cat([x, y], 1)
        z = torch.relu_(self.conv3(z))
        z = torch.nn.functional.max_pool2d(z, 2)
        return self.head(z.mean((2, 3)))


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms statistics as after a training, so that folding or skipping them would be seen."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features, generator=generator) * 0.3
            part.running_var = torch.rand(part.num_features, generator=generator) + 0.5
    return module


@pytest.fixture
def awkward() -> Awkward:
    torch.manual_seed(0)
    module = Awkward()
    shake(module)
    return module


@pytest.fixture(scope="session")
def small_network() -> Network:
    """A narrow ResNet on 32x32 pictures with three classes."""
    torch.manual_seed(0)
    network = Network.create("resnet20_cifar", ["cat", "dog", "owl"])
    shake(network.module)
    return network


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Smooth colours with a bright square, (48, 40, 3) uint8."""
    rows, columns = np.mgrid[0:48, 0:40]
    pixels = np.stack([rows * 5, columns * 6, (rows + columns) * 2], 2).astype(np.uint8)
    pixels[12:24, 10:22] = 250
    return pixels


@pytest.fixture(scope="session")
def network_of() -> Callable[[nn.Module, int, int], Network]:
    """Makes a network of any module, for grey pictures of (height, width); its input is the pixels' own 0 to 255."""

    def made(module: nn.Module, height: int, width: int) -> Network:
        preprocess = Preprocess(height=height, width=width, crop=1.0, channels=1, mean=(0,), std=(1 / 255,))
        return Network(module, new_card("lenet5", ["no", "yes"], preprocess, {}, None))  # type: ignore[arg-type]

    return made


@pytest.fixture(scope="session")
def pictures_of() -> Callable[[Network, np.ndarray], Pictures]:
    """Makes pictures (N, h, w, C) uint8 for a network, of its first two classes in turn."""

    def made(network: Network, pool: np.ndarray) -> Pictures:
        count = len(pool)
        labels = np.arange(count, dtype=np.int64) % 2
        index = Index(
            name="squares",
            kind="arrays",
            root=None,
            classes=network.classes[:2],
            paths=None,
            images=pool,
            labels=labels,
            splits=np.zeros(count, np.int8),
            sizes=np.tile(np.array(pool.shape[1:3], np.int32), (count, 1)),
            channels=pool.shape[3],
        )
        return Pictures(index=index, pool=pool, labels=labels, preprocess=network.preprocess)

    return made
