"""What a description builds: the same network by hand, counts by hand, and a change for every option."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.models.described.language import ACTIVITY, ANYWHERE, KEYS, REGULARISERS
from glassnet.models.described.network import described
from glassnet.models.registry import Classifier
from glassnet.nn.regularise import penalty
from glassnet.nn.trace import Trace, trace

Layer = dict[str, Any]


def build(*layers: Layer, size: tuple[int, int, int] = (12, 12, 4), seed: int = 0, **rest: Any) -> Classifier:
    torch.manual_seed(seed)
    return described(5, size[2], {"input": list(size), "layers": list(layers), **rest})


def traced(*layers: Layer, size: tuple[int, int, int]) -> Trace:
    network = build(*layers, size=size)
    return trace(network, (size[2], size[0], size[1]))


def test_it_is_the_network_that_one_writes_by_hand() -> None:
    torch.manual_seed(3)
    by_hand = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, (3, 5), stride=(1, 2), padding=(1, 0), groups=2, bias=False),
        nn.BatchNorm2d(16),
        nn.LeakyReLU(0.2),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.Conv2d(16, 8, 3, padding=2, dilation=2, padding_mode="reflect"),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8 * 8 * 3, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    )
    ours = build(
        {"conv": 6, "kernel": 5, "padding": 2, "activation": "relu"},
        {"pool": "max"},
        {"conv": 16, "kernel": [3, 5], "stride": [1, 2], "padding": [1, 0], "groups": 2, "norm": "batch",
         "activation": {"type": "leaky_relu", "slope": 0.2}},
        {"pool": "average", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"conv": 8, "dilation": 2, "padding_mode": "reflect", "activation": "tanh"},
        {"flatten": True},
        {"dense": 20, "activation": "relu"},
        size=(28, 28, 1),
        seed=3,
    )  # fmt: skip
    theirs = list(by_hand.state_dict().values())
    assert all(torch.equal(mine, other) for mine, other in zip(ours.state_dict().values(), theirs, strict=True))
    images = torch.randn(4, 1, 28, 28)
    assert torch.equal(ours(images), by_hand(images))
    assert torch.equal(ours.eval()(images), by_hand.eval()(images))


@pytest.mark.parametrize("padding", [[0, 1, 2, 3], "same"])
@pytest.mark.parametrize("mode", ["zeros", "replicate", "reflect", "circular"])
def test_padding_of_each_side_and_of_each_kind(padding: Any, mode: str) -> None:
    network = build(
        {"conv": 3, "kernel": [2, 4], "stride": 2, "padding": padding, "padding_mode": mode}, size=(9, 8, 4)
    )
    top, bottom, left, right = padding if padding != "same" else (0, 1, 1, 1)  # 9 -> 5 needs 1 more, 8 -> 4 needs 2
    images = torch.randn(2, 4, 9, 8)
    padded = F.pad(images, (left, right, top, bottom), mode="constant" if mode == "zeros" else mode)
    weight, bias = network.get_parameter("body.conv1.conv.weight"), network.get_parameter("body.conv1.conv.bias")
    torch.testing.assert_close(network.body.conv1(images), F.conv2d(padded, weight, bias, 2))
    assert trace(network, (4, 9, 8))["body.conv1.conv"].receptive_field == (2, 4)


def test_a_branch_may_be_the_identity_and_names_follow_stages() -> None:
    network = build(
        {"conv": 4},
        {"stage": "middle", "branches": [[{"conv": 4}], []], "join": "add", "activation": "relu"},
        {"pool": "max"},
        {"stage": "last", "layers": [{"conv": 2}, {"conv": 3}], "repeat": 2},
    )
    assert [name for name, _ in network.body.named_children()] == ["conv1", "middle", "last", "flatten1"]
    x = network.body.conv1(torch.randn(2, 4, 12, 12))
    path = network.body.get_submodule("middle.branches1.join.0")
    torch.testing.assert_close(network.body.get_submodule("middle.branches1")(x), F.relu(path(x) + x))
    assert [type(part).__name__ for part in network.body.get_submodule("last")] == ["Sequential"] * 2
    assert network.features_size == 3 * 6 * 6


def test_only_the_first_of_a_row_strides() -> None:
    network = build({"conv": 4, "stride": 2, "repeat": 3}, {"block": "residual", "width": 8, "stride": 2, "repeat": 2})
    assert network.features_size == 8 * 3 * 3


def test_defaults_reach_the_layers_that_have_the_key() -> None:
    network = build(
        {"conv": 4}, {"conv": 4, "norm": "none", "kernel": 1}, {"pool": "max"}, {"dense": 6}, {"norm": "layer"},
        defaults={"norm": "batch", "kernel": 5, "dense": {"norm": "none", "bias": False}, "pool": {"kernel": 3}},
    )  # fmt: skip
    assert "norm" in dict(network.body.conv1.named_children())
    assert network.get_parameter("body.conv1.conv.weight").shape == (4, 4, 5, 5)
    assert network.get_parameter("body.conv2.conv.weight").shape == (4, 4, 1, 1)
    assert [name for name, _ in network.body.dense1.named_children()] == ["flatten", "linear"]
    assert network.get_submodule("body.dense1.linear").bias is None
    assert network.get_submodule("body.pool1").kernel_size == (3, 3)


def test_numbers_of_the_textbooks() -> None:
    first = traced({"conv": 32, "kernel": 5, "padding": "valid"}, size=(28, 28, 1)).layers[0]
    assert (first.parameters, first.output_shape) == (832, (32, 24, 24))
    plain = {"conv": 5, "padding": "valid"}
    separable = {"block": "separable", "width": 5, "padding": "valid", "norm": "none"}
    head = 5 * 5 * 16
    assert traced(plain, size=(6, 6, 3)).multiply_adds - head == 2160
    assert traced(separable, size=(6, 6, 3)).multiply_adds - head == 432 + 240
    wide, thin = {"conv": 32, "kernel": 5}, {"conv": 16, "kernel": 1}
    pool = {"pool": "global_average"}
    assert traced(wide, pool, size=(28, 28, 192)).multiply_adds - 32 * 5 == 120_422_400
    assert traced(thin, wide, pool, size=(28, 28, 192)).multiply_adds - 32 * 5 == 12_443_648
    mixed = traced({"block": "inception", "widths": [64, [96, 128], [16, 32], 32]}, pool, size=(28, 28, 192))
    assert next(layer for layer in mixed if layer.kind == "cat").output_shape == (256, 28, 28)
    assert mixed.parameters - (256 * 5 + 5) == 163_696  # GoogLeNet's inception (3a)


PLAIN = {"conv": 8, "kernel": 3, "activation": "relu"}
BLOCK = {"block": "residual", "width": 8}
WIDE = {"block": "bottleneck", "width": 4}
AVERAGE = {"pool": "average", "kernel": 3, "padding": 1}
MAXIMUM = {"pool": "max", "kernel": 3, "stride": 2}
CHANGES: list[tuple[Layer, Layer]] = [
    (PLAIN, {"conv": 9}),
    (PLAIN, {"kernel": 5}),
    (PLAIN, {"kernel": [1, 3]}),
    (PLAIN, {"stride": 2}),
    (PLAIN, {"stride": [1, 2]}),
    (PLAIN, {"dilation": 2}),
    (PLAIN, {"groups": 2}),
    (PLAIN, {"groups": "depthwise"}),
    (PLAIN, {"bias": False}),
    *[(PLAIN, {"padding": padding}) for padding in ("valid", 2, [0, 1], [1, 0, 0, 2])],
    ({**PLAIN, "stride": 2}, {"padding": "half"}),
    *[(PLAIN, {"padding_mode": mode}) for mode in ("replicate", "reflect", "circular")],
    *[(PLAIN, {"weights": name}) for name in ("zeros", "he_normal", "xavier_uniform", "orthogonal", "dirac")],
    ({**PLAIN, "weights": "normal"}, {"weights": {"type": "normal", "std": 0.5}}),
    ({**PLAIN, "weights": "normal"}, {"weights": {"type": "normal", "mean": 0.5}}),
    (PLAIN, {"biases": "ones"}),
    *[(PLAIN, {key: 0.1}) for key in (*REGULARISERS, *ACTIVITY)],
    *[(PLAIN, {"norm": name}) for name in ("batch", "lrn", "group", "layer")],
    *[
        ({**PLAIN, "norm": "batch"}, {"norm": {"type": "batch", **change}})
        for change in ({"eps": 0.1}, {"momentum": 0.5}, {"gamma": 0.5})
    ],
    *[
        ({**PLAIN, "norm": "lrn"}, {"norm": {"type": "lrn", **change}})
        for change in ({"size": 3}, {"alpha": 0.1}, {"beta": 0.5}, {"k": 1.0})
    ],
    ({**PLAIN, "norm": "group"}, {"norm": {"type": "group", "groups": 4}}),
    (PLAIN, {"activation": "gelu"}),
    ({**PLAIN, "activation": "elu"}, {"activation": {"type": "elu", "alpha": 2.0}}),
    (PLAIN, {"dropout": 0.5}),
    (PLAIN, {"repeat": 2}),
    (PLAIN, {"stage": "stem"}),
    ({"dense": 8}, {"dense": 9}),
    ({"dense": 8}, {"weights": "lecun_normal"}),
    ({"dense": 8}, {"bias": False}),
    ({"dense": 8}, {"norm": "batch"}),
    ({"dense": 8}, {"weight_l1": 0.1}),
    (MAXIMUM, {"pool": "average"}),
    (MAXIMUM, {"pool": "average", "activation": "tanh"}),
    (MAXIMUM, {"kernel": 2}),
    (MAXIMUM, {"stride": 1}),
    (MAXIMUM, {"padding": "same"}),
    (MAXIMUM, {"dilation": 2}),
    (MAXIMUM, {"ceil_mode": True}),
    (AVERAGE, {"count_include_pad": True}),
    ({**AVERAGE, "stride": 1, "padding": [0, 2, 0, 2]}, {"count_include_pad": True}),
    ({"pool": "global_max"}, {"pool": "global_average"}),
    ({"branches": [[{"conv": 4}], [{"conv": 4}]]}, {"join": "add"}),
    ({"branches": [[{"conv": 4}], [{"conv": 4}]]}, {"branches": [[{"conv": 4}], []]}),
    ({"layers": [{"conv": 4}]}, {"layers": [{"conv": 4}, {"conv": 4}]}),
    *[(BLOCK, {"block": name}) for name in ("preactivation", "inverted_residual", "separable", "bottleneck")],
    (BLOCK, {"width": 6}),
    (BLOCK, {"stride": 2}),
    (BLOCK, {"kernel": 5}),
    *[({**BLOCK, "width": 12}, {"shortcut": kind}) for kind in ("A", "none")],
    (BLOCK, {"shortcut": "C"}),
    ({"block": "preactivation", "width": 12}, {"shortcut": "A"}),
    ({**BLOCK, "block": "preactivation"}, {"shortcut": "none"}),
    (BLOCK, {"norm": "none"}),
    (BLOCK, {"activation": "tanh"}),
    (BLOCK, {"weights": "orthogonal"}),
    (BLOCK, {"padding_mode": "replicate"}),
    (BLOCK, {"bias": True}),
    (BLOCK, {"weight_l2": 0.1}),
    (WIDE, {"expansion": 2}),
    (WIDE, {"groups": 2}),
    ({"block": "inverted_residual", "width": 4}, {"expansion": 2}),
    ({"block": "inception", "widths": [4, [2, 4], [2, 4], 4]}, {"widths": [4, 4, [2, 4], 4]}),
    ({"block": "inception", "widths": [4, [2, 4], [2, 4], 4]}, {"widths": [4, [2, 4], [2, 4], 0]}),
    ({"block": "mlpconv", "widths": [6, 4]}, {"widths": [6, 4, 4]}),
    ({"block": "mlpconv", "widths": [6, 4]}, {"stride": 2}),
    ({"block": "fire", "widths": [2, 4, 4]}, {"widths": [3, 4, 4]}),
]  # fmt: skip


def fingerprint(layer: Layer) -> tuple[list[str], list[Tensor]]:
    """The stages' names, and every number a training step would see: logits, the penalty, the running statistics."""
    first = {"stage": "first", "conv": 8, "kernel": 1, "weights": {"type": "normal", "std": 1.0}}
    images = torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1))
    network = build(first, {"stage": "second", **layer}).train()
    torch.manual_seed(2)
    logits = network(images)
    stages = [name for name, _ in network.body.named_children()]
    return stages, [logits.detach(), torch.as_tensor(penalty(network)).detach(), *network.buffers()]


