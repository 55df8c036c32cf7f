"""A network with auxiliary heads trains, is probed and fine-tuned like any other; its losses are weighed by hand."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassnet.data.batches import Batch
from glassnet.models import registry
from glassnet.models.auxiliary import AuxiliaryClassifier
from glassnet.models.network import Network
from glassnet.training.optimisers import Muon, build_optimisers
from glassnet.training.recipes import Recipe
from glassnet.training.task import Classification
from glassnet.training.train import train


def build(classes: int, in_channels: int) -> AuxiliaryClassifier:
    stem = nn.Sequential(nn.Conv2d(in_channels, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    stage1 = nn.Sequential(nn.Conv2d(8, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    body = nn.Sequential(OrderedDict(stem=stem, stage1=stage1, pool=pool))
    on_the_way = registry.Classifier(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8)), nn.Linear(8, classes)
    )
    return AuxiliaryClassifier(body, nn.Linear(32, classes), {"stem": on_the_way})


@pytest.fixture
def _two_headed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    shape = registry.default_preprocess("tiny")
    registry.register("two_headed", title="Two heads", paper="none", preprocess=shape, classes=10)(build)


def a_batch(mixed: bool) -> Batch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(6) % 4
    return Batch(
        images=torch.randn(6, 1, 12, 12, generator=generator),
        labels=labels,
        items=torch.arange(6),
        labels_b=labels.flip(0) if mixed else None,
        mix=torch.rand(6, generator=generator) if mixed else None,
    )


@pytest.mark.parametrize("mixed", [False, True])
def test_auxiliary_losses_count_three_tenths(mixed: bool) -> None:
    torch.manual_seed(0)
    model, batch, task = build(4, 1).train(), a_batch(mixed), Classification()
    loss, (hits,) = task.loss(model, batch)
    logits, auxiliary = model(batch.images)

    def cross_entropy(said: torch.Tensor) -> torch.Tensor:
        if batch.mix is None or batch.labels_b is None:
            return F.cross_entropy(said, batch.labels)
        first, second = (F.cross_entropy(said, labels, reduction="none") for labels in (batch.labels, batch.labels_b))
        return (batch.mix * first + (1 - batch.mix) * second).mean()

    torch.testing.assert_close(loss, cross_entropy(logits) + 0.3 * cross_entropy(auxiliary))
    assert hits == (logits.argmax(1) == batch.labels).float().mean()
    alone, _ = task.loss(model.eval(), batch)  # in evaluation there is one head
    torch.testing.assert_close(alone, cross_entropy(model(batch.images)))


def test_muon_leaves_every_head_to_sgd() -> None:
    muon, sgd = build_optimisers(build(4, 1), Recipe(optimiser="muon"))
    assert isinstance(muon, Muon)
    matrices = {name for group in muon.param_groups for name in group["names"]}
    assert matrices == {"body.stem.0.weight", "body.stage1.0.weight", "auxiliary.stem.body.2.weight"}
    others = {name for group in sgd.param_groups for name in group["names"]}
    assert {"head.weight", "auxiliary.stem.head.weight"} <= others


@pytest.mark.usefixtures("_two_headed")
def test_it_trains_is_fine_tuned_and_probed(small_data: Path, tmp_path: Path) -> None:
    first = train(str(small_data), network="two_headed", output=tmp_path / "first", epochs=1, quiet=True)
    module = Network.load(first.path / "network.safetensors").module
    assert isinstance(module, AuxiliaryClassifier)
    tuned = train(
        str(small_data),
        start_from=str(first.path),
        output=tmp_path / "tuned",
        overrides={"probe": True, "freeze": 0.5, "select": "last"},
        epochs=1,
        quiet=True,
    )
    again = Network.load(tuned.path / "network.safetensors").module
    before, after = module.state_dict(), again.state_dict()
    learnt = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"head.weight", "auxiliary.stem.head.weight", "auxiliary.stem.body.2.weight"} <= learnt
