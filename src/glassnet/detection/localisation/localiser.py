"""A localising network and its card: made, loaded and saved as one file, and asked about pictures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet import card as network_file
from glassnet.boxes import clip_boxes_to_image
from glassnet.card import load_tensors
from glassnet.detection.detections import Detections
from glassnet.detection.detector import check_thresholds
from glassnet.detection.localisation.encoding import Size, decode
from glassnet.detection.localisation.metrics import ENOUGH
from glassnet.detection.localisation.network import LocalisationNetwork
from glassnet.detection.windows.detector import thresholds_of
from glassnet.errors import GlassnetError, InputError, NetworkFileError
from glassnet.models.base import BaseNetwork, file_in, new_card
from glassnet.models.network import Network
from glassnet.models.prediction import Picture, Predictor, as_pictures
from glassnet.models.registry import create
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.shapes import shapes_only
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
            preprocess = dataclasses.replace(network.preprocess, resize="squash", crop=1.0)
        made = network.card
        card = new_card(made.architecture, classes, preprocess, made.arguments, made.parent, task=TASK)
        return cls(LocalisationNetwork(network.module, len(classes)), card)

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
                backbone = create(card.architecture, classes=len(card.classes), **card.arguments)
                backbone.input_size = (preprocess.channels, preprocess.height, preprocess.width)
                module = LocalisationNetwork(backbone, len(card.classes))
        except (InputError, TypeError) as error:
            raise NetworkFileError(f"{path}: the card does not describe a network: {error}") from error
        module = module.to_empty(device="cpu")
        load_tensors(module, tensors, str(path))
        return cls(module, card)

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
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; expected a whole number of at least 1")
        if threshold is not None:
            threshold = check_thresholds(threshold, self.classes)
        predictor = self.predictor(device)
        pictures = iter(as_pictures(images))
        while group := list(islice(pictures, batch_size)):
            yield from self._found([self._read(picture) for picture in group], predictor, threshold)

    def _read(self, picture: Picture) -> _Read:
        path = os.fspath(picture) if isinstance(picture, str | Path) else None
        try:
            return _Read(path, displayed_size(picture), self.preprocess.intermediate(picture))
        except (GlassnetError, OSError) as error:
            return _Read(path, error=str(error))

    def _found(
        self, group: list[_Read], predictor: Predictor, threshold: float | Mapping[str, float] | None
    ) -> Iterator[Detections]:
        stored = [read.stored for read in group if read.stored is not None]
        if stored:
            said = predictor(self.preprocess.finish(torch.from_numpy(np.stack(stored)))).float().cpu()
            answers = iter(said)  # (5 + K,) each
        for read in group:
            if read.size is None:
                yield Detections.failed(read.path, str(read.error), self.classes)
            else:
                yield self._detection(next(answers), read.path, read.size, threshold)

    def _detection(
        self, said: Tensor, path: str | None, size: Size, threshold: float | Mapping[str, float] | None
    ) -> Detections:
        """Return what one answer (5 + K,) says of a picture of `size`."""
        if not bool(said.isfinite().all()):
            return Detections.failed(path, "the network gave no finite number for this picture", self.classes)
        located = decode(said[None], self.size)
        boxes = clip_boxes_to_image(Placement.of(self.preprocess, size).to_picture(located.boxes), size)
        probability, labels = located.classes.max(1)
        scores = located.present * probability
        kept = located.present >= ENOUGH
        if threshold is not None:
            kept = scores >= thresholds_of(threshold, self.classes, None)[labels]
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        return Detections(
            boxes=boxes.numpy(),
            scores=scores.numpy(),
            labels=labels.numpy(),
            classes=self.classes,
            size=size,
            path=path,
        )


@dataclasses.dataclass(frozen=True)
class _Read:
    """A picture's size and its intermediate, or why there is none."""

    path: str | None
    size: Size | None = None
    stored: npt.NDArray[np.uint8] | None = None
    error: str | None = None
