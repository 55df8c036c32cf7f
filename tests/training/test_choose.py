"""Choosing by the data: every branch, and the line that says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glassnet.data.index import Index
from glassnet.errors import InputError
from glassnet.models import registry
from glassnet.preprocess import Preprocess
from glassnet.training import choose as choose_module
from glassnet.training.choose import choose, input_preprocess, with_statistics
from glassnet.training.prepare import trained_preprocess


def index(side: int, channels: int = 3, items: int = 30) -> Index:
    return Index(
        name="photos", kind="folder", root=None, classes=("a", "b"), paths=None, images=None,
        labels=np.arange(items) % 2, splits=(np.arange(items) % 3 == 2).astype(np.int8),
        sizes=np.full((items, 2), side, np.int32), channels=channels,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given, installed, options, network, recipe, pretrained",
    [
        (index(300), True, {}, "efficientnet_lite0", "transfer", True),
        (index(300), True, {"minutes": 20}, "efficientnet_lite0", "best", True),
        (index(300), True, {"minutes": 2}, "efficientnet_lite0", "transfer", True),
        (index(300), False, {}, "resnet18", "standard", False),
        (index(32), True, {}, "resnet18", "quick", False),
        (index(28, channels=1), True, {}, "sprint_s", "quick", False),
        (index(28, channels=1), True, {"recipe_name": "sprint_minute"}, "sprint_m", "sprint_minute", False),
        (index(28), True, {"recipe_name": "sprint", "network": "lenet5"}, "lenet5", "sprint", False),
        (index(300), True, {"network": "vgg11"}, "vgg11", "standard", False),
        (index(300), True, {"network": "mobilenet_v2", "recipe_name": "quick"}, "mobilenet_v2", "quick", False),
        (index(28), True, {"pretrained": True}, "efficientnet_lite0", "transfer", True),
        (index(28), True, {"pretrained": "timm"}, "efficientnet_lite0", "transfer", "timm"),
        (index(300), True, {"network": "vgg11", "pretrained": "torchvision"}, "vgg11", "transfer", "torchvision"),
        (index(300), True, {"start_from": "resnet50"}, "resnet50", "transfer", False),
    ],
)
def test_choices(
    given: Index, installed: bool, options: dict[str, Any], network: str, recipe: str, pretrained: bool | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(choose_module, "weights_installed", lambda: installed)
    choice = choose(given, **options)
    assert (choice.network, choice.recipe.name, choice.pretrained) == (network, recipe, pretrained)
    assert "\n" not in choice.reason
    assert choice.reason.startswith(network)
    assert f"recipe {recipe}: 20 " in choice.reason


def test_small_pictures_go_in_at_their_own_size() -> None:
    choice = choose(index(48))
    assert choice.arguments == {"stem": "small"}
    assert registry.create(choice.network, **choice.arguments) is not None
    small = input_preprocess(index(48), replace(choice, network="vgg11", arguments={}))
    assert (small.height, small.width, small.crop) == (48, 48, 1.0)


def test_weights_keep_their_preprocess_but_for_the_size() -> None:
    choice = choose(index(300), pretrained=True)
    trained = registry.default_preprocess("efficientnet_lite0")
    assert input_preprocess(index(300), choice, trained) == trained
    larger = replace(choice, recipe=choice.recipe.replace(size=160))
    assert input_preprocess(index(300), larger, trained) == replace(trained, height=160, width=160)


def test_weights_of_a_named_source_bring_their_preprocess() -> None:
    choice = choose(index(300), network="efficientnet_lite0", pretrained="timm")
    for channels, mean in ((3, (0.485, 0.456, 0.406)), (1, (pytest.approx(0.449),))):
        trained = trained_preprocess(index(300, channels=channels), choice, None)
        assert trained is not None
        assert trained.mean == mean
        assert trained.interpolation == "bicubic"


def test_huge_photos_are_decoded_at_a_reduced_scale() -> None:
    choice = choose(index(4000), network="resnet18")
    assert input_preprocess(index(4000), choice).decode == "dct"
    assert input_preprocess(index(500), choice).decode == "full"


def test_photos_from_scratch_are_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_module, "weights_installed", lambda: False)
    assert choose(index(300)).recipe.size == 128
    assert choose(index(300), network="resnet18").recipe.size == 0


def test_statistics_are_those_of_the_training_pictures() -> None:
    generator = np.random.default_rng(0)
    pool = generator.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    pool[..., 1] //= 4
    items = np.arange(0, 50, 2)
    found = with_statistics(Preprocess(height=8, width=8), pool, items)
    scaled = pool[items] / 255
    np.testing.assert_allclose(found.mean, scaled.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(found.std, scaled.std((0, 1, 2)), atol=1e-5)
    flat = with_statistics(Preprocess(height=8, width=8), np.zeros_like(pool), items)
    assert min(flat.std) > 0


def test_a_recipe_that_freezes_layers_needs_trained_ones() -> None:
    with pytest.raises(InputError, match=r"recipe best never trains the first 3 stages.*resnet18 is fresh: add --pre"):
        choose(index(300), network="resnet18", recipe_name="best")
    assert choose(index(300), network="resnet18", recipe_name="best", start_from="resnet18").recipe.frozen_stages == 3


def test_photos_just_large_enough_are_not_enlarged_unless_a_frozen_body_expects_it() -> None:
    fresh = choose(index(230), network="resnet18")
    assert input_preprocess(index(230), fresh).crop == 1.0
    assert input_preprocess(index(300), fresh).crop == input_preprocess(index(200), fresh).crop == 0.875
    for name, crop in (("transfer", 0.875), ("best", 1.0)):
        choice = choose(index(230), network="efficientnet_lite0", pretrained=True, recipe_name=name)
        assert input_preprocess(index(230), choice, registry.default_preprocess("efficientnet_lite0")).crop == crop
