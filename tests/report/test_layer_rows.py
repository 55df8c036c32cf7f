"""Rows for people: blocks sum up, norms stand with their convolution, what repeats is told once."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from glassnet.models import create
from glassnet.nn.layers import ConvNormAct
from glassnet.nn.trace import Trace, trace
from glassnet.report.layer_rows import rows


@pytest.fixture(scope="module")
def resnet() -> Trace:
    with torch.device("meta"):
        return trace(create("resnet18"), (3, 224, 224))


def test_a_small_network_row_by_row() -> None:
    with torch.device("meta"):
        traced = trace(create("lenet5", in_channels=1, classes=10), (1, 28, 28))
    told = [(row.level, row.label, row.what, row.parameters) for row in rows(traced)]
    assert told == [
        (0, "stage1", "", 156),
        (1, "conv", "conv 5x5, 1 -> 6, padding 2", 156),
        (1, "pool", "max pool 2x2, stride 2", 0),
        (0, "stage2", "", 2416),
        (1, "conv", "conv 5x5, 6 -> 16", 2416),
        (1, "pool", "max pool 2x2, stride 2", 0),
        (0, "flatten", "flatten", 0),  # and the pool to 5x5, which is idle, with the row before it
        (0, "dense1", "dense 400 -> 120", 48_120),
        (0, "dense2", "dense 120 -> 84", 10_164),
        (0, "head", "dense 84 -> 10", 850),
    ]


def test_blocks_that_are_alike_are_told_once(resnet: Trace) -> None:
    stage1 = rows(resnet)[3:8]
    assert [(row.label, row.times) for row in stage1] == [
        ("stage1", 1),
        ("0 to 1", 2),
        ("residual.0", 1),
        ("residual.1", 1),
        ("add", 1),
    ]
    assert stage1[1].parameters == stage1[0].parameters == 147_968  # of both blocks
    assert stage1[2].parameters == 36_992  # of one: its weights and its norm's
    assert [row.last.receptive_field[0] for row in stage1] == [43, 43, 35, 43, 43]  # the second block's


def test_depth_cuts_the_tree(resnet: Trace) -> None:
    stages = [row.label for row in rows(resnet, depth=1)]
    assert stages == ["stem", "stage1", "stage2", "stage3", "stage4", "pool", "head"]
    assert [row.label for row in rows(resnet, depth=2)][3:7] == ["stage1", "0 to 1", "stage2", "0"]


def test_full_has_a_row_for_every_layer(resnet: Trace) -> None:
    layers = [row.main for row in rows(resnet, full=True) if not row.heading]
    assert layers == list(resnet.layers)


def test_what_reads_another_layer_is_not_counted_with_the_row_above() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.one(x) + self.norm(x)
            return out

    assert [row.label for row in rows(trace(Fork(), (2, 4, 4)))] == ["one", "norm", "add"]


def test_a_convolution_with_norm_and_activation_is_one_row_under_the_blocks_name() -> None:
    net = nn.Sequential(OrderedDict(stem=ConvNormAct(3, 8, 3)))
    (row,) = rows(trace(net, (3, 8, 8)))
    assert (row.label, row.what, row.parameters) == ("stem", "conv 3x3, 3 -> 8, padding 1", 216 + 16)
