"""The three rules: numbers on paper, a whole small network in NumPy, every way to write a rectifier, properties."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.inside import Inside
from glassnet.explain.rules import RULES, backward, has_rectifiers
from glassnet.nn.layers import LocalResponseNorm
from glassnet.nn.layers.activations import ACTIVATIONS, ScaledTanh
from glassnet.reference.activations import tanh_backward, tanh_forward
from glassnet.reference.convolution import convolution_backward, convolution_forward
from glassnet.reference.joining import concatenate_backward, concatenate_forward
from glassnet.reference.normalisation import (
    batch_norm_eval_backward,
    batch_norm_eval_forward,
    local_response_norm_backward,
    local_response_norm_forward,
)
from glassnet.reference.pooling import max_pooling_backward, max_pooling_forward

SHAPE = (2, 12, 11)
_FILE = Path(__file__).parents[1] / "golden" / "small_nets.py"
_SPEC = importlib.util.spec_from_file_location("small_nets", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
small_nets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_nets)


def numpy_rule(rule: str, g: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The definition, once more and by itself."""
    return {"gradient": g * (z > 0), "deconvnet": np.maximum(g, 0), "guided": np.maximum(g, 0) * (z > 0)}[rule]


def relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def numbers(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().double().numpy()


def opened(net: nn.Module, shape: tuple[int, int, int]) -> Inside:
    """The network opened and computing in float64, so that it can be held against NumPy tightly."""
    inside = Inside(net, shape)
    inside.graph_module.double()
    return inside


class Everything(nn.Module):
    """One ReLU used four times, a function, LRN, overlapping pooling, a sum in place, a concatenation, a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.respond = LocalResponseNorm(3, alpha=0.3)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bend = ScaledTanh()
        self.conv3 = nn.Conv2d(8, 3, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.respond(self.act(self.norm(self.conv1(x)))))
        y = self.act(self.conv2(x))
        y += x
        y = torch.cat([self.act(self.bend(y)), x], 1)
        return F.relu(self.conv3(y)).flatten(1)


def everything_in_numpy(net: Everything, images: np.ndarray, seed: np.ndarray, rule: str) -> np.ndarray:
    """What the network's way back is, step by step, for a seed (N, D) at its output."""

    def conv(layer: nn.Conv2d, a: np.ndarray) -> tuple[np.ndarray, tuple]:
        assert isinstance(layer.padding, tuple)
        options = {"stride": layer.stride[0], "padding": layer.padding[0]}
        return convolution_forward(a, numbers(layer.weight), numbers(layer.bias), **options)

    z1, conv1 = conv(net.conv1, images)
    running = numbers(net.norm.running_mean), numbers(net.norm.running_var)
    n1, norm = batch_norm_eval_forward(z1, numbers(net.norm.weight), numbers(net.norm.bias), running)
    l1, respond = local_response_norm_forward(relu(n1), 3, k=2.0, alpha=0.3, beta=0.75)
    x, pool = max_pooling_forward(l1, 3, 2, padding=1)
    z2, conv2 = conv(net.conv2, x)
    t, tanh = tanh_forward(2 / 3 * (relu(z2) + x))
    b = 1.7159 * t
    joined, parts = concatenate_forward([relu(b), x])
    z3, conv3 = conv(net.conv3, joined)

    g = numpy_rule(rule, seed.reshape(z3.shape), z3)
    g, _, _ = convolution_backward(g, conv3)
    left, dx = concatenate_backward(g, parts)
    dy = 2 / 3 * tanh_backward(1.7159 * numpy_rule(rule, left, b), tanh)
    dx = dx + dy + convolution_backward(numpy_rule(rule, dy, z2), conv2)[0]
    g = numpy_rule(rule, local_response_norm_backward(max_pooling_backward(dx, pool), respond), n1)
    return convolution_backward(batch_norm_eval_backward(g, norm)[0], conv1)[0]


@pytest.fixture
def everything() -> Everything:
    torch.manual_seed(1)
    net = Everything()
    net.norm.running_mean = torch.randn(4) * 0.3
    net.norm.running_var = torch.rand(4) + 0.5
    return net


def test_numbers_on_paper() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 1, 1, bias=False), nn.Flatten())
    net[0].weight.data = torch.tensor([2.0, -3.0]).view(2, 1, 1, 1)
    net[2].weight.data = torch.tensor([-1.0, 5.0]).view(1, 2, 1, 1)
    images = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)  # the first opens 2, the second opens -3
    seed = torch.ones(1, 2)
    inside = Inside(net, (1, 1, 2))
    found = {rule: backward(inside, images, None, seed, rule).flatten().tolist() for rule in RULES}
    assert found["gradient"] == [2 * -1, -3 * 5]
    assert found["deconvnet"] == [-3 * 5, -3 * 5]  # what comes back through -1 is cut, whatever was open
    assert found["guided"] == [0, -3 * 5]


