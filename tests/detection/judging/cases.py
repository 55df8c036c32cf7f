"""Pictures to judge: by hand, at random, and as pycocotools wants them."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections

CLASSES = ("cat", "dog", "owl")


def found(
    boxes: Any = (), scores: Any = (), labels: Any = None, classes: tuple[str, ...] = CLASSES, **more: Any
) -> Detections:
    """Detections from anything array-like; labels left out are the first class."""
    given = np.asarray(scores, np.float32)
    return Detections(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        scores=given,
        labels=np.zeros(len(given), np.int64) if labels is None else np.asarray(labels, np.int64),
        classes=classes,
        size=(420, 420),
        **more,
    )


def scattered(
    seed: int,
    *,
    pictures: int = 6,
    objects: int = 8,
    boxes: int = 30,
    crowds: float = 0.15,
    difficult: float = 0.0,
    absent: int | None = None,
) -> tuple[list[Detections], list[Objects]]:
    """Random pictures, some empty, with tied scores, doubles and boxes near objects; numbers are eighths, so exact."""
    rng = np.random.default_rng(seed)
    said, truth = [], []
    for _ in range(pictures):
        count, many = rng.integers(0, objects + 1), rng.integers(0, boxes + 1)
        corner, size = rng.uniform(0, 300, (count, 2)), np.exp(rng.uniform(2, 5, (count, 2)))
        real = np.round(np.concatenate([corner, corner + size], 1) * 8) / 8
        labels = rng.integers(0, len(CLASSES), count)
        if absent is not None:
            labels[labels == absent] = (absent + 1) % len(CLASSES)
        truth.append(Objects.of(real, labels, rng.random(count) < difficult, rng.random(count) < crowds))
        near = rng.integers(0, count, many) if count else np.zeros(many, np.int64)
        base = real[near] if count else np.tile([10.0, 10, 80, 80], (many, 1))
        side = np.tile(base[:, 2:] - base[:, :2], 2)
        moved = np.round((base + side * rng.normal(0, 0.1, base.shape)) * 8) / 8
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], 1)
        moved[rng.random(many) < 0.2] = base[0] if many else 0  # the same box again and again
        own = labels[near] if count else np.zeros(many, np.int64)
        called = np.where(rng.random(many) < 0.8, own, rng.integers(0, len(CLASSES), many))
        said.append(found(moved, np.round(rng.random(many) * 16) / 16, called))
    return said, truth


def pycocotools_says(said: Sequence[Detections], truth: Sequence[Objects]) -> Any:
    """Return its COCOeval after `accumulate` and `summarize`; `stats` are the twelve numbers."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # NumPy's, of things it does
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        real, answers = COCO(), []
        real.dataset = {
            "info": {},
            "images": [{"id": number + 1} for number in range(len(truth))],
            "categories": [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)],
            "annotations": [],
        }
        for picture, (boxes, objects) in enumerate(zip(said, truth, strict=True), start=1):
            for box, label, crowd in zip(objects.boxes, objects.labels, objects.crowd, strict=True):
                row = {"id": len(real.dataset["annotations"]) + 1, **_annotation(picture, label, box)}
                real.dataset["annotations"].append({**row, "iscrowd": int(crowd)})
            for box, label, score in zip(boxes.boxes, boxes.labels, boxes.scores, strict=True):
                answers.append({**_annotation(picture, label, box), "score": float(score)})
        real.createIndex()
        evaluation = COCOeval(real, real.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _annotation(picture: int, label: Any, box: Any) -> dict[str, Any]:
    left, top, right, bottom = (float(side) for side in box)
    size = [right - left, bottom - top]
    return {"image_id": picture, "category_id": int(label) + 1, "bbox": [left, top, *size], "area": size[0] * size[1]}
