from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassnet.boxes import box_iou, paired_box_iou
from glassnet.detection.localisation.encoding import decode, encode
from glassnet.detection.localisation.losses import localisation_loss
from glassnet.detection.localisation.metrics import measures, right
from glassnet.errors import InputError

SIZE = (100, 200)


def logits(y: list[float], classes: list[float]) -> torch.Tensor:
    return torch.cat([torch.logit(torch.tensor(y)), torch.tensor(classes)])[None]


def test_the_loss_by_hand() -> None:
    # Truth: (bx, by, bh, bw) = (0.3, 0.4, 0.2, 0.4), class 1 of 2.
    said = logits([0.8, 0.5, 0.4, 0.1, 0.1], [0.0, math.log(3.0)])
    parts = localisation_loss(said, torch.tensor([[20.0, 30, 100, 50]]), torch.tensor([1]), SIZE)
    assert float(parts.presence) == pytest.approx(-math.log(0.8), abs=1e-6)
    assert float(parts.box) == pytest.approx(0.2**2 + 0 + 0.1**2 + 0.3**2, abs=1e-6)
    assert float(parts.classes) == pytest.approx(-math.log(0.75), abs=1e-6)
    assert float(parts.total) == pytest.approx(-math.log(0.8) + 5 * 0.14 - math.log(0.75), abs=1e-5)


def test_without_an_object_only_pc_counts() -> None:
    said = logits([0.3, 0.9, 0.9, 0.9, 0.9], [5.0, -5.0]).requires_grad_()
    parts = localisation_loss(said, torch.zeros(1, 4), torch.tensor([-1]), SIZE)
    assert float(parts.total.detach()) == pytest.approx(-math.log(0.7), abs=1e-6)
    parts.total.backward()
    assert said.grad is not None
    assert said.grad[0, 0] != 0
    assert not said.grad[0, 1:].any()


def test_the_loss_is_a_mean_over_all_pictures() -> None:
    one, none = logits([0.8, 0.5, 0.4, 0.1, 0.1], [0.0, 1.0]), logits([0.3, 0.9, 0.9, 0.9, 0.9], [5.0, -5.0])
    box, nothing = torch.tensor([[20.0, 30, 100, 50]]), torch.zeros(1, 4)
    alone = [
        localisation_loss(one, box, torch.tensor([1]), SIZE).total,
        localisation_loss(none, nothing, torch.tensor([-1]), SIZE).total,
    ]
    both = localisation_loss(torch.cat([one, none]), torch.cat([box, nothing]), torch.tensor([1, -1]), SIZE).total
    assert float(both) == pytest.approx(float(sum(alone)) / 2, abs=1e-6)


def test_saying_the_truth_costs_almost_nothing() -> None:
    boxes, labels = torch.tensor([[20.0, 30, 100, 50], [0, 0, 0, 0]]), torch.tensor([1, -1])
    y = encode(boxes, labels, SIZE, 2)
    said = torch.cat([torch.logit(y[:, :5].clamp(1e-6, 1 - 1e-6)), 20 * y[:, 5:]], 1)
    assert float(localisation_loss(said, boxes, labels, SIZE).total) < 1e-5
    assert right(decode(said, SIZE), boxes, labels).tolist() == [True, True]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"said \(2, 7\), boxes \(1, 4\) and labels \(2,\) came; expected"):
        localisation_loss(torch.zeros(2, 7), torch.zeros(1, 4), torch.zeros(2, dtype=torch.int64), SIZE)
    with pytest.raises(InputError, match="N at least 1"):
        localisation_loss(torch.zeros(0, 7), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), SIZE)


coordinate = st.floats(0, 50, width=16)


@given(numbers=st.lists(st.tuples(*[coordinate] * 8), min_size=1, max_size=5))
def test_paired_iou_is_the_diagonal_of_all_pairs(numbers: list[tuple[float, ...]]) -> None:
    one, other = torch.tensor(numbers, dtype=torch.float32).view(-1, 2, 4).unbind(1)
    assert torch.allclose(paired_box_iou(one, other), box_iou(one, other).diagonal(), atol=1e-6)


def said_of(pc: float, box: list[float], classes: list[float]) -> torch.Tensor:
    """What a network says that means exactly `box` xyxy in an input of 100 x 200."""
    y = encode(torch.tensor([box]), torch.tensor([0]), SIZE, 1)[0, 1:5]
    return torch.cat([torch.logit(torch.tensor([pc])), torch.logit(y), torch.tensor(classes)])


def test_measures_by_hand() -> None:
    truth = torch.tensor([[20.0, 30, 100, 50]] * 4 + [[0.0, 0, 0, 0]] * 2)
    labels = torch.tensor([0, 0, 0, 0, -1, -1])
    said = torch.stack(
        [
            said_of(0.9, [20, 30, 100, 50], [2, 1]),  # right
            said_of(0.9, [20, 30, 100, 50], [1, 2]),  # another class
            said_of(0.9, [60, 30, 140, 50], [2, 1]),  # half beside it: IoU 40 / 120
            said_of(0.4, [20, 30, 100, 50], [2, 1]),  # not said to be there
            said_of(0.4, [20, 30, 100, 50], [2, 1]),  # right: there is nothing
            said_of(0.9, [20, 30, 100, 50], [2, 1]),  # nothing there
        ]
    )
    located = decode(said, SIZE)
    assert right(located, truth, labels).tolist() == [True, False, False, False, True, False]
    found = measures(located, truth, labels)
    assert found["accuracy"] == pytest.approx(2 / 6)
    assert found["presence"] == pytest.approx(4 / 6)
    assert found["class_accuracy"] == pytest.approx(3 / 4)
    assert found["mean_iou"] == pytest.approx((1 + 1 + 1 / 3 + 1) / 4, abs=1e-4)
    assert set(measures(decode(said[4:], SIZE), truth[4:], labels[4:])) == {"accuracy", "presence"}