@pytest.mark.parametrize("rule", RULES)
def test_a_network_with_every_difficulty_is_what_numpy_says(everything: Everything, rule: str) -> None:
    generator = np.random.default_rng(0)
    images = generator.standard_normal((2, *SHAPE))
    inside = opened(everything, SHAPE)
    logits = inside.play(torch.from_numpy(images)).logits
    assert logits is not None
    seed = generator.standard_normal(tuple(logits.shape))
    ours = backward(inside, torch.from_numpy(images), None, torch.from_numpy(seed), rule)
    theirs = everything_in_numpy(everything.eval(), images, seed, rule)
    assert abs(theirs).max() > 0.01
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def small_net_in_numpy(net: Any, images: np.ndarray, seed: np.ndarray, rule: str, *, before: bool) -> np.ndarray:
    """The way back through a net of `small_nets`, for a seed (N, K) at the logits.

    `before`: the first rectifier sits before the second convolution, past the shortcut, as in `Preactivation`.
    """

    def bend(z: np.ndarray, *, here: bool) -> np.ndarray:
        return relu(z) if here else z

    def back(g: np.ndarray, z: np.ndarray, *, here: bool) -> np.ndarray:
        return numpy_rule(rule, g, z) if here else g

    z1, conv1 = convolution_forward(images, numbers(net.conv1.weight), numbers(net.conv1.bias), padding=1)
    running = numbers(net.norm.running_mean), numbers(net.norm.running_var)
    n1, norm = batch_norm_eval_forward(z1, numbers(net.norm.weight), numbers(net.norm.bias), running)
    x, pool = max_pooling_forward(bend(n1, here=not before), 3, 2, padding=1)
    bent = bend(x, here=before)
    z2, conv2 = convolution_forward(bent, numbers(net.conv2.weight), numbers(net.conv2.bias), padding=1)
    s = bend(z2, here=not before) + x
    joined, parts = concatenate_forward([relu(s), x])
    z3, conv3 = convolution_forward(joined, numbers(net.conv3.weight), numbers(net.conv3.bias), stride=2, padding=1)

    g = numpy_rule(rule, (seed @ numbers(net.head.weight)).reshape(z3.shape), z3)
    left, dx = concatenate_backward(convolution_backward(g, conv3)[0], parts)
    ds = numpy_rule(rule, left, s)
    through = convolution_backward(back(ds, z2, here=not before), conv2)[0]
    dx = dx + ds + back(through, x, here=before)
    g = back(max_pooling_backward(dx, pool), n1, here=not before)
    return convolution_backward(batch_norm_eval_backward(g, norm)[0], conv1)[0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", small_nets.NETS)
def test_captum_where_captum_is_right_and_numpy_everywhere(name: str, rule: str) -> None:
    """Captum hangs hooks on ReLU modules and their inputs: it misses functions, and takes shortcuts for branches."""
    net, images = small_nets.build(name), small_nets.pictures()
    seed = torch.zeros(2, small_nets.CLASSES)
    seed[:, small_nets.TARGET] = 1
    golden = json.loads(small_nets.GOLDEN.read_text())[name]
    np.testing.assert_allclose(numbers(net(images)).ravel(), golden["logits"], atol=1e-5)
    captums = np.array(golden[rule]).reshape(images.shape)
    ours = backward(Inside(net, small_nets.SHAPE), images, None, seed, rule).numpy()
    truth = small_net_in_numpy(
        net, images.double().numpy(), seed.double().numpy(), rule, before=name == "preactivation"
    )
    np.testing.assert_allclose(ours, truth, atol=1e-5)
    off = abs(captums - truth).max() / abs(truth).max()
    if name in small_nets.CAPTUM_IS_RIGHT or rule == "gradient":
        assert off < 1e-5
    else:
        assert off > 0.1


class Written(nn.Module):
    """A convolution, a rectifier in some writing, a convolution."""

    def __init__(self, write: Callable[[Tensor], Tensor] | nn.Module) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 2, 3)
        self.act = write if isinstance(write, nn.Module) else nn.Identity()
        self.write = None if isinstance(write, nn.Module) else write

    def forward(self, x: Tensor) -> Tensor:
        z = self.act(3 * self.conv1(x))
        return self.conv2(self.write(z) if self.write else z).flatten(1)


RECTIFIERS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "function in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "keyword": lambda x: F.relu(input=x),
    "clamp": lambda x: x.clamp(0),
    "clamp by keyword": lambda x: torch.clamp(x, min=0),
    "clamp_min in place": lambda x: x.clamp_min_(0.0),
    "clip": lambda x: x.clip(min=0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "threshold module": nn.Threshold(0, 0),
}
CLIPPED = {
    "relu6": nn.ReLU6(),
    "relu6 in place": nn.ReLU6(inplace=True),
    "relu6 function": F.relu6,
    "hardtanh": nn.Hardtanh(0, 6),
    "hardtanh function": lambda x: F.hardtanh(x, 0.0, 6.0),
    "clamp both": lambda x: x.clamp(0, 6),
}


