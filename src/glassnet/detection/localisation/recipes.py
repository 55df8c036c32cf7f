"""Recipes of classification with localisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from glassnet.detection.localisation.losses import BOX_WEIGHT
from glassnet.detection.localisation.task import SCORES
from glassnet.detection.training.recipes import BoxRecipe
from glassnet.training.recipes import Recipe, Recipes


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


RECIPES = Recipes(LocalisationRecipe, localise)
"""The recipes of localisation."""
