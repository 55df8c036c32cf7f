"""What is compared: an option is a network, a recipe and its changes, and all options get the same budget.

On the command line an option's words may follow its name: "resnet20_cifar shortcut=none", "quick batch_size=256".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glassnet.errors import InputError
from glassnet.models import registry
from glassnet.models.described import ARCHITECTURE
from glassnet.models.words import WORD, split_words
from glassnet.training.recipes import RECIPES, Recipe


@dataclass(frozen=True, kw_only=True)
class Option:
    """One thing that is compared, as `glassnet.train` takes it; plain data, so that a comparison can store it."""

    name: str
    network: str | None = None  # None: chosen from the data
    arguments: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name as a part of a path."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-.") or "option"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every training gets: one of epochs, steps or minutes; none of them leaves it to the one recipe."""

    epochs: float | None = None
    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        """Raise `InputError` for two budgets, or one that is not above 0."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            said = " and ".join(f"{name} {value:g}" for name, value in given.items())
            raise InputError(f"two budgets are given, {said}; every training gets the same one: name one of them")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InputError(f"{name} is {value!r}; expected a number above 0")

    @property
    def overrides(self) -> dict[str, Any]:
        """What it changes in a recipe; a recipe's own number of steps gives way to epochs."""
        if self.steps is not None:
            return {"steps": self.steps}
        return {} if self.epochs is None else {"epochs": self.epochs, "steps": 0}

    def __str__(self) -> str:
        """Say it: "5 epochs"."""
        for name in ("epochs", "steps", "minutes"):
            if (value := getattr(self, name)) is not None:
                return f"{value:,g} {name.removesuffix('s') if value == 1 else name}"
        return "the recipe's own length"


def make_options(networks: Sequence[str], recipes: Sequence[str], overrides: Mapping[str, Any]) -> list[Option]:
    """Return an option for each of `networks` with each of `recipes`; an empty list of either leaves it to the data.

    Every option's name, arguments and fields are checked here, before anything is trained. Raises `InputError`,
    `UnknownName`.
    """
    options = []
    every_network: list[str | None] = [*networks] or [None]
    every_recipe: list[str | None] = [*recipes] or [None]
    for network in every_network:
        for training in every_recipe:
            parts = ([network] if len(networks) > 1 or not recipes else []) + ([training] if len(recipes) > 1 else [])
            name = " + ".join(_short(part) for part in parts if part) or _short(network or training or "chosen")
            options.append(_option(name, network, training, overrides))
    return options


def check_options(options: Sequence[Option], budget: Budget) -> None:
    """Raise `InputError` unless there are at least two different options of the same length."""
    if len(options) < 2:
        what = f"only {options[0].name!r} is given" if options else "nothing is given"
        raise InputError(
            f"{what} to compare; name at least two networks (--network A --network B) or recipes (--recipe ...), "
            "or a study (--study depth)"
        )
    names = [option.name for option in options]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"{', '.join(map(repr, double))} is given more than once; each option needs a name of its own")
    if budget != Budget():
        return
    lengths = {option.recipe: _length(option) for option in options if option.recipe is not None}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{_short(name)} {length}" for name, length in lengths.items())
        raise InputError(
            f"the recipes are of different length ({said}); give all the same: --epochs, --steps, --minutes"
        )


def _option(name: str, network: str | None, training: str | None, overrides: Mapping[str, Any]) -> Option:
    arguments: dict[str, Any] = {}
    fields = dict(overrides)
    if network is not None:
        network, arguments = split_words(network)
        network, arguments = registry.resolve(network, arguments)
        registry.default_preprocess(network, **arguments)  # an unknown name or argument is said now
    if training is not None:
        training, own = split_words(training)
        training = str(Path(training).absolute()) if training.endswith(".toml") else training  # for a later resume
        fields |= own
        RECIPES.find(training, **fields)
    else:
        Recipe().replace(**fields)
    return Option(name=name, network=network, arguments=arguments, recipe=training, overrides=fields)


def is_own(option: Option) -> bool:
    """Whether the option's network is described in TOML."""
    return option.network == ARCHITECTURE


def _length(option: Option) -> str:
    """How long an option's recipe trains."""
    assert option.recipe is not None
    chosen = RECIPES.find(option.recipe, **option.overrides)
    return f"{chosen.steps} steps" if chosen.steps else f"{chosen.epochs:g} epochs"


def _short(text: str) -> str:
    """What an option is called: the file's name of a path."""
    name, *words = WORD.split(text.strip())
    return " ".join([Path(name).stem if name.endswith(".toml") else name, *words])
