"""Every registered network once through its life: built, trained for a step, written, read, traced.

The default suite sees all shapes on the meta device (test_registry.py); this one computes, on small pictures.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from glassnet.models import default_preprocess, names
from glassnet.models.network import Network

CLASSES = ("cat", "dog", "emu")


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_a_network_trains_a_step_and_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = default_preprocess(name)
    side = min(64, own.height)
    network = Network.create(name, CLASSES, preprocess=dataclasses.replace(own, height=side, width=side))
    module = network.module.train()
    images = torch.randn(2, own.channels, side, side)

    said = module(images)
    every = said if isinstance(said, tuple) else (said,)  # auxiliary heads too
    torch.stack([F.cross_entropy(logits, torch.tensor([0, 2])) for logits in every]).sum().backward()
    for parameter_name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.sum().isfinite(), parameter_name  # one value that is not spoils the sum
            parameter.grad = None

    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    (tmp_path / "net.safetensors").unlink()  # half a gigabyte, for a VGG
    assert loaded.card == network.card
    old, new = module.state_dict(), loaded.module.state_dict()
    assert old.keys() == new.keys()
    assert all(torch.equal(tensor, new[key]) for key, tensor in old.items())

    traced = loaded.trace()
    body_and_head = [*module.body.parameters(), *module.head.parameters()]
    assert traced.parameters == sum(parameter.numel() for parameter in body_and_head)
    assert traced.layers[-1].output_shape == (len(CLASSES),)
