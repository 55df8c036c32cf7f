"""A report's data without a training: noisy logits over made-up classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from glassnet.data.problems import Problem
from glassnet.evaluation.judgement import summarise
from glassnet.report.content import ReportData
from glassnet.report.thumbnails import thumbnail

GARMENTS = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def make_report_data(
    classes: Sequence[str] = GARMENTS, n: int = 2000, side: int = 28, temperature: float = 1.4, history: int = 8
) -> ReportData:
    """Logits that are right most of the time, pictures of noise, and some of everything else."""
    generator = np.random.default_rng(0)
    count = len(classes)
    labels = generator.choice(count, n, p=generator.dirichlet(np.full(count, 8.0)))
    alike = generator.normal(size=(count, count)) * 0.8
    logits = (4.0 * np.eye(count)[labels] + alike[labels] + generator.normal(size=(n, count)) * 1.2) * temperature
    judgement = summarise(
        logits, labels, classes, items=np.arange(n), where="fashion[{}]".format, temperature=temperature,
        network="resnet18", data="fashion", seconds=1.25, peak_memory=412_000_000,
    )  # fmt: skip
    picture = generator.integers(0, 256, (side, side, 1 if side < 64 else 3), dtype=np.uint8)
    return ReportData(
        title="fashion-1",
        created="2026-01-31T12:34:56+00:00",
        seconds=83.0,
        judgement=judgement,
        judged_note="",
        thumbnails=[thumbnail(picture) for _ in judgement.top_losses],
        data_name="fashion",
        counts=[[700, 150, int(support)] for support in np.bincount(labels, minlength=count)],
        notes=["Validation is 15% of the training pictures, drawn with seed 0."],
        problems=[
            Problem("Coat/broken.jpg", "truncated", "its pixels end after 12 of 64 rows", "train"),
            Problem("Coat/a.png", "wrong_extension", "named .png, but it is a JPEG", "test"),
        ],
        history=[
            {
                "epoch": float(epoch),
                "train_loss": 2.0 / epoch + 0.3,
                "train_accuracy": 1 - 0.6 / epoch,
                "validation_loss": 1.8 / epoch + 0.4,
                "validation_accuracy": 1 - 0.5 / epoch,
            }
            for epoch in range(1, history + 1)
        ],
        network_title="ResNet-18",
        reason="resnet18, recipe quick: 7,000 grey pictures in 10 classes to learn from; you chose it",
        input_shape=(1, 28, 28),
        layers=[
            {
                "layer": "stem.conv",
                "kind": "Conv2d",
                "output": "64x28x28",
                "parameters": "576",
                "multiply-adds": "451,584",
                "receptive field": "3x3",
            }
        ],
        parameters=11_172_810,
        multiply_adds=556_000_000,
        recipe={"name": "quick", "epochs": 8.0, "optimiser": "sgd", "learning_rate": 0.1, "nesterov": True, "ema": 0.0},
        preprocess={"height": 28, "width": 28, "mean": [0.286], "resize": "squash"},
        thresholds=dict.fromkeys(classes, 0.5),
        machine={"cpu": "A processor", "cores": 2, "threads": 2, "accelerator": None, "glassnet": "0.1.0"},
        reproduce="glassnet train fashion --network resnet18 --recipe quick --seed 0",
    )


@pytest.fixture(scope="session")
def report_data() -> Callable[..., ReportData]:
    """`make_report_data`, for tests."""
    return make_report_data
