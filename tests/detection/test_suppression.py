"""Non-maximum suppression: hand cases, torchvision's answers, the plain loop, and properties."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassnet.boxes import box_iou, distance_box_iou
from glassnet.detection import batched_nms, diou_nms, nms, soft_nms, suppression
from glassnet.detection.pairs import Columns, Strips
from glassnet.detection.suppression import iou_above
from glassnet.errors import InputError

SAID: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "boxes.json").read_text())


def plain_loop(overlap: Tensor, scores: Tensor, threshold: float, classes: Tensor | None = None) -> list[int]:
    """The definition: the best box stays and removes what overlaps it too much."""
    kept: list[int] = []
    for number in scores.argsort(descending=True, stable=True).tolist():
        rivals = [k for k in kept if classes is None or classes[k] == classes[number]]
        if all(float(overlap[k, number]) <= threshold for k in rivals):
            kept.append(number)
    return kept


def scattered(count: int, seed: int, spread: float = 100.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * spread
    size = torch.rand(count, 2, generator=generator) * 40
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=generator)


def test_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4], [20, 20, 30, 30]])  # IoU with 0: 0.5, 0.4, 0
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95])
    assert nms(boxes, scores, 0.45).tolist() == [3, 0, 2]
    assert nms(boxes, scores, 0.5).tolist() == [3, 0, 1]  # 0.5 is not above 0.5; 2 overlaps 1 by 4/5
    assert batched_nms(boxes, scores, torch.tensor([0, 1, 0, 0]), 0.3).tolist() == [3, 0, 1]


def test_a_removed_box_removes_nothing() -> None:
    chain = torch.tensor([[0.0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])  # neighbours 7/13, the ends 4/16
    assert nms(chain, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_equal_scores_are_decided_by_order() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10]] * 5)
    assert nms(boxes, torch.ones(5), 0.5).tolist() == [0]
    apart = torch.arange(5)[:, None] * 20 + torch.tensor([0.0, 0, 10, 10])
    assert nms(apart, torch.ones(5), 0.5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("threshold", SAID["nms"])
def test_torchvision_keeps_the_same_boxes(threshold: str) -> None:
    found = nms(torch.tensor(SAID["many"]), torch.tensor(SAID["scores"]), float(threshold))
    assert found.tolist() == SAID["nms"][threshold]


@pytest.mark.parametrize("threshold", SAID["batched_nms"])
def test_torchvision_keeps_the_same_boxes_of_each_class(threshold: str) -> None:
    found = batched_nms(
        torch.tensor(SAID["many"]), torch.tensor(SAID["scores"]), torch.tensor(SAID["classes"]), float(threshold)
    )
    assert found.tolist() == SAID["batched_nms"][threshold]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 60),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([5.0, 60.0, 1e6]),
)
def test_the_plain_loop_keeps_the_same(count: int, seed: int, threshold: float, spread: float) -> None:
    boxes, scores = scattered(count, seed, spread)
    scores = (scores * 8).round()  # many are equal
    classes = torch.arange(count) % 3 * 1_000_000 - 7  # any whole numbers are classes
    iou = box_iou(boxes, boxes)
    assert nms(boxes, scores, threshold).tolist() == plain_loop(iou, scores, threshold)
    assert batched_nms(boxes, scores, classes, threshold).tolist() == plain_loop(iou, scores, threshold, classes)
    diou = distance_box_iou(boxes, boxes)
    assert diou_nms(boxes, scores, threshold).tolist() == plain_loop(diou, scores, threshold)
    assert diou_nms(boxes, scores, threshold, classes).tolist() == plain_loop(diou, scores, threshold, classes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_other_numbers(dtype: torch.dtype) -> None:
    boxes, scores = scattered(50, 5)
    boxes = (boxes * 8).round().to(dtype)
    scores = (scores * 100).round().to(dtype)
    expected = plain_loop(box_iou(boxes, boxes), scores, 0.3)
    assert nms(boxes, scores, 0.3).tolist() == expected


@pytest.mark.parametrize("spread", [20.0, 300.0])
def test_many_boxes_are_decided_in_two_goes_alike(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "BLOCK", 100)
    boxes, scores = scattered(500, 0, spread)
    assert nms(boxes, scores, 0.5).tolist() == plain_loop(box_iou(boxes, boxes), scores, 0.5)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_strips_find_all_pairs_that_comparing_all_finds(threshold: float) -> None:
    boxes, _ = scattered(200, 1)
    boxes[:40, 2:] = boxes[:40, :2] + torch.rand(40, 2, generator=torch.Generator().manual_seed(2)) * 300  # large
    boxes[40:60] = boxes[:20]  # and equal ones
    better, worse = Strips(Columns.of(boxes.numpy()), None, threshold).pairs(iou_above(threshold))
    found = set(zip(better.tolist(), worse.tolist(), strict=True))
    assert len(found) == len(better), "a pair was found twice"
    above = (box_iou(boxes, boxes).double() > threshold).triu(1)
    assert found == {tuple(pair) for pair in above.nonzero().tolist()}


def test_kept_boxes_do_not_overlap_and_keeping_is_stable() -> None:
    boxes, scores = scattered(500, 3)
    kept = nms(boxes, scores, 0.4)
    iou = box_iou(boxes[kept], boxes[kept]).triu(1)
    assert iou.max() <= 0.4
    assert nms(boxes[kept], scores[kept], 0.4).tolist() == list(range(len(kept)))
    assert (scores[kept].diff() <= 0).all()


def test_diou_keeps_two_things_whose_boxes_overlap_but_whose_centres_are_apart() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [3, 0, 13, 10]])  # IoU 7/13 = 0.54, DIoU 0.54 - 9/269 = 0.505
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.52).tolist() == [0]
    assert diou_nms(boxes, scores, 0.52).tolist() == [0, 1]


def test_soft_nms_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [20, 20, 30, 30]])  # the first two overlap by 0.6
    scores = torch.tensor([0.9, 0.8, 0.5])
    kept, lowered = soft_nms(boxes, scores)
    assert kept.tolist() == [0, 2, 1]
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.5, 0.8 * math.exp(-0.36 / 0.5)]))
    kept, lowered = soft_nms(boxes, scores, method="linear")
    assert kept.tolist() == [0, 2, 1]
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.5, 0.8 * 0.4]))
    assert soft_nms(boxes, scores, method="linear", score_threshold=0.4)[0].tolist() == [0, 2]


def test_nothing_to_suppress() -> None:
    assert nms(torch.empty(0, 4), torch.empty(0), 0.5).tolist() == []
    assert soft_nms(torch.empty(0, 4), torch.empty(0))[0].tolist() == []
    assert nms(torch.tensor([[1.0, 1, 1, 1]] * 2), torch.tensor([0.1, 0.2]), 0.5).tolist() == [1, 0]  # two points


def test_bad_calls() -> None:
    boxes, scores = scattered(3, 0)
    with pytest.raises(InputError, match=r"iou_threshold is 1\.5; expected a number from 0 to 1"):
        nms(boxes, scores, 1.5)
    with pytest.raises(InputError, match="iou_threshold is nan"):
        nms(boxes, scores, math.nan)
    with pytest.raises(InputError, match=r"boxes have shape \(3, 5\)"):
        nms(torch.zeros(3, 5), scores, 0.5)
    with pytest.raises(InputError, match=r"scores have shape \(2,\); expected one for each of 3 boxes"):
        nms(boxes, scores[:2], 0.5)
    with pytest.raises(InputError, match="not all finite"):
        nms(boxes, torch.tensor([0.1, math.nan, 0.2]), 0.5)
    with pytest.raises(InputError, match="expected one class for each of 3 boxes"):
        batched_nms(boxes, scores, torch.zeros(2, dtype=torch.int64), 0.5)
    with pytest.raises(InputError, match="method is 'hard'"):
        soft_nms(boxes, scores, method="hard")
    with pytest.raises(InputError, match="sigma is 0"):
        soft_nms(boxes, scores, sigma=0)
