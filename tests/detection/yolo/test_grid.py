"""The first YOLO's grid: the text's example by hand, encode -> decode as the identity, and its limit counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.targets import Targets
from glassnet.detection.yolo.grid import decode, encode, share_a_cell
from glassnet.errors import InputError

SIZE = (90, 120)  # height, width


def test_an_object_belongs_to_the_cell_of_its_middle() -> None:
    # 3 x 3 cells of 40 x 30 pixels. The middle, (64, 42), lies in row 1, column 1: 24 of 40 and 12 of 30 into the cell.
    truth = encode(Targets.of([Objects.of([[34, 12, 94, 72]], [2])]), SIZE, 3)
    assert truth.pc.tolist() == [[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]
    assert truth.boxes[0, 1, 1].tolist() == pytest.approx([0.6, 0.4, 60 / 40, 60 / 30])  # larger than a cell: above 1
    assert truth.labels[0, 1, 1] == 2


def test_a_middle_on_the_far_edge_belongs_to_the_last_cell() -> None:
    truth = encode(Targets.of([Objects.of([[110, 80, 130, 100]], [0])]), SIZE, 3)  # the middle is (120, 90)
    assert truth.pc[0, 2, 2] == 1


boxes = st.tuples(
    st.floats(0, 100), st.floats(0, 70), st.floats(1, 100), st.floats(1, 60)
).map(lambda four: [four[0], four[1], four[0] + four[2], four[1] + four[3]])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(boxes, st.integers(0, 4)), max_size=6), st.integers(1, 9))
def test_decode_inverts_encode_for_all_objects_but_those_that_share_a_cell(
    found: list[tuple[list[float], int]], cells: int
) -> None:
    objects = Objects.of([box for box, _ in found], [label for _, label in found])
    targets = Targets.of([objects])
    truth = encode(targets, SIZE, cells)
    here = truth.pc[0] > 0
    back = decode(truth.boxes[:, :, :, None], SIZE)[0, :, :, 0][here]  # (n, 4)
    assert len(back) + int(truth.crowded) == len(found)
    for box, label in zip(back, truth.labels[0][here], strict=True):
        apart = (torch.from_numpy(objects.boxes) - box).abs().amax(1)
        same = torch.from_numpy(objects.labels) == label
        assert apart[same].min() < 1e-3


def test_objects_that_share_a_cell_are_counted() -> None:
    close = Objects.of([[10, 10, 20, 20], [12, 12, 22, 22], [100, 70, 110, 80]], [0, 1, 0])
    targets = Targets.of([close, Objects.of()])
    assert encode(targets, SIZE, 3).crowded.tolist() == [1, 0]
    assert share_a_cell(targets, SIZE, 3) == 1
    assert share_a_cell(targets, SIZE, 90) == 0


def test_ignored_objects_have_no_cell() -> None:
    objects = Objects.of([[10, 10, 20, 20]], [0], difficult=[True])
    assert encode(Targets.of([objects]), SIZE, 3).pc.sum() == 0


def test_a_grid_has_cells() -> None:
    with pytest.raises(InputError, match="the grid has 0 x 0 cells, expected at least 1 x 1"):
        encode(Targets.of([Objects.of()]), SIZE, 0)
