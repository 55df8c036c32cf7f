"""Recipes of detection: the choices of every recipe, those that move boxes along, and none that cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from glassnet.detection.augment import BoxAugment
from glassnet.errors import InputError
from glassnet.training.recipes import Recipe, Recipes

_UNUSED = (
    *("label_smoothing", "balance", "shift", "crop_scale", "erasing", "mixup", "cutmix", "rand_augment", "tta"),
    "probe",
)


@dataclass(frozen=True, kw_only=True)
class BoxRecipe(Recipe):
    """Every choice of a training on boxes. Fields that only classifiers have must keep their defaults."""

    task: ClassVar[str] = "a training on boxes"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **Recipe.ranges,
        "flip_vertical": (0.0, 1.0),
        "zoom": (0.0, 4.0),
        "colour": (0.0, 2.0),
    }

    label_smoothing: float = 0.0
    flip_vertical: float = 0.0  # probability of a top-bottom mirror: for pictures without an up, as from microscopes
    zoom: float = 0.3  # pictures are scaled by 1 / (1 + zoom) to 1 + zoom
    colour: float = 0.2  # brightness, contrast and saturation change by factors of up to 1 + colour

    def __post_init__(self) -> None:
        """Check every field; raise `InputError` for one that a training on boxes has no use for."""
        super().__post_init__()
        for name in _UNUSED:
            if getattr(self, name) != (default := self.__dataclass_fields__[name].default):
                value = getattr(self, name)
                raise InputError(f"recipe field {name}={value!r}: {self.task} does not use it; leave it at {default}")

    def augment(self) -> BoxAugment:
        """Return what is done to training pictures."""
        return BoxAugment(flip=self.flip, flip_vertical=self.flip_vertical, zoom=self.zoom, colour=self.colour)


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(BoxRecipe):
    """Every choice of a detector's training."""

    task: ClassVar[str] = "detection"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **BoxRecipe.ranges,
        "mosaic": (0.0, 1.0),
        "mosaic_until": (0.0, 1.0),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {**Recipe.choices, "score": ("map", "map50", "loss")}

    score: str = "map"  # what "best" means: map, map50, or (lowest) loss
    size: int = 0  # pixels of the input's longer side, whose shape follows the pictures; 0 follows the smallest class
    mosaic: float = 0.5  # probability that four pictures are put together
    mosaic_until: float = 0.8  # share of the training after which no mosaics are made any more

    def augment(self) -> BoxAugment:
        """Return what is done to training pictures."""
        return replace(super().augment(), mosaic=self.mosaic)


def detect() -> DetectionRecipe:
    """A detector from a few hundred annotated pictures in about twenty minutes: AdamW, mosaics, averaged weights."""
    return DetectionRecipe(
        name="detect",
        epochs=24,
        batch_size=8,
        optimiser="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup=0.05,
        layer_decay=0.9,
        frozen_stages=2,  # their maps are the largest, their filters the most general
        clip=10.0,
        ema=0.99,
        validate_every=4.0,
    )


RECIPES = Recipes(DetectionRecipe, detect)
"""The recipes of detection."""
