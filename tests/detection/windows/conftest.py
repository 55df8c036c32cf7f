"""Two small networks that slide, without padding and with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glassnet.models import Network

VALID = """
name = "valid"
input = [24, 20, 3]
layers = [
    { conv = 8, kernel = 5, stride = 2, padding = "valid", norm = "batch", activation = "relu" },
    { pool = "max", kernel = 2 },
    { conv = 12, kernel = [3, 2], padding = "valid", activation = "elu" },
    { dense = 16, activation = "scaled_tanh" },
]
"""
PADDED = VALID.replace('"valid", norm', '"same", norm').replace("[24, 20, 3]", "[16, 16, 3]")


def described(text: str, folder: Path) -> Network:
    """Return the network that `text` describes, its batch norms not idle and its answers not alike."""
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    torch.manual_seed(0)
    network = Network.create(str(path), [f"class {number}" for number in range(5)])
    for layer in network.module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    with torch.no_grad():
        network.module.head.weight.mul_(10)
    network.module.eval()
    return network


@pytest.fixture
def valid(tmp_path: Path) -> Network:
    """Windows of 24 x 20 pixels at stride 4, no padding anywhere; a flattened map in front of the dense layer."""
    return described(VALID, tmp_path)


@pytest.fixture
def padded(tmp_path: Path) -> Network:
    """Windows of 16 x 16 pixels at stride 4; the first convolution pads."""
    return described(PADDED, tmp_path)
