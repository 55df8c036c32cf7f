"""A case: one network, one picture, one class, and the question why. Every method of explanation takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.errors import InputError, UnknownName
from glassnet.explain.explanation import INPUT, Explanation, Extent, Kind, Pixels
from glassnet.explain.inside import Inside
from glassnet.models.network import Network
from glassnet.models.prediction import Picture, Predictor
from glassnet.preprocess import Preprocess

Progress = Callable[[int, int], None]
"""Told (done, total) as a long method goes on."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Why does `network` give the picture the class number `target`?

    `images` (1, C, H, W) float is the network's input, `pixels` (H, W, C') uint8 what it shows, with 1 or 3 channels.
    """

    network: Network
    inside: Inside
    images: Tensor
    pixels: Pixels
    target: int
    path: str | None = None
    progress: Progress = no_progress

    @classmethod
    def of(
        cls,
        network: Network,
        picture: Picture,
        *,
        label: str | int = "top",
        inside: Inside | None = None,
        device: str | torch.device = "cpu",
        progress: Progress = no_progress,
    ) -> Case:
        """Prepare a case: decode the picture as a prediction does, and find the class that `label` means.

        `label`: a class's name, its number, or "top" for the likeliest. `inside`: the network opened already.
        Raises `PictureError` for the picture, `UnknownName` for the class, `InputError` for a module that is no graph.
        """
        intermediate = torch.from_numpy(network.preprocess.intermediate(picture)[None])  # (1, h, w, C)
        path = str(picture) if isinstance(picture, str | Path) else None
        return cls.of_intermediate(
            network, intermediate, label=label, inside=inside, device=device, path=path, progress=progress
        )

    @classmethod
    def of_intermediate(
        cls,
        network: Network,
        intermediate: Tensor,
        *,
        label: str | int = "top",
        inside: Inside | None = None,
        device: str | torch.device = "cpu",
        path: str | None = None,
        progress: Progress = no_progress,
    ) -> Case:
        """Prepare a case from a decoded picture (1, h, w, C) uint8, as the data sets' cache holds it."""
        inside = inside or Inside.of(network, device=device)
        images = network.preprocess.finish(intermediate)
        pixels = shown(network.preprocess, intermediate)
        case = cls(network=network, inside=inside, images=images, pixels=pixels, target=0, path=path, progress=progress)
        return case.about(label)

    def about(self, label: str | int) -> Case:
        """Return the case of another class; "top" is the likeliest one."""
        other = replace(self, target=class_number(self.network, label, self.probabilities), progress=self.progress)
        known = {name: value for name, value in vars(self).items() if name in ("predictor", "logits", "probabilities")}
        vars(other).update(known)  # of the same picture: not computed again
        return other

    @cached_property
    def predictor(self) -> Predictor:
        """The network's fast function from images to logits, on the case's device."""
        return self.network.predictor(self.inside.device)

    @cached_property
    def logits(self) -> Tensor:
        """The network's logits for the whole picture, (K,) float on the CPU."""
        return self.predictor(self.images)[0].float().cpu()

    @cached_property
    def probabilities(self) -> Tensor:
        """The classes' probabilities for the whole picture, (K,), calibrated by the card's temperature."""
        return self.to_probabilities(self.logits)

    def to_probabilities(self, logits: Tensor) -> Tensor:
        """Return softmax(logits / temperature) over the last axis, as predictions have it."""
        return (logits.float() / self.network.card.temperature).softmax(-1)

    @property
    def label(self) -> str:
        """The class's name."""
        return self.network.classes[self.target]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return self.images.shape[2], self.images.shape[3]

    @property
    def whole(self) -> Extent:
        """The extent of an array that covers the picture."""
        height, width = self.size
        return (0.0, float(width), 0.0, float(height))

    def extent_of(self, layer: str) -> Extent:
        """Return where the maps of `layer` lie on the picture: each position owns a stride around its window's centre.

        Along an axis of n positions that is from start + 0.5 - stride / 2 on, n strides long (pixel 0 reaches from 0
        to 1). A map of one position gets the picture's whole side.
        """
        found = self.inside.trace[layer]
        sides = []
        for axis, size in enumerate(self.size):
            positions = found.output_shape[1 + axis]
            jump = found.stride[axis]
            first = found.start[axis] + 0.5 - jump / 2
            sides.append((first, first + positions * jump) if positions > 1 and jump else (0.0, float(size)))
        return (*sides[1], *sides[0])

    def explanation(
        self,
        array: npt.NDArray[Any],
        *,
        method: str,
        title: str,
        kind: Kind,
        unit: str,
        extent: Extent | None = None,
        layer: str | None = None,
        of_class: bool = True,
        note: str = "",
        **settings: Any,
    ) -> Explanation:
        """Return `array` with the case's facts; `of_class` is False for a map that no class was asked for."""
        if kind == "labels":
            settings = {"names": {int(n): self.network.classes[int(n)] for n in np.unique(array)}, **settings}
        return Explanation(
            array=array,
            method=method,
            title=title,
            kind=kind,
            unit=unit,
            extent=extent or self.whole,
            picture=self.pixels,
            label=self.label if of_class else None,
            score=float(self.probabilities[self.target]) if of_class else None,
            layer=layer,
            path=self.path,
            note=note,
            settings=settings,
            mean=self.network.preprocess.mean if unit == INPUT else (),
            std=self.network.preprocess.std if unit == INPUT else (),
        )


def shown(preprocess: Preprocess, intermediate: Tensor) -> Pixels:
    """Return what of a decoded picture (1, h, w, C) uint8 the network sees, for people: (H, W, 3) or (H, W, 1)."""
    height, width = preprocess.height, preprocess.width
    top, left = (intermediate.shape[1] - height) // 2, (intermediate.shape[2] - width) // 2
    pixels = intermediate[0, top : top + height, left : left + width].numpy()
    return np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[:, :, :1])


def class_number(network: Network, label: str | int, probabilities: Tensor) -> int:
    """Return the number of the class that `label` means: a name, a number, or "top".

    A class that is itself called "top" is found by its name. Raises `UnknownName`, or `InputError` for a number that no
    class has.
    """
    classes = network.classes
    if isinstance(label, str) and label in classes:
        return classes.index(label)
    if label == "top":
        return int(probabilities.argmax())
    if isinstance(label, int) or label.isdecimal():
        if not 0 <= int(label) < len(classes):
            raise InputError(f"there is no class number {label}; there are {len(classes)}, numbered from 0")
        return int(label)
    near = [name for name in classes if label.lower() in name.lower()]
    if len(near) == 1:  # "tabby" for "tabby, tabby cat"
        return classes.index(near[0])
    hint = f"several contain it: {', '.join(near[:5])}" if near else ""
    raise UnknownName("class", label, classes, hint=hint or "give its name, its number, or top")
