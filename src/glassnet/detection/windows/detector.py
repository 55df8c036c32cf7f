"""A detector from any classifier: it is asked about windows of every place and several sizes, the best answers stay.

Sermanet et al. 2013, "OverFeat", arXiv:1312.6229, for the one pass over the whole picture; the windows themselves are
older. A classifier without a class for "nothing" must choose a class for every window, so what counts as found is a
probability from `threshold` on; with such a class, name it `background`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.boxes import clip_boxes_to_image
from glassnet.detection.detections import Detections
from glassnet.detection.detector import check_thresholds
from glassnet.detection.suppression import batched_nms
from glassnet.detection.windows.places import Size, sliding_of
from glassnet.detection.windows.pyramid import check_scales, level, whole
from glassnet.detection.windows.ways import Convolutional, Crops, Way
from glassnet.errors import GlassnetError, InputError, UnknownName
from glassnet.models.network import Network
from glassnet.models.prediction import Picture, as_pictures
from glassnet.nn.fully_convolutional import to_fully_convolutional
from glassnet.preprocess import Pixels

WAYS = ("convolutional", "crops")
SCALES = (1.0, 1.5, 2.0, 3.0)
MOST_CANDIDATES = 10_000
"""Windows and classes that go into the suppression, the surest ones: without a threshold there would be millions."""
MOST_FOUND = 300
"""Boxes that a picture is given at most."""


@dataclass(frozen=True)
class Answers:
    """What the network says of the windows of one scale.

    boxes: (rows, columns, 4) float32 xyxy, pixels of the picture; windows may reach beyond it. logits: (rows, columns,
    K) float32.
    """

    scale: float
    boxes: npt.NDArray[np.float32]
    logits: Tensor


class WindowDetector:
    """A classifier that slides over pictures: a `Finder`.

    Args:
        network: any classifier.
        stride: pixels of a scale from one window to the next; None for the network's own, the product of its strides
            (a quarter of the window where it has no fully convolutional form).
        scales: at scale s a window covers 1 / s of the picture's shorter side.
        threshold: the least probability that counts as found, one for all classes or one for each (0 if left out).
        iou: of two windows of one class that overlap by more, the surer one stays.
        way: "convolutional", all windows of a scale in one pass, or "crops", each by itself.
        background: a class that means "nothing here"; it is never found.
        batch_size: crops that go through the network together.
        device: auto, cpu, cuda, mps.

    Raises:
        InputError, UnknownName: for a setting that cannot be, or a network that cannot slide.
    """

    def __init__(
        self,
        network: Network,
        *,
        stride: int | None = None,
        scales: Sequence[float] = SCALES,
        threshold: float | Mapping[str, float] = 0.5,
        iou: float = 0.3,
        way: str = "convolutional",
        background: str | None = None,
        batch_size: int = 32,
        device: str | torch.device = "auto",
    ) -> None:
        if background is not None and background not in network.classes:
            raise UnknownName(
                "class", background, network.classes, hint="background names one of the network's classes"
            )
        if not 0 <= iou <= 1:
            raise InputError(f"iou is {iou}; expected a number from 0 to 1")
        self.network, self.background, self.iou = network, background, iou
        self.scales = check_scales(scales)
        self.threshold = check_thresholds(threshold, network.classes)
        self.way = make_way(network, way, stride, batch_size=batch_size, device=device)

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.network.name} in sliding windows"

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; the background's is among them, and never found."""
        return self.network.classes

    @property
    def thresholds(self) -> dict[str, float]:
        """For each class the least probability that counts as found."""
        given = self.threshold if isinstance(self.threshold, Mapping) else dict.fromkeys(self.classes, self.threshold)
        return {name: float(given.get(name, 0.0)) for name in self.classes}

    def detect(
        self, images: Picture | Iterable[Picture], *, threshold: float | Mapping[str, float] | None = None
    ) -> list[Detections]:
        """Return what is found in each of `images`, one or many; see `stream`, which this collects."""
        return list(self.stream(as_pictures(images), threshold=threshold))

    def stream(
        self, images: Iterable[Picture], *, threshold: float | Mapping[str, float] | None = None
    ) -> Iterator[Detections]:
        """Yield what is found in each picture, in order; a bad picture gives `Detections` with an error.

        threshold: the least probability that is given; None takes the detector's own.
        """
        least = self.threshold if threshold is None else check_thresholds(threshold, self.classes)
        for picture in as_pictures(images):
            path = os.fspath(picture) if isinstance(picture, str | Path) else None
            try:
                pixels = whole(self.network.preprocess, picture)
                yield self._found(pixels, least, path)
            except (GlassnetError, OSError) as error:
                yield Detections.failed(path, str(error), self.classes)

    def answers(self, picture: Picture) -> Iterator[Answers]:
        """Yield what the network says of every window of a picture, scale by scale. Raises `PictureError`."""
        yield from self._answers(whole(self.network.preprocess, picture))

    def _answers(self, pixels: Pixels) -> Iterator[Answers]:
        sliding = self.way.sliding
        for scale in self.scales:
            there = level(self.network.preprocess, pixels, scale, sliding)
            logits = self.way.logits(there.images)  # (rows, columns, K)
            yield Answers(scale, there.to_picture(sliding.boxes((logits.shape[0], logits.shape[1]))), logits)

    def _found(self, pixels: Pixels, threshold: float | Mapping[str, float], path: str | None) -> Detections:
        size = (pixels.shape[0], pixels.shape[1])
        least = thresholds_of(threshold, self.classes, self.background)
        parts = [self._candidates(answers, least) for answers in self._answers(pixels)]
        boxes, scores, labels = (torch.cat(column) for column in zip(*parts, strict=True))
        best = scores.argsort(descending=True, stable=True)[:MOST_CANDIDATES]
        boxes, scores, labels = clip_boxes_to_image(boxes[best], size), scores[best], labels[best]
        kept = batched_nms(boxes, scores, labels, self.iou)[:MOST_FOUND]
        return Detections(
            boxes=boxes[kept].numpy(),
            scores=scores[kept].numpy(),
            labels=labels[kept].numpy(),
            classes=self.classes,
            size=size,
            path=path,
        )

    def _candidates(self, answers: Answers, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (n, 4), scores (n,) and labels (n,) of the windows and classes that are sure enough."""
        probabilities = (answers.logits / self.network.card.temperature).softmax(2).flatten(0, 1)  # (P, K)
        if not probabilities.isfinite().all():
            raise InputError("the network gave no finite number for this picture")
        window, label = torch.where(probabilities >= least)
        scores = probabilities[window, label]
        if len(scores) > MOST_CANDIDATES:
            best = scores.topk(MOST_CANDIDATES).indices
            window, label, scores = window[best], label[best], scores[best]
        return torch.from_numpy(answers.boxes).flatten(0, 1)[window], scores, label


def make_way(
    network: Network, way: str, stride: int | None = None, *, batch_size: int = 32, device: str | torch.device = "auto"
) -> Way:
    """Return the way called `way`; see `WindowDetector` for the arguments."""
    if way not in WAYS:
        raise UnknownName("way", way, WAYS, hint=f"it is one of: {', '.join(WAYS)}")
    window = (network.preprocess.height, network.preprocess.width)
    if stride is not None and (
        not isinstance(stride, int) or isinstance(stride, bool) or not 1 <= stride <= min(window)
    ):
        raise InputError(
            f"stride is {stride!r}; expected a whole number from 1 to {min(window)}, the window's side: nothing"
            " would be seen between windows farther apart"
        )
    if way == "convolutional":
        try:
            return Convolutional(network, stride, device=device)
        except InputError as error:
            advice = "" if "way='crops'" in str(error) else "; use way='crops'"
            raise InputError(f"{error}{advice}") from error
    return Crops(network, _crop_stride(network, window, stride), batch_size=batch_size, device=device)


def _crop_stride(network: Network, window: Size, stride: int | None) -> Size:
    """Return the stride of crops, (down, across): the one asked for, the network's own, or a quarter of the window."""
    if stride is not None:
        return stride, stride
    shape = (network.preprocess.channels, *window)
    try:
        return sliding_of(to_fully_convolutional(network.module, shape), window, shape[0]).stride
    except InputError:
        return max(1, window[0] // 4), max(1, window[1] // 4)


def thresholds_of(threshold: float | Mapping[str, float], classes: Sequence[str], background: str | None) -> Tensor:
    """Return the least probability of each class, (K,); the background's is beyond any."""
    given = threshold if isinstance(threshold, Mapping) else dict.fromkeys(classes, threshold)
    values = [math.inf if name == background else float(given.get(name, 0.0)) for name in classes]
    return torch.tensor(values, dtype=torch.float64).float()
