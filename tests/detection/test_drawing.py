"""Boxes drawn on pictures: where the pixels change, in which colours, and that labels can be read."""

import itertools

import numpy as np
import pytest

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.drawing import (
    PALETTE,
    SMALLEST_LETTER,
    WHITE,
    colour_of,
    contrast,
    draw,
    font,
    outline,
    short,
    text_colour,
)
from glassnet.detection.pictures import displayed
from glassnet.errors import InputError

GROUND = 90
CLASSES = ("cat", "dog", "bird")


def found(boxes: list[list[float]], labels: list[int], classes: tuple[str, ...] = CLASSES) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4), scores=np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        labels=np.array(labels, np.int64), classes=classes, size=(200, 300),
    )  # fmt: skip


def plain(height: int = 200, width: int = 300) -> np.ndarray:
    return np.full((height, width, 3), GROUND, np.uint8)


def drawn(*args: object, **kwargs: object) -> np.ndarray:
    return np.asarray(draw(*args, **kwargs))  # type: ignore[arg-type]


def test_nothing_found_leaves_the_picture_as_it_is() -> None:
    np.testing.assert_array_equal(drawn(plain(), found([], [])), plain())


def test_a_box_is_in_the_colour_of_its_class_and_its_inside_untouched() -> None:
    pixels = drawn(plain(), found([[50, 60, 200, 150]], [1]))
    assert pixels.shape == (200, 300, 3)
    for x, y in ((50, 100), (199, 100), (120, 60), (120, 149)):  # the middle of each side
        assert tuple(pixels[y, x].tolist()) == PALETTE[1]
    assert (pixels[80:130, 70:180] == GROUND).all()
    assert (pixels[:30] == GROUND).all()


def test_the_label_has_the_ground_of_the_class_and_readable_letters() -> None:
    pixels = drawn(plain(), found([[50, 60, 200, 150]], [0])).reshape(-1, 3)
    assert (pixels == PALETTE[0]).all(1).sum() > 600  # far more than the lines alone
    assert (pixels == text_colour(PALETTE[0])).all(1).any()


def test_without_scores_the_label_is_shorter() -> None:
    def filled(**choices: bool) -> int:
        return int((drawn(plain(), found([[50, 60, 200, 150]], [0]), **choices) != GROUND).any(2).sum())

    assert filled(scores=False) < filled()


def test_lines_grow_with_the_picture() -> None:
    def width(scale: int) -> int:
        pixels = drawn(
            plain(200 * scale, 300 * scale), found([[50 * scale, 60 * scale, 200 * scale, 150 * scale]], [1])
        )
        return int((pixels[100 * scale, : 100 * scale] == PALETTE[1]).all(1).sum())

    assert width(1) == 1
    assert width(10) >= 8


def test_truth_is_dashed_white_and_only_what_was_missed_has_a_label() -> None:
    truth = Objects.of([[50, 60, 200, 150]], [1])
    hit = drawn(plain(), found([[50, 60, 200, 150]], [1]), truth=truth)
    side = (hit[100, 49:52] == WHITE).all(1)
    column = hit[60:150, 50]
    assert 0.3 < (column == WHITE).all(1).mean() < 0.9, side  # dashes, with the class's colour between them
    assert (column == PALETTE[1]).all(1).any()
    missed = drawn(plain(), found([], []), truth=truth)
    other = drawn(plain(), found([[50, 60, 200, 150]], [2]), truth=truth)  # of another class: not found
    bare = drawn(plain(), found([], []), truth=Objects.of([[50, 60, 200, 150]], [1], difficult=[True]))
    whites = [int((pixels == WHITE).all(2).sum()) for pixels in (missed, other, bare)]
    assert whites[0] > whites[2] + 500
    assert whites[1] > whites[2] + 500


def test_truth_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(InputError, match="the truth has class number 3; the detections know 3, numbered from 0"):
        draw(plain(), found([], []), truth=Objects.of([[1, 2, 3, 4]], [3]))


@pytest.mark.parametrize(
    "box", [[-50, -50, 400, 300], [290, 190, 300, 200], [0, 0, 1, 1], [10, 10, 10, 10], [400, 400, 500, 500]]
)
def test_boxes_at_and_beyond_the_edge_are_drawn_as_far_as_they_can_be_seen(box: list[float]) -> None:
    assert drawn(plain(), found([box], [0])).shape == (200, 300, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16)])
def test_tiny_pictures_are_drawn_without_labels_where_none_fits(size: tuple[int, int]) -> None:
    pixels = drawn(plain(*size), found([[0, 0, size[1], size[0]]], [0]))
    assert pixels.shape == (*size, 3)
    assert (pixels == PALETTE[0]).all(2).any()


def test_labels_can_be_read_on_every_colour() -> None:
    for label in range(30):
        ground = colour_of(label)
        assert contrast(text_colour(ground), ground) >= 4.5, ground
    assert contrast((0, 0, 0), WHITE) == pytest.approx(21)
    assert contrast((119, 119, 119), WHITE) == pytest.approx(4.48, abs=0.01)  # W3C's own example


def protan_deutan(colour: tuple[int, int, int]) -> list[np.ndarray]:
    """Return a colour as seen without red and without green cones (Viénot, Brettel & Mollon 1999, on linear RGB)."""
    linear = (np.array(colour) / 255) ** 2.2
    without_red = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    without_green = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    return [np.clip(matrix @ linear, 0, 1) ** (1 / 2.2) for matrix in (without_red, without_green)]


def test_the_palette_is_told_apart_without_red_or_green() -> None:
    for one, other in itertools.combinations(PALETTE, 2):
        for seen, also in zip(protan_deutan(one), protan_deutan(other), strict=True):
            assert np.abs(seen - also).max() > 0.09, (one, other)
    red, green = (220, 60, 60), (100, 140, 60)  # and the check can fail
    assert min(np.abs(a - b).max() for a, b in zip(protan_deutan(red), protan_deutan(green), strict=True)) < 0.2


def test_letters_are_never_too_small_and_names_are_shortened() -> None:
    assert font(SMALLEST_LETTER).size == 11
    assert short("a" * 40) == "a" * 23 + "…"
    assert "\n" not in short("two\nlines")


def test_other_alphabets_have_letters() -> None:
    """Letters that the font lacks are all drawn alike, as a box."""
    boxes = {bytes(font(20).getmask(letter)) for letter in "жλşđ"}
    assert len(boxes) == 4


def test_an_outline_is_drawn_on_the_picture_itself() -> None:
    canvas = displayed(plain())
    outline(canvas, [[50.0, 60.0, 200.0, 150.0]], (1, 2, 3))
    assert canvas.getpixel((50, 100)) == (1, 2, 3)
