"""Record what TIDE's authors' tool says of random pictures, for tests that do not need it.

Run it where tidecv is (pip install tidecv, in an environment of its own); it writes tide.json beside itself:

    python tests/golden/make_tide.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tidecv.data import Data  # type: ignore[import-not-found]
from tidecv.quantify import TIDE  # type: ignore[import-not-found]

KINDS = {
    "Cls": "class",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


def picture(rng: np.random.Generator) -> dict[str, Any]:
    """Objects and boxes near them, xyxy in whole pixels, some doubled, some of another class."""
    count, many = int(rng.integers(1, 8)), int(rng.integers(1, 25))
    corner, size = rng.integers(0, 200, (count, 2)), rng.integers(10, 120, (count, 2))
    objects, labels = np.concatenate([corner, corner + size], 1), rng.integers(0, 3, count)
    near = rng.integers(0, count, many)
    moved = objects[near] + np.round(np.tile(size[near], 2) * rng.normal(0, 0.15, (many, 4))).astype(int)
    boxes = np.concatenate([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2] + 1)], 1)
    return {
        "objects": objects.tolist(),
        "labels": labels.tolist(),
        "boxes": boxes.tolist(),
        "called": np.where(rng.random(many) < 0.7, labels[near], rng.integers(0, 3, many)).tolist(),
    }


def said_of(pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return counts and costs by kind, and AP at IoU 0.5."""
    truth, found = Data("truth"), Data("found")
    for number, one in enumerate(pictures):
        for box, label in zip(one["objects"], one["labels"], strict=True):
            truth.add_ground_truth(number, label, sized(box))
        for box, label, score in zip(one["boxes"], one["called"], one["scores"], strict=True):
            found.add_detection(number, label, score, sized(box))
    run = TIDE().evaluate(truth, found, mode=TIDE.BOX, pos_threshold=0.5, background_threshold=0.1)
    return {
        "map50": run.ap / 100,
        "counts": {KINDS[kind.short_name]: count for kind, count in run.count_errors().items()},
        "costs": {KINDS[kind.short_name]: cost / 100 for kind, cost in run.fix_main_errors().items()},
    }


def sized(box: list[int]) -> list[int]:
    """Xyxy as left, top, width, height."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def main() -> None:
    """Write the file."""
    sets = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pictures = [picture(rng) for _ in range(5)]
        scores = (rng.permutation(sum(len(one["boxes"]) for one in pictures)) + 1) / 1024  # each once, exact in float32
        for one in pictures:
            one["scores"], scores = scores[: len(one["boxes"])].tolist(), scores[len(one["boxes"]) :]
        sets.append({"pictures": pictures, "said": said_of(pictures)})
    Path(__file__).with_name("tide.json").write_text(json.dumps(sets, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
