"""Networks as shapes alone: nothing drawn, nothing kept in memory, and the shapes are the real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.models import create
from glassnet.nn.shapes import ShapeRules, shapes_only


@pytest.mark.parametrize("name", ["resnet18", "sprint_s", "lenet5_1998", "efficientnet_lite0", "squeezenet1_0"])
def test_shapes_are_those_of_the_real_network(name: str) -> None:
    state = torch.get_rng_state()
    with shapes_only():
        empty = create(name, classes=10).state_dict()
    assert torch.equal(torch.get_rng_state(), state), "random numbers were drawn"
    assert all(tensor.is_meta for tensor in empty.values())
    real = create(name, classes=10).state_dict()
    assert {key: tensor.shape for key, tensor in empty.items()} == {key: tensor.shape for key, tensor in real.items()}


def test_torchs_compiler_is_not_imported() -> None:
    code = """
import sys
from glassnet.models import create
from glassnet.nn.shapes import shapes_only
from glassnet.nn.trace import trace
for name in ("resnet18", "googlenet_bn", "mobilenet_v2", "preresnet20_cifar", "sprint_s", "vgg11"):
    with shapes_only():
        module = create(name)
    assert "torch._dynamo" not in sys.modules, name
    trace(module, module.input_size)
    assert "torch._dynamo" not in sys.modules, f"trace of {name}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


X, Y = torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
CALLS: dict[str, Callable[..., Tensor]] = {
    "empty": lambda x, _: torch.zeros_like(torch.empty_like(x)),
    "empty of another kind": lambda x, _: torch.zeros_like(torch.empty_like(x, dtype=torch.float64)),
    "relu": lambda x, _: F.relu(x),
    "relu in place": lambda x, _: F.relu(x, inplace=True),
    "relu6": lambda x, _: F.relu6(x),
    "hardtanh": lambda x, _: F.hardtanh(x, 0.0, 6.0),
    "hardtanh in place": lambda x, _: F.hardtanh(x, 0.0, 6.0, True),
    "hardtanh by name": lambda x, _: F.hardtanh(x, min_val=0.0, max_val=6.0, inplace=True),
    "tanh": lambda x, _: x.tanh(),
    "sum": lambda x, y: x + y,
    "sum with a number": lambda x, _: x + 1,
    "broadcast sum": lambda x, y: x + y[:, :, :1],
    "sum in place": lambda x, y: x.add_(y),
    "product": torch.mul,
    "of another kind": lambda x, y: x + y.double(),
    "cat": lambda x, y: torch.cat([x, y, y], 1),
    "cat at the end": lambda x, y: torch.cat((x, y), dim=-1),
    "mean": lambda x, _: x.mean((2, 3)),
    "mean of all": lambda x, _: x.mean(),
    "mean that keeps": lambda x, _: x.mean(dim=-1, keepdim=True),
    "batch norm": lambda x, y: F.batch_norm(x, y[0, :, 0, 0], y[0, :, 0, 0]),
    "batch norm of batches": lambda x, _: F.batch_norm(x, None, None, training=True),
    "linear": lambda x, y: F.linear(x, y[0, 0]),
    "linear with bias": lambda x, y: F.linear(x, y[0, 0], y[0, 0, :, 0]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_rules_give_the_shapes_that_torch_gives(call: Callable[..., Tensor]) -> None:
    real = call(given := X.clone(), Y.clone())
    with ShapeRules():
        found = call(empty := X.to("meta"), Y.to("meta"))
        assert call(X.clone(), Y.clone()).equal(real), "what has memory is computed"
    assert (found.shape, found.dtype, found.is_meta) == (real.shape, real.dtype, True)
    assert (found is empty) == (real is given), "in place"


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.linear(x, torch.ones(7, 9, device="meta")),
        lambda x: torch.cat([x, x[:, :, :1]], 1),
        lambda x: F.batch_norm(x, torch.ones(4, device="meta"), torch.ones(4, device="meta")),
        lambda x: x + torch.ones(7, device="meta"),
    ],
)
def test_what_does_not_fit_is_torchs_to_refuse(call: Callable[..., Tensor]) -> None:
    with ShapeRules(), pytest.raises(RuntimeError):
        call(X.to("meta"))


def test_what_has_memory_is_filled_as_ever() -> None:
    with shapes_only():
        real = torch.zeros(3, device="cpu").normal_()
        eye = torch.eye(2, 3)
    assert real.std() > 0
    assert eye.shape == (2, 3)
