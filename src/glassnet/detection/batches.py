"""Batches of annotated pictures: augmented together with their boxes, in an order of (seed, epoch, step) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.data.annotations.objects import BoxIndex, Objects
from glassnet.data.batches import STEP, Batches, Numbers, generator_of
from glassnet.data.pictures import Pictures
from glassnet.detection.augment import BoxAugment, compose, move
from glassnet.detection.targets import Targets
from glassnet.placement import Placement


@dataclass(frozen=True, kw_only=True)
class BoxBatch:
    """images (N, C, H, W) float32, as the preprocess makes them; the objects in them; items (N,), index numbers."""

    images: Tensor
    targets: Targets
    items: Tensor

    def __len__(self) -> int:
        return len(self.items)

    @property
    def size(self) -> tuple[int, int]:
        """The (height, width) of the images."""
        return self.images.shape[2], self.images.shape[3]

    def parts(self, count: int, device: torch.device, layout: torch.memory_format) -> Iterator[tuple[BoxBatch, int]]:
        """Yield the batch on `device` in `count` parts, fewer when it is small, each with its number of pictures."""
        length = -(-len(self) // count)
        for start in range(0, len(self), length):
            part = slice(start, start + length)
            images = self.images[part].to(device, non_blocking=True).contiguous(memory_format=layout)
            items = self.items[part]
            yield BoxBatch(images=images, targets=self.targets[part].to(device), items=items), len(items)


def placed_objects(pictures: Pictures) -> list[Objects]:
    """Return the objects of every picture in pixels of the input."""
    index = pictures.index
    assert isinstance(index, BoxIndex)
    placed = []
    for objects, (height, width) in zip(index.objects, index.sizes.tolist(), strict=True):
        boxes = Placement.of(pictures.preprocess, (height, width)).to_input(objects.boxes)
        placed.append(Objects(boxes=boxes, labels=objects.labels, difficult=objects.difficult, crowd=objects.crowd))
    return placed


class BoxBatches(Batches):
    """The batches of each epoch over some items of annotated pictures; see `Batches`.

    The pictures are decoded to the size of the input. mosaic_epochs: from this epoch on no mosaics are made.
    """

    def __init__(
        self,
        pictures: Pictures,
        items: npt.ArrayLike,
        batch_size: int,
        *,
        boxes: BoxAugment | None = None,
        mosaic_epochs: float = math.inf,
        **how: Any,
    ) -> None:
        super().__init__(pictures, items, batch_size, **how)
        self.boxes, self.mosaic_epochs = boxes, mosaic_epochs
        self.objects = placed_objects(pictures)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[BoxBatch]:  # type: ignore[override]
        """Iterate over the batches of epoch number `epoch` (from 0), beginning at step `start`, one prepared ahead."""
        order = self._order(epoch)
        steps = range(start, self.steps_per_epoch)
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead = worker.submit(self._make, order, epoch, steps[0]) if steps else None
            for step in steps:
                assert ahead is not None
                batch = ahead.result()
                if step + 1 < self.steps_per_epoch:
                    ahead = worker.submit(self._make, order, epoch, step + 1)
                yield batch

    def _make(self, order: Numbers, epoch: int, step: int) -> BoxBatch:
        numbers = order[step * self.batch_size : (step + 1) * self.batch_size]
        preprocess = self.pictures.preprocess
        if self.boxes is None:
            images = torch.from_numpy(np.asarray(self.pictures.pool)[numbers])  # (N, H, W, C) uint8
            objects = [self.objects[number] for number in numbers.tolist()]
        else:
            late = epoch >= self.mosaic_epochs
            augment = replace(self.boxes, mosaic=0.0) if late else self.boxes
            generator = generator_of(self.seed, STEP, epoch, step, self.rank)
            made = [self._augmented(number, augment, generator) for number in numbers.tolist()]
            images = torch.stack([image for image, _ in made])  # (N, H, W, C) float32 in [0, 255]
            objects = [each for _, each in made]
        return BoxBatch(
            images=preprocess.finish(images), targets=Targets.of(objects), items=torch.from_numpy(numbers.copy())
        )

    def _augmented(self, number: int, augment: BoxAugment, generator: np.random.Generator) -> tuple[Tensor, Objects]:
        """Return one picture, augmented, (H, W, C) float32 in [0, 255], and its objects."""
        preprocess = self.pictures.preprocess
        size = (preprocess.height, preprocess.width)
        tiles = augment.layout(number, self.items.tolist(), size, generator)
        image = compose(tiles, np.asarray(self.pictures.pool), preprocess.background)
        image = augment.recolour(image, generator)
        return image.permute(1, 2, 0), move(tiles, self.objects, size)
