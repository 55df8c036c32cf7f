"""Splits: hand numbers, and what must hold for every draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glassnet.data.splits import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    complete_split,
    read_split_csv,
    share_out,
    stratified_split,
    write_split_csv,
)
from glassnet.errors import DataError, InputError

USUAL = (0.7, 0.15, 0.15)
LABELS = hnp.arrays(np.int64, st.integers(0, 120), elements=st.integers(0, 6))


@pytest.mark.parametrize(
    "count, counts",
    [
        (100, [70, 15, 15]),
        (20, [14, 3, 3]),
        (10, [7, 2, 1]),  # 1.5 and 1.5: the first is rounded up
        (4, [2, 1, 1]),
        (3, [1, 1, 1]),
        (2, [1, 0, 1]),
        (1, [1, 0, 0]),
        (0, [0, 0, 0]),
    ],
)
def test_shares_by_hand(count: int, counts: list[int]) -> None:
    assert share_out(count, USUAL) == counts


def test_halves_go_to_validation_and_test_in_turn() -> None:
    assert share_out(10, USUAL, turn=1) == [7, 1, 2]
    splits = stratified_split(np.repeat(np.arange(40), 10), USUAL, 0)
    assert np.bincount(splits).tolist() == [280, 60, 60]


def test_a_share_of_zero_gets_nothing() -> None:
    assert share_out(10, (0.8, 0.2, 0.0)) == [8, 2, 0]
    assert share_out(1, (0.8, 0.2, 0.0)) == [1, 0, 0]
    assert share_out(2, (0.8, 0.2, 0.0)) == [1, 1, 0]


@given(LABELS, st.integers(0, 5))
def test_every_class_is_shared_out_alike(labels: np.ndarray, seed: int) -> None:
    splits = stratified_split(labels, USUAL, seed)
    assert splits.shape == labels.shape
    assert splits.dtype == np.int8
    for label in set(labels.tolist()):
        counts = np.bincount(splits[labels == label], minlength=3)
        assert counts.tolist() == share_out(int(counts.sum()), USUAL, turn=label)
        assert counts.sum() < 3 or counts.all()
        assert np.all(np.abs(counts - counts.sum() * np.array(USUAL)) < 2)


def test_the_seed_decides() -> None:
    labels = np.repeat(np.arange(4), 50)
    draw = stratified_split(labels, USUAL, 3)
    assert (draw == stratified_split(labels, USUAL, 3)).all()
    assert (draw != stratified_split(labels, USUAL, 4)).any()


def test_a_picture_more_in_one_class_moves_no_other_class() -> None:
    labels = np.repeat(np.arange(3), 40)
    more = np.append(labels, 1)
    before, after = stratified_split(labels, USUAL, 0), stratified_split(more, USUAL, 0)[:-1]
    assert (before[labels != 1] == after[labels != 1]).all()


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(1, 20), st.integers(0, 3))
def test_a_group_stays_on_one_side(labels: np.ndarray, how_many: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, how_many, len(labels)).astype(object)
    splits = stratified_split(labels, USUAL, seed, groups)
    assert (splits == stratified_split(labels, USUAL, seed, groups)).all()
    for group in set(groups.tolist()):
        assert len(set(splits[groups == group].tolist())) == 1


def test_groups_are_shared_out_nearly_like_items() -> None:
    labels = np.repeat(np.arange(5), 300)
    groups = (np.arange(1500) // 5).astype(object)  # 60 groups of 5 in each class
    counts = np.zeros((5, 3), int)
    np.add.at(counts, (labels, stratified_split(labels, USUAL, 0, groups)), 1)
    assert np.abs(counts - [210, 45, 45]).max() <= 5


@given(st.lists(st.integers(1, 30), min_size=3, max_size=8), st.integers(0, 3))
def test_three_groups_of_a_class_reach_all_three_splits(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(object)
    labels = np.zeros(len(groups), np.int64)
    assert set(stratified_split(labels, USUAL, seed, groups).tolist()) == {TRAIN, VALIDATION, TEST}


def test_groups_keep_out_of_a_split_without_a_share() -> None:
    groups = np.arange(40).astype(object)
    splits = stratified_split(np.arange(40) % 2, (0.8, 0.2, 0.0), 0, groups)
    assert np.bincount(splits, minlength=3).tolist() == [32, 8, 0]


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.3), (0.5, 0.2, 0.2), (0, 0.5, 0.5), (1.2, -0.2, 0), (float("nan"), 0.5, 0.5)]
)
def test_fractions_that_share_out_no_whole(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"split is \(.*add up to 1"):
        stratified_split(np.zeros(5, np.int64), fractions, 0)


class TestWhatTheSourceGives:
    labels = np.tile(np.arange(2), 50)

    def test_nothing(self) -> None:
        splits, how = complete_split(None, self.labels, USUAL, 7)
        assert np.bincount(splits).tolist() == [70, 15, 15]
        assert "seed 7: 70% / 15% / 15%" in how

    def test_all_three_stay(self) -> None:
        given = np.array([TRAIN, VALIDATION, TEST, TRAIN] * 25, np.int8)
        splits, how = complete_split(given, self.labels, USUAL, 0)
        assert (splits == given).all()
        assert how == "split as the source gives it"

    def test_train_and_test_get_validation_from_train(self) -> None:
        given = np.array([TRAIN] * 80 + [TEST] * 20, np.int8)
        splits, how = complete_split(given, self.labels, USUAL, 0)
        assert (splits[80:] == TEST).all()
        assert np.bincount(splits[:80]).tolist() == [68, 12]
        assert "15% for validation drawn from train" in how

    def test_train_and_validation_get_test_from_train(self) -> None:
        given = np.array([TRAIN] * 80 + [VALIDATION] * 20, np.int8)
        splits, how = complete_split(given, self.labels, USUAL, 0)
        assert (splits[80:] == VALIDATION).all()
        assert np.bincount(splits[:80]).tolist() == [68, 0, 12]
        assert "15% for test drawn from train" in how

    def test_only_train_is_divided(self) -> None:
        splits, _ = complete_split(np.zeros(100, np.int8), self.labels, USUAL, 0)
        assert set(splits.tolist()) == {0, 1, 2}

    def test_nothing_to_train_on(self) -> None:
        with pytest.raises(DataError, match="only validation and test pictures"):
            complete_split(np.array([1, 2] * 50, np.int8), self.labels, USUAL, 0)

    def test_validation_keeps_groups_together(self) -> None:
        given = np.array([TRAIN] * 80 + [TEST] * 20, np.int8)
        groups = (np.arange(100) // 4).astype(object)
        splits, _ = complete_split(given, self.labels, USUAL, 0, groups)
        assert all(len(set(splits[groups == group].tolist())) == 1 for group in range(25))
        assert (splits == VALIDATION).sum() == 12

    def test_a_group_on_two_given_sides(self) -> None:
        given = np.array([TRAIN] * 50 + [TEST] * 50, np.int8)
        with pytest.raises(DataError, match=r"1 groups are on two sides.*'patient 7'"):
            complete_split(given, self.labels, USUAL, 0, np.array(["patient 7"] * 100, object))


def test_a_split_is_read_back_as_written(tmp_path: Path) -> None:
    items = ['a/"1", x.jpg', "b/caf\udce9.jpg", "c/line\nbreak.jpg"]
    write_split_csv(tmp_path / "split.csv", items, ["a", "b", "c"], np.array([0, 1, 2], np.int8))
    assert read_split_csv(tmp_path / "split.csv") == {
        'a/"1", x.jpg': "train",
        r"b/caf\xe9.jpg": "validation",
        r"c/line\nbreak.jpg": "test",
    }


@pytest.mark.parametrize("text", ["", "path,label\na,b\n", "path,label,split\na,b,training\n", "\xff"])
def test_what_is_no_split(text: str, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"split\.csv"):
        read_split_csv(tmp_path / "split.csv")


def test_names_of_splits() -> None:
    assert [SPLITS[number] for number in (TRAIN, VALIDATION, TEST)] == ["train", "validation", "test"]
