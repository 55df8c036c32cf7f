"""The network learns: one shape per picture, drawn at random, is named and found within seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.data.annotations.objects import Objects
from glassnet.detection.batches import BoxBatch
from glassnet.detection.detections import Finder
from glassnet.detection.localisation import Localisation, LocalisationNetwork, Localiser
from glassnet.detection.targets import Targets
from glassnet.errors import DataError, InputError, NetworkFileError, UnknownName
from glassnet.models import Network, create
from glassnet.preprocess import Preprocess
from glassnet.training.distributed import Workers
from glassnet.training.task import Task

SIDE = 32
CLASSES = ("rectangle", "ellipse")
ALONE = Workers(0, 1, torch.device("cpu"))
BACKBONE = """
name = "small"
input = [32, 32, 3]
layers = [
    { conv = 16, stride = 2, norm = "batch", activation = "relu" },
    { conv = 32, stride = 2, norm = "batch", activation = "relu" },
    { conv = 48, stride = 2, norm = "batch", activation = "relu" },
    { conv = 48, norm = "batch", activation = "relu" },
    { pool = "global_average" },
]
"""
PLAIN = Preprocess(height=SIDE, width=SIDE, channels=3, resize="squash", crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pictures (N, 32, 32, 3) uint8 with a rectangle, an ellipse, or (every sixth) nothing, on a noisy ground.

    Returns them with boxes (N, 4) float32 xyxy and labels (N,).
    """
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 60, (count, SIDE, SIDE, 3)).astype(np.uint8)
    boxes, labels = np.zeros((count, 4), np.float32), rng.integers(0, 2, count)
    labels[::6] = -1
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for number in np.flatnonzero(labels >= 0):
        width, height = rng.integers(10, 23, 2)
        left, top = rng.integers(0, SIDE - width), rng.integers(0, SIDE - height)
        inside = (abs(x - left - width / 2) < width / 2) & (abs(y - top - height / 2) < height / 2)
        if labels[number] == 1:
            inside = ((x - left - width / 2) / width) ** 2 + ((y - top - height / 2) / height) ** 2 < 0.25
        pictures[number][inside] = rng.integers(110, 256, 3)
        boxes[number] = left, top, left + width, top + height
    return pictures, boxes, labels


def batches(count: int, size: int, seed: int) -> Iterator[BoxBatch]:
    pictures, boxes, labels = shapes(count, seed)
    images = PLAIN.finish(torch.from_numpy(pictures))
    objects = [
        Objects.of([box], [label]) if label >= 0 else Objects.of() for box, label in zip(boxes, labels, strict=True)
    ]
    for start in range(0, count, size):
        part = slice(start, start + size)
        yield BoxBatch(images=images[part], targets=Targets.of(objects[part]), items=torch.arange(count)[part])


@pytest.fixture
def small(tmp_path: Path) -> Localiser:
    """A fresh network on a described body that ends in a global average."""
    (tmp_path / "small.toml").write_text(BACKBONE, "utf-8")
    torch.manual_seed(0)
    return Localiser.create(str(tmp_path / "small.toml"), CLASSES, preprocess=PLAIN)


def test_it_learns_to_name_and_find_shapes(small: Localiser) -> None:
    localiser = small
    task, module = Localisation(), localiser.module.to(memory_format=torch.channels_last)
    examples = list(batches(1536, 64, seed=0))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=3 * len(examples))
    for _ in range(3):
        for batch in examples:
            for part, _count in task.parts(batch, 1, torch.device("cpu")):
                loss, _measures = task.loss(module, part)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    module.eval()
    with torch.inference_mode():
        found = task.evaluate(module, batches(240, 100, seed=1), ALONE)
    assert found["accuracy"] > 0.9, found
    assert found["mean_iou"] > 0.7, found
    assert found["score"] == found["accuracy"]
    assert task.answers["said"].shape == (240, 7)
    pictures, boxes, labels = shapes(30, seed=2)
    detections = list(localiser.stream(list(pictures)))
    assert np.mean([len(each) == (label >= 0) for each, label in zip(detections, labels, strict=True)]) > 0.9
    named = [
        each.labels[0] == label for each, label in zip(detections, labels, strict=True) if len(each) and label >= 0
    ]
    assert np.mean(named) > 0.9
    apart = [abs(each.boxes[0] - box).max() for each, box in zip(detections, boxes, strict=True) if len(each)]
    assert np.median(apart) < 3


