"""A localising network and its card: made, loaded and saved as one file, and asked about pictures."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from glassnet import card as network_file
from glassnet.boxes import clip_boxes_to_image
from glassnet.card import Card, load_tensors
from glassnet.detection.detections import Detections
from glassnet.detection.detector import check_thresholds
from glassnet.detection.localisation.encoding import CLASSES, Located, Size, decode
from glassnet.detection.localisation.metrics import ENOUGH
from glassnet.detection.localisation.network import LocalisationNetwork
from glassnet.detection.windows.detector import thresholds_of
from glassnet.errors import GlassnetError, InputError, NetworkFileError
from glassnet.models.base import BaseNetwork, check_classes, file_in, new_card
from glassnet.models.described import ARCHITECTURE
from glassnet.models.network import Network
from glassnet.models.prediction import Picture, Predictor, as_pictures
from glassnet.models.registry import Classifier, create
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.shapes import shapes_only, with_memory
from glassnet.nn.trace import Trace, trace
from glassnet.placement import Placement, displayed_size
from glassnet.preprocess import Preprocess

TASK = "localisation"


class Localiser(BaseNetwork):
    """A network that names the one object of a picture and says where it is: a `Finder` of at most one box."""

    module: LocalisationNetwork

    @classmethod
    def create(
        cls, name: str, classes: Sequence[str], *, preprocess: Preprocess | None = None, **arguments: Any
    ) -> Localiser:
        """Return a fresh network for `classes` on the body of the classifier `name`, registered or a description's.

        Torch's seed decides its weights. arguments: those of `Network.create`, `pretrained` among them, which brings
        the body's weights. preprocess: None is the classifier's own, but for the resize rule: the whole picture is
        squashed into the input, since an object may lie where a centre crop cuts. Raises what `Network.create` raises.
        """
        network = Network.create(name, classes, preprocess=preprocess, **arguments)
        if preprocess is None:
            whole = dataclasses.replace(network.preprocess, resize="squash", crop=1.0)
            network = Network(network.module, dataclasses.replace(network.card, preprocess=whole.to_dict()))
        return cls.on(network)

    @classmethod
    def on(cls, network: Network) -> Localiser:
        """Return a localiser on the body of a classifier, whose classes and preprocess it takes; its head is fresh.

        Raises `InputError` where the body takes no pictures of the preprocess's size.
        """
        made = network.card
        card = new_card(made.architecture, made.classes, network.preprocess, made.arguments, made.parent, task=TASK)
        return cls(LocalisationNetwork(network.module, len(made.classes)), card)

    @classmethod
    def load(cls, path: str | Path) -> Localiser:
        """Return the network of a `.safetensors` file or a run's folder; raise `NetworkFileError` for a bad one."""
        path = file_in(Path(path)) if Path(path).is_dir() else Path(path)
        card, tensors = network_file.load(path)
        if card.task != TASK:
            raise NetworkFileError(f"{path}: a network for {card.task!r}; expected one for {TASK!r}")
        try:
            preprocess = Preprocess.from_dict(card.preprocess)
            with shapes_only():  # no random numbers are drawn for weights that the file replaces
                module = module_of(card, preprocess)
        except (InputError, TypeError) as error:
            raise NetworkFileError(f"{path}: the card does not describe a network: {error}") from error
        module = with_memory(module)
        load_tensors(module, tensors, str(path))
        return cls(module, card)

    def for_classes(self, classes: Sequence[str], *, parent: str | None = None) -> Localiser:
        """Return a copy to fine-tune for `classes`; where they differ, their scores start afresh, the box stays.

        The card starts anew but for the architecture and the preprocess; `parent` says where the weights are from.
        """
        check_classes(classes)
        arguments = {key: value for key, value in self.card.arguments.items() if key != "in_channels"}
        card = new_card(self.card.architecture, classes, self.preprocess, arguments, parent, task=TASK)
        fresh = module_of(card, self.preprocess)
        weights = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}
        if tuple(classes) != self.classes:
            last = list(weights)[-2:]  # weight (5 + K, D) and bias (5 + K,) of the head's last layer
            scores = {name: tensor[CLASSES] for name, tensor in fresh.state_dict().items() if name in last}
            weights |= {name: torch.cat([weights[name][: CLASSES.start], scores[name]]) for name in last}
        fresh.load_state_dict(weights)
        return Localiser(fresh, card)

    @property
    def name(self) -> str:
        """The registry's name of the classifier whose body it has, or the one in its description."""
        described = self.card.architecture == ARCHITECTURE
        own = self.card.arguments["description"].get("name") if described else None
        return str(own or self.card.architecture)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.name} with a head for one box"

    def trace(self) -> Trace:
        """Return the module as a graph of layers with shapes, parameters, multiply-adds and receptive fields."""
        return trace(self.module, self.module.input_size)

    def classifier(self) -> Network:
        """Return what names the object, without pc and the box: a classifier to be explained or looked into.

        Same classes, same preprocess, copies of the same weights; its logits are `CLASSES` of this network's. No file
        can hold it, since no registered name builds it.
        """
        copied = copy.deepcopy(self.module)
        parts = OrderedDict(copied.head.named_children()) or OrderedDict(said=copied.head)
        _, said = parts.popitem()
        assert isinstance(said, nn.Linear)
        head = nn.Linear(said.in_features, len(self.classes))
        head.load_state_dict({name: tensor[CLASSES] for name, tensor in said.state_dict().items()})
        module = Classifier(nn.Sequential(OrderedDict(copied.body.named_children()) | parts), head)
        module.input_size = copied.input_size
        return Network(module.train(copied.training), dataclasses.replace(self.card, task="classification"))

    @property
    def size(self) -> Size:
        """(height, width) of the input."""
        return self.preprocess.height, self.preprocess.width

    def predictor(self, device: str | torch.device = "auto") -> Predictor:
        """Return a function from images (N, C, H, W) float32 to what is said of them (N, 5 + K), both on `device`.

        It is a copy of the module as it is now, its batch norms folded.
        """
        chosen = pick_device(device)
        reuse_memory()
        folded = fold_batch_norm(self.module).to(chosen)

        def predict(images: Tensor) -> Tensor:
            with torch.inference_mode():
                said: Tensor = folded(images.to(chosen, memory_format=torch.channels_last))
                return said

        return predict

    def detect(
        self, images: Picture | Iterable[Picture], *, threshold: float | Mapping[str, float] | None = None
    ) -> list[Detections]:
        """Return what is found in each of `images`, one or many; see `stream`, which this collects."""
        return list(self.stream(as_pictures(images), threshold=threshold))

    def stream(
        self,
        images: Iterable[Picture],
        *,
        threshold: float | Mapping[str, float] | None = None,
        batch_size: int = 32,
        device: str | torch.device = "auto",
    ) -> Iterator[Detections]:
        """Yield the object of each picture, in order; a bad picture gives `Detections` with an error.

        The score is pc times the probability of the likeliest class. threshold: the least score that is given, one
        for all classes or one for each (0 if left out); None gives an object wherever pc is at least 0.5. Raises
        `InputError` for a threshold or batch size that cannot be.
        """
        if threshold is not None:
            threshold = check_thresholds(threshold, self.classes)
        for answer in self.answers(images, batch_size=batch_size, device=device):
            yield self._detection(answer, threshold)

    def answers(
        self, images: Iterable[Picture], *, batch_size: int = 32, device: str | torch.device = "auto"
    ) -> Iterator[Answer]:
        """Yield what is said of each picture, in order, whatever pc is; raise `InputError` for a bad batch size."""
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; expected a whole number of at least 1")
        predictor = self.predictor(device)
        pictures = iter(as_pictures(images))
        while group := list(islice(pictures, batch_size)):
            yield from self._answers([self._read(picture) for picture in group], predictor)

    def _read(self, picture: Picture) -> _Read:
        path = os.fspath(picture) if isinstance(picture, str | Path) else None
        try:
            return _Read(path, displayed_size(picture), self.preprocess.intermediate(picture))
        except (GlassnetError, OSError) as error:
            return _Read(path, error=str(error))

    def _answers(self, group: list[_Read], predictor: Predictor) -> Iterator[Answer]:
        """Yield the answers for a batch, boxes in pixels of each picture; the broken ones cost the others nothing."""
        stored = [read.stored for read in group if read.stored is not None]
        if stored:
            said = predictor(self.preprocess.finish(torch.from_numpy(np.stack(stored)))).float().cpu()
            each = iter(said)  # (5 + K,) each
        for read in group:
            if read.size is None:
                yield Answer(read.path, error=str(read.error))
                continue
            mine = next(each)
            if not bool(mine.isfinite().all()):
                yield Answer(read.path, error="the network gave no finite number for this picture")
                continue
            located = decode(mine[None], self.size)
            boxes = Placement.of(self.preprocess, read.size).to_picture(located.boxes)
            boxes = clip_boxes_to_image(boxes, read.size)
            yield Answer(read.path, read.size, dataclasses.replace(located, boxes=boxes))

    def _detection(self, answer: Answer, threshold: float | Mapping[str, float] | None) -> Detections:
        """Return what one answer comes to: an object, nothing, or an error."""
        located = answer.located
        if located is None:
            return Detections.failed(answer.path, str(answer.error), self.classes)
        probability, labels = located.classes.max(1)
        scores = located.present * probability
        kept = located.present >= ENOUGH
        if threshold is not None:
            kept = scores >= thresholds_of(threshold, self.classes, None)[labels]
        return Detections(
            boxes=located.boxes[kept].numpy(),
            scores=scores[kept].numpy(),
            labels=labels[kept].numpy(),
            classes=self.classes,
            size=answer.size,
            path=answer.path,
        )


def module_of(card: Card, preprocess: Preprocess) -> LocalisationNetwork:
    """Return the network that a card describes, its weights fresh."""
    backbone = create(card.architecture, classes=len(card.classes), **card.arguments)
    backbone.input_size = (preprocess.channels, preprocess.height, preprocess.width)
    return LocalisationNetwork(backbone, len(card.classes))


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is said of one picture of `size` (height, width), its box in the picture's pixels; or why nothing is."""

    path: str | None
    size: Size | None = None
    located: Located | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class _Read:
    """A picture's size and its intermediate, or why there is none."""

    path: str | None
    size: Size | None = None
    stored: npt.NDArray[np.uint8] | None = None
    error: str | None = None
