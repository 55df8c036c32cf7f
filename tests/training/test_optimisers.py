"""Optimisers: who decays, who learns slower, and Muon against a singular value decomposition."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.models import registry
from glassnet.training.optimisers import (
    Muon,
    build_optimisers,
    orthogonalise,
    parameter_groups,
    set_learning_rates,
    stage_scales,
)
from glassnet.training.recipes import Recipe


def network(name: str = "tiny") -> registry.Classifier:
    torch.manual_seed(0)
    return registry.create(name, classes=10, in_channels=1)


def test_norms_and_biases_do_not_decay() -> None:
    module = network()
    groups = parameter_groups(module, Recipe(weight_decay=0.1))
    decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert decay == {
        name: 0.1 if name.endswith("0.weight") or name == "head.weight" else 0.0
        for name, _ in module.named_parameters()
    }
    assert "body.stem.1.weight" in decay  # the batch norm's


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("architecture", ["tiny", "resnet18", "mobilenet_v2"])
def test_every_parameter_is_in_one_group(name: str, architecture: str) -> None:
    module = network(architecture)
    optimisers = build_optimisers(module, Recipe(optimiser=name, layer_decay=0.8))
    held = [id(p) for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())


def test_stages_further_from_the_head_learn_slower() -> None:
    module = network()
    assert stage_scales(module, 0.5) == {"body.stem.": 0.25, "body.stage1.": 0.5}
    optimiser = build_optimisers(module, Recipe(layer_decay=0.5, learning_rate=0.8))[0]
    set_learning_rates([optimiser], 0.1)
    rates = {name: group["lr"] for group in optimiser.param_groups for name in group["names"]}
    assert rates["body.stem.0.weight"] == pytest.approx(0.02)
    assert rates["body.stage1.1.bias"] == pytest.approx(0.04)
    assert rates["head.weight"] == pytest.approx(0.08)


def test_sgd_is_plain_sgd_and_thaws() -> None:
    """Zero buffers take the same steps as none, also where some parameters get their first gradient later."""
    ours, theirs = network(), network()
    recipe = Recipe(weight_decay=0.01, learning_rate=0.1)
    mine = build_optimisers(ours, recipe)[0]
    groups = [{**group, "lr": 0.1} for group in parameter_groups(theirs, recipe)]
    plain = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    for step in range(3):
        for module, optimiser in ((ours, mine), (theirs, plain)):
            module.eval()
            module.body.requires_grad_(step > 0)
            optimiser.zero_grad()
            module(torch.ones(2, 1, 28, 28)).square().sum().backward()
            optimiser.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(8, 8), (16, 5), (5, 40)])
def test_orthogonalise_keeps_directions_and_evens_out_sizes(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    kept = torch.linalg.multi_dot([u.T, result, v.T])
    large = s > 0.02 * s.max()  # five iterations lift what is not vanishing
    assert ((kept.diagonal()[large] > 0.6) & (kept.diagonal()[large] < 1.3)).all()
    assert (kept - kept.diagonal().diag()).abs().max() < 1e-3


def test_muon_takes_the_step_of_the_paper() -> None:
    weight = nn.Parameter(torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(2)))
    before = weight.detach().clone()
    muon = Muon([{"params": [weight], "weight_decay": 0.1}], lr=0.5, momentum=0.9)
    weight.grad = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    muon.step()
    nesterov = weight.grad + 0.9 * (0.1 * weight.grad - weight.grad)
    expected = before * (1 - 0.05) - 0.5 * orthogonalise(nesterov.flatten(1)).view_as(before)
    torch.testing.assert_close(weight.detach(), expected)


def test_muon_leaves_the_head_to_sgd() -> None:
    muon, sgd = build_optimisers(network(), Recipe(optimiser="muon", muon_learning_rate=0.3))
    assert isinstance(muon, Muon)
    assert [name for group in muon.param_groups for name in group["names"]] == [
        "body.stem.0.weight",
        "body.stage1.0.weight",
    ]
    assert {group["peak"] for group in muon.param_groups} == {0.3}
    assert "head.weight" in [name for group in sgd.param_groups for name in group["names"]]


@pytest.mark.parametrize("name, rate", [("sgd", 0.1), ("adamw", 0.01), ("muon", 0.1)])
def test_each_learns(name: str, rate: float) -> None:
    module = network().train()
    optimisers = build_optimisers(module, Recipe(optimiser=name, learning_rate=rate))
    images, labels = torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(module(images), labels)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
