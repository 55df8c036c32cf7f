"""The drawing: what it shows of which network, that boxes are to scale, and that any name is only text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from glassnet.models import create
from glassnet.nn.trace import Trace, trace
from glassnet.report.drawing import draw
from glassnet.report.slabs import Slab, stages


def traced(name: str) -> Trace:
    with torch.device("meta"):
        network = create(name, in_channels=1 if name == "lenet5" else 3)
    return trace(network, network.input_size)


class Inception(nn.Module):
    """Two branches and a shared 1x1 before them, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.one, self.three = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(4, 10, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


def test_lenet_shows_every_map() -> None:
    shown = {stage.name: [slab.shape for slab in stage.slabs] for stage in stages(traced("lenet5"))}
    assert shown == {
        "input": [(1, 28, 28)],
        "stage1": [(6, 28, 28), (6, 14, 14)],
        "stage2": [(16, 10, 10), (16, 5, 5)],
        "dense1": [(120,)],
        "dense2": [(84,)],
        "head": [(1000,)],
    }


def test_residual_blocks_have_roads_around_them() -> None:
    shown = {stage.name: stage.slabs for stage in stages(traced("resnet18"))}
    assert [(slab.road, slab.span) for slab in shown["stage2"]] == [
        ("", 1),
        ("projection", 2),
        ("", 1),
        ("identity", 2),
    ]


def test_many_layers_are_drawn_as_blocks_and_their_repetitions_as_rows() -> None:
    shown = {stage.name: stage.slabs for stage in stages(traced("mobilenet_v2"))}
    assert [(slab.what, slab.road) for slab in shown["stage3"]] == [
        ("block", ""),
        ("residual block", "identity"),
        ("residual block", "identity"),
    ]
    deep = {stage.name: stage.slabs for stage in stages(traced("resnet152"))}
    assert [(slab.road, slab.times) for slab in deep["stage3"]] == [("projection", 1), ("identity", 35)]


def test_branches_are_parts_of_one_slab_behind_what_they_share() -> None:
    shown = stages(trace(nn.Sequential(Inception()), (8, 5, 5)))[1].slabs
    assert shown[0].shape == (4, 5, 5)
    assert shown[1] == Slab("conv", "joined branches", (16, 5, 5), parts=(6, 10))


def fronts(svg: str) -> list[tuple[float, float]]:
    """Thickness and height of every box."""
    found = re.findall(r'class="front" d="M[\d.]+ ([\d.]+) V([\d.]+) h([\d.]+) V', svg)
    return [(float(thick), float(foot) - float(lid)) for foot, lid, thick in found]


def test_boxes_are_to_scale() -> None:
    picture, conv1, pool1, conv2, pool2, *_ = fronts(draw(traced("lenet5"), "LeNet-5"))
    assert picture[1] == conv1[1] == 200
    for (_, high), side in ((pool1, 14), (conv2, 10), (pool2, 5)):
        assert high == pytest.approx(200 * side / 28, abs=0.2)
    assert conv2[0] / conv1[0] == pytest.approx((16 / 6) ** 0.5, rel=0.02)


def test_what_shrinks_too_far_is_drawn_by_square_roots_and_says_so() -> None:
    svg = draw(traced("resnet18"), "ResNet-18")
    picture, stem, pool, *_ = fronts(svg)
    assert pool[1] / picture[1] == pytest.approx((56 / 224) ** 0.5, rel=0.01)
    assert stem[1] / picture[1] == pytest.approx((112 / 224) ** 0.5, rel=0.01)
    assert "heights and widths as square roots" in svg
    assert "heights and widths to scale" in draw(traced("lenet5"), "LeNet-5")


def test_it_is_one_file_for_light_and_dark_with_names_as_text() -> None:
    net = nn.Sequential()
    net.add_module("a<b>&c", nn.Conv2d(1, 4, 3))
    svg = draw(trace(net, (1, 8, 8)), 'A "net" <script>alert(1)</script>')
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'A "net" <script>alert(1)</script>'
    assert "<script" not in svg
    assert "prefers-color-scheme: dark" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert any(element.text == "a<b>&c" for element in root.iter())
