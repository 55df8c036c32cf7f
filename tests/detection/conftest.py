"""Annotated pictures made on the spot: bright rectangles and discs on a dark, noisy ground."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from glassnet.data.annotations.objects import Objects

Scenes = list[tuple[np.ndarray, Objects]]
CLASSES = ("disc", "square")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small networks take one thread each: two test processes with two threads each wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_scenes(count: int, *, size: tuple[int, int] = (64, 96), seed: int = 0) -> Scenes:
    """Return `count` pictures (H, W, 3) uint8 of one to three shapes, and where these are; every fifth is empty."""
    generator = np.random.default_rng(seed)
    height, width = size
    scenes = []
    for number in range(count):
        picture = Image.fromarray(generator.integers(0, 60, (height, width, 3), dtype=np.uint8))
        pen = ImageDraw.Draw(picture)
        boxes, labels = [], []
        for place in generator.permutation(3)[: 0 if number % 5 == 4 else generator.integers(1, 4)].tolist():
            side = int(generator.integers(14, 26))
            left = place * width // 3 + int(generator.integers(0, max(1, width // 3 - side)))
            top = int(generator.integers(0, height - side))
            label = int(generator.integers(0, 2))
            colour = tuple(int(value) for value in generator.integers(150, 256, 3))
            box = (left, top, left + side - 1, top + side - 1)  # Pillow draws the last pixel too
            (pen.ellipse if label == 0 else pen.rectangle)(box, fill=colour)
            boxes.append([left, top, left + side, top + side])
            labels.append(label)
        scenes.append((np.asarray(picture), Objects.of(boxes, labels)))
    return scenes


def write_csv(folder: Path, scenes: Scenes, splits: list[str]) -> Path:
    """Write pictures and their boxes.csv; return the table's path."""
    rows = ["path,label,xmin,ymin,xmax,ymax,split"]
    for number, (picture, objects) in enumerate(scenes):
        name = f"{number:03}.png"
        Image.fromarray(picture).save(folder / name)
        split = splits[number]
        for box, label in zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True):
            rows.append(",".join([name, CLASSES[label], *(f"{side:g}" for side in box), split]))
        if not len(objects):
            rows.append(f"{name},,,,,,{split}")
    table = folder / "boxes.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 40 pictures with boxes: 24 to train, 8 to validate, 8 to test."""
    folder = tmp_path_factory.mktemp("shapes")
    return write_csv(folder, make_scenes(40), ["train"] * 24 + ["validation"] * 8 + ["test"] * 8)
