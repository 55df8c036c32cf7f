"""The networks: their places and boxes by hand, what the losses teach, and every backbone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.boxes import box_iou
from glassnet.data.annotations.objects import Objects
from glassnet.detection.targets import Targets
from glassnet.detection.yolo import registry
from glassnet.detection.yolo.backbone import find_taps
from glassnet.detection.yolo.network import boxes_of, distances
from glassnet.errors import InputError, UnknownName
from glassnet.models import registry as classifiers

SMALL = {"backbone": "mobilenet_v2", "backbone_arguments": {"width": 0.25}, "in_channels": 3, "input_size": (64, 96)}


def build(name: str, **how: object) -> registry.Detecting:
    torch.manual_seed(0)
    return registry.create(name, **{"classes": 2, "width": 16, **SMALL, **how})  # type: ignore[arg-type]


def test_boxes_from_distributions_by_hand() -> None:
    # Certain of 1, 2, 3 and 0 strides of (8, 4) around the point (20, 10).
    sides = torch.full((1, 1, 4, 4), -100.0)
    for side, away in enumerate((1, 2, 3, 0)):
        sides[0, 0, side, away] = 100
    point, stride = torch.tensor([[20.0, 10]]), torch.tensor([[8.0, 4]])
    boxes = boxes_of(sides, point, stride)
    assert boxes.tolist() == [[[12.0, 2.0, 44.0, 10.0]]]
    assert distances(boxes[0], point, stride).tolist() == [[1, 2, 3, 0]]


@pytest.mark.parametrize("name", registry.names())
def test_shapes_of_answers(name: str) -> None:
    network = build(name).eval()
    with torch.inference_mode():
        raw = network(torch.zeros(2, 3, 64, 96))
    places = 8 * 12 + 4 * 6 + 2 * 3 if name == "yolo" else 7 * 7 * 2
    assert raw.scores.shape == (2, places, 2)
    assert raw.boxes.shape == (2, places, 4)
    assert raw.scores.isfinite().all()
    assert network.grids == ([(8, 12), (4, 6), (2, 3)] if name == "yolo" else [(7, 7)])


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names())
def test_a_picture_can_be_learnt_by_heart(name: str) -> None:
    network = build(name).train()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 64, 96, generator=generator)
    objects = [Objects.of([[8, 8, 40, 40], [50, 20, 90, 60]], [0, 1]), Objects.of()]
    targets = Targets.of(objects)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    first = None
    for _ in range(80):
        loss, parts = network.loss(network(images), targets, (64, 96))
        assert len(parts) == len(network.parts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        first = loss.item() if first is None else first
    assert loss.item() < 0.35 * first
    with torch.no_grad():  # in training mode, whose batch statistics it has learnt with
        raw = network.decode(network.answers(images), (64, 96))
    scores = raw.scores[0].sigmoid()
    for box, label in zip(torch.from_numpy(objects[0].boxes), (0, 1), strict=True):
        best = scores[:, label].argmax()
        assert box_iou(raw.boxes[0, best][None], box[None]).item() > 0.6
    assert raw.scores[1].sigmoid().max() < scores.max()


@pytest.mark.parametrize("name", registry.names())
def test_pictures_without_objects_have_a_finite_loss(name: str) -> None:
    network = build(name).train()
    loss, _ = network.loss(network(torch.zeros(2, 3, 64, 96)), Targets.of([Objects.of(), Objects.of()]), (64, 96))
    loss.backward()
    assert loss.isfinite()


def test_taps_of_known_bodies() -> None:
    body = classifiers.create("efficientnet_lite0", classes=2, in_channels=3).body
    taps = find_taps(body, (3, 320, 416))
    # Not `features`, whose 1x1 convolution looks no further than stage7.
    assert [(tap.stage, tap.channels, tap.scale) for tap in taps] == [
        ("stage3", 40, 3),
        ("stage5", 112, 4),
        ("stage7", 320, 5),
    ]


def test_a_body_whose_maps_stay_large_is_no_backbone() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    with pytest.raises(InputError, match="maps at the strides 1 came, expected at least one of 8, 16, 32"):
        find_taps(body, (3, 64, 64))


BACKBONES = [name for name in classifiers.names() if name not in ("lenet5", "lenet5_1998") and "cifar" not in name]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone(backbone: str) -> None:
    channels = classifiers.default_preprocess(backbone).channels
    how = {"backbone": backbone, "backbone_arguments": {}, "in_channels": channels, "input_size": (224, 256)}
    try:
        network = build("yolo", **how).eval()
    except InputError as error:
        assert "a backbone with maps at the strides" in str(error)  # noqa: PT017 - either it stands on it, or says why
        assert backbone.startswith("sprint")
        return
    with torch.inference_mode():
        raw = network(torch.zeros(1, channels, 224, 256))
    assert raw.scores.isfinite().all()
    assert len(network.grids) == 3


def test_unknown_names_and_wrong_arguments() -> None:
    with pytest.raises(UnknownName, match="yolo_v1"):
        build("yolov1")
    with pytest.raises(UnknownName, match="it takes width"):
        build("yolo", widht=3)
    with pytest.raises(InputError, match="width is 0; expected a whole number of at least 1"):
        build("yolo", width=0)
