"""Blocks against the same networks written by hand elsewhere, against papers' counts, and by their formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from glassnet.models.described.network import described
from glassnet.models.mobilenet_v2 import STAGES, rounded
from glassnet.models.registry import Classifier, create

Layer = dict[str, Any]


def build(*layers: Layer, size: tuple[int, int, int], classes: int = 10, **rest: Any) -> Classifier:
    return described(classes, size[2], {"input": list(size), "layers": list(layers), **rest})


def resnet(block: str, depths: tuple[int, ...], widths: tuple[int, ...], **rest: Any) -> Classifier:
    stages = [
        {"block": block, "width": width, "repeat": depth, "stride": 1 if number == 0 else 2}
        for number, (width, depth) in enumerate(zip(widths, depths, strict=True))
    ]
    stem = {"conv": widths[0], "norm": "batch", "activation": "relu"}
    defaults = {"padding": "half", "block": rest}
    return build(stem, *stages, {"pool": "global_average"}, size=(32, 32, 3), defaults=defaults)


def agree(ours: Classifier, theirs: Classifier) -> None:
    """Hold that two networks have the same tensors in the same order, and with equal ones give equal logits."""
    mine, other = ours.state_dict(), theirs.state_dict()
    for norm in theirs.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.3, 0.7)
            torch.nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    assert [tensor.shape for tensor in mine.values()] == [tensor.shape for tensor in other.values()]
    ours.load_state_dict(dict(zip(mine, theirs.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-4, atol=1e-5)


def test_residual_blocks_are_resnet18() -> None:
    agree(resnet("residual", (2, 2, 2, 2), (64, 128, 256, 512)), create("resnet18", classes=10, stem="small"))


def test_bottlenecks_have_the_shapes_of_resnet50() -> None:
    with torch.device("meta"):
        stem = {"conv": 64, "norm": "batch", "activation": "relu"}
        stages = [
            {"block": "bottleneck", "width": width, "repeat": depth, "stride": 1 if width == 64 else 2}
            for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3))
        ]
        ours = build(stem, *stages, {"pool": "global_average"}, size=(32, 32, 3))
        theirs = create("resnet50", classes=10, stem="small")
    assert [t.shape for t in ours.state_dict().values()] == [t.shape for t in theirs.state_dict().values()]


def test_inverted_residuals_are_mobilenet_v2() -> None:
    stages = [
        {"block": "inverted_residual", "expansion": expansion, "width": rounded(0.25 * width), "repeat": depth,
         "stride": stride}
        for expansion, width, depth, stride in STAGES
    ]  # fmt: skip
    bend = {"norm": "batch", "activation": "relu6"}
    ours = build(
        {"conv": 8, "stride": 2, **bend}, *stages, {"conv": 1280, "kernel": 1, **bend}, {"pool": "global_average"},
        size=(32, 32, 3), defaults={"padding": "half"},
    )  # fmt: skip
    agree(ours, create("mobilenet_v2", classes=10, width=0.25))


@pytest.mark.parametrize(
    "depth, shortcut, parameters",
    [
        (3, "A", 269_722),  # the paper's 0.27M: 432 + 13,824 + 50,688 + 202,752, norms 1,376, the head 650
        (9, "A", 853_018),  # 0.85M
        (3, "B", 269_722 + 16 * 32 + 64 + 32 * 64 + 128),
        (3, "none", 269_722),
    ],
)
def test_residual_networks_for_cifar_have_the_papers_size(depth: int, shortcut: str, parameters: int) -> None:
    with torch.device("meta"):
        network = resnet("residual", (depth,) * 3, (16, 32, 64), shortcut=shortcut)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_plain_network_is_the_residual_one_without_its_sums() -> None:
    torch.manual_seed(0)
    with_sums = build({"block": "residual", "width": 4}, size=(6, 6, 4)).eval()
    without = build({"block": "residual", "width": 4, "shortcut": "none"}, size=(6, 6, 4)).eval()
    without.load_state_dict(dict(zip(without.state_dict(), with_sums.state_dict().values(), strict=True)))
    x = torch.randn(2, 4, 6, 6)
    path = with_sums.body.get_submodule("residual1.join.0")
    torch.testing.assert_close(with_sums.body.residual1(x), F.relu(path(x) + x))
    torch.testing.assert_close(without.body.residual1(x), F.relu(path(x)))


def test_a_preactivation_block_by_its_formula() -> None:
    block = build({"block": "preactivation", "width": 6, "stride": 2}, size=(8, 8, 4)).eval().body.preactivation1
    weights = [module.weight for module in block.modules() if isinstance(module, torch.nn.Conv2d)]
    x = torch.randn(2, 4, 8, 8)
    scale = (1 + 1e-5) ** -0.5  # a fresh batch norm in evaluation
    bent = F.relu(x * scale)
    inner = F.relu(F.conv2d(F.pad(bent, (0, 1, 0, 1)), weights[0], stride=2) * scale)
    expected = F.conv2d(inner, weights[1], padding=1) + F.conv2d(bent, weights[2], stride=2)
    torch.testing.assert_close(block(x), expected)
    same = build({"block": "preactivation", "width": 4}, size=(8, 8, 4)).eval().body.preactivation1
    for conv in (module for module in same.modules() if isinstance(module, torch.nn.Conv2d)):
        torch.nn.init.zeros_(conv.weight)
    torch.testing.assert_close(same(x), x)


def test_the_squeeze_and_the_mlp_by_their_counts() -> None:
    with torch.device("meta"):
        fire = build({"block": "fire", "widths": [16, 64, 64]}, {"pool": "global_max"}, size=(8, 8, 96))
        mlp = build({"block": "mlpconv", "widths": [192, 160, 96], "kernel": 5}, {"pool": "global_max"}, size=(8, 8, 3))
    assert sum(p.numel() for p in fire.body.parameters()) == 11_920  # SqueezeNet's fire2
    assert sum(p.numel() for p in mlp.body.parameters()) == 75 * 192 + 192 + 192 * 160 + 160 + 160 * 96 + 96
    assert (fire.features_size, mlp.features_size) == (128, 96)
