"""From what the user asked for to what the training of a detector starts with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.batches import Batches
from glassnet.data.pictures import Pictures
from glassnet.detection.batches import placed_objects
from glassnet.detection.detector import Detector
from glassnet.detection.judging.thresholds import best_thresholds
from glassnet.detection.targets import Targets
from glassnet.detection.training.annotated import (
    BackboneChoice,
    PreparedBoxes,
    choose_backbone,
    decoded,
    describe,
    prepared_again,
    scanned,
)
from glassnet.detection.training.recipes import RECIPES, DetectionRecipe
from glassnet.detection.training.run import DetectionRun
from glassnet.detection.training.size import MULTIPLE, choose_size
from glassnet.detection.training.task import Detection, from_rows
from glassnet.detection.yolo import registry as detectors
from glassnet.detection.yolo.grid import share_a_cell
from glassnet.errors import InputError
from glassnet.models import registry
from glassnet.models.pretrained import trained_preprocess
from glassnet.models.words import split_words
from glassnet.preprocess import Preprocess
from glassnet.training.checkpoint import Learner
from glassnet.training.choose import Choice
from glassnet.training.distributed import Workers
from glassnet.training.prepare import overridden
from glassnet.training.prepared import Kind, Settings

GREY = (114, 114, 114)
"""What fills the input beside a picture of another shape: the mean of ImageNet's pictures, roughly."""


@dataclass
class PreparedDetection(PreparedBoxes):
    """What the training of a detector starts with."""

    network: Detector

    @property
    def detection(self) -> DetectionRecipe:
        """The recipe that is followed."""
        assert isinstance(self.recipe, DetectionRecipe)
        return self.recipe

    def task(self) -> Detection:
        """Return the task that the recipe describes."""
        return Detection(
            self.network.preprocess,
            self.boxes.classes,
            self.boxes.objects,
            self.boxes.sizes,
            score=self.recipe.score,
            channels_last=self.recipe.channels_last,
        )

    def batches(self, team: Workers, seed: int, epochs: float, **how: Any) -> Batches:
        """Return this process's training batches."""
        return super().batches(team, seed, epochs, mosaic_epochs=self.detection.mosaic_until * epochs, **how)

    def calibrate(self, network: Any, learner: Learner, device: str) -> None:  # noqa: ARG002 - the answers suffice
        """Choose each class's threshold by what was found in the validation pictures, where there are some."""
        if not learner.answers:
            return
        items = learner.answers["items"]
        found = from_rows(learner.answers["found"], items, self.boxes.classes, self.boxes.sizes)
        truth = [self.boxes.objects[item] for item in items.tolist()]
        network.card.thresholds = best_thresholds(found, truth, self.boxes.classes)


def prepare(settings: Settings) -> PreparedDetection:
    """Scan the annotated data, choose what was left open, decode the pictures, build the detector.

    Raises what the scan, the registries and the recipe raise; `DataError` where there is nothing to train on.
    """
    source = Detector.load(settings.start_from) if settings.start_from else None
    recipe = overridden(RECIPES.find(settings.recipe or "detect"), settings.overrides)
    name = source.name if source else settings.network or "yolo"
    detectors.check_name(name)
    index = scanned(settings)
    backbone = backbone_of(settings, source)
    why = backbone.why
    if source is None and recipe.size == 0:
        size, because = choose_size(index)
        recipe, why = recipe.replace(size=size), f"{why}; {because}"
    preprocess = input_preprocess(index, recipe, backbone, source)
    pictures = decoded(index, preprocess, settings, trained=source is not None or bool(backbone.pretrained))
    reason = f"{name} on {backbone.words}, recipe {recipe.name}: {describe(pictures.index)}; {why}"
    if name == "yolo_v1":
        given = settings.arguments if source is None else source.card.arguments
        reason += lost_to_cells(pictures, int(given.get("cells", detectors.arguments_of(name)["cells"])))
    choice = Choice(
        network=name,
        recipe=recipe,
        pretrained=backbone.pretrained,
        reason=reason,
        arguments={"backbone": backbone.name, "backbone_arguments": backbone.arguments, **settings.arguments},
    )
    return PreparedDetection(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


def prepare_again(settings: Settings, decided: dict[str, Any], followed: Any) -> PreparedDetection:
    """Return what `prepare` returned when a run began. Raises `DataError` where the data have changed since."""
    pictures, choice = prepared_again(settings, decided, followed)
    source = Detector.load(settings.start_from) if settings.start_from else None
    return PreparedDetection(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


def backbone_of(settings: Settings, source: Detector | None) -> BackboneChoice:
    """Return the backbone that the user named ("mobilenet_v2 width=0.5"), or the best one that is at hand."""
    if source is not None:
        if settings.backbone is not None:
            raise InputError(
                f"backbone {settings.backbone!r} and a detector to start from, which stands on its own; leave one out"
            )
        given = source.card.arguments
        return BackboneChoice(given["backbone"], given["backbone_arguments"], False, "it goes on from your detector")
    named = (None, {}) if settings.backbone is None else split_words(settings.backbone)
    return choose_backbone(settings, *named)


def input_preprocess(
    index: BoxIndex, recipe: DetectionRecipe, backbone: BackboneChoice, source: Detector | None
) -> Preprocess:
    """Return how pictures become the input: whole, scaled to fit, in the shape that most of them have."""
    if source is not None:
        if recipe.size:
            raise InputError(
                f"size={recipe.size} and a detector to start from, which was trained at {source.preprocess.height}x"
                f"{source.preprocess.width} and goes on so; leave size out, or train a new one"
            )
        return source.preprocess
    base = (
        trained_preprocess(backbone.name, backbone.pretrained, in_channels=index.channels)
        if backbone.pretrained
        else registry.default_preprocess(backbone.name, in_channels=index.channels, **backbone.arguments)
    )
    height, width = np.median(index.sizes, axis=0).tolist()
    shorter = max(MULTIPLE, MULTIPLE * math.ceil(recipe.size * min(height, width) / max(height, width) / MULTIPLE))
    longer = max(MULTIPLE, MULTIPLE * round(recipe.size / MULTIPLE))
    sides = (shorter, longer) if width >= height else (longer, shorter)
    return replace(base, height=sides[0], width=sides[1], resize="pad", crop=1.0, background=GREY, decode="full")


def lost_to_cells(pictures: Pictures, cells: int) -> str:
    """Say how many training objects a grid cannot answer, as their middle's cell is another one's; "" where none."""
    items = pictures.index.select("train").tolist()
    placed = placed_objects(pictures)
    targets = Targets.of([placed[item] for item in items])
    size = (pictures.preprocess.height, pictures.preprocess.width)
    lost, count = share_a_cell(targets, size, cells), int((targets.labels >= 0).sum())
    if not lost:
        return ""
    return f"; {lost:,} of {count:,} objects share a cell of the {cells}x{cells} grid, which can answer for one each"


def build(choice: Choice, pictures: Pictures, settings: Settings, source: Detector | None) -> Detector:
    """Return the detector to train: fresh from the seed, with a pretrained backbone, or `source`."""
    torch.manual_seed(settings.seed)
    classes = pictures.index.classes
    if source is not None:
        return source.for_classes(classes, parent=settings.start_from)
    arguments = dict(choice.arguments)
    return Detector.create(
        choice.network,
        classes,
        preprocess=pictures.preprocess,
        backbone=arguments.pop("backbone"),
        pretrained=choice.pretrained,
        **arguments,
    )


DETECTION = Kind(name="detection", prepare=prepare, prepare_again=prepare_again, run=DetectionRun)
