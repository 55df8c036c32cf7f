"""What is particular to training a classifier: its batches, its task, its calibration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glassnet.data.augment import Augment
from glassnet.data.batches import Batch, Batches, evaluation_batches
from glassnet.evaluation.calibration import fit_temperature, softmax
from glassnet.evaluation.curves import best_f1_thresholds
from glassnet.evaluation.judge import scores
from glassnet.models.network import Network
from glassnet.training.checkpoint import Learner
from glassnet.training.distributed import Workers
from glassnet.training.prepared import Prepared, evaluation_size
from glassnet.training.recipes import Recipe
from glassnet.training.task import Classification, balancing_weights


@dataclass
class PreparedClassification(Prepared):
    """What the training of a classifier starts with."""

    network: Network

    def task(self) -> Classification:
        """Return the classification task that the recipe describes."""
        recipe, pictures = self.recipe, self.pictures
        weights = None
        if recipe.balance == "weights":
            labels = pictures.labels[pictures.index.select("train")]
            weights = torch.from_numpy(balancing_weights(labels, len(self.index.classes)))
        return Classification(
            label_smoothing=recipe.label_smoothing,
            class_weights=weights,
            score=recipe.score,
            channels_last=recipe.channels_last,
        )

    def batches(self, team: Workers, seed: int, epochs: float) -> Batches:  # noqa: ARG002 - always alike
        """Return this process's training batches."""
        pictures, recipe = self.pictures, self.recipe
        items = pictures.index.select("train")
        weights = None
        if recipe.balance == "sampling":
            weights = balancing_weights(pictures.labels[items], len(self.index.classes))[pictures.labels[items]]
        return Batches(
            pictures,
            items,
            max(1, min(recipe.batch_size, len(items) // team.world)),
            augment=augmentation(recipe),
            seed=seed,
            rank=team.rank,
            world=team.world,
            weights=weights,
        )

    def evaluation(self, items: NDArray[np.int64]) -> Iterable[Batch]:
        """Return batches of `items`, in order and not augmented."""
        return evaluation_batches(self.pictures, items, evaluation_size(self.network.preprocess))

    def calibrate(self, network: Any, learner: Learner, device: str) -> None:
        """Fit the card's temperature, and a threshold for each class, to the validation pictures, if there are some.

        Thresholds are for probabilities at that temperature, each the one with the best F1 of its class against the
        rest. What the network said when it was validated is enough, unless it is to be judged with mirrored pictures
        too.
        """
        if not learner.answers:
            return
        logits, labels = learner.answers["logits"].numpy(), learner.answers["labels"].numpy()
        if self.recipe.tta:
            said = scores(network, self.pictures, self.index.select("validation"), device=device, tta=True)
            logits, labels = said.logits, said.labels
        network.card.temperature = fit_temperature(logits, labels)
        probabilities = softmax(logits, network.card.temperature)
        network.card.thresholds = best_f1_thresholds(probabilities, labels, network.classes)


def augmentation(recipe: Recipe) -> Augment | None:
    """Return what the recipe does to training pictures; None where that is nothing."""
    chosen = Augment(
        flip=recipe.flip,
        shift=recipe.shift,
        crop_scale=recipe.crop_scale,
        erasing=recipe.erasing,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        rand_augment=recipe.rand_augment,
    )
    return None if chosen == Augment() else chosen