@pytest.mark.parametrize("base, change", CHANGES, ids=lambda layer: str(layer)[:60])
def test_every_option_has_an_effect(base: Layer, change: Layer) -> None:
    (stages, before), (other_stages, after) = fingerprint(base), fingerprint(base | change)
    same = len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not (same and stages == other_stages), f"{change} changed nothing"
    assert all(torch.isfinite(tensor).all() for tensor in after)


def test_the_sweep_is_complete() -> None:
    tried = {key for _, change in CHANGES for key in change} | {"flatten"}  # which a dense layer does by itself
    assert tried >= set(KEYS) - {"zero_padded"} | {"branches", "layers", *ANYWHERE}


def test_an_option_that_says_the_default_changes_nothing() -> None:
    said = {"kernel": 3, "stride": 1, "padding": "same", "dilation": 1, "groups": 1, "bias": True, "weights": "torch"}
    (_, before), (_, after) = fingerprint({"conv": 8}), fingerprint({"conv": 8, **said})
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_identity_weights_hand_every_group_its_own_channels() -> None:
    x = torch.randn(2, 4, 12, 12)
    for groups in (1, 2, "depthwise"):
        layer = {"conv": 4, "groups": groups, "weights": "identity", "biases": "zeros"}
        torch.testing.assert_close(build(layer).body.conv1(x), x)


