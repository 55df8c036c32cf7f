"""Losses: numbers by hand, boxes.py's CIoU, and torch's own cross-entropies as special cases."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from glassnet.boxes import box_iou, complete_box_iou, paired_box_iou
from glassnet.detection.yolo.losses import (
    complete_iou_loss,
    distribution_loss,
    quality_focal_loss,
)


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 50, 2, generator=generator) * 60
    sides = torch.rand(2, 50, 2, generator=generator) * 40 + 0.5
    both = torch.cat([corners, corners + sides], -1)
    return both[0], both[1]


def test_paired_iou_is_the_diagonal_of_all_pairs(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(paired_box_iou(*pairs), box_iou(*pairs).diagonal())


def test_paired_iou_of_boxes_without_area_is_0() -> None:
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert paired_box_iou(point, point).item() == 0


def test_complete_iou_loss_is_one_minus_ciou(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(complete_iou_loss(*pairs), 1 - complete_box_iou(*pairs).diagonal(), rtol=1e-4, atol=1e-5)


def test_equal_boxes_cost_nothing_and_pull_nowhere(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert complete_iou_loss(pairs[0], pairs[0]).abs().max() < 1e-4


def test_complete_iou_loss_pulls_boxes_together_that_do_not_touch() -> None:
    box = torch.tensor([[0.0, 0, 10, 10]], requires_grad=True)
    complete_iou_loss(box, torch.tensor([[30.0, 0, 40, 10]])).sum().backward()
    assert box.grad is not None
    assert box.grad[0, 0] + box.grad[0, 2] < 0  # a step against the gradient moves it to the right


def test_quality_focal_loss_by_hand() -> None:
    # p = sigmoid(0) = 0.5, quality 0.9: |0.4|^2 * -(0.9 ln 0.5 + 0.1 ln 0.5) = 0.16 * 0.6931
    loss = quality_focal_loss(torch.tensor(0.0), torch.tensor(0.9))
    assert loss.item() == pytest.approx(0.16 * math.log(2), rel=1e-6)
    assert quality_focal_loss(torch.tensor(0.0), torch.tensor(0.5)).item() == pytest.approx(0.0)


def test_without_beta_it_is_the_cross_entropy() -> None:
    logits, quality = torch.randn(20, generator=torch.Generator().manual_seed(1)), torch.linspace(0, 1, 20)
    torch.testing.assert_close(
        quality_focal_loss(logits, quality, beta=0),
        F.binary_cross_entropy_with_logits(logits, quality, reduction="none"),
    )


def test_distribution_loss_by_hand() -> None:
    # Uniform over 4 bins: any distance costs ln 4. Certain of bin 2: distance 2 costs nothing.
    assert distribution_loss(torch.zeros(4), torch.tensor(1.3)).item() == pytest.approx(math.log(4))
    certain = torch.tensor([-50.0, -50, 50, -50])
    assert distribution_loss(certain, torch.tensor(2.0)).item() == pytest.approx(0, abs=1e-4)


def test_distribution_loss_is_least_where_the_mean_is_the_distance() -> None:
    share = torch.tensor([0.0, 0.7, 0.3, 0.0])
    best = distribution_loss((share + 1e-9).log(), torch.tensor(1.3))
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert best.item() == pytest.approx(entropy, rel=1e-4)


def test_distances_beyond_the_bins_are_cut() -> None:
    loss = distribution_loss(torch.zeros(2, 4), torch.tensor([7.0, -1.0]))
    assert loss.isfinite().all()
