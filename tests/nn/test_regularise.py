"""Penalties on layers: by hand, in the task's loss, and through copies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from glassnet.data.batches import Batch
from glassnet.nn.regularise import ActivityPenalty, penalty, regularise
from glassnet.training.task import Classification


def test_the_penalty_and_its_gradient_by_hand() -> None:
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[3.0, -2.0]]))
    layer.bias = nn.Parameter(torch.tensor([0.5]))
    regularise(layer, weight_l1=0.1, weight_l2=0.01, bias_l1=1.0, bias_l2=2.0)
    cost = penalty(nn.Sequential(layer, nn.ReLU()))
    assert isinstance(cost, torch.Tensor)
    assert cost.item() == pytest.approx(0.1 * 5 + 0.01 * 13 + 1.0 * 0.5 + 2.0 * 0.25)
    cost.backward()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    # l1 sign(w) + 2 l2 w
    assert layer.weight.grad.tolist()[0] == pytest.approx([0.1 + 0.02 * 3, -0.1 - 0.02 * 2])
    assert layer.bias.grad.tolist() == pytest.approx([1.0 + 4.0 * 0.5])


def test_what_has_no_price_costs_nothing() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    regularise(layer, weight_l1=0.0)
    assert not hasattr(layer, "regulariser")
    assert penalty(layer) == 0.0
    regularise(layer, bias_l2=1.0)
    assert penalty(layer) == 0.0


def test_activity_is_paid_for_once_as_a_mean_over_pictures() -> None:
    module = ActivityPenalty(l1=1.0, l2=10.0)
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0]], requires_grad=True)
    assert torch.equal(module(x), x)
    copied = copy.deepcopy(module)  # a tensor with a graph is in it, and must not be copied
    assert penalty(copied) == 0.0
    cost = penalty(module)
    assert isinstance(cost, torch.Tensor)
    assert cost.item() == pytest.approx((1 * 6 + 10 * 14) / 2)
    cost.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[(1 + 20) / 2, (-1 - 40) / 2], [(1 + 60) / 2, 0.0]]
    assert penalty(module) == 0.0
    module.eval()(x)
    assert penalty(module) == 0.0


@pytest.mark.parametrize("mixed", [False, True])
def test_the_task_adds_it_to_the_training_loss(mixed: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    labels = torch.arange(6) % 4
    batch = Batch(
        images=torch.randn(6, 3, 2, 2),
        labels=labels,
        items=torch.arange(6),
        labels_b=labels.flip(0) if mixed else None,
        mix=torch.rand(6) if mixed else None,
    )
    task = Classification()
    plain, _ = task.loss(model, batch)
    regularise(model[1], weight_l2=0.5)
    loss, _ = task.loss(model, batch)
    torch.testing.assert_close(loss - plain, 0.5 * model[1].weight.square().sum())
    (gradient,) = torch.autograd.grad(loss - plain, model[1].weight)
    torch.testing.assert_close(gradient, model[1].weight.detach(), rtol=1e-4, atol=1e-5)  # 2 x 0.5 w
    assert "regulariser" not in model.state_dict()
