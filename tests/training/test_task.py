"""Classification as a task: the loss against PyTorch's and by hand, the evaluation against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from torch import nn

from glassnet.data.batches import Batch
from glassnet.training.distributed import Workers
from glassnet.training.task import Classification, balancing_weights

ALONE = Workers(0, 1, torch.device("cpu"))
GENERATOR = torch.Generator().manual_seed(0)
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))


def batch(count: int = 6, mixed: bool = False) -> Batch:
    labels = torch.arange(count) % 4
    mix = torch.rand(count, generator=GENERATOR) if mixed else None
    return Batch(
        images=torch.randn(count, 3, 2, 2, generator=GENERATOR),
        labels=labels,
        items=torch.arange(count),
        labels_b=labels.flip(0) if mixed else None,
        mix=mix,
    )


def test_the_plain_loss_is_cross_entropy() -> None:
    given = batch()
    loss, (hits,) = Classification(label_smoothing=0.1).loss(MODEL, given)
    logits = MODEL(given.images)
    torch.testing.assert_close(loss, F.cross_entropy(logits, given.labels, label_smoothing=0.1))
    assert hits == (logits.argmax(1) == given.labels).float().mean()


def test_mixed_labels_count_by_their_share() -> None:
    given = batch(mixed=True)
    assert given.mix is not None
    assert given.labels_b is not None
    loss, _ = Classification(label_smoothing=0.2).loss(MODEL, given)
    logp = F.log_softmax(MODEL(given.images), dim=1)
    target = given.mix[:, None] * F.one_hot(given.labels, 4) + (1 - given.mix)[:, None] * F.one_hot(given.labels_b, 4)
    target = 0.8 * target + 0.2 / 4
    torch.testing.assert_close(loss, -(target * logp).sum(1).mean())


def test_class_weights_with_mixed_labels_of_one_kind_are_pytorchs() -> None:
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    given = batch(mixed=True)
    same = Batch(images=given.images, labels=given.labels, items=given.items, labels_b=given.labels, mix=given.mix)
    loss, _ = Classification(class_weights=weights).loss(MODEL, same)
    torch.testing.assert_close(loss, F.cross_entropy(MODEL(given.images), given.labels, weight=weights))


@pytest.mark.parametrize("count, sizes", [(1, [6]), (2, [3, 3]), (4, [2, 2, 2]), (6, [1] * 6)])
def test_parts_are_the_whole_batch_in_pieces(count: int, sizes: list[int]) -> None:
    given = batch(mixed=True)
    parts = list(Classification().parts(given, count, torch.device("cpu")))
    assert [size for _, size in parts] == sizes
    for name in ("images", "labels", "labels_b", "mix", "items"):
        assert torch.equal(torch.cat([getattr(part, name) for part, _ in parts]), getattr(given, name))


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_is_the_one_asked_for(channels_last: bool) -> None:
    ((part, _),) = Classification(channels_last=channels_last).parts(batch(), 1, torch.device("cpu"))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert part.images.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("score", ["accuracy", "macro_f1", "loss"])
def test_the_evaluation_is_scikit_learns(score: str) -> None:
    batches = [batch(6), batch(6), batch(3)]
    found = Classification(score=score).evaluate(MODEL, batches, ALONE)
    logits = torch.cat([MODEL(each.images) for each in batches]).detach()
    labels, said = torch.cat([each.labels for each in batches]), logits.argmax(1)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, said))
    assert found["macro_f1"] == pytest.approx(
        sklearn.metrics.f1_score(labels, said, average="macro", zero_division=0.0)
    )
    assert found["loss"] == pytest.approx(
        sklearn.metrics.log_loss(labels, logits.double().softmax(1).numpy(), labels=range(4)), rel=1e-5
    )
    assert found["score"] == (-found["loss"] if score == "loss" else found[score])


def test_a_broken_network_has_no_loss() -> None:
    found = Classification().judge(torch.full((3, 4), torch.nan), torch.zeros(3, dtype=torch.int64))
    assert np.isnan(found["loss"])
    assert found["score"] == float("-inf")


def test_balancing_weights_by_hand() -> None:
    weights = balancing_weights(np.array([0, 0, 0, 1]), 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2, 0])
    assert weights[[0, 0, 0, 1]].mean() == pytest.approx(1)
