"""Boxes: hand numbers, torchvision's answers, and what holds for any boxes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from glassnet import boxes as module
from glassnet.boxes import (
    FORMATS,
    absolute_to_relative,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    complete_box_iou,
    distance_box_iou,
    generalized_box_iou,
    relative_to_absolute,
    remove_small_boxes,
)
from glassnet.errors import InputError, UnknownName

SAID: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "boxes.json").read_text())
OVERLAPS = {"iou": box_iou, "giou": generalized_box_iou, "diou": distance_box_iou, "ciou": complete_box_iou}
Overlap = Callable[[Tensor, Tensor], Tensor]

quarter = st.integers(-400, 400).map(lambda value: value / 4)  # so that moving by a whole number is exact
side = st.integers(0, 200).map(lambda value: value / 4)
box = st.tuples(quarter, quarter, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
box_list = st.lists(box, min_size=1, max_size=6).map(torch.tensor)


def test_hand_numbers() -> None:
    one = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    other = torch.tensor([[2.0, 0.0, 6.0, 2.0], [4.0, 0.0, 8.0, 2.0], [8.0, 0.0, 10.0, 2.0]])
    assert box_area(other).tolist() == [8, 8, 4]
    torch.testing.assert_close(box_iou(one, other), torch.tensor([[4 / 12, 0, 0]]))
    torch.testing.assert_close(generalized_box_iou(one, other), torch.tensor([[4 / 12, 0, -8 / 20]]))
    # Centres 2, 4 and 7 apart; the hulls' diagonals squared 40, 68 and 104.
    torch.testing.assert_close(distance_box_iou(one, other), torch.tensor([[4 / 12 - 4 / 40, -16 / 68, -49 / 104]]))
    v = 4 / math.pi**2 * (math.atan(2 / 1) - math.atan(1)) ** 2  # the third is square, the first twice as wide as high
    assert float(complete_box_iou(one, other)[0, 2]) == pytest.approx(-49 / 104 - v * v / (1 + v), rel=1e-5)


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlaps_are_torchvisions(name: str) -> None:
    found = OVERLAPS[name](torch.tensor(SAID["one"]), torch.tensor(SAID["other"]))
    torch.testing.assert_close(found, torch.tensor(SAID[name]), rtol=0, atol=2e-6)


def test_the_rest_is_torchvisions() -> None:
    one = torch.tensor(SAID["one"])
    assert box_area(one).tolist() == SAID["area"]
    assert clip_boxes_to_image(one, (60, 50)).tolist() == SAID["clipped"]
    assert remove_small_boxes(one, 20).tolist() == SAID["small"]
    assert box_convert(one, "xyxy", "cxcywh").tolist() == SAID["cxcywh"]


@pytest.mark.parametrize("there", FORMATS)
@pytest.mark.parametrize("back", FORMATS)
@given(boxes=box_list)
def test_formats_convert_and_back(there: str, back: str, boxes: Tensor) -> None:
    through = box_convert(box_convert(box_convert(boxes, "xyxy", there), there, back), back, "xyxy")
    torch.testing.assert_close(through, boxes)


@given(boxes=box_list)
def test_shares_of_a_picture_and_back(boxes: Tensor) -> None:
    torch.testing.assert_close(relative_to_absolute(absolute_to_relative(boxes, (48, 64)), (48, 64)), boxes)
    assert absolute_to_relative(torch.tensor([16.0, 12.0, 32.0, 24.0]), (48, 64)).tolist() == [0.25, 0.25, 0.5, 0.5]


@pytest.mark.parametrize("overlap", OVERLAPS.values(), ids=OVERLAPS)
@given(one=box_list, other=box_list, right=st.integers(-50, 50), down=st.integers(-50, 50))
def test_overlaps_are_symmetric_and_move_along(
    overlap: Overlap, one: Tensor, other: Tensor, right: int, down: int
) -> None:
    found = overlap(one, other)
    assert found.shape == (len(one), len(other))
    assert found.isfinite().all()
    torch.testing.assert_close(found, overlap(other, one).T)
    by = torch.tensor([right, down, right, down])
    torch.testing.assert_close(found, overlap(one + by, other + by), rtol=1e-4, atol=1e-5)


@given(one=box_list, other=box_list)
def test_iou_lies_from_0_to_1_and_bounds_the_others(one: Tensor, other: Tensor) -> None:
    iou = box_iou(one, other)
    assert iou.min() >= 0
    assert iou.max() <= 1
    assert (generalized_box_iou(one, other) <= iou + 1e-6).all()
    assert (generalized_box_iou(one, other) >= -1).all()
    assert (distance_box_iou(one, other) <= iou).all()
    assert (complete_box_iou(one, other) <= distance_box_iou(one, other)).all()
    real = one[box_area(one) > 0]
    torch.testing.assert_close(box_iou(real, real).diagonal(), torch.ones(len(real)))


def test_boxes_without_area_overlap_nothing() -> None:
    points = torch.tensor([[3.0, 3.0, 3.0, 3.0], [3.0, 1.0, 3.0, 5.0], [5.0, 5.0, 1.0, 1.0]])  # the last inside out
    boxes = torch.tensor([[3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 10.0, 10.0]])
    for overlap in OVERLAPS.values():
        assert overlap(points, boxes).isfinite().all()
    assert not box_iou(points, boxes).any()
    assert box_area(points).tolist() == [0, 0, 0]


def test_whole_numbers_do_not_overflow() -> None:
    boxes = torch.tensor([[0, 0, 200, 200]], dtype=torch.uint8)
    assert box_area(boxes).tolist() == [40_000]
    assert box_iou(boxes, boxes).tolist() == [[1.0]]


def test_batches_of_pictures() -> None:
    one, other = torch.rand(3, 5, 4).cumsum(-1), torch.rand(3, 2, 4).cumsum(-1)
    found = box_iou(one, other)
    assert found.shape == (3, 5, 2)
    torch.testing.assert_close(found[1], box_iou(one[1], other[1]))


def test_no_box_at_all() -> None:
    assert box_iou(torch.empty(0, 4), torch.rand(3, 4)).shape == (0, 3)
    assert box_convert(torch.empty(0, 4), "xyxy", "xywh").shape == (0, 4)


def test_gradients_are_finite_for_equal_boxes() -> None:
    boxes = torch.tensor([[1.0, 1.0, 3.0, 4.0]], requires_grad=True)
    complete_box_iou(boxes, boxes.detach()).sum().backward()
    assert boxes.grad is not None
    assert boxes.grad.isfinite().all()


def test_bad_calls() -> None:
    with pytest.raises(InputError, match=r"boxes have shape \(2, 5\); expected \(\.\.\., 4\)"):
        box_area(torch.zeros(2, 5))
    with pytest.raises(UnknownName, match="no box format is called 'yxyx'"):
        box_convert(torch.zeros(1, 4), "yxyx", "xyxy")
    with pytest.raises(InputError, match="size is 0 x 5"):
        absolute_to_relative(torch.zeros(1, 4), (0, 5))
    assert module.FORMATS == ("xyxy", "xywh", "cxcywh")
