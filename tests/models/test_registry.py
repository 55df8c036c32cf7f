"""The registry, and one sweep over everything in it: size, shapes, gradients, seeds, tracing, folding, files."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.models import registry
from glassnet.models.registry import Classifier, create, default_preprocess, describe, entry, names, register
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.layers.radial_basis import RadialBasisOutput
from glassnet.nn.trace import trace
from glassnet.preprocess import Preprocess


def matching(*patterns: str) -> set[str]:
    return {name for pattern in patterns for name in fnmatch.filter(names(), pattern)}


def sweep(*slow: str, without: tuple[str, ...] = ()) -> list[Any]:
    """Every registered name but those like `without`; those like `slow` belong to the slow suite."""
    later, left_out = matching(*slow), matching(*without)
    marks = {name: [pytest.mark.slow] if name in later else [] for name in names() if name not in left_out}
    return [pytest.param(name, marks=marks[name]) for name in marks]


# Depth alone costs time, and the shallow nets of a family are made of the deep ones' blocks.
DEEP = ("resnet[3459]*", "resnet1[015]*", "preresnet[!2]*", "vgg1[39]*", "vgg11")
ALL_SHAPES = sweep(*DEEP)  # on the meta device
# With numbers: of the VGGs, half a gigabyte each, the two of eleven layers stand for all.
# Those of sixty million weights belong to the slow suite too; tests/models/test_alexnet.py runs their convolutions.
LARGE = ("vgg*", "alexnet*", "zfnet", "googlenet_bn", "bn_inception")
ALL_NUMBERS = sweep(*DEEP, *LARGE, without=("vgg1[!1]*",))

# The smallest square picture of those that do not take 32x32: their windows are wide and their strides long.
SMALLEST = {"alexnet": 63, "alexnet_2012": 63, "zfnet": 63, "nin": 39}


def side(name: str) -> int:
    """A small picture for `name`: 64 pixels for the networks made for photographs, else its own size."""
    return min(64, default_preprocess(name).height)


def on_meta(name: str, **arguments: object) -> Classifier:
    with torch.device("meta"):
        return create(name, **arguments)  # type: ignore[arg-type]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


@pytest.mark.parametrize("name", ALL_SHAPES)
def test_any_size_and_channels_go_in_and_logits_come_out(name: str) -> None:
    network = on_meta(name, classes=7, in_channels=5).eval()
    assert network.in_channels == 5
    for size in ((96, 64), (32, 32), (75, 101)):
        if min(size) < SMALLEST.get(name, 0):
            continue
        features = network.body(torch.empty(2, 5, *size, device="meta"))
        assert features.shape == (2, network.features_size)
        assert network.head(features).shape == (2, 7)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_picture_too_small_is_refused(name: str) -> None:
    network, side = on_meta(name, classes=7), SMALLEST[name]
    assert trace(network, (3, side, side)).layers[-1].output_shape == (7,)
    with pytest.raises(InputError, match=rf"cannot take a picture of \(3, {side - 1}, {side - 1}\)"):
        trace(network, (3, side - 1, side - 1))


@pytest.mark.parametrize("name", ALL_SHAPES)
def test_a_body_is_named_stages_and_every_tensor_is_in_the_file(name: str) -> None:
    network = on_meta(name)
    stages = [stage for stage, _ in network.body.named_children()]
    assert any(not stage.isdigit() for stage in stages)
    assert isinstance(network.head, nn.Linear | RadialBasisOutput)
    tensors = {name for name, _ in [*network.named_parameters(), *network.named_buffers()]}
    assert tensors == set(network.state_dict()), "a buffer outside the state dict would be lost in a network file"


@pytest.mark.parametrize("name", ALL_NUMBERS)
def test_a_seed_fixes_every_weight(name: str) -> None:
    first, second, third = (_seeded(name, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())
    assert any(not torch.equal(tensor, third[key]) for key, tensor in first.items())
    assert all(tensor.isfinite().all() for tensor in first.values())


def _seeded(name: str, seed: int) -> Classifier:
    torch.manual_seed(seed)
    return create(name, classes=3)


@pytest.mark.parametrize("name", ALL_NUMBERS)
def test_fresh_logits_are_moderate_and_gradients_reach_the_first_layer(name: str) -> None:
    network = _seeded(name, 0).train()
    said = network(torch.randn(4, 3, side(name), side(name)))
    every = torch.stack(said if isinstance(said, tuple) else (said,))  # auxiliary heads too
    every.square().mean().backward()
    assert (every - every.mean(-1, keepdim=True)).abs().max() < 30  # softmax sees differences only
    for parameter in network.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
    assert next(parameter for parameter in network.parameters() if parameter.requires_grad).grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ALL_NUMBERS)
def test_folding_changes_no_logit(name: str) -> None:
    network = _seeded(name, 0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):  # the residuals' last norms start at zero and would hide a mistake
            nn.init.uniform_(norm.weight, 0.3, 0.7)
    with torch.no_grad():
        network.train()(torch.randn(4, 3, side(name), side(name)))
    network.eval()
    images = torch.randn(2, 3, side(name), side(name))
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(fold_batch_norm(network)(images), expected, rtol=1e-3, atol=1e-4)


def test_names_are_filtered_by_pattern() -> None:
    assert names() == sorted(names())
    assert names("resnet1?") == ["resnet18"]
    assert names("VGG16") == ["vgg16", "vgg16_bn"]
    assert names("vgg*_bn") == ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    assert names("nothing") == []


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no network is called 'resnet19'; nearest: resnet1"):
        create("resnet19")


@pytest.mark.parametrize(
    "name, arguments, match",
    [
        (
            "resnet18",
            {"stemm": "small"},
            "resnet18 takes no argument 'stemm'; it takes: stem, shortcut; did you mean 'stem'",
        ),
        ("lenet5_1998", {"width": 2}, "lenet5_1998 takes no argument 'width'; it takes none"),
        ("lenet5", {"width": 0}, "width is 0; expected 0.05 to 100"),
        ("lenet5", {"padding_mode": "nearst"}, "no padding is called 'nearst'; nearest: nearest.*expected one of zero"),
        ("nin_cifar", {"width": 11}, "width is 11; expected 0.05 to 10"),
        ("resnet18", {"stem": "tiny"}, "no stem is called 'tiny'.*expected 'imagenet' or 'small'"),
        ("resnet18", {"shortcut": "b"}, "no shortcut is called 'b'; .*expected 'A', 'B', 'C' or 'none'"),
        ("resnet50", {"stride_in": "7x7"}, "no stride_in is called '7x7'.*expected '3x3' or '1x1'"),
        ("mobilenet_v1", {"width": 0}, "width is 0; expected 0.05 to 10"),
        ("resnet18", {"classes": 0}, "classes is 0; expected a whole number of at least 1"),
        ("resnet18", {"in_channels": 1.5}, "in_channels is 1.5"),
        ("mobilenet_v2", {"width": -1}, "width is -1; expected 0.05 to 10"),
        ("mobilenet_v2", {"width": float("nan")}, "width is nan"),
        ("mobilenet_v2", {"dropout": 7}, "mobilenet_v2 cannot be built with dropout=7: dropout probability"),
        ("vgg11", {"dropout": "much"}, "vgg11's dropout is 'much'; expected a number"),
        ("googlenet", {"auxiliary": "False"}, "googlenet's auxiliary is 'False'; expected true or false"),
        ("googlenet", {"auxiliary": 0}, "auxiliary is 0; expected true or false"),
        ("resnet18", {"shortcut": 2}, "resnet18's shortcut is 2; expected a word"),
        ("lenet5", {"width": True}, "lenet5's width is True; expected a number"),
    ],
)
def test_a_wrong_argument_is_refused(name: str, arguments: dict[str, object], match: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=match):
        create(name, **arguments)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_registry")
def test_a_name_is_taken_only_once() -> None:
    with pytest.raises(InputError, match="'lenet5' is already registered"):
        register("lenet5", title="", paper="")(entry("lenet5").build)


def test_a_description_tells_what_one_chooses_by() -> None:
    described = describe("resnet18")
    assert described.title == "ResNet-18"
    assert "arXiv:1512.03385" in described.paper
    assert described.input_size == (3, 224, 224)
    assert described.arguments == {"stem": "imagenet", "shortcut": "B"}
    assert described.preprocess == default_preprocess("resnet18")


def test_the_preprocess_follows_arguments_and_channels() -> None:
    assert default_preprocess("resnet18").height == 224
    assert default_preprocess("resnet18", stem="small").height == 32
    assert create("resnet18", stem="small", in_channels=1).input_size == (1, 32, 32)
    grey = default_preprocess("resnet18", in_channels=1)
    assert grey.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert default_preprocess("lenet5", in_channels=3) == Preprocess(
        height=28, width=28, crop=1.0, mean=(0.1307,) * 3, std=(0.3081,) * 3
    )


def test_a_new_head_leaves_the_body_alone() -> None:
    network = create("lenet5", classes=10).double()
    body = [parameter.clone() for parameter in network.body.parameters()]
    network.replace_head(4)
    assert network(torch.zeros(1, 3, 28, 28, dtype=torch.float64)).shape == (1, 4)
    assert network.head.weight.abs().max() < 0.1
    assert all(torch.equal(old, new) for old, new in zip(body, network.body.parameters(), strict=True))
    with pytest.raises(InputError, match="classes is -1"):
        network.replace_head(-1)
