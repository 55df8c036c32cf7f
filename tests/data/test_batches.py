"""Batches: a function of (seed, epoch, step), whoever asks, from wherever it starts."""

from __future__ import annotations

import gc
import threading
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.augment import Augment
from glassnet.data.batches import Batch, Batches, evaluation_batches
from glassnet.data.index import Index
from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.preprocess import Preprocess

AUGMENT = Augment(flip=0.5, shift=1, crop=True, erasing=0.3, mixup=0.3, cutmix=0.3)


def pictures(count: int = 23) -> Pictures:
    """Return pictures whose every pixel is their number, of classes 0, 1, 2 in turn."""
    preprocess = Preprocess(height=6, width=6, crop=0.75, channels=1, mean=(0,), std=(1,))
    pool = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 1)).copy()
    labels = np.arange(count, dtype=np.int64) % 3
    index = Index(
        name="numbers",
        kind="arrays",
        root=None,
        classes=("a", "b", "c"),
        paths=None,
        images=pool,
        labels=labels,
        splits=np.zeros(count, np.int8),
        sizes=np.full((count, 2), 8, np.int32),
        channels=1,
    )
    return Pictures(index=index, pool=pool, labels=labels, preprocess=preprocess)


def same(one: Batch, other: Batch) -> bool:
    def equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
        return (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))

    return all(
        equal(getattr(one, name), getattr(other, name)) for name in ("images", "labels", "items", "labels_b", "mix")
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 1000), start=st.integers(0, 6), prefetch=st.integers(0, 3))
def test_starting_anywhere_gives_what_running_through_gives(seed: int, epoch: int, start: int, prefetch: int) -> None:
    source = pictures()
    through = list(
        Batches(source, np.arange(23), 4, augment=AUGMENT, seed=seed, prefetch=0, drop_last=False).epoch(epoch)
    )
    assert len(through) == 6
    other = Batches(source, np.arange(23), 4, augment=AUGMENT, seed=seed, prefetch=prefetch, drop_last=False)
    started = list(other.epoch(epoch, start))
    assert len(started) == 6 - start
    assert all(same(a, b) for a, b in zip(started, through[start:], strict=True))


def test_a_batch_holds_the_pictures_it_names() -> None:
    batches = Batches(pictures(), np.arange(3, 23), 5, seed=1)
    batch = next(batches.epoch(0))
    assert batch.images.shape == (5, 1, 6, 6)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch.images[:, 0, 0, 0] * 255, batch.items.float())
    assert torch.equal(batch.labels, batch.items % 3)
    assert batch.mix is None
    assert len(batch) == 5


def items_of(batches: Batches, epoch: int = 0) -> list[int]:
    return [int(item) for batch in batches.epoch(epoch) for item in batch.items]


def test_an_epoch_shows_every_item_once_in_an_order_of_its_own() -> None:
    batches = Batches(pictures(), np.arange(23), 4, drop_last=False, seed=7)
    first, second = items_of(batches, 0), items_of(batches, 1)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    assert first == items_of(Batches(pictures(), np.arange(23), 4, drop_last=False, seed=7), 0)
    assert first != items_of(Batches(pictures(), np.arange(23), 4, drop_last=False, seed=8), 0)
    assert len(items_of(Batches(pictures(), np.arange(23), 4))) == 20
    assert items_of(Batches(pictures(), [5, 2, 9], 2, shuffle=False, drop_last=False)) == [5, 2, 9]


def test_few_items_make_one_smaller_batch() -> None:
    batches = Batches(pictures(), [1, 2, 3], 64)
    assert batches.steps_per_epoch == 1
    assert sorted(items_of(batches)) == [1, 2, 3]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_without_overlap_in_equal_steps(world: int) -> None:
    shares = [Batches(pictures(), np.arange(23), 2, rank=rank, world=world, drop_last=False) for rank in range(world)]
    assert len({batches.steps_per_epoch for batches in shares}) == 1
    seen = [item for batches in shares for item in items_of(batches)]
    assert len(seen) == len(set(seen)) == 23 - 23 % world
    erased = [
        next(Batches(pictures(), np.arange(23), 4, rank=r, world=2, augment=AUGMENT).epoch(0)).images for r in (0, 1)
    ]
    assert not torch.equal(*erased)


def test_weights_balance_the_classes() -> None:
    items = np.array([i for i in range(23) if i % 3 == 0] + [1, 2])  # eight of class 0, one of each other
    weights = np.where(items % 3 == 0, 1 / 8, 1.0)
    batches = Batches(pictures(), items, 10, weights=weights)
    drawn = np.bincount([item % 3 for epoch in range(200) for item in items_of(batches, epoch)])
    assert (abs(drawn / drawn.sum() - 1 / 3) < 0.04).all()


def test_an_error_in_the_background_comes_out() -> None:
    broken = pictures()
    batches = Batches(broken, [0, 99], 2, prefetch=2)
    with pytest.raises(IndexError, match="99"):
        list(batches.epoch(0))


def test_an_abandoned_epoch_leaves_no_thread() -> None:
    batches = Batches(pictures(), np.arange(23), 2, prefetch=2)
    iteration = batches.epoch(0)
    assert len(list(islice(iteration, 3))) == 3
    assert [t for t in threading.enumerate() if t.name.startswith("batches")]
    iteration.close()
    del iteration
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]


def test_evaluation_goes_in_order_and_ends_short() -> None:
    batches = list(evaluation_batches(pictures(), [4, 0, 9], 2))
    assert [batch.items.tolist() for batch in batches] == [[4, 0], [9]]
    assert list(evaluation_batches(pictures(), [], 2)) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"rank": 2, "world": 2}, "rank is 2 of 2 processes"),
        ({"rank": 0, "world": 24}, "23 pictures are too few for 24"),
        ({"weights": np.zeros(23)}, "sampling weights"),
        ({"weights": np.ones(3)}, "23 finite numbers"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Batches(pictures(), np.arange(23), **{"batch_size": 4, **arguments})
