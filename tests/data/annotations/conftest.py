"""Pictures and annotation files of a few lines, made where a test wants them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Painter = Callable[..., None]


@pytest.fixture
def paint(tmp_path: Path) -> Painter:
    """paint("a/1.jpg", (height, width), orientation=6): a picture of its own colours, made in the test's folder."""

    def make(name: str, size: tuple[int, int] = (80, 100), orientation: int = 1) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(
            np.random.default_rng(list(os.fsencode(name))).integers(0, 255, (4, 4, 3), np.uint8)
        ).resize(size[::-1])
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
        image.save(path, exif=exif)

    return make


@pytest.fixture
def voc(tmp_path: Path) -> Callable[..., None]:
    """voc("1", [("cat", (1, 1, 50, 40))], size=(80, 100)): Annotations/1.xml."""

    def make(
        stem: str, boxes: Sequence[tuple[str, Sequence[object]]], *, size: Any = (80, 100), extra: str = ""
    ) -> None:
        claimed = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>" if size else ""
        things = "".join(
            f"<object><name>{name}</name>{extra}<bndbox>"
            + "".join(
                f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), four, strict=True)
            )
            + "</bndbox></object>"
            for name, four in boxes
        )
        path = tmp_path / "Annotations" / f"{stem}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation><filename>{stem}.jpg</filename>{claimed}{things}</annotation>")

    return make


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """coco({"1.jpg": [(category, (x, y, w, h)), ...]}, {1: "cat"}): cells.json; marks as a third part of a box."""

    def make(
        pictures: dict[str, list[tuple[Any, ...]]],
        classes: dict[int, str],
        name: str = "cells.json",
        **other: Any,
    ) -> Path:
        images = [
            {"id": 10 * number, "file_name": file, "height": 80, "width": 100} for number, file in enumerate(pictures)
        ]
        annotations = [
            {"id": 1, "image_id": 10 * number, "category_id": box[0], "bbox": list(box[1])} | dict(*box[2:])
            for number, boxes in enumerate(pictures.values())
            for box in boxes
        ]
        named = [{"id": number, "name": label} for number, label in classes.items()]
        content = {"images": images, "annotations": annotations, "categories": named} | other
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    return make
