"""What every trained thing of ours is: a module and its card, which together are one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from glassnet import card as network_file
from glassnet.card import Card
from glassnet.errors import InputError, NetworkFileError
from glassnet.nn.device import versions
from glassnet.preprocess import Preprocess

FILE_IN_RUN = "network.safetensors"
"""The best network's file in a run folder."""


class BaseNetwork:
    """A module that knows its card and how to look at a picture; what it answers is for the task's class to say.

    `module` is the torch module, `card` everything else about it as plain data, `preprocess` the card's, as an object.
    """

    module: Any

    def __init__(self, module: nn.Module, card: Card) -> None:
        self.module = module
        self.card = card
        self.preprocess = Preprocess.from_dict(card.preprocess)
        self.module.input_size = (self.preprocess.channels, self.preprocess.height, self.preprocess.width)

    def save(self, path: str | Path) -> None:
        """Write the network to `path`, atomically; raise `StorageError` where that fails."""
        network_file.save(path, self.module.state_dict(), self.card)

    @property
    def name(self) -> str:
        """What the card calls its architecture."""
        return self.card.architecture

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the scores."""
        return self.card.classes

    @property
    def num_parameters(self) -> int:
        """How many trained numbers the module has."""
        return sum(parameter.numel() for parameter in self.module.parameters())


def file_in(run: Path) -> Path:
    """Return the network file of a run's folder; raise `NetworkFileError` where there is none."""
    file = run / FILE_IN_RUN
    if not file.is_file():
        raise NetworkFileError(
            f"the folder {str(run)!r} has no {FILE_IN_RUN}: it is not a run, or its training has not been validated yet"
        )
    return file


def new_card(
    name: str,
    classes: Sequence[str],
    preprocess: Preprocess,
    arguments: dict[str, Any],
    parent: str | None,
    *,
    task: str = "classification",
) -> Card:
    """Return the card of the registered network `name`, with nothing measured yet; `parent` says where it is from."""
    return Card(
        architecture=name,
        task=task,
        arguments={**arguments, "in_channels": preprocess.channels},
        classes=tuple(classes),
        preprocess=preprocess.to_dict(),
        versions=versions(),
        parent=parent,
    )


def check_classes(classes: Sequence[str]) -> None:
    """Raise `InputError` unless `classes` are names, at least one and each once."""
    if isinstance(classes, str) or not all(isinstance(name, str) and name for name in classes):
        raise InputError(f"classes is {classes!r}; expected a sequence of names")
    if len(set(classes)) != len(classes):
        double = sorted({name for name in classes if list(classes).count(name) > 1})
        raise InputError(f"classes has names more than once: {', '.join(double[:5])}; each class needs its own")
    if not classes:
        raise InputError("classes is empty; expected at least one name")
