"""A detector: a network that finds the objects of its classes in pictures, with the card that says how."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet import card as network_file
from glassnet.boxes import clip_boxes_to_image
from glassnet.card import Card, load_tensors
from glassnet.detection.detections import Detections
from glassnet.detection.suppression import batched_nms
from glassnet.detection.yolo import registry
from glassnet.detection.yolo.raw import Raw
from glassnet.errors import GlassnetError, InputError, NetworkFileError
from glassnet.models.base import BaseNetwork, check_classes, file_in, new_card
from glassnet.models.prediction import Picture, as_pictures, decode_ahead
from glassnet.models.pretrained import find_source, load_pretrained
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.shapes import shapes_only, with_memory
from glassnet.nn.trace import Trace, trace
from glassnet.placement import Placement, displayed_size
from glassnet.preprocess import Preprocess

IOU = 0.6
"""Of two boxes of a class that overlap more than this, the surer one stays."""
FLOOR = 0.001
"""Boxes less sure than this are never given: a judge of average precision wants the unsure ones too."""
MOST = 300
"""Boxes that are given of one picture."""
SHOWN = 0.3
"""The least score that is given where no thresholds were chosen on validation pictures."""


class Detector(BaseNetwork):
    """A network for detection: `detect` and `stream` answer with `Detections`."""

    module: registry.Detecting

    def __init__(self, module: registry.Detecting, card: Card) -> None:
        super().__init__(module, card)
        self._folded: tuple[Any, Any] | None = None

    @classmethod
    def create(
        cls,
        name: str,
        classes: Sequence[str],
        *,
        preprocess: Preprocess,
        backbone: str = registry.BACKBONE,
        pretrained: bool | str = False,
        backbone_arguments: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Detector:
        """Return the detector `name` for `classes`, on the body of the classifier `backbone`.

        pretrained: with ImageNet weights in the backbone; True for the best known, or the name of their source. The
        rest is fresh; torch's seed decides it. Raises `UnknownName`, `InputError`, and what loading weights raises.
        """
        check_classes(classes)
        registry.check_name(name)
        given, body, parent = dict(backbone_arguments or {}), None, None
        if pretrained:
            source = find_source(backbone, pretrained)
            given = source.layout.with_presupposed(given)
            body = load_pretrained(
                backbone, pretrained=pretrained, classes=2, in_channels=preprocess.channels, **given
            ).body
            parent = source.origin
        size = (preprocess.height, preprocess.width)
        settings = {"backbone": backbone, "backbone_arguments": given, "input_size": size, **arguments}
        module = registry.create(
            name, classes=len(classes), in_channels=preprocess.channels, body=body, **settings
        )  # fmt: skip
        return cls(module, new_card(name, classes, preprocess, settings, parent, task="detection"))

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Return the detector of a `.safetensors` file or a run's folder; raise `NetworkFileError` for a bad one."""
        path = file_in(Path(path)) if Path(path).is_dir() else Path(path)
        card, tensors = network_file.load(path)
        if card.task != "detection":
            raise NetworkFileError(f"{path}: a network for {card.task!r}, expected one for 'detection'")
        arguments = sized(card.arguments)
        try:
            with shapes_only():
                module = registry.create(card.architecture, classes=len(card.classes), **arguments)
            detector = cls(with_memory(module).eval(), card)
        except (InputError, TypeError) as error:
            raise NetworkFileError(f"{path}: the card does not describe a detector: {error}") from error
        load_tensors(module, tensors, str(path))
        return detector

    def for_classes(self, classes: Sequence[str], *, parent: str | None = None) -> Detector:
        """Return a copy to fine-tune for `classes`, whose scores start afresh where these are not the present ones.

        The card starts anew but for the architecture and the preprocess; `parent` says where the weights are from.
        """
        check_classes(classes)
        arguments = {key: value for key, value in self.card.arguments.items() if key != "in_channels"}
        fresh = registry.create(
            self.name, classes=len(classes), in_channels=self.preprocess.channels, **sized(arguments)
        )  # fmt: skip
        weights = self.module.state_dict()
        same = tuple(classes) == self.classes
        shared = fresh.state_dict() if not same else {}
        names = [name for name in weights if same or not name.startswith(registry.SCORES)]
        fresh.load_state_dict({**shared, **{name: weights[name].clone() for name in names}})
        return Detector(fresh, new_card(self.name, classes, self.preprocess, arguments, parent, task="detection"))

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.name} on {self.card.arguments['backbone']}"

    @property
    def thresholds(self) -> dict[str, float]:
        """For each class the least score that is worth showing: the card's, chosen on validation, or `SHOWN`."""
        return self.card.thresholds or dict.fromkeys(self.classes, SHOWN)

    def trace(self) -> Trace:
        """Return the module as a graph of layers with shapes, parameters, multiply-adds and receptive fields."""
        return trace(Answering(self.module), self.module.input_size)

    def predictor(self, device: str | torch.device = "auto") -> Any:
        """Return a fast function from images (N, C, H, W) float32 to `Raw`, both on `device`.

        It is a copy of the module with its batch norms folded, made again once the weights have changed.
        """
        chosen = pick_device(device)
        state = self.module.state_dict(keep_vars=True).values()
        key = (chosen, [(id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in state])
        if self._folded is None or self._folded[0] != key:
            reuse_memory()
            answering = fold_batch_norm(Answering(self.module)).to(chosen)

            def predict(images: Tensor) -> Raw:
                with torch.inference_mode():
                    maps = answering(images.to(chosen, memory_format=torch.channels_last))
                    return self.module.decode(maps, (images.shape[2], images.shape[3]))

            self._folded = (key, predict)
        return self._folded[1]

    def detect(
        self,
        images: Picture | Iterable[Picture],
        *,
        threshold: float | Mapping[str, float] | None = None,
        batch_size: int = 8,
        device: str | torch.device = "auto",
    ) -> list[Detections]:
        """Return what is found in each of `images`: paths, bytes, PIL images or arrays, one or many; see `stream`."""
        return list(self.stream(as_pictures(images), threshold=threshold, batch_size=batch_size, device=device))

    def stream(
        self,
        images: Iterable[Picture],
        *,
        threshold: float | Mapping[str, float] | None = None,
        batch_size: int = 8,
        device: str | torch.device = "auto",
        predictor: Any = None,
    ) -> Iterator[Detections]:
        """Yield what is found in each of `images`, in order, in constant memory; a bad picture gives an error.

        threshold: the least score that is given, one or one for each class; None takes the card's. 0 gives everything
        down to 0.001, for a judge. predictor: in place of this network's, images (N, C, H, W) float32 -> `Raw`.
        Raises `InputError` for a threshold outside of [0, 1] or a `batch_size` below 1.
        """
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; expected a whole number of at least 1")
        least = check_thresholds(self.thresholds if threshold is None else threshold, self.classes)
        chosen = pick_device("cpu" if predictor else device)
        answer = predictor or self.predictor(chosen)
        return self._stream(images, least, batch_size, chosen, answer)

    def _stream(
        self,
        images: Iterable[Picture],
        least: float | Mapping[str, float],
        batch_size: int,
        device: torch.device,
        predictor: Any,
    ) -> Iterator[Detections]:
        waiting: list[_Decoded] = []
        for decoded in decode_ahead(self._decode, images, 2 * batch_size):
            waiting.append(decoded)
            if len(waiting) == batch_size:
                yield from self._answer(waiting, least, device, predictor)
                waiting = []
        yield from self._answer(waiting, least, device, predictor)

    def _decode(self, picture: Picture) -> _Decoded:
        path = os.fspath(picture) if isinstance(picture, str | Path) else None
        try:
            return _Decoded(path, displayed_size(picture), self.preprocess.intermediate(picture))
        except (GlassnetError, OSError) as error:
            return _Decoded(path, None, None, str(error))

    def _answer(
        self, batch: list[_Decoded], least: float | Mapping[str, float], device: torch.device, predictor: Any
    ) -> Iterator[Detections]:
        """Yield what is found in the pictures of a batch; the broken ones cost the others nothing."""
        pixels = [decoded.pixels for decoded in batch if decoded.pixels is not None]
        raw = None
        if pixels:
            with torch.inference_mode():
                images = self.preprocess.finish(torch.from_numpy(np.stack(pixels)).to(device))  # (N, C, H, W)
                raw = predictor(images)
        number = 0
        for decoded in batch:
            if decoded.size is None or raw is None:
                yield Detections.failed(decoded.path, decoded.error or "", self.classes)
                continue
            found = select(raw, number, decoded.size, self.preprocess)
            number += 1
            yield Detections(
                boxes=found[0],
                scores=found[1],
                labels=found[2],
                classes=self.classes,
                size=decoded.size,
                path=decoded.path,
            ).above(least)


@dataclass(frozen=True)
class _Decoded:
    """A picture's intermediate and its size as displayed, or why there is none."""

    path: str | None
    size: tuple[int, int] | None
    pixels: NDArray[np.uint8] | None
    error: str | None = None


def sized(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card's arguments as `registry.create` takes them; JSON has no tuples."""
    return {**arguments, "input_size": tuple(arguments.get("input_size", ()))}


class Answering(torch.nn.Module):
    """A detection module without its decoding, so that it is one graph: images -> the grids' answers."""

    def __init__(self, module: registry.Detecting) -> None:
        super().__init__()
        self.body, self.neck, self.head = module.body, module.neck, module.head

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return each grid's answers, as `module.answers` does."""
        answers = self.head(self.neck(self.body(images)))
        return answers if isinstance(answers, list) else [answers]


def select(
    raw: Raw,
    number: int,
    size: tuple[int, int],
    preprocess: Preprocess,
    *,
    floor: float = FLOOR,
    iou: float = IOU,
    most: int = MOST,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes (n, 4), scores (n,), labels (n,) of picture `number` in `raw`, one box an object, surest first.

    Boxes are xyxy in pixels of the picture, whose size is (height, width), and lie inside it. A place may give one box
    for each class that is surer than `floor`; of boxes of a class that overlap by more than `iou` the surest stays.
    """
    scores = raw.scores[number].float().sigmoid()  # (A, K)
    place, label = (scores > floor).nonzero().unbind(1)
    surest = scores[place, label].topk(min(len(place), 10 * most)).indices
    place, label = place[surest], label[surest]
    boxes = Placement.of(preprocess, size).to_picture(raw.boxes[number, place].float())
    boxes = clip_boxes_to_image(boxes, size)
    solid = (boxes[:, 2:] - boxes[:, :2]).amin(1) > 0
    boxes, place, label = boxes[solid].cpu(), place[solid].cpu(), label[solid].cpu()
    sure = scores.cpu()[place, label]
    kept = batched_nms(boxes, sure, label, iou)[:most]
    return (
        boxes[kept].numpy().astype(np.float32),
        sure[kept].numpy().astype(np.float32),
        label[kept].numpy().astype(np.int64),
    )


def check_thresholds(threshold: float | Mapping[str, float], classes: Sequence[str]) -> float | Mapping[str, float]:
    """Return `threshold`; raise `InputError` for a number outside of [0, 1] or a class that is none."""
    for name, value in threshold.items() if isinstance(threshold, Mapping) else [("", threshold)]:
        if name and name not in classes:
            raise InputError(f"a threshold for {name!r} came, which is no class; there are {', '.join(classes)}")
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"the threshold {f'of {name} ' if name else ''}is {value!r}; expected 0 to 1")
    return threshold
