"""Copies: against a slow search, and on photographs that were changed a little."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glassnet.data.duplicates import (
    NEAR,
    alike,
    copy_problems,
    count_bits,
    difference_hash,
    exact_copies,
    near_duplicate_problems,
    nearest_hashes,
)
from glassnet.data.index import TEST, TRAIN, VALIDATION, Index
from glassnet.data.listing import Listing

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=12)
FLIPS = st.lists(st.integers(0, 63), max_size=7)


def as_hashes(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64)


def make_index(splits: list[int]) -> Index:
    count = len(splits)
    return Index(
        name="photos", kind="folder", root=None, classes=("a", "b"),
        paths=[f"a/{i}.jpg" for i in range(count)], images=None,
        labels=np.zeros(count, np.int64), splits=np.array(splits, np.int8),
        sizes=np.ones((count, 2), np.int32), channels=3,
    )  # fmt: skip


@given(st.lists(st.integers(0, 5), max_size=30))
def test_exact_copies_are_those_of_a_dictionary(contents: list[int]) -> None:
    digests = np.zeros((len(contents), 16), np.uint8)
    digests[:, 15] = contents  # content 0 is a row of zeros: unknown
    expected: dict[int, list[int]] = {}
    for item, content in enumerate(contents):
        if content:
            expected.setdefault(content, []).append(item)
    found = [group.tolist() for group in exact_copies(digests)]
    assert sorted(found) == sorted(group for group in expected.values() if len(group) > 1)


@given(HASHES)
def test_bits_are_counted(values: list[int]) -> None:
    assert count_bits(as_hashes(values)).tolist() == [value.bit_count() for value in values]


@given(HASHES, st.lists(st.tuples(st.integers(0, 11), FLIPS), max_size=10), st.integers(0, 6))
def test_the_nearest_is_that_of_a_full_search(
    left: list[int], changes: list[tuple[int, list[int]]], threshold: int
) -> None:
    right = [left[i % len(left)] ^ sum({1 << bit for bit in bits}) for i, bits in changes] if left else [1, 2]
    j, distance = nearest_hashes(as_hashes(left), as_hashes(right), threshold)
    for i, value in enumerate(left):
        every = [(value ^ other).bit_count() for other in right]
        within = min(every, default=99) <= threshold
        assert distance[i] == (min(every) if within else -1)
        assert j[i] == (every.index(min(every)) if within else -1)


def test_nothing_is_near_nothing() -> None:
    for left, right in (([], []), ([], [5]), ([5], [])):
        assert nearest_hashes(as_hashes(left), as_hashes(right))[0].tolist() == [-1] * len(left)


def test_the_search_does_not_grow_with_the_square() -> None:
    """4 times the pictures take about 4 times as long where hashes are spread; a full search would take 16 times."""
    generator = np.random.default_rng(0)
    seconds = []
    for count in (5_000, 20_000):
        left, right = (generator.integers(0, 2**64, count, dtype=np.uint64) for _ in range(2))
        runs = []
        for _ in range(3):
            start = time.perf_counter()
            nearest_hashes(left, right)
            runs.append(time.perf_counter() - start)
        seconds.append(min(runs))
    assert seconds[1] < 10 * seconds[0]


def slow_hash(picture: np.ndarray) -> int:
    """The definition, a pixel at a time."""
    height, width, _ = picture.shape
    rows, columns = (np.linspace(0, size, cells + 1).astype(int) for size, cells in ((height, 8), (width, 9)))
    value = 0
    for row in range(8):
        cells = [picture[rows[row] : rows[row + 1], columns[c] : columns[c + 1]].astype(float).mean() for c in range(9)]
        for column in range(8):
            value = value * 2 + int(cells[column + 1] - cells[column] > 1)
    return value


@pytest.mark.parametrize("shape", [(8, 9, 1), (28, 28, 1), (37, 50, 3), (64, 64, 5)])
def test_the_hash_is_its_definition(shape: tuple[int, int, int]) -> None:
    pool = np.random.default_rng(1).integers(0, 256, (7, *shape), dtype=np.uint8)
    assert difference_hash(pool).tolist() == [slow_hash(picture) for picture in pool]


def test_hashes_by_hand() -> None:
    rising = np.broadcast_to(np.arange(0, 90, 10, dtype=np.uint8)[None, :, None], (8, 9, 1))
    flat = np.full((8, 9, 1), 77, np.uint8)
    pool = np.stack([rising, rising[:, ::-1], flat])
    assert difference_hash(pool).tolist() == [2**64 - 1, 0, 0]


def test_many_pictures_are_hashed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = np.random.default_rng(1).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    whole = difference_hash(pool)
    monkeypatch.setattr("glassnet.data.duplicates._PIXELS", 3 * 16 * 16)
    assert (difference_hash(pool) == whole).all()


def test_pictures_too_small_to_tell_apart() -> None:
    assert difference_hash(np.full((3, 4, 4, 1), 9, np.uint8)).tolist() == [0, 0, 0]


def photographs() -> list[Image.Image]:
    return [Image.fromarray(getattr(skimage.data, name)()) for name in ("astronaut", "chelsea", "coffee", "rocket")]


def hash_of(image: Image.Image) -> int:
    pixels = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BOX))
    return int(difference_hash(pixels[None])[0])


def test_a_photograph_changed_a_little_stays_near_and_another_one_is_far() -> None:
    images = photographs()
    hashes = [hash_of(image) for image in images]
    for image, value in zip(images, hashes, strict=True):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=40)
        compressed = Image.open(file)
        smaller = image.resize((image.width // 3, image.height // 3), Image.Resampling.LANCZOS)
        brighter = image.point(lambda level: min(255, int(level * 1.1)))
        for changed in (compressed, smaller, brighter):
            assert (hash_of(changed) ^ value).bit_count() <= NEAR
        others = [(other ^ value).bit_count() for other in hashes if other != value]
        assert min(others) > 3 * NEAR


def test_alike_looks_closer_than_the_hash() -> None:
    images = [np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BOX)) for image in photographs()]
    darker = (images[0] * 0.8).astype(np.uint8)
    noisy = np.clip(images[1].astype(int) + np.random.default_rng(0).integers(-9, 10, (64, 64, 3)), 0, 255)
    pool = np.stack([*images, darker, noisy.astype(np.uint8), images[0][:, ::-1], np.zeros_like(images[0])])
    left, right = np.array([0, 1, 0, 0, 2, 7]), np.array([4, 5, 1, 6, 3, 0])
    assert alike(pool, left, right).tolist() == [True, True, False, False, False, False]


class TestNearDuplicateProblems:
    base = 0x0F0F_3C3C_5A5A_F0F0

    def test_each_held_out_item_names_the_nearest_earlier_one(self) -> None:
        index = make_index([TRAIN, TRAIN, VALIDATION, TEST, TEST])
        hashes = as_hashes([self.base, self.base ^ 0b111, self.base ^ 1, self.base ^ 1, ~self.base & (2**64 - 1)])
        problems = near_duplicate_problems(hashes, index)
        assert [(problem.path, problem.split) for problem in problems] == [
            ("a/2.jpg", "validation"),
            ("a/3.jpg", "test"),
        ]
        assert "a/0.jpg in train (1 of 64 bits of their hashes differ)" in problems[0].reason
        assert "a/2.jpg in validation (0 of 64 bits of their hashes differ)" in problems[1].reason
        assert not any(problem.quarantined for problem in problems)

    def test_train_is_named_before_validation_at_the_same_distance(self) -> None:
        index = make_index([VALIDATION, TRAIN, TEST])
        problems = near_duplicate_problems(as_hashes([self.base, self.base ^ 1, self.base]), index)
        assert "a/0.jpg in validation" in problems[1].reason
        problems = near_duplicate_problems(as_hashes([self.base, self.base, self.base]), index)
        assert "a/1.jpg in train" in problems[1].reason

    def test_within_a_split_nothing_is_said(self) -> None:
        assert near_duplicate_problems(as_hashes([self.base] * 3), make_index([TRAIN] * 3)) == []

    def test_empty_pictures_are_not_alike(self) -> None:
        assert near_duplicate_problems(as_hashes([0, 0, 1]), make_index([TRAIN, VALIDATION, TEST])) == []

    def test_with_the_pictures_at_hand_only_real_copies_are_told(self) -> None:
        """Two shirts before one wall: the same 8 x 8 differences, other detail."""
        backdrop = np.random.default_rng(0).integers(60, 190, (8, 9)).repeat(8, 0).repeat(8, 1)[:, :, None]
        checks = np.indices((64, 72)).sum(axis=0)[:, :, None] // 2 % 2 * 120 - 60
        shirt, other = backdrop.astype(np.uint8), (backdrop + checks).astype(np.uint8)
        pool = np.stack([shirt, shirt + 1, other])
        index = make_index([TRAIN, TEST, TEST])
        hashes = difference_hash(pool)
        assert len(near_duplicate_problems(hashes, index)) == 2
        assert [problem.path for problem in near_duplicate_problems(hashes, index, pool)] == ["a/1.jpg"]

    def test_a_flood_of_copies_takes_no_flood_of_memory(self) -> None:
        splits = [TRAIN] * 20_000 + [TEST] * 20_000
        problems = near_duplicate_problems(as_hashes([self.base] * 40_000), make_index(splits))
        assert len(problems) == 20_000


class TestCopyProblems:
    def listing(self, labels: list[int], splits: list[int] | None, official: bool = False) -> Listing:
        given = None if splits is None else np.array(splits, np.int8)
        paths = [f"{i}.png" for i in range(len(labels))]
        return Listing("x", "folder", None, ("a", "b"), np.array(labels), paths, splits=given, official=official)

    def kinds(self, listing: Listing) -> dict[int, str]:
        group = np.arange(len(listing))
        return {item: problem.kind for item, problem in copy_problems([group], listing).items()}

    def test_the_first_stays(self) -> None:
        assert self.kinds(self.listing([0, 0, 0], None)) == {1: "duplicate", 2: "duplicate"}

    def test_the_training_copy_leaves(self) -> None:
        assert self.kinds(self.listing([0, 0, 0], [TRAIN, TRAIN, TEST])) == {0: "leak", 1: "leak"}
        assert self.kinds(self.listing([0, 0, 0], [VALIDATION, TEST, TEST])) == {0: "leak", 2: "duplicate"}

    def test_two_labels_quarantine_both(self) -> None:
        listing = self.listing([0, 1], [TRAIN, TEST])
        assert self.kinds(listing) == {0: "conflicting_label", 1: "conflicting_label"}
        reason = copy_problems([np.arange(2)], listing)[0].reason
        assert reason == "it is an exact copy of 1.png, but that is labelled 'b'"

    def test_a_published_test_set_stays_as_it_is(self) -> None:
        assert self.kinds(self.listing([0, 0, 0], [TRAIN, TEST, TEST], official=True)) == {0: "leak", 2: "repeated"}
        assert self.kinds(self.listing([0, 1], [TRAIN, TEST], official=True)) == {0: "conflicting_label", 1: "repeated"}
