"""From what the user asked for to what the training of a detector starts with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import scan_boxes
from glassnet.data.batches import Batches
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.detection.augment import BoxAugment
from glassnet.detection.batches import BoxBatch, BoxBatches
from glassnet.detection.detector import Detector
from glassnet.detection.judging.thresholds import best_thresholds
from glassnet.detection.training.recipes import DetectionRecipe, detection_recipe
from glassnet.detection.training.run import DetectionRun
from glassnet.detection.training.task import Detection, from_rows
from glassnet.detection.yolo import registry as detectors
from glassnet.errors import DataError
from glassnet.models import registry
from glassnet.models.pretrained import trained_preprocess
from glassnet.models.words import split_words
from glassnet.preprocess import Preprocess
from glassnet.training.checkpoint import Learner
from glassnet.training.choose import Choice, weights_installed, with_statistics
from glassnet.training.distributed import Workers
from glassnet.training.prepare import overridden
from glassnet.training.prepared import Kind, Prepared, Settings, evaluation_size, split_key

MULTIPLE = 32
"""The input's sides are multiples of the coarsest stride, so that all grids divide it evenly."""
GREY = (114, 114, 114)
"""What fills the input beside a picture of another shape: the mean of ImageNet's pictures, roughly."""


@dataclass
class PreparedDetection(Prepared):
    """What the training of a detector starts with."""

    network: Detector

    @property
    def boxes(self) -> BoxIndex:
        """The index of the usable items, with their objects."""
        assert isinstance(self.pictures.index, BoxIndex)
        return self.pictures.index

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

    def batches(self, team: Workers, seed: int, epochs: float) -> Batches:
        """Return this process's training batches."""
        recipe, items = self.detection, self.index.select("train")
        return BoxBatches(
            self.pictures,
            items,
            max(1, min(recipe.batch_size, len(items) // team.world)),
            boxes=BoxAugment(
                flip=recipe.flip,
                flip_vertical=recipe.flip_vertical,
                mosaic=recipe.mosaic,
                zoom=recipe.zoom,
                colour=recipe.colour,
            ),
            mosaic_epochs=recipe.mosaic_until * epochs,
            seed=seed,
            rank=team.rank,
            world=team.world,
        )

    def evaluation(self, items: NDArray[np.int64]) -> Iterable[BoxBatch]:
        """Return batches of `items`, in order and not augmented."""
        if len(items) == 0:
            return []
        size = evaluation_size(self.network.preprocess)
        return BoxBatches(self.pictures, items, size, shuffle=False, drop_last=False).epoch(0)

    def calibrate(self, network: Any, learner: Learner, device: str) -> None:  # noqa: ARG002 - the answers suffice
        """Choose each class's threshold by what was found in the validation pictures, where there are some."""
        if not learner.answers:
            return
        items = learner.answers["items"]
        found = from_rows(learner.answers["found"], items, self.boxes.classes, self.boxes.sizes)
        truth = [self.boxes.objects[item] for item in items.tolist()]
        network.card.thresholds = best_thresholds(found, truth, self.boxes.classes)

    def counts(self) -> dict[str, Any]:
        """Return how many pictures, and how many objects, each split has, for the card."""
        objects = self.boxes.boxes_of_classes().sum(axis=0).tolist()
        return super().counts() | dict(
            zip(("train_objects", "validation_objects", "test_objects"), objects, strict=True)
        )


def prepare(settings: Settings) -> PreparedDetection:
    """Scan the annotated data, choose what was left open, decode the pictures, build the detector.

    Raises what the scan, the registries and the recipe raise; `DataError` where there is nothing to train on.
    """
    source = Detector.load(settings.start_from) if settings.start_from else None
    recipe = overridden(detection_recipe(settings.recipe or "detect"), settings.overrides)
    name = source.name if source else settings.network or "yolo"
    detectors.check_name(name)
    index = scan_boxes(settings.data, seed=settings.seed, group_by=settings.group_by, strict=settings.strict)
    check_trainable(index)
    backbone = choose_backbone(settings, source)
    preprocess = input_preprocess(index, recipe, backbone, source)
    pictures = load_pictures(index, preprocess, strict=settings.strict)
    check_trainable(pictures.index)
    if source is None and not backbone.pretrained:
        preprocess = with_statistics(preprocess, pictures.pool, pictures.index.select("train"))
        pictures = replace(pictures, preprocess=preprocess)
    weights = " with ImageNet weights" if backbone.pretrained else ""
    reason = f"{name} on {backbone.name}{weights}, recipe {recipe.name}: {describe(pictures.index)}; {backbone.why}"
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
    index = scan_boxes(settings.data, seed=settings.seed, group_by=settings.group_by)
    preprocess = Preprocess.from_dict(decided["preprocess"])
    pictures = load_pictures(index, preprocess)
    if (pictures.index.fingerprint, split_key(pictures.index)) != (decided["fingerprint"], decided["splits"]):
        raise DataError(
            f"the pictures or boxes of {settings.data!r} are not those that this run began with: something was added, "
            "removed or changed; put it back, or train anew (glassnet train ... --from the run's network)"
        )
    pictures = replace(pictures, preprocess=preprocess)
    names = ("network", "arguments", "pretrained", "reason")
    choice = Choice(recipe=followed, **{name: decided[name] for name in names})
    source = Detector.load(settings.start_from) if settings.start_from else None
    return PreparedDetection(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


@dataclass(frozen=True)
class BackboneChoice:
    """A classifier by name, its arguments, whether (or from where) its weights are pretrained, and why."""

    name: str
    arguments: dict[str, Any]
    pretrained: bool | str
    why: str


def choose_backbone(settings: Settings, source: Detector | None) -> BackboneChoice:
    """Return the backbone that the user named ("mobilenet_v2 width=0.5"), or the best one that is at hand."""
    if source is not None:
        given = source.card.arguments
        return BackboneChoice(given["backbone"], given["backbone_arguments"], False, "it goes on from your detector")
    if settings.backbone is not None:
        name, arguments = registry.resolve(*split_words(settings.backbone))
        return BackboneChoice(name, arguments, settings.pretrained, "you chose the backbone")
    if settings.pretrained or weights_installed():
        why = "trained on ImageNet, so few pictures suffice"
        return BackboneChoice(detectors.BACKBONE, {}, settings.pretrained or True, why)
    why = "no pretrained weights are installed (extra: pretrained), so it learns from scratch"
    return BackboneChoice("resnet18", {}, False, why)


def input_preprocess(
    index: BoxIndex, recipe: DetectionRecipe, backbone: BackboneChoice, source: Detector | None
) -> Preprocess:
    """Return how pictures become the input: whole, scaled to fit, in the shape that most of them have."""
    if source is not None:
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


def check_trainable(index: Any) -> None:
    """Raise `DataError` unless the training pictures show an object."""
    items = index.select("train").tolist()
    if not any(index.objects[item].counted.any() for item in items):
        raise DataError(
            f"{index.name}: none of the {len(items):,} training pictures has a usable box; see `glassnet data check`"
        )


def describe(index: Any) -> str:
    """Say what the data are."""
    boxes = int(index.boxes_of_classes()[:, 0].sum())
    height, width = (int(side) for side in np.median(index.sizes, axis=0))
    return (
        f"{len(index.select('train')):,} pictures of about {width}x{height} with {boxes:,} boxes of "
        f"{len(index.classes)} class{'es' if len(index.classes) != 1 else ''} to learn from"
    )


DETECTION = Kind(name="detection", prepare=prepare, prepare_again=prepare_again, run=DetectionRun)
