"""A detection report's data without a training: made-up pictures with discs and squares, and boxes that nearly fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw

from glassnet.data.problems import Problem
from glassnet.detection.judging.judgement import Box, ClassResult, Curve, DetectionJudgement, PictureResult
from glassnet.report.detection.content import DetectionReport
from glassnet.report.detection.explanations import Explanations
from glassnet.report.detection.scenes import scenes

VERDICTS = ("correct", "correct", "correct", "localisation", "class", "duplicate", "background", "both")
ERRORS = {"localisation": 12, "class": 3, "duplicate": 4, "background": 31, "both": 2, "missed": 22}


def make_picture(number: int, side: tuple[int, int] = (240, 320)) -> Image.Image:
    """Return a grey picture with some discs; no two are the same."""
    generator = np.random.default_rng(number)
    image = Image.new("RGB", side[::-1], (200, 190, 195))
    pen = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, r = generator.uniform(20, 220, 3) * [1, 0.8, 0.15]
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(generator.integers(60, 200, 3).tolist()))
    return image


def make_result(number: int, classes: Sequence[str], boxes: int = 9) -> PictureResult:
    """Return one picture's truth and finds, with every verdict among them."""
    generator = np.random.default_rng(100 + number)
    corners = generator.uniform(0, 200, (boxes, 2))
    xyxy = np.concatenate([corners, corners + generator.uniform(20, 60, (boxes, 2))], 1).clip(0, [320, 240] * 2)
    truth = [
        Box(label=classes[k % len(classes)], xyxy=box, verdict=("found", "found", "missed", "ignored")[k % 4])
        for k, box in enumerate(xyxy.tolist())
    ]
    found = [
        Box(
            label=classes[k % len(classes)],
            xyxy=(np.array(box) + 3).tolist(),
            verdict=VERDICTS[k % len(VERDICTS)],
            score=0.95 - 0.05 * k,
            iou=0.8,
        )
        for k, box in enumerate(xyxy.tolist())
    ]
    return PictureResult(
        item=number, path=f"pictures/{number}.jpg", badness=9.0 - number, truth=truth, found=found,
        errors={"localisation": 1, "class": 1, "duplicate": 0, "background": 1, "missed": 2},
    )  # fmt: skip


def make_judgement(classes: Sequence[str], pictures: int) -> DetectionJudgement:
    """Return a judgement in which the classes differ."""
    count = len(classes)
    recall = np.linspace(0, 1, 21)
    confusion = np.full((count + 1, count + 1), 1) + np.diag([40] * count + [-1])
    return DetectionJudgement(
        network="yolo mobilenet_v2", data="shapes", split="test", classes=tuple(classes), n=72, objects=1200,
        map=0.58, map50=0.89, map75=0.64, by_size={"small": None, "medium": 0.41, "large": 0.66}, recall100=0.71,
        per_class=[
            ClassResult(
                name=name, ap=None if k == 1 else 0.6 - 0.01 * k, ap50=None if k == 1 else 0.9, threshold=0.35,
                precision=0.9,
                recall=0.85, f1=0.874, support=0 if k == 1 else 400, predicted=380,
            )
            for k, name in enumerate(classes)
        ],
        precision_recall=[
            Curve(
                name=name, x=recall.tolist(), y=(1 - recall ** (4 + k) * 0.7).tolist(), scores=(1 - recall).tolist(),
                area=None if k == 1 else 0.9 - 0.01 * k,
            )
            for k, name in enumerate(classes)
        ],
        confusion=confusion.tolist(), errors=ERRORS,
        cost={"localisation": 0.021, "class": 0.004, "duplicate": 0.002, "background": 0.035, "missed": 0.048},
        worst=[make_result(number, classes) for number in range(pictures)], thresholds_from="card", seconds=2.4,
        device="cpu", map_interval=(0.52, 0.63), map50_interval=(0.84, 0.93),
        found_by_size={"small": [0, 0], "medium": [310, 420], "large": [700, 780]},
        sentences=["Nine of ten boxes fit roughly; one in three does not fit well."],
        left_out=["broken.jpg: its pixels end early"],
    )  # fmt: skip


def make_report(classes: Sequence[str] = ("disc", "square", "cross"), pictures: int = 8) -> DetectionReport:
    """Return everything on the page."""
    judgement = make_judgement(classes, pictures)
    generator = np.random.default_rng(3)
    return DetectionReport(
        title="shapes-1", created="2026-01-31T12:34:56+00:00", seconds=3200.0, judged_note="", data_name="shapes",
        notes=["validation is 15% of the training pictures, drawn with seed 0."],
        problems=[Problem("a/broken.jpg", "truncated", "its pixels end after 12 of 64 rows", "train")],
        history=[
            {
                "epoch": float(epoch), "step": 13 * epoch, "train_loss": 2 / epoch + 0.6, "train_box": 1 / epoch,
                "train_class": 0.5 / epoch, "validation_loss": 1.7 / epoch + 0.7,
                "validation_map": 0.6 - 0.5 / epoch, "validation_map50": 0.9 - 0.6 / epoch, "best": True,
            }
            for epoch in range(1, 13)
        ],
        network_title="YOLO on MobileNet v2", reason="yolo, recipe detect: 205 pictures with boxes; you chose it",
        input_shape=(3, 320, 320),
        layers=[
            {
                "layer": "body.stem.conv", "kind": "Conv2d", "output": "32x160x160", "parameters": "864",
                "multiply-adds": "22,118,400", "receptive field": "3x3",
            }
        ],
        parameters=3_120_000, multiply_adds=1_210_000_000,
        recipe={"name": "detect", "epochs": 60.0, "learning_rate": 0.002, "mosaic": 0.5, "ema": 0.9995, "mixup": 0.0},
        preprocess={"height": 320, "width": 320, "resize": "pad"},
        machine={"cpu": "A processor", "cores": 2, "threads": 2, "accelerator": None, "glassnet": "0.1.0"},
        reproduce="glassnet train shapes --recipe detect --seed 0",
        judgement=judgement, scenes=scenes(judgement, lambda result: make_picture(result.item)),
        pictures=(205, 87, 72), background=(3, 0, 1), boxes=[[900, 300, 400]] * len(classes),
        sides={name: generator.lognormal(4 - 0.3 * k, 0.4, 300 - k).tolist() for k, name in enumerate(classes)},
        explanations=Explanations(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def report() -> Callable[..., DetectionReport]:
    """`make_report`, for tests."""
    return make_report
