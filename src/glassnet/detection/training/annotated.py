"""What all trainings on boxes begin with: annotated pictures, their batches, and a classifier to stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import scan_boxes
from glassnet.data.batches import Batches
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.detection.batches import BoxBatch, BoxBatches
from glassnet.detection.training.recipes import BoxRecipe
from glassnet.detection.yolo.registry import BACKBONE
from glassnet.errors import DataError
from glassnet.models import registry
from glassnet.preprocess import Preprocess
from glassnet.training.choose import Choice, weights_installed, with_statistics
from glassnet.training.distributed import Workers
from glassnet.training.prepared import Prepared, Settings, evaluation_size, split_key


@dataclass
class PreparedBoxes(Prepared):
    """What a training on annotated pictures starts with."""

    @property
    def boxes(self) -> BoxIndex:
        """The index of the usable items, with their objects."""
        assert isinstance(self.pictures.index, BoxIndex)
        return self.pictures.index

    def batches(self, team: Workers, seed: int, epochs: float, **how: Any) -> Batches:  # noqa: ARG002 - for mosaics
        """Return this process's training batches; `how` are further arguments of `BoxBatches`."""
        recipe, items = self.recipe, self.index.select("train")
        assert isinstance(recipe, BoxRecipe)
        size = max(1, min(recipe.batch_size, len(items) // team.world))
        how |= {"boxes": recipe.augment(), "seed": seed, "rank": team.rank, "world": team.world}
        return BoxBatches(self.pictures, items, size, **how)

    def evaluation(self, items: NDArray[np.int64]) -> Iterable[BoxBatch]:
        """Return batches of `items`, in order and not augmented."""
        if len(items) == 0:
            return []
        size = evaluation_size(self.network.preprocess)
        return BoxBatches(self.pictures, items, size, shuffle=False, drop_last=False).epoch(0)

    def counts(self) -> dict[str, Any]:
        """Return how many pictures, and how many objects, each split has, for the card."""
        objects = self.boxes.boxes_of_classes().sum(axis=0).tolist()
        return super().counts() | dict(
            zip(("train_objects", "validation_objects", "test_objects"), objects, strict=True)
        )


def scanned(settings: Settings) -> BoxIndex:
    """Scan the annotated data; raise what the scan raises, and `DataError` where there is nothing to train on."""
    index = scan_boxes(settings.data, seed=settings.seed, group_by=settings.group_by, strict=settings.strict)
    check_trainable(index)
    return index


def decoded(index: BoxIndex, preprocess: Preprocess, settings: Settings, *, trained: bool) -> Pictures:
    """Decode the pictures. Weights that are `trained` expect the colours of `preprocess`; else the data's are taken."""
    pictures = load_pictures(index, preprocess, strict=settings.strict)
    check_trainable(pictures.index)
    if trained:
        return pictures
    preprocess = with_statistics(preprocess, pictures.pool, pictures.index.select("train"))
    return replace(pictures, preprocess=preprocess)


def prepared_again(settings: Settings, decided: dict[str, Any], followed: Any) -> tuple[Pictures, Choice]:
    """Return the pictures and the choice that a run began with; raise `DataError` where the data have changed."""
    index = scan_boxes(settings.data, seed=settings.seed, group_by=settings.group_by)
    preprocess = Preprocess.from_dict(decided["preprocess"])
    pictures = load_pictures(index, preprocess)
    if (pictures.index.fingerprint, split_key(pictures.index)) != (decided["fingerprint"], decided["splits"]):
        raise DataError(
            f"the pictures or boxes of {settings.data!r} are not those that this run began with: something was added, "
            "removed or changed; put it back, or train anew (glassnet train ... --from the run's network)"
        )
    names = ("network", "arguments", "pretrained", "reason")
    choice = Choice(recipe=followed, **{name: decided[name] for name in names})
    return replace(pictures, preprocess=preprocess), choice


@dataclass(frozen=True)
class BackboneChoice:
    """A classifier by name, its arguments, whether (or from where) its weights are pretrained, and why."""

    name: str
    arguments: dict[str, Any]
    pretrained: bool | str
    why: str

    @property
    def words(self) -> str:
        """What it is in words."""
        return f"{self.name}{' with ImageNet weights' if self.pretrained else ''}"


def choose_backbone(settings: Settings, name: str | None, arguments: Mapping[str, Any]) -> BackboneChoice:
    """Return the classifier that the user named, or the best one that is at hand."""
    if name is not None:
        name, resolved = registry.resolve(name, arguments)
        return BackboneChoice(name, resolved, settings.pretrained, "you chose the backbone")
    if settings.pretrained or weights_installed():
        why = "trained on ImageNet, so few pictures suffice"
        return BackboneChoice(BACKBONE, dict(arguments), settings.pretrained or True, why)
    why = "no pretrained weights are installed (extra: pretrained), so it learns from scratch"
    return BackboneChoice("resnet18", dict(arguments), False, why)


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
