"""Batches: pictures of the pool, augmented and finished, in an order that is a function of (seed, epoch, step) alone.

Nothing depends on the state of a worker: starting at step k gives the batches that running through would have given,
with or without prefetching. That is what makes an interrupted training resume to the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator as Iteration
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.data.augment import Augment, Targets
from glassnet.data.pictures import Pictures
from glassnet.errors import InputError

Numbers = npt.NDArray[np.int64]

ORDER, STEP = 0, 1  # what a generator is for: the order of an epoch, or the augmentation of one step
PREFETCH = 2  # batches prepared ahead: their memory is bounded
# Below this many bytes a batch that is not resized is assembled faster than it is handed over between threads.
PREFETCH_FROM = 2 << 20


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the network trains on: images (N, C, H, W) float32 channels_last, labels (N,) int64, items (N,) int64.

    `items` are numbers in the index. Where pictures were mixed, each is `mix` (N,) parts `labels` and the rest
    `labels_b` (N,); else both are None.
    """

    images: Tensor
    labels: Tensor
    items: Tensor
    labels_b: Tensor | None = None
    mix: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


class Batches:
    """The batches of each epoch over some items of the pictures.

    items: numbers in the index; batch_size: pictures a step (fewer where there are fewer items). shuffle: a new order
    every epoch. drop_last: leave out the short last batch. rank, world: this process's strided share, of equal length
    for every process. weights: a probability weight for each of `items`, drawn with replacement: balanced sampling.
    prefetch: batches assembled ahead by one background thread; None decides by their size. Raises `InputError`.
    """

    def __init__(
        self,
        pictures: Pictures,
        items: npt.ArrayLike,
        batch_size: int,
        *,
        augment: Augment | None = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
        rank: int = 0,
        world: int = 1,
        weights: npt.ArrayLike | None = None,
        prefetch: int | None = None,
    ) -> None:
        self.pictures, self.augment, self.seed, self.shuffle = pictures, augment, seed, shuffle
        self.items: Numbers = np.asarray(items, dtype=np.int64)
        self.rank, self.world = rank, world
        self.share = _share(len(self.items), batch_size, rank, world, equal=drop_last or world > 1)
        self.batch_size = min(batch_size, self.share)
        full, rest = divmod(self.share, self.batch_size)
        self.steps_per_epoch = full + (1 if rest and not drop_last else 0)
        self.weights = None if weights is None else _probabilities(weights, len(self.items))
        self.prefetch = self._default_prefetch() if prefetch is None else prefetch

    def epoch(self, epoch: int, start: int = 0) -> Iteration[Batch, None, None]:
        """Iterate over the batches of epoch number `epoch` (from 0), beginning at step `start`."""
        order = self._order(epoch)
        steps = range(start, self.steps_per_epoch)
        if not self.prefetch:
            for step in steps:
                yield self._finish(*self._assemble(order, epoch, step))
            return
        ahead: deque[Future[tuple[Tensor, Targets, Numbers]]] = deque()
        worker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        try:
            for step in steps[: self.prefetch]:
                ahead.append(worker.submit(self._assemble, order, epoch, step))
            for step in steps:
                images, targets, numbers = ahead.popleft().result()
                if step + self.prefetch < self.steps_per_epoch:
                    ahead.append(worker.submit(self._assemble, order, epoch, step + self.prefetch))
                yield self._finish(images, targets, numbers)
        finally:  # also when the iteration is abandoned
            worker.shutdown(wait=True, cancel_futures=True)

    def _default_prefetch(self) -> int:
        if self.augment and self.augment.rand_augment:
            return 0  # Kornia draws from the global generator, which belongs to the training thread
        resizes = self.augment is not None and self.augment.crop_scale > 0
        large = self.batch_size * self.pictures.pool[0].nbytes >= PREFETCH_FROM
        return PREFETCH if resizes or large else 0

    def _order(self, epoch: int) -> Numbers:
        """Return this process's items of the epoch, in order: (share,)."""
        items = self.items
        generator = generator_of(self.seed, ORDER, epoch, 0)
        if self.weights is not None:
            items = generator.choice(items, size=len(items), p=self.weights)
        elif self.shuffle:
            items = generator.permutation(items)
        return items[self.rank :: self.world][: self.share]

    def _assemble(self, order: Numbers, epoch: int, step: int) -> tuple[Tensor, Targets, Numbers]:
        """Gather the step's pictures, (N, h, w, C) uint8, and augment them."""
        numbers = order[step * self.batch_size : (step + 1) * self.batch_size]
        images = torch.from_numpy(np.asarray(self.pictures.pool)[numbers])
        labels = torch.from_numpy(self.pictures.labels[numbers])
        if self.augment is None:
            return images, Targets(labels=labels), numbers
        # Every process draws differently, or two would erase the same rectangles.
        generator = generator_of(self.seed, STEP, epoch, step, self.rank)
        preprocess = self.pictures.preprocess
        images, targets = self.augment.apply(images, labels, generator, size=(preprocess.height, preprocess.width))
        return images, targets, numbers

    def _finish(self, images: Tensor, targets: Targets, numbers: Numbers) -> Batch:
        """Make floats of them in the calling thread, where all of its threads may help."""
        return Batch(
            images=self.pictures.preprocess.finish(images),
            labels=targets.labels,
            labels_b=targets.labels_b,
            mix=targets.mix,
            items=torch.from_numpy(numbers.copy()),
        )


def evaluation_batches(
    pictures: Pictures, items: npt.ArrayLike, batch_size: int, *, prefetch: int | None = None
) -> Iteration[Batch, None, None]:
    """Iterate over `items` in their order, not augmented; the last batch may be short."""
    if len(np.asarray(items)) == 0:
        return
    yield from Batches(pictures, items, batch_size, shuffle=False, drop_last=False, prefetch=prefetch).epoch(0)


def generator_of(*numbers: int) -> np.random.Generator:
    """Return a generator that is a function of `numbers`; SeedSequence keeps nearby numbers independent."""
    return np.random.default_rng(np.random.SeedSequence(numbers))


def _share(items: int, batch_size: int, rank: int, world: int, *, equal: bool) -> int:
    """Return how many items this process gets in an epoch; raise `InputError` where that cannot be."""
    if batch_size < 1:
        raise InputError(f"batch size is {batch_size}, expected 1 or more")
    if not 0 <= rank < world:
        raise InputError(f"rank is {rank} of {world} processes, expected 0 to {world - 1}")
    share = items // world if equal else len(range(rank, items, world))
    if share < 1:
        raise InputError(f"{items} pictures are too few for {world} process(es): give at least one to each")
    return share


def _probabilities(weights: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or values.min() < 0 or values.sum() <= 0:
        raise InputError(f"sampling weights must be {count} finite numbers, none below 0, not all 0: one per item")
    probabilities: npt.NDArray[np.float64] = values / values.sum()
    return probabilities
