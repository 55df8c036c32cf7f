"""From what the user asked for to what a training starts with: data, choices, pictures, a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from glassnet.data.index import Index, scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import DataError, InputError
from glassnet.models import registry
from glassnet.models.network import Network, load_network
from glassnet.models.pretrained import trained_preprocess as pretrained_preprocess
from glassnet.nn.shapes import shapes_only
from glassnet.preprocess import Preprocess
from glassnet.training.choose import Choice, choose, input_preprocess, with_statistics
from glassnet.training.classification import PreparedClassification
from glassnet.training.prepared import Kind, Settings, split_key
from glassnet.training.recipes import RECIPES, AnyRecipe, Recipe

SAMPLE = 2048  # training pictures, evenly spaced, that a network with computed layers is shown


def prepare(settings: Settings) -> PreparedClassification:
    """Scan the data, choose what was left open, decode the pictures, build the network.

    Raises what the scan, the registry and the recipe raise; `DataError` where there is nothing to train on.
    """
    source = load_network(settings.start_from) if settings.start_from else None
    check_choices(settings)
    index = scan(settings.data, seed=settings.seed, group_by=settings.group_by, strict=settings.strict)
    choice = choose(
        index,
        network=settings.network,
        arguments=settings.arguments,
        recipe_name=settings.recipe,
        pretrained=settings.pretrained,
        start_from=source.card.architecture if source else None,
        minutes=settings.minutes,
    )
    choice = replace(choice, recipe=overridden(choice.recipe, settings.overrides))
    preprocess = input_preprocess(index, choice, trained_preprocess(index, choice, source))
    pictures = load_pictures(index, preprocess, strict=settings.strict)
    check_trainable(pictures.index)
    if source is None and not choice.pretrained:
        preprocess = with_statistics(preprocess, pictures.pool, pictures.index.select("train"))
        pictures = replace(pictures, preprocess=preprocess)
    network = build(choice, pictures, settings, source)
    return PreparedClassification(pictures, network, choice, settings.start_from)


def check_choices(settings: Settings) -> None:
    """Raise for a wrong network, argument or recipe before the data are scanned, which may take minutes."""
    if settings.backbone is not None:
        raise InputError(
            f"backbone {settings.backbone!r} is for detectors; a classifier is named by its network (--network)"
        )
    overridden(RECIPES.find(settings.recipe) if settings.recipe is not None else Recipe(probe=True), settings.overrides)
    if settings.network is not None:
        name, arguments = registry.resolve(settings.network, settings.arguments)
        preprocess = registry.default_preprocess(name, **arguments)
        with shapes_only():
            registry.create(name, classes=registry.entry(name).classes, in_channels=preprocess.channels, **arguments)


def overridden(chosen: AnyRecipe, overrides: Mapping[str, Any]) -> AnyRecipe:
    """Return `chosen` with `overrides`; epochs that are asked for count in place of a recipe's fixed steps."""
    if "epochs" in overrides and chosen.steps and "steps" not in overrides:
        chosen = chosen.replace(epochs=overrides["epochs"], steps=0)
    return chosen.replace(**overrides)


def prepare_again(settings: Settings, decided: dict[str, Any], followed: Recipe) -> PreparedClassification:
    """Return what `prepare` returned when a run began. Raises `DataError` where the data have changed since."""
    index = scan(settings.data, seed=settings.seed, group_by=settings.group_by)
    preprocess = Preprocess.from_dict(decided["preprocess"])
    pictures = load_pictures(index, preprocess)
    if (pictures.index.fingerprint, split_key(pictures.index)) != (decided["fingerprint"], decided["splits"]):
        raise DataError(
            f"the pictures of {settings.data!r} are not those that this run began with: files were added, removed or "
            "changed; put them back, or train anew (glassnet train ... --from the run's network)"
        )
    pictures = replace(pictures, preprocess=preprocess)
    names = ("network", "arguments", "pretrained", "reason")
    choice = Choice(recipe=followed, **{name: decided[name] for name in names})
    source = load_network(settings.start_from) if settings.start_from else None
    return PreparedClassification(pictures, build(choice, pictures, settings, source), choice, settings.start_from)


def trained_preprocess(index: Index, choice: Choice, source: Network | None) -> Preprocess | None:
    """Return the preprocess that the weights we start from expect; None where they are fresh."""
    if source is not None:
        if index.channels not in (1, 3, source.preprocess.channels):
            raise InputError(
                f"the pictures have {index.channels} channels, but the network to start from takes "
                f"{source.preprocess.channels}; start from another one"
            )
        return source.preprocess
    if choice.pretrained:
        return pretrained_preprocess(choice.network, choice.pretrained, in_channels=index.channels)
    return None


def build(choice: Choice, pictures: Pictures, settings: Settings, source: Network | None) -> Network:
    """Return the network to train: fresh from the seed, with pretrained weights, or `source` with a fitting head."""
    torch.manual_seed(settings.seed)
    classes, preprocess = pictures.index.classes, pictures.preprocess
    if source is not None:
        network = source.for_classes(classes, parent=settings.start_from)
        network.card.preprocess = preprocess.to_dict()
        network = Network(network.module, network.card)
        if (preprocess.height, preprocess.width) != (source.preprocess.height, source.preprocess.width):
            network.trace()  # raises where its weights are for one size only
    else:
        network = Network.create(
            choice.network, classes, preprocess=preprocess, pretrained=choice.pretrained, **choice.arguments
        )
    if choice.recipe.probe:
        network.linearise_head()
    if source is None:
        initialise_from_pictures(network, pictures)
    return network


def initialise_from_pictures(network: Network, pictures: Pictures) -> None:
    """Show `network` some training pictures where it has layers that are computed from the data."""
    initialise = getattr(network.module, "initialise_from", None)
    if initialise:
        items = pictures.index.select("train")
        sample = pictures.pool[items[:: max(1, len(items) // SAMPLE)][:SAMPLE]]
        initialise(network.preprocess.finish(torch.from_numpy(np.ascontiguousarray(sample))))


def check_trainable(index: Index) -> None:
    """Raise `DataError` unless there are training pictures of at least two classes."""
    present = int((index.counts()[:, 0] > 0).sum())
    if present < 2:
        raise DataError(
            f"{index.name}: training needs pictures of at least two classes, there are usable ones of {present}; "
            "see `glassnet data check`"
        )


CLASSIFICATION = Kind(name="classification", prepare=prepare, prepare_again=prepare_again)
