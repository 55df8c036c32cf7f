"""From what the user asked for to what the training of a localiser starts with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.pictures import Pictures
from glassnet.detection.localisation.localiser import TASK, Localiser
from glassnet.detection.localisation.recipes import RECIPES, LocalisationRecipe
from glassnet.detection.localisation.run import LocalisationRun
from glassnet.detection.localisation.task import Localisation
from glassnet.detection.training.annotated import (
    BackboneChoice,
    PreparedBoxes,
    choose_backbone,
    decoded,
    describe,
    prepared_again,
    scanned,
)
from glassnet.errors import InputError
from glassnet.models.network import Network
from glassnet.models.pretrained import trained_preprocess
from glassnet.preprocess import Preprocess
from glassnet.training.checkpoint import Learner
from glassnet.training.choose import Choice
from glassnet.training.choose import input_preprocess as usual_preprocess
from glassnet.training.prepare import initialise_from_pictures, overridden
from glassnet.training.prepared import Kind, Settings


@dataclass
class PreparedLocalisation(PreparedBoxes):
    """What the training of a localiser starts with."""

    network: Localiser

    def task(self) -> Localisation:
        """Return the task that the recipe describes."""
        recipe = self.recipe
        assert isinstance(recipe, LocalisationRecipe)
        return Localisation(box_weight=recipe.box_weight, score=recipe.score, channels_last=recipe.channels_last)

    def calibrate(self, network: Any, learner: Learner, device: str) -> None:
        """Fit nothing: an object is given where pc is at least 0.5."""


def prepare(settings: Settings) -> PreparedLocalisation:
    """Scan the annotated data, choose what was left open, decode the pictures, build the localiser.

    Raises what the scan, the registry and the recipe raise; `DataError` where there is nothing to train on.
    """
    if settings.backbone is not None:
        raise InputError(
            f"backbone {settings.backbone!r} is for detectors; a localiser is a classifier's body and one head, "
            "so name the classifier as its network (--network, with --arg for its arguments)"
        )
    source = Localiser.load(settings.start_from) if settings.start_from else None
    recipe = overridden(RECIPES.find(settings.recipe or "localise"), settings.overrides)
    body = body_of(settings, source)
    index = scanned(settings)
    choice = Choice(
        network=body.name, recipe=recipe, pretrained=body.pretrained, reason="", arguments=body.arguments
    )  # fmt: skip
    preprocess = input_preprocess(index, choice, source)
    pictures = decoded(index, preprocess, settings, trained=source is not None or bool(body.pretrained))
    said = f"{describe(pictures.index)}{of_several(pictures.index)}"
    choice = replace(choice, reason=f"{body.words} and a head for one box, recipe {recipe.name}: {said}; {body.why}")
    return PreparedLocalisation(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


def prepare_again(settings: Settings, decided: dict[str, Any], followed: Any) -> PreparedLocalisation:
    """Return what `prepare` returned when a run began. Raises `DataError` where the data have changed since."""
    pictures, choice = prepared_again(settings, decided, followed)
    source = Localiser.load(settings.start_from) if settings.start_from else None
    return PreparedLocalisation(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


def body_of(settings: Settings, source: Localiser | None) -> BackboneChoice:
    """Return the classifier whose body the localiser takes: that of `source`, the named one, or the best at hand."""
    if source is not None:
        return BackboneChoice(source.card.architecture, source.card.arguments, False, "it goes on from your localiser")
    return choose_backbone(settings, settings.network, settings.arguments)


def input_preprocess(index: BoxIndex, choice: Choice, source: Localiser | None) -> Preprocess:
    """Return how pictures become the input: as for a classifier, but the whole picture is squashed into it."""
    if source is not None:
        if choice.recipe.size:
            raise InputError(
                f"size={choice.recipe.size} and a localiser to start from, whose head knows an input of "
                f"{source.preprocess.height}x{source.preprocess.width} only; leave size out"
            )
        return source.preprocess
    channels = index.channels
    trained = trained_preprocess(choice.network, choice.pretrained, in_channels=channels) if choice.pretrained else None
    return replace(usual_preprocess(index, choice, trained), resize="squash", crop=1.0, decode="full")


def build(choice: Choice, pictures: Pictures, settings: Settings, source: Localiser | None) -> Localiser:
    """Return the localiser to train: fresh from the seed, with a pretrained body, or `source`."""
    torch.manual_seed(settings.seed)
    classes = pictures.index.classes
    if source is not None:
        return source.for_classes(classes, parent=settings.start_from)
    network = Network.create(
        choice.network, classes, preprocess=pictures.preprocess, pretrained=choice.pretrained, **choice.arguments
    )
    initialise_from_pictures(network, pictures)
    return Localiser.on(network)


def of_several(index: Any) -> str:
    """Say how many of the training pictures show several objects; "" where none does."""
    shown = np.array([index.objects[item].counted.sum() for item in index.select("train").tolist()])
    several = int((shown > 1).sum())
    return f" ({several:,} pictures show several objects; the largest is the one)" if several else ""


LOCALISATION = Kind(name=TASK, prepare=prepare, prepare_again=prepare_again, run=LocalisationRun)