def test_it_is_a_task_and_a_finder(small: Localiser) -> None:
    task: Task = Localisation()
    finder: Finder = small
    assert task.measures == ("accuracy",)
    assert (finder.name, finder.classes) == ("small", CLASSES)


@pytest.mark.parametrize(
    "name, side, kept, positions",
    [
        ("resnet18", 64, "stage4", (512, 2, 2)),
        ("squeezenet1_0", 64, None, (512, 3, 3)),
        ("nin_cifar", 32, None, (192, 8, 8)),
    ],
)
def test_a_pooling_over_all_positions_is_left_out(
    name: str, side: int, kept: str | None, positions: tuple[int, ...] | None
) -> None:
    backbone = create(name, classes=3)
    backbone.input_size = (3, side, side)
    network = LocalisationNetwork(backbone, 4).eval()
    maps = network.body(torch.zeros(1, 3, side, side))
    assert maps.ndim == 4
    assert positions is None or tuple(maps.shape[1:]) == positions
    assert kept is None or list(dict(network.body.named_children()))[-1] == kept
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 9)
    mine = {id(parameter) for parameter in network.body.parameters()}
    assert mine == {id(parameter) for parameter in backbone.body.parameters()}  # nothing that is trained is lost


def test_dense_layers_at_a_body_s_end_stay() -> None:
    network = LocalisationNetwork(create("lenet5", classes=10, in_channels=1), 10)
    assert isinstance(network.head, nn.Linear)
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 15)
    assert "dense2" in dict(network.body.named_children())


def test_a_pooling_inside_a_trained_stage_stays() -> None:
    network = LocalisationNetwork(create("sprint_s", classes=10, in_channels=1), 10)
    assert isinstance(network.head, nn.Linear)


def test_a_box_depends_on_where_the_object_is(small: Localiser) -> None:
    module = small.module.eval()
    pictures = torch.zeros(2, 3, SIDE, SIDE)
    pictures[0, :, 8:12, 8:12] = pictures[1, :, 20:24, 20:24] = 2.0
    with torch.no_grad():
        first, second = module(pictures)
    assert (first - second).abs().max() > 1e-3


def test_parts_are_the_batch_and_their_losses_its_mean(small: Localiser) -> None:
    module, task = small.module.eval(), Localisation()
    (batch,) = batches(10, 10, seed=0)
    parts = list(task.parts(batch, 3, torch.device("cpu")))
    assert [count for _, count in parts] == [4, 4, 2]
    with torch.no_grad():
        whole, (accuracy,) = task.loss(module, batch)
        losses = [(task.loss(module, part), count) for part, count in parts]
    assert float(sum(loss * count for (loss, _), count in losses)) / 10 == pytest.approx(float(whole), rel=1e-4)
    assert float(sum(hits * count for (_, (hits,)), count in losses)) / 10 == pytest.approx(float(accuracy))


@pytest.mark.parametrize("score", ["accuracy", "mean_iou", "loss"])
def test_the_score_is_what_was_asked_for(score: str, small: Localiser) -> None:
    task = Localisation(score=score)
    with torch.inference_mode():
        found = task.evaluate(small.module.eval(), batches(20, 8, seed=0), ALONE)
    assert found["score"] == (-found["loss"] if score == "loss" else found[score])
    assert set(found) == {"loss", "accuracy", "presence", "class_accuracy", "mean_iou", "score"}


def test_a_broken_network_is_never_the_best() -> None:
    found = Localisation().judge(torch.full((2, 7), math.nan), torch.zeros(2, 4), torch.tensor([0, 1]), (32, 32))
    assert math.isnan(found["loss"])
    assert found["score"] == -math.inf


