"""What a training was asked for, and what it starts with: the same for every task."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.batches import Batches
from glassnet.data.index import SPLITS, Index
from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.models.base import BaseNetwork
from glassnet.preprocess import Preprocess
from glassnet.training.checkpoint import Learner
from glassnet.training.choose import Choice
from glassnet.training.distributed import Workers
from glassnet.training.recipes import Recipe
from glassnet.training.run import Run
from glassnet.training.task import Task

EVALUATION_BATCH = 256  # pictures per validation batch where they are small ...
EVALUATION_PIXELS = 256 * 32 * 32  # ... and so many pixels where they are not


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for, checked; plain data, so that a run can store it. None means: choose for me."""

    data: str
    task: str = "classification"
    network: str | None = None
    backbone: str | None = None  # of a detector
    recipe: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    pretrained: bool | str = False
    start_from: str | None = None
    minutes: float | None = None
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    strict: bool = False
    group_by: str | None = None

    def __post_init__(self) -> None:
        """Raise `InputError` for what cannot be."""
        if self.minutes is not None and not (math.isfinite(self.minutes) and self.minutes > 0):
            raise InputError(f"minutes is {self.minutes!r}; expected a number above 0")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed!r}; expected a whole number from 0 to 2^63 - 1")
        if self.pretrained and self.start_from:
            raise InputError("both pretrained and start_from are given; a training starts from one of them")
        if self.start_from and self.network:
            raise InputError(
                f"network {self.network!r} and start_from are both given; the file says what network it is"
            )
        if self.start_from and self.arguments:
            raise InputError("arguments are for a new network; the one in start_from keeps its own")


@dataclass
class Prepared(ABC):
    """What a training starts with, and what is particular to its task.

    `pictures` has the quarantined items removed; `choice` holds the full recipe.
    """

    pictures: Pictures
    network: BaseNetwork
    choice: Choice
    parent: str | None = None

    @property
    def index(self) -> Index:
        """The index of the usable items."""
        return self.pictures.index

    @property
    def recipe(self) -> Recipe:
        """The recipe that is followed."""
        return self.choice.recipe

    def decided(self) -> dict[str, Any]:
        """Return what was chosen as plain data; `prepare_again` starts from it."""
        return {
            "network": self.choice.network,
            "arguments": self.choice.arguments,
            "pretrained": self.choice.pretrained,
            "reason": self.choice.reason,
            "preprocess": self.network.preprocess.to_dict(),
            "fingerprint": self.index.fingerprint,
            "splits": split_key(self.index),
        }

    @abstractmethod
    def task(self) -> Task:
        """Return the task that the recipe describes."""

    @abstractmethod
    def batches(self, team: Workers, seed: int, epochs: float) -> Batches:
        """Return this process's batches for a training of `epochs`; none is larger than its share of the pictures."""

    @abstractmethod
    def evaluation(self, items: NDArray[np.int64]) -> Iterable[Any]:
        """Return batches of `items`, in order and not augmented."""

    @abstractmethod
    def calibrate(self, network: Any, learner: Learner, device: str) -> None:
        """Write on the card of `network`, the chosen one, what is fitted to the validation pictures."""

    def counts(self) -> dict[str, Any]:
        """Return how many pictures each split has, for the card."""
        return {split: len(self.index.select(split)) for split in SPLITS}

    def validation(self, team: Workers) -> Callable[[], Iterable[Any]] | None:
        """Return a function that makes this process's validation batches; None where there are too few pictures."""
        items = self.index.select("validation")
        if len(items) < team.world:
            return None
        return lambda: self.evaluation(items[team.rank :: team.world])


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of training: how what the user asked for becomes what the loop starts with.

    `prepare(settings)`; `prepare_again(settings, decided, recipe)` returns what `prepare` returned when the run began,
    and raises `DataError` where the data have changed since. `run` opens a run of this kind.
    """

    name: str
    prepare: Callable[[Settings], Prepared]
    prepare_again: Callable[[Settings, dict[str, Any], Recipe], Prepared]
    run: type[Run] = Run


def evaluation_size(preprocess: Preprocess) -> int:
    """Return how many pictures one evaluation batch takes: many small ones, or a few large ones."""
    return max(8, min(EVALUATION_BATCH, EVALUATION_PIXELS // (preprocess.height * preprocess.width)))


def split_key(index: Index) -> str:
    """Return a hash of which item is in which split."""
    return hashlib.sha256(index.splits.tobytes()).hexdigest()[:16]