def test_averages_and_a_dense_output_are_a_convolution_to_the_classes_averaged() -> None:
    network = build({"conv": 6}, {"pool": "global_average"})
    x = torch.randn(2, 4, 12, 12)
    maps = F.conv2d(network.body.conv1(x), network.head.weight[:, :, None, None], network.head.bias)  # (2, 5, 12, 12)
    torch.testing.assert_close(network(x), maps.mean((2, 3)))


STEM = {"conv": 8, "stride": 2, "norm": "batch", "activation": "relu"}
SIMPLE = {"conv": 8, "activation": "relu"}
AVERAGED = {"pool": "global_average"}


def stages(depth: int) -> list[Layer]:
    each = {"block": "residual", "repeat": depth}
    return [
        STEM,
        {**each, "width": 8},
        {**each, "width": 16, "stride": 2},
        {**each, "width": 32, "stride": 2},
        AVERAGED,
    ]


@pytest.mark.parametrize(
    "layers, defaults, depth",
    [
        *[(stages(n), {"block": {"shortcut": kind}}, 6 * n + 2) for n in (3, 9) for kind in ("A", "none")],
        (stages(3), {"block": {"shortcut": "B"}}, 6 * 3 + 2 + 2),
        (stages(3), {"block": {"shortcut": "C"}}, 6 * 3 + 2 + 9),
        ([SIMPLE, {"norm": "lrn"}, {"pool": "max"}], {}, 2),
        ([SIMPLE, {"pool": "max"}, SIMPLE, {"pool": "max"}], {}, 3),
        ([{**SIMPLE, "stride": 2, "repeat": 1}, {**SIMPLE, "stride": 2}], {}, 3),
        ([SIMPLE, {"pool": "max"}, {"dense": 32, "activation": "relu", "repeat": 2}], {}, 4),
        ([SIMPLE, {"pool": "max"}, {"conv": 32, "kernel": 1, "activation": "relu"}, AVERAGED], {}, 3),
        ([SIMPLE, SIMPLE], {"padding_mode": "replicate"}, 3),
        ([SIMPLE, SIMPLE], {"padding": "valid"}, 3),
    ],
)
def test_the_questions_of_the_studies_are_a_few_lines(layers: list[Layer], defaults: Layer, depth: int) -> None:
    with torch.device("meta"):
        network = build(*layers, size=(28, 28, 1), defaults=defaults)
    weighted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth
    if layers[0] is STEM:
        shapes = [layer.output_shape for layer in trace(network, (1, 28, 28)) if layer.kind == "ReLU"]
        assert (shapes[0], shapes[-1]) == ((8, 14, 14), (32, 4, 4))
