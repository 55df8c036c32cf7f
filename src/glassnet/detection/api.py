"""What a user does with a trained detector: load it, judge it, find things with it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import scan_boxes
from glassnet.data.splits import SPLITS
from glassnet.detection.detections import Detections, Finder
from glassnet.detection.detector import Detector
from glassnet.detection.judging.judge import summarise
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.errors import DataError, InputError, nearest
from glassnet.models.prediction import Picture
from glassnet.nn.device import pick_device


def judge_finder(
    finder: Finder,
    index: BoxIndex,
    items: NDArray[np.int64],
    *,
    split: str = "test",
    thresholds: Mapping[str, float] | None = None,
    device: str = "auto",
    seed: int = 0,
    **how: Any,
) -> DetectionJudgement:
    """Let `finder` look at the `items` of `index`, each picture as it lies on the disk, and judge what it finds.

    thresholds: for each class the score from which on a box is believed; None takes the finder's own. how: what its
    `stream` takes beside. seed: draws the bootstrap of the intervals.

    Raises:
        DataError: the data have a class that the finder does not know. InputError: there is no picture to judge.
    """
    if len(items) == 0:
        raise InputError(f"{index.name}: there is no picture to judge; choose another split or other data")
    truth = [known_to(finder, index, item) for item in items.tolist()]
    chosen = pick_device(device)
    how |= {"device": chosen} if isinstance(finder, Detector) else {}
    began = time.perf_counter()
    found = list(finder.stream((index.source(item) for item in items.tolist()), threshold=0.0, **how))
    return summarise(
        found,
        truth,
        finder.classes,
        items=items,
        where=index.where,
        thresholds=thresholds or getattr(finder, "thresholds", None),
        network=finder.name,
        data=index.name,
        split=split,
        seconds=time.perf_counter() - began,
        device=str(chosen),
        left_out=[str(problem) for problem in index.problems if problem.quarantined],
        seed=seed,
    )


def known_to(finder: Finder, index: BoxIndex, item: int) -> Any:
    """Return the objects of an item with the finder's class numbers; raise `DataError` for a class unknown to it."""
    objects = index.objects[item]
    numbers = {name: number for number, name in enumerate(finder.classes)}
    mapping = np.array([numbers.get(name, -1) for name in index.classes], np.int64)
    labels = mapping[objects.labels]
    if (labels < 0).any():
        stranger = index.classes[int(objects.labels[labels < 0][0])]
        alike = nearest(stranger, finder.classes)
        raise DataError(
            f"the data's class {stranger!r} is unknown to {finder.name}, which knows {', '.join(finder.classes[:8])}"
            + (f"; did you mean {alike[0]!r}?" if alike else "; name the classes alike")
        )
    return type(objects)(boxes=objects.boxes, labels=labels, difficult=objects.difficult, crowd=objects.crowd)


def evaluate_detector(
    detector: Detector,
    data: str | Path,
    *,
    split: str = "test",
    batch_size: int = 8,
    device: str = "auto",
    seed: int = 0,
) -> DetectionJudgement:
    """Judge `detector` on one split of annotated `data`; on all of them where they have no splits of their own."""
    index = scan_split(data, split, seed)
    items = index.select(split)
    return judge_finder(detector, index, items, split=split, device=device, seed=seed, batch_size=batch_size)


def scan_split(data: str | Path, split: str, seed: int = 0) -> BoxIndex:
    """Scan annotated `data` to judge on one split; all are "test" where they have no splits of their own."""
    if split not in SPLITS:
        raise InputError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
    return scan_boxes(data, evaluate_only=split == "test", seed=seed)


def detect(
    finder: Finder,
    pictures: Iterable[Picture],
    *,
    threshold: float | Mapping[str, float] | None = None,
    **how: Any,
) -> Iterator[Detections]:
    """Yield what `finder` finds in each of `pictures`, in order, in constant memory.

    threshold: the least score that is given, one or one for each class; None takes the finder's own.
    """
    return iter(finder.stream(pictures, threshold=threshold, **how))
