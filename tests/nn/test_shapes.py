"""Networks as shapes alone: nothing drawn, nothing kept in memory, and the shapes are the real ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from glassnet.models import create
from glassnet.nn.shapes import shapes_only


@pytest.mark.parametrize("name", ["resnet18", "sprint_s", "lenet5_1998", "efficientnet_lite0", "squeezenet1_0"])
def test_shapes_are_those_of_the_real_network(name: str) -> None:
    state = torch.get_rng_state()
    with shapes_only():
        empty = create(name, classes=10).state_dict()
    assert torch.equal(torch.get_rng_state(), state), "random numbers were drawn"
    assert all(tensor.is_meta for tensor in empty.values())
    real = create(name, classes=10).state_dict()
    assert {key: tensor.shape for key, tensor in empty.items()} == {key: tensor.shape for key, tensor in real.items()}


@pytest.mark.parametrize("name", ["resnet18", "sprint_s", "efficientnet_lite0"])
def test_torchs_compiler_is_not_imported(name: str) -> None:
    code = (
        "import sys\nfrom glassnet.models import create\nfrom glassnet.nn.shapes import shapes_only\n"
        f"with shapes_only():\n    create({name!r})\nassert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_has_memory_is_filled_as_ever() -> None:
    with shapes_only():
        real = torch.zeros(3, device="cpu").normal_()
        eye = torch.eye(2, 3)
    assert real.std() > 0
    assert eye.shape == (2, 3)
