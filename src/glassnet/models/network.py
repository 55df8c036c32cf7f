"""A network: a module and its card, which together are one file that is trained, judged, explained and served.

`Network.create` makes a fresh one, `Network.load` reads one, `load_network` takes whatever a user may call a network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet import card as network_file
from glassnet.card import Card, load_tensors
from glassnet.errors import InputError, NetworkFileError, UnknownName
from glassnet.models.base import BaseNetwork, check_classes, file_in, new_card
from glassnet.models.described import ARCHITECTURE, fit_to, is_description
from glassnet.models.prediction import Picture, Prediction, Predictor, Reader, as_pictures, with_flip
from glassnet.models.pretrained import (
    find_source,
    has_weights,
    imagenet_classes,
    load_pretrained,
    trained_preprocess,
)
from glassnet.models.registry import Classifier, create, default_preprocess, entry, names, resolve
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.shapes import shapes_only, with_memory
from glassnet.nn.trace import Trace, trace
from glassnet.preprocess import Preprocess

__all__ = ["Network", "Prediction", "Predictor", "load_network"]


class Network(BaseNetwork):
    """A classifier: a network that says which of its classes a picture shows."""

    module: Classifier

    def __init__(self, module: Classifier, card: Card) -> None:
        super().__init__(module, card)
        self._folded: tuple[Any, Predictor] | None = None

    @classmethod
    def create(
        cls,
        name: str,
        classes: Sequence[str],
        *,
        preprocess: Preprocess | None = None,
        in_channels: int | None = None,
        pretrained: bool | str = False,
        **arguments: Any,
    ) -> Network:
        """Return the network `name`, registered or described in `name`.toml, for `classes`; its weights are fresh.

        Torch's seed decides them, unless they are `pretrained`.

        `pretrained` is True for the best weights known, or the name of a source, as in "torchvision"; they get a fresh
        head. `preprocess` defaults to the one the network was designed for, or its weights were trained with, at
        `in_channels`. Raises `UnknownName`, `InputError`, or `MissingExtra` or `DownloadError` where the weights cannot
        be had.
        """
        check_classes(classes)
        if pretrained and is_description(name):
            raise InputError(f"{name} is a network of your own, and has no pretrained weights; leave pretrained out")
        name, arguments = resolve(name, arguments)
        if pretrained:
            arguments = find_source(name, pretrained).layout.with_presupposed(arguments)
            preprocess = preprocess or trained_preprocess(name, pretrained, in_channels=in_channels)
        preprocess = preprocess or default_preprocess(name, in_channels=in_channels, **arguments)
        if in_channels not in (None, preprocess.channels):
            raise InputError(f"in_channels is {in_channels}, but the preprocess makes {preprocess.channels} channels")
        if name == ARCHITECTURE:
            arguments = {"description": fit_to(arguments["description"], preprocess)}
        shape = {"classes": len(classes), "in_channels": preprocess.channels}
        if pretrained:
            module = load_pretrained(name, pretrained=pretrained, **shape, **arguments)
        else:
            module = create(name, **shape, **arguments)
        parent = find_source(name, pretrained).origin if pretrained else None
        arguments = {**arguments, **module.changed_arguments}
        return cls(module, new_card(name, classes, preprocess, arguments, parent))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Return the network of a `.safetensors` file; raise `NetworkFileError` saying what is wrong with it."""
        card, tensors = network_file.load(path)
        if card.task != "classification":
            raise NetworkFileError(
                f"{path}: a network for {card.task!r}, expected one for 'classification'; this works on classifiers"
            )
        try:
            with shapes_only():  # no random numbers are drawn for weights that the file replaces
                module = create(card.architecture, classes=len(card.classes), **card.arguments)
            network = cls(with_memory(module), card)
        except (InputError, TypeError) as error:
            raise NetworkFileError(f"{path}: the card does not describe a network: {error}") from error
        load_tensors(module, tensors, str(path))
        return network

    @property
    def name(self) -> str:
        """The registry's name, or the one in its description."""
        own = self.card.arguments["description"].get("name") if self.card.architecture == ARCHITECTURE else None
        return str(own or self.card.architecture)

    @property
    def title(self) -> str:
        """What people call it: the registry's title, or the name in its description."""
        return self.name if self.card.architecture == ARCHITECTURE else entry(self.card.architecture).title

    def trace(self) -> Trace:
        """Return the module as a graph of layers with shapes, parameters, multiply-adds and receptive fields."""
        return trace(self.module, self.module.input_size)

    def for_classes(self, classes: Sequence[str], *, parent: str | None = None) -> Network:
        """Return a copy to fine-tune for `classes`, with a fresh head where they differ from the present ones.

        The card starts anew but for the architecture and the preprocess; `parent` says where the weights are from.
        """
        check_classes(classes)
        module = copy.deepcopy(self.module)
        if tuple(classes) != self.classes:
            module.replace_head(len(classes))
        arguments = {**self.card.arguments, **module.changed_arguments}
        return Network(module, new_card(self.card.architecture, classes, self.preprocess, arguments, parent))

    def linearise_head(self) -> None:
        """Make the logits linear in the body's features, for a linear probe; most networks' are so already."""
        self.module.linearise_head()
        self.card.arguments.update(self.module.changed_arguments)

    def predictor(self, device: str | torch.device = "auto") -> Predictor:
        """Return a fast function from images (N, C, H, W) float32 to logits (N, K), both on `device`.

        It is a copy of the module with its batch norms folded, made again once the weights have changed (by anything
        but writing through `.data`, of which torch keeps no record). The module itself stays as it is.
        """
        chosen = pick_device(device)
        key = (chosen, [_version(tensor) for tensor in self.module.state_dict(keep_vars=True).values()])
        if self._folded is None or self._folded[0] != key:
            reuse_memory()
            folded = fold_batch_norm(self.module).to(chosen)

            def predict(images: Tensor) -> Tensor:
                with torch.inference_mode():
                    logits: Tensor = folded(images.to(chosen, memory_format=torch.channels_last))
                    return logits

            self._folded = (key, predict)
        return self._folded[1]

    def logits(self, images: Tensor, *, device: str | torch.device = "auto") -> Tensor:
        """Return logits (N, K) float32 of `images` (N, C, H, W), as `preprocess.finish` makes them, on the CPU."""
        return self.predictor(device)(images).float().cpu()

    def predict(
        self,
        images: Picture | Iterable[Picture],
        *,
        top: int = 5,
        batch_size: int = 32,
        device: str | torch.device = "auto",
        tta: bool = False,
        predictor: Predictor | None = None,
    ) -> list[Prediction]:
        """Return a prediction for each of `images`: paths, bytes, PIL images or arrays, one or many.

        See `stream`, which this collects.
        """
        pictures = as_pictures(images)
        return list(self.stream(pictures, top=top, batch_size=batch_size, device=device, tta=tta, predictor=predictor))

    def stream(
        self,
        images: Iterable[Picture],
        *,
        top: int = 5,
        batch_size: int = 32,
        device: str | torch.device = "auto",
        tta: bool = False,
        predictor: Predictor | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction for each of `images`, in order, in constant memory; a bad picture gives one with an error.

        Probabilities are softmax(logits / temperature). `tta` averages the logits of a picture and its mirror image. A
        `predictor` of your own takes the place of this network's, from images (N, C, H, W) float32 to logits (N, K).
        Raises `InputError` for `top` or `batch_size` below 1.
        """
        chosen = pick_device("cpu" if predictor else device)
        scorer = predictor or self.predictor(chosen)
        reader = Reader(
            preprocess=self.preprocess,
            predictor=with_flip(scorer) if tta else scorer,
            classes=self.classes,
            temperature=self.card.temperature,
            top=top,
            batch_size=batch_size,
            device=chosen,
        )
        return reader.stream(as_pictures(images))


def load_network(target: str | Path, *, pretrained: bool | str = False) -> Network:
    """Return the network that `target` means: a run folder, a network file, or with `pretrained` a registry name.

    `pretrained` is True for the best weights known, or the name of their source ("torchvision").

    Raises `NetworkFileError` for a missing or bad file, `UnknownName` for a name that is none of the three, and
    `InputError` for a registered name without `pretrained`: such a network has learnt nothing yet.
    """
    path = Path(target)
    if path.is_dir():
        return Network.load(file_in(path))
    if path.is_file() or path.suffix or len(path.parts) > 1:
        if is_description(path):
            raise InputError(
                f"{path} describes a network that has learnt nothing yet; "
                f"train it: glassnet train DATA --network {path}"
            )
        if pretrained:
            raise InputError(f"pretrained is for a registered network; {str(target)!r} is a file with its own weights")
        return Network.load(path)
    name = str(target)
    if name not in names():
        raise UnknownName("run, network file or registered network", name, names(), hint="see `glassnet networks`")
    if not pretrained:
        advice = "use pretrained weights (--pretrained)" if has_weights(name) else "train it first"
        raise InputError(f"{name!r} is a registered network that has learnt nothing yet; {advice}, or name a run")
    return _pretrained(name, pretrained)


def _version(tensor: Tensor) -> tuple[int, int]:
    """Which tensor it is, and how often it was written to; one made in inference mode keeps no such count."""
    return id(tensor), 0 if tensor.is_inference() else tensor._version


def _pretrained(name: str, pretrained: bool | str) -> Network:
    """Return the network `name` with trained weights and the head and class names they were trained with."""
    source = find_source(name, pretrained)
    module = load_pretrained(name, pretrained=pretrained)
    arguments = source.layout.with_presupposed({})
    return Network(module, new_card(name, imagenet_classes(), source.preprocess, arguments, source.origin))