def truth_of(net: Written, images: Tensor, seed: Tensor, rule: str, upper: float = np.inf) -> np.ndarray:
    """The way back through conv, rectifier clipped at `upper`, conv, in NumPy."""
    weights = [numbers(p) for p in (net.conv1.weight, net.conv1.bias, net.conv2.weight, net.conv2.bias)]
    z, cache1 = convolution_forward(images.numpy(), weights[0], weights[1])
    z2, cache2 = convolution_forward(np.clip(3 * z, 0, upper), weights[2], weights[3])
    g, _, _ = convolution_backward(seed.numpy().reshape(z2.shape), cache2)
    open_ = (3 * z > 0) & (3 * z < upper)
    g = {"gradient": g * open_, "deconvnet": relu(g), "guided": relu(g) * open_}[rule]
    return convolution_backward(3 * g, cache1)[0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [*RECTIFIERS, *CLIPPED])
def test_every_way_to_write_a_rectifier(name: str, rule: str) -> None:
    write, upper = (RECTIFIERS[name], np.inf) if name in RECTIFIERS else (CLIPPED[name], 6.0)
    net = Written(write)
    images = torch.randn(2, 1, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    seed = torch.randn(2, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inside = opened(net, (1, 7, 7))
    assert has_rectifiers(inside)
    before = images.clone()
    ours = backward(inside, images, None, seed, rule)
    assert torch.equal(images, before)
    np.testing.assert_allclose(ours.numpy(), truth_of(net, images, seed, rule, upper), atol=1e-12)


@pytest.mark.parametrize(
    "write",
    [
        *[make() for name, make in ACTIVATIONS.items() if name not in ("relu", "relu6")],
        nn.Hardtanh(),
        nn.Threshold(1, 0),
        lambda x: x.clamp(-1, 1),
        lambda x: x.clamp(max=1),
        lambda x: F.threshold(x, 0.5, 0),
    ],
    ids=lambda write: type(write).__name__,
)
def test_any_other_activation_keeps_its_derivative(write: Callable[[Tensor], Tensor]) -> None:
    inside = Inside(Written(write), (1, 7, 7))
    images, seed = torch.randn(1, 1, 7, 7), torch.randn(1, 18)
    plain = backward(inside, images, None, seed, "gradient")
    for rule in ("deconvnet", "guided"):
        torch.testing.assert_close(backward(inside, images, None, seed, rule), plain)


def test_the_gradient_is_autograds(awkward: nn.Module) -> None:
    images = torch.randn(3, 3, 16, 16)
    seed = torch.randn(3, 5)
    ours = backward(Inside(awkward, (3, 16, 16)), images, None, seed)
    leaf = images.clone().requires_grad_()
    (theirs,) = torch.autograd.grad(awkward.eval()(leaf), leaf, seed)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("rule", RULES)
def test_a_factor_on_the_seed_is_a_factor_on_the_projection(awkward: nn.Module, rule: str) -> None:
    inside, images = Inside(awkward, (3, 16, 16)), torch.randn(2, 3, 16, 16)
    seed = torch.randn(2, 8, 8, 8)
    once = backward(inside, images, "conv3", seed, rule)
    torch.testing.assert_close(backward(inside, images, "conv3", 2.5 * seed, rule), 2.5 * once)


@pytest.mark.parametrize("rule", RULES)
def test_a_projection_stays_inside_the_receptive_field(awkward: nn.Module, rule: str) -> None:
    inside = Inside(awkward, (3, 16, 16))
    seed = torch.zeros(1, 8, 8, 8)
    seed[0, :, 4, 4] = 1
    signal = backward(inside, torch.randn(1, 3, 16, 16), "conv3", seed, rule)
    half = inside.trace["conv3"].receptive_field[0] // 2
    rows = signal[0].abs().sum((0, 2)).nonzero().flatten().tolist()
    centre = 4 * inside.trace["conv3"].stride[0] + inside.trace["conv3"].start[0]
    assert rows
    assert centre - half <= min(rows) <= max(rows) <= centre + half


def test_bad_rules_and_seeds(awkward: nn.Module) -> None:
    inside, images = Inside(awkward, (3, 16, 16)), torch.randn(1, 3, 16, 16)
    with pytest.raises(UnknownName, match=r"no rule is called 'guide'; nearest: guided; it is one of: gradient, dec"):
        backward(inside, images, "conv3", torch.zeros(1, 8, 8, 8), "guide")
    with pytest.raises(InputError, match=r"the seed is \(1, 8\), but conv3 of these pictures is \(1, 8, 8, 8\)"):
        backward(inside, images, "conv3", torch.zeros(1, 8))
    with pytest.raises(InputError, match=r"the seed is \(1, 8\), but the logits of these pictures is \(1, 5\)"):
        backward(inside, images, None, torch.zeros(1, 8))
