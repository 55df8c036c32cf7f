"""How far the two ways agree on the same windows of the same pictures.

Without padding they agree to rounding. A padded network's answer about a crop knows that the crop ends: it sees zeros
there. In one pass it sees the picture go on, which it met in no training, and says something else; how much else is
measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.windows.detector import WAYS, WindowDetector
from glassnet.errors import DataError
from glassnet.models.network import Network
from glassnet.models.prediction import Picture

Judge = Callable[[Sequence[Detections], Sequence[Objects], Sequence[str]], Any]
"""(found, truth, classes) -> how good that is, for instance COCO's average precision."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What both ways said of `windows` windows of `pictures` pictures.

    top1: the share of windows with the same likeliest class. correlation: Pearson's, of all windows' and classes'
    scores, which are logits less their window's mean (softmax does not see the mean). difference: the largest of two
    logits. probability: the mean absolute difference of the likeliest class's probability, as crops have it.
    """

    network: str
    pictures: int
    windows: int
    top1: float
    correlation: float
    difference: float
    probability: float

    def sentence(self) -> str:
        """Say it in words."""
        return (
            f"{self.network}: {self.top1:.1%} of {self.windows:,} windows of {self.pictures} pictures get the same "
            f"class in one pass as crop by crop; the scores correlate by {self.correlation:.4f}"
        )


def agreement(network: Network, pictures: Iterable[Picture], **settings: Any) -> Agreement:
    """Compare both ways on every window of `pictures`. `settings`: those of `WindowDetector` but for the way.

    Raises `DataError` without any picture, `PictureError` for one that cannot be read.
    """
    sums, count = _Sums(network.card.temperature), 0
    detectors = both_ways(network, **settings)
    for picture in pictures:
        count += 1
        for crops, one_pass in zip(
            *(detectors[way].answers(picture) for way in ("crops", "convolutional")), strict=True
        ):
            sums.add(crops.logits.flatten(0, 1), one_pass.logits.flatten(0, 1))
    if not count:
        raise DataError("there is no picture to compare the two ways on; give at least one")
    return sums.result(network.name, count)


def judge_both(
    network: Network, pictures: Sequence[Picture], truth: Sequence[Objects], judge: Judge, **settings: Any
) -> dict[str, Any]:
    """Return what `judge` says of each way's boxes, found without a threshold: {"convolutional": ..., "crops": ...}."""
    return {
        way: judge(list(detector.stream(pictures, threshold=0.0)), truth, network.classes)
        for way, detector in both_ways(network, **settings).items()
    }


def both_ways(network: Network, **settings: Any) -> dict[str, WindowDetector]:
    """Return a detector of each way, the same in everything else."""
    return {way: WindowDetector(network, way=way, **settings) for way in WAYS}


class _Sums:
    """What the measures are computed from, so that no score is kept: sums in double."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.windows = self.same = 0
        self.difference = self.probability = 0.0
        self.products = torch.zeros(3, dtype=torch.float64)  # crops^2, one pass^2, both

    def add(self, crops: Tensor, one_pass: Tensor) -> None:
        """Take in the logits (P, K) of the same windows."""
        self.windows += len(crops)
        self.same += int((crops.argmax(1) == one_pass.argmax(1)).sum())
        self.difference = max(self.difference, float((crops - one_pass).abs().max()))
        a, b = (each.double() - each.double().mean(1, keepdim=True) for each in (crops, one_pass))
        self.products += torch.stack([(a * a).sum(), (b * b).sum(), (a * b).sum()])
        likely = crops.argmax(1, keepdim=True)
        p, q = ((each / self.temperature).softmax(1).gather(1, likely) for each in (crops, one_pass))
        self.probability += float((p - q).abs().sum())

    def result(self, network: str, pictures: int) -> Agreement:
        """Return the measures."""
        crops, one_pass, both = self.products.tolist()
        scale = (crops * one_pass) ** 0.5
        return Agreement(
            network=network,
            pictures=pictures,
            windows=self.windows,
            top1=self.same / self.windows,
            correlation=both / scale if scale else 1.0,  # all scores alike, both ways
            difference=self.difference,
            probability=self.probability / self.windows,
        )
