"""Recipes of classification with localisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from glassnet.detection.localisation.losses import BOX_WEIGHT
from glassnet.detection.localisation.task import SCORES
from glassnet.detection.training.recipes import BoxRecipe, find_recipe
from glassnet.training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class LocalisationRecipe(BoxRecipe):
    """Every choice of a localiser's training. There are no mosaics: a picture has one object."""

    task: ClassVar[str] = "localisation"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {**BoxRecipe.ranges, "box_weight": (0.01, 1000.0)}
    choices: ClassVar[dict[str, tuple[str, ...]]] = {**Recipe.choices, "score": SCORES}

    score: str = "accuracy"  # what "best" means: accuracy (class and box right), mean_iou, or (lowest) loss
    box_weight: float = BOX_WEIGHT  # of the squared errors of the box beside the other parts of the loss


def localise() -> LocalisationRecipe:
    """The one object of each picture, named and boxed, from a few hundred pictures in minutes: AdamW, averaged."""
    return LocalisationRecipe(
        name="localise",
        epochs=30,
        batch_size=16,
        optimiser="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup=0.1,
        layer_decay=0.9,
        clip=10.0,
        ema=0.98,
    )


_NAMED: dict[str, Callable[[], LocalisationRecipe]] = {function.__name__: function for function in (localise,)}


def named_recipes() -> dict[str, LocalisationRecipe]:
    """Return the named recipes of localisation."""
    return {name: function() for name, function in _NAMED.items()}


def summary(name: str) -> str:
    """Return the one-line description of a named recipe."""
    return (_NAMED[name].__doc__ or "").splitlines()[0]


def localisation_recipe(name: str, **overrides: Any) -> LocalisationRecipe:
    """Return a named recipe, or the one in a `.toml` file, with fields replaced; raise `UnknownName`, `InputError`."""
    return find_recipe(name, LocalisationRecipe, named_recipes()).replace(**overrides)
