from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassnet.data.annotations.objects import Objects
from glassnet.detection.localisation.encoding import decode, encode, one_object, pixels, shares
from glassnet.detection.targets import Targets
from glassnet.errors import InputError

SIZE = (100, 200)


def test_encoding_by_hand() -> None:
    # A box from (20, 30) to (100, 50) in an input 200 wide and 100 high: middle (60, 40), 80 wide, 20 high.
    y = encode(torch.tensor([[20.0, 30, 100, 50], [0, 0, 0, 0]]), torch.tensor([2, -1]), SIZE, 3)
    assert y.tolist() == [pytest.approx([1, 0.3, 0.4, 0.2, 0.4, 0, 0, 1]), [0] * 8]


def test_decoding_by_hand() -> None:
    logit = torch.logit(torch.tensor([0.9, 0.3, 0.4, 0.2, 0.4]))
    located = decode(torch.cat([logit, torch.tensor([0.0, 0.0, np.log(2.0)])])[None], SIZE)
    assert located.present.tolist() == pytest.approx([0.9])
    assert located.boxes[0].tolist() == pytest.approx([20, 30, 100, 50], abs=1e-4)
    assert located.classes[0].tolist() == pytest.approx([0.25, 0.25, 0.5])


def test_a_box_beyond_the_input_is_cut() -> None:
    logit = torch.logit(torch.tensor([[0.5, 0.1, 0.9, 0.5, 0.8]]))
    located = decode(torch.cat([logit, torch.zeros(1, 1)], 1), SIZE)
    assert located.boxes[0].tolist() == pytest.approx([0, 65, 100, 100], abs=1e-3)


corner = st.floats(0, 1, width=32)


@given(x=corner, y=corner, right=corner, bottom=corner, size=st.tuples(st.integers(1, 900), st.integers(1, 900)))
def test_pixels_undo_shares(x: float, y: float, right: float, bottom: float, size: tuple[int, int]) -> None:
    height, width = size
    box = torch.tensor(
        [[min(x, right) * width, min(y, bottom) * height, max(x, right) * width, max(y, bottom) * height]]
    )
    assert torch.allclose(pixels(shares(box, size), size), box, atol=1e-3)
    y_ = encode(box, torch.tensor([0]), size, 2)
    assert bool(((y_ >= 0) & (y_ <= 1 + 1e-6)).all())


@pytest.mark.parametrize("label", [-2, 3])
def test_a_label_beyond_the_classes_is_refused(label: int) -> None:
    with pytest.raises(InputError, match=rf"labels from {label} to {label} came; expected -1 to 2"):
        encode(torch.zeros(1, 4), torch.tensor([label]), SIZE, 3)


def test_the_largest_object_that_counts_is_the_one() -> None:
    targets = Targets.of(
        [
            Objects.of([[0, 0, 10, 10], [10, 10, 30, 30], [0, 0, 50, 50]], [0, 1, 2], difficult=[0, 0, 1]),
            Objects.of(),
            Objects.of([[0, 0, 50, 50]], [1], crowd=[True]),
            Objects.of([[140, 40, 260, 170], [150, 40, 200, 100]], [2, 0]),  # cut at 200 and 100
            Objects.of([[-50, 0, -10, 40]], [0]),  # the preprocess cut it away
        ]
    )
    boxes, labels = one_object(targets, SIZE)
    assert labels.tolist() == [1, -1, -1, 2, -1]
    assert boxes.tolist() == [[10, 10, 30, 30], [0] * 4, [0] * 4, [140, 40, 200, 100], [0] * 4]


def test_pictures_without_any_object() -> None:
    boxes, labels = one_object(Targets.of([Objects.of(), Objects.of()]), SIZE)
    assert (boxes.tolist(), labels.tolist()) == ([[0] * 4] * 2, [-1, -1])
