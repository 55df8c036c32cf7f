"""Memory: by hand for a net of three layers, and what autograd keeps for a real batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from glassnet.models import create
from glassnet.nn.trace import trace
from glassnet.nn.trace.memory import memory_of_network, saved_activations


def a_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2, bias=False))


def really_saved(net: nn.Module, images: Tensor) -> int:
    own = {tensor.untyped_storage().data_ptr() for tensor in [*net.parameters(), *net.buffers()]}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = net.train()(images)
    assert scores.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


def test_memory_by_hand() -> None:
    net = a_net()
    memory = memory_of_network(net, trace(net, (1, 8, 8)), batch_size=10)
    weights = 4 * (36 + 288)
    assert (memory.weights, memory.gradients, memory.optimiser_state) == (weights, weights, weights)
    assert memory.peak_activations == 4 * 2 * 144  # the rectifier's input and output
    # For each picture: itself, for the filters' gradient, and what the ReLU gave, for its own and the dense layer's.
    assert memory.saved_activations == 10 * 4 * (64 + 144)
    assert memory.inference == weights + 4 * 288
    assert memory.training == 3 * weights + 10 * 4 * 208
    assert memory.to_dict()["training"] == memory.training


def test_what_is_frozen_has_neither_gradient_nor_state() -> None:
    net = a_net()
    net[0].requires_grad_(False)
    memory = memory_of_network(net, trace(net, (1, 8, 8)), batch_size=1, optimiser="adam")
    assert (memory.gradients, memory.optimiser_state) == (4 * 288, 2 * 4 * 288)
    assert memory.saved_activations == 4 * 144  # only the dense layer's input


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "lenet5"])
def test_saved_activations_are_what_autograd_keeps_of_a_real_batch(name: str) -> None:
    torch.manual_seed(0)
    net = create(name, classes=3)
    images = torch.randn(2, 3, 32, 32)
    assert saved_activations(net, (2, 3, 32, 32)) == really_saved(net, images)
