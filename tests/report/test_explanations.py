"""Occlusion maps in the report: which pictures, which class, and when to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.data.index import scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import InputError
from glassnet.evaluation.judge import judge
from glassnet.evaluation.judgement import Judgement
from glassnet.explain.inside import Inside
from glassnet.models.network import Network
from glassnet.preprocess import Preprocess
from glassnet.report import explanations
from glassnet.report.explanations import occlusion_maps

PREPROCESS = Preprocess(height=28, width=28, channels=1, resize="squash", crop=1.0)
Judged = tuple[Network, Pictures, Judgement, np.ndarray]


class Bright(nn.Module):
    """Says 1 where the middle of the picture is brighter than grey, else 0: what it looks at is known."""

    input_size = (1, 28, 28)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 28, bias=False)
        weight = torch.zeros(2, 1, 28, 28)
        weight[1, :, 10:18, 10:18] = 0.05
        weight[0] = -weight[1]
        self.conv.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).flatten(1)


@pytest.fixture
def judged(tmp_path: Any) -> Judged:
    """Pictures of 0 dark and 1 bright, two labelled wrongly, judged."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pictures = np.clip(60 + 130 * labels[:, None, None] + rng.normal(0, 20, (40, 28, 28)), 0, 255).astype(np.uint8)
    told = labels.copy()
    told[[30, 31]] = 1 - told[[30, 31]]
    np.savez(tmp_path / "a.npz", x_train=pictures[:20], y_train=told[:20], x_test=pictures[20:], y_test=told[20:])
    found = load_pictures(scan(tmp_path / "a.npz", seed=0), PREPROCESS, cache=False)
    network = Network.create("lenet5", found.index.classes, preprocess=PREPROCESS)
    network.module = Bright()
    items = found.index.select("test")
    return network, found, judge(network, found, items, split="test", device="cpu"), items


def test_hardest_pictures_and_a_right_one_of_each_class_are_explained(judged: Judged) -> None:
    network, pictures, judgement, items = judged
    maps = occlusion_maps(network, pictures, judgement, items, device="cpu", at_most=8)
    assert [example.label for example in maps.examples] == ["0", "1"]
    assert all(example.probability > 0.5 for example in maps.examples)
    assert list(maps.losses) == [loss.item for loss in judgement.top_losses[:6]]
    assert maps.note == ""
    bright = maps.examples[1]
    assert bright.fall > 0.02, "covering the middle with grey makes it less sure"
    assert bright.map.uri.startswith("data:image/jpeg")


def test_it_stops_when_time_is_up_and_says_so(judged: Judged) -> None:
    network, pictures, judgement, items = judged
    maps = occlusion_maps(network, pictures, judgement, items, device="cpu", at_most=8, seconds=-1)
    assert (maps.losses, maps.examples) == ({}, [])
    assert maps.note == "Time for 0 of 8 pictures; `glassnet report` takes more."


def test_a_network_that_cannot_be_opened_has_a_note(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Inside:
        raise InputError("it is not one fixed graph")

    monkeypatch.setattr(explanations.Inside, "of", refuse)
    network, pictures, judgement, items = judged
    maps = occlusion_maps(network, pictures, judgement, items, device="cpu")
    assert maps.note == "Nothing is explained here: it is not one fixed graph"
