"""Where labels go: by hand for one box, and as properties for crowds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.detection.labels import Label, place_labels


def measure(text: str) -> tuple[float, float]:
    return 6.0 * len(text), 10.0


def test_a_label_stands_on_its_box_at_the_left() -> None:
    (label,) = place_labels(np.array([[20.0, 30.0, 90.0, 80.0]]), [["cat"]], (100, 100), measure)
    assert label == Label("cat", 20.0, 20.0, 18.0, 10.0)


def test_a_label_at_the_upper_edge_goes_below_or_inside() -> None:
    (label,) = place_labels(np.array([[20.0, 0.0, 90.0, 50.0]]), [["cat"]], (100, 100), measure)
    assert label is not None
    assert label.top in (0.0, 50.0)


def test_of_two_equal_boxes_each_gets_its_own_place() -> None:
    one, other = place_labels(np.array([[20.0, 30.0, 90.0, 80.0]] * 2), [["cat"], ["dog"]], (100, 100), measure)
    assert one is not None
    assert other is not None
    assert not overlap(one, other)


def test_a_shorter_text_is_taken_where_the_long_one_does_not_fit() -> None:
    (label,) = place_labels(np.array([[0.0, 0.0, 20.0, 20.0]]), [["elephant", "ele"]], (20, 20), measure)
    assert label is not None
    assert label.text == "ele"


def test_no_label_where_none_fits_and_none_where_none_is_wanted() -> None:
    boxes = np.array([[0.0, 0.0, 5.0, 5.0], [0.0, 0.0, 5.0, 5.0]])
    assert place_labels(boxes, [["cat"], []], (5, 5), measure) == [None, None]
    assert place_labels(boxes[:0], [], (5, 5), measure) == []


def overlap(one: Label, other: Label) -> bool:
    return (
        min(one.left + one.width, other.left + other.width) > max(one.left, other.left) + 1e-6
        and min(one.top + one.height, other.top + other.height) > max(one.top, other.top) + 1e-6
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(12, 200))
def test_labels_lie_in_the_picture_and_never_on_each_other(seed: int, count: int, side: int) -> None:
    corners = np.random.default_rng(seed).uniform(-10, side + 10, (count, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    placed = [x for x in place_labels(boxes, [["some", "s"]] * count, (side, side), measure) if x is not None]
    for number, label in enumerate(placed):
        assert label.left >= 0
        assert label.top >= 0
        assert label.left + label.width <= side
        assert label.top + label.height <= side
        assert not any(overlap(label, other) for other in placed[:number])


def test_a_crowd_of_thirty_still_gets_its_labels() -> None:
    """Thirty cells of 100 x 100 on 640 x 480, as blood smears have them."""
    corners = np.random.default_rng(1).uniform([0, 0], [540, 380], (30, 2))
    placed = place_labels(np.concatenate([corners, corners + 100], 1), [["RBC 0.95"]] * 30, (480, 640), measure)
    assert sum(label is not None for label in placed) == pytest.approx(30, abs=0)