def test_the_file_gives_the_same_network(small: Localiser, tmp_path: Path) -> None:
    small.save(tmp_path / "l.safetensors")
    again = Localiser.load(tmp_path / "l.safetensors")
    assert (again.card.task, again.classes, again.preprocess) == ("localisation", CLASSES, PLAIN)
    images = torch.randn(2, 3, SIDE, SIDE)
    assert torch.equal(again.module.eval()(images), small.module.eval()(images))


def test_other_files_are_refused_by_their_task(small: Localiser, tmp_path: Path) -> None:
    Network.create("sprint_s", CLASSES).save(tmp_path / "c.safetensors")
    with pytest.raises(NetworkFileError, match="a network for 'classification'; expected one for 'localisation'"):
        Localiser.load(tmp_path / "c.safetensors")
    small.card.architecture, small.card.arguments = "sprint_z", {}
    small.save(tmp_path / "l.safetensors")
    with pytest.raises(NetworkFileError, match=r"the card does not describe a network: .*sprint_z"):
        Localiser.load(tmp_path / "l.safetensors")


def saying(localiser: Localiser, pc: float, box: tuple[float, ...], classes: tuple[float, ...]) -> Localiser:
    """Make a network say the same of every picture."""
    with torch.no_grad():
        said = localiser.module.head.said  # type: ignore[union-attr]
        said.weight.zero_()
        said.bias.copy_(torch.cat([torch.logit(torch.tensor([pc, *box])), torch.tensor(classes)]))
    return localiser


def test_a_detection_by_hand(small: Localiser, tmp_path: Path) -> None:
    # The middle half of the input, and so of the picture, whatever its size: squashed, nothing is cut.
    localiser = saying(small, 0.8, (0.5, 0.5, 0.5, 0.5), (0.0, math.log(3.0)))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    picture = np.zeros((40, 80, 3), np.uint8)
    found, bad, other = localiser.stream([picture, tmp_path / "bad.png", picture[:20]], batch_size=2)
    assert found.boxes.tolist() == [pytest.approx([20, 10, 60, 30], abs=1e-3)]
    assert found.labels.tolist() == [1]
    assert found.scores.tolist() == [pytest.approx(0.8 * 0.75)]
    assert "no picture format" in str(bad.error)
    assert other.boxes.tolist() == [pytest.approx([20, 5, 60, 15], abs=1e-3)]
    assert len(localiser.detect(picture, threshold=0.59)[0]) == 1
    assert len(localiser.detect(picture, threshold={"ellipse": 0.61})[0]) == 0
    assert len(saying(small, 0.49, (0.5,) * 4, (0.0, 9.0)).detect(picture)[0]) == 0
    assert len(saying(small, 0.49, (0.5,) * 4, (0.0, 9.0)).detect(picture, threshold=0.4)[0]) == 1


def test_numbers_that_are_not_finite_are_an_error_of_that_picture(small: Localiser) -> None:
    (found,) = saying(small, 0.8, (0.5,) * 4, (0.0, math.nan)).detect(np.zeros((9, 9, 3), np.uint8))
    assert found.error == "the network gave no finite number for this picture"


def test_a_fresh_localiser_sees_the_whole_picture() -> None:
    localiser = Localiser.create("sprint_s", CLASSES)
    assert (localiser.preprocess.resize, localiser.preprocess.crop) == ("squash", 1.0)
    assert localiser.module.input_size == (1, *localiser.size)


def test_settings_that_cannot_be_are_refused(small: Localiser) -> None:
    with pytest.raises(InputError, match="box_weight is 0; expected a number above 0"):
        Localisation(box_weight=0)
    with pytest.raises(UnknownName, match="no score is called 'acuracy'; nearest: accuracy"):
        Localisation(score="acuracy")
    with pytest.raises(InputError, match="classes is 0; expected at least 1"):
        LocalisationNetwork(create("sprint_s"), 0)
    with pytest.raises(DataError, match="there is no picture to judge the network on"):
        Localisation().evaluate(small.module, [], ALONE)
    with pytest.raises(InputError, match="batch_size is 0"):
        list(small.stream([np.zeros((4, 4, 3), np.uint8)], batch_size=0))
    with pytest.raises(InputError, match="the threshold is 2; expected 0 to 1"):
        small.detect(np.zeros((4, 4, 3), np.uint8), threshold=2)
