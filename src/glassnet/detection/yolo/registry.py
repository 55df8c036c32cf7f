"""The detectors by name: `yolo` and `yolo_v1`, on the body of any registered classifier."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from glassnet.detection.yolo.backbone import Backbone, find_taps
from glassnet.detection.yolo.network import Yolo
from glassnet.detection.yolo.v1 import YoloV1
from glassnet.errors import InputError, UnknownName
from glassnet.models import registry

Detecting = Yolo | YoloV1

_BUILDERS: dict[str, Callable[..., Detecting]] = {"yolo": Yolo, "yolo_v1": YoloV1}

_ABOUT = {
    "yolo": "anchor-free grids at three scales on any backbone; the one to use",
    "yolo_v1": "the paper's single grid of cells, to learn from",
}

SCORES = ("head.scores.", "head.weight", "head.bias")
"""Names, or their beginnings, of the tensors whose shape depends on the number of classes."""

BACKBONE = "efficientnet_lite0"


def names() -> list[str]:
    """Return the names of the detectors."""
    return list(_BUILDERS)


def about(name: str) -> str:
    """Return the sentence that says what a detector is."""
    return _ABOUT[name]


def check_name(name: str) -> None:
    """Raise `UnknownName` unless `name` is a detector's."""
    if name not in _BUILDERS:
        raise UnknownName(
            "detector", name, names(), hint=f"there are {', '.join(names())}; a classifier goes to --backbone"
        )


def arguments_of(name: str) -> dict[str, Any]:
    """Return the arguments a detector takes beside its backbone, with their defaults."""
    parameters = inspect.signature(_BUILDERS[name]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def create(
    name: str,
    *,
    classes: int,
    in_channels: int,
    backbone: str,
    input_size: tuple[int, int],
    backbone_arguments: Mapping[str, Any] | None = None,
    body: nn.Sequential | None = None,
    **arguments: Any,
) -> Detecting:
    """Return the detector `name` for pictures of `input_size` (height, width), with fresh weights.

    body: the stages to listen to, with trained weights; by default those of a fresh `backbone`. Raises `UnknownName`,
    or `InputError` for a wrong argument.
    """
    check_name(name)
    known = arguments_of(name)
    for given, value in arguments.items():
        if given not in known:
            raise UnknownName(f"argument of {name}", given, known, hint=f"it takes {', '.join(known)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{given} is {value!r}; expected a whole number of at least 1")
    if body is None:
        classifier = registry.create(backbone, classes=2, in_channels=in_channels, **dict(backbone_arguments or {}))
        body = classifier.body
    taps = find_taps(body, (in_channels, *input_size))
    return _BUILDERS[name](Backbone(body, taps), classes, **arguments)
