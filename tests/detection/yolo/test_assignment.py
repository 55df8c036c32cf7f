"""Assignment: small cases by hand, and a slow version written from the paper's equations."""

from __future__ import annotations

import torch

from glassnet.boxes import box_iou
from glassnet.data.annotations.objects import Objects
from glassnet.detection.targets import Targets
from glassnet.detection.yolo.assignment import assign
from glassnet.detection.yolo.raw import centres


def grid(side: int, size: int) -> torch.Tensor:
    points, _ = centres([torch.zeros(1, 1, side, side)], (size, size))
    return points


def test_centres_by_hand() -> None:
    points, strides = centres([torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)], (16, 32))
    assert points.tolist() == [[8, 4], [24, 4], [8, 12], [24, 12], [16, 8]]  # x, y, row by row, then the next grid
    assert strides.tolist() == [[16, 8]] * 4 + [[32, 16]]


def test_the_places_inside_with_the_best_boxes_are_positive() -> None:
    points = grid(4, 32)
    targets = Targets.of([Objects.of([[0, 0, 16, 16]], [1])])
    boxes = torch.tensor([0.0, 0, 16, 16]).repeat(1, 16, 1)
    boxes[0, 5] = torch.tensor([0.0, 0, 16, 8])  # half of it: IoU 0.5
    scores = torch.full((1, 16, 2), 0.5)
    found = assign(scores, boxes, points, targets, most=3)
    inside = [0, 1, 4, 5]  # the four places in the upper left quarter
    assert set((found.number[0] >= 0).nonzero().flatten().tolist()) == set(inside) - {5}
    assert found.quality[0, [0, 1, 4]].tolist() == [1.0, 1.0, 1.0]
    assert found.quality[0, 5] == 0


def test_of_two_objects_a_place_goes_to_the_one_its_box_fits() -> None:
    points = grid(2, 16)
    targets = Targets.of([Objects.of([[0, 0, 16, 16], [0, 0, 8, 8]], [0, 0])])
    boxes = torch.tensor([0.0, 0, 16, 16]).repeat(1, 4, 1)
    boxes[0, 0] = torch.tensor([0.0, 0, 8, 8])
    found = assign(torch.full((1, 4, 1), 0.5), boxes, points, targets)
    assert found.number.tolist() == [[1, 0, 0, 0]]


def test_an_object_between_all_places_gets_the_nearest() -> None:
    points = grid(2, 64)  # at 16 and 48
    targets = Targets.of([Objects.of([[20, 20, 24, 24]], [0])])
    found = assign(torch.full((1, 4, 1), 0.1), torch.zeros(1, 4, 4), points, targets)
    assert found.number.tolist() == [[0, -1, -1, -1]]


def test_ignored_objects_teach_nothing_and_their_places_are_passed_over() -> None:
    points = grid(2, 16)
    objects = Objects.of([[0, 0, 8, 8], [8, 8, 16, 16]], [0, 0], difficult=[True, False])
    boxes = torch.tensor([8.0, 8, 16, 16]).repeat(1, 4, 1)
    found = assign(torch.full((1, 4, 1), 0.5), boxes, points, Targets.of([objects]))
    assert found.number.tolist() == [[-1, -1, -1, 1]]
    assert found.passed_over.tolist() == [[True, False, False, False]]


def test_pictures_without_objects() -> None:
    points = grid(2, 16)
    found = assign(torch.rand(2, 4, 3), torch.rand(2, 4, 4), points, Targets.of([Objects.of(), Objects.of()]))
    assert (found.number == -1).all()
    assert found.quality.sum() == 0
    found = assign(
        torch.rand(2, 4, 3),
        torch.rand(2, 4, 4),
        points,
        Targets.of([Objects.of(), Objects.of([[0, 0, 8, 8]], [2])]),
    )
    assert (found.number[0] == -1).all()


def slow(scores: torch.Tensor, boxes: torch.Tensor, points: torch.Tensor, objects: Objects, most: int) -> list[int]:
    """One picture, place by place, by TOOD's equations: which object each place learns."""
    iou = box_iou(torch.from_numpy(objects.boxes), boxes)
    wants: dict[int, list[int]] = {}
    for number in range(len(objects)):
        left, top, right, bottom = objects.boxes[number]
        inside = [i for i, (x, y) in enumerate(points.tolist()) if left < x < right and top < y < bottom]
        fit = {i: float(scores[i, objects.labels[number]] * iou[number, i] ** 6) for i in inside}
        for place in sorted(fit, key=lambda i: -fit[i])[:most]:
            wants.setdefault(place, []).append(number)
    return [max(wants[i], key=lambda n: float(iou[n, i])) if i in wants else -1 for i in range(len(points))]


def test_equals_the_slow_version() -> None:
    generator = torch.Generator().manual_seed(3)
    points = grid(8, 64)
    for _ in range(20):
        corner = torch.rand(4, 2, generator=generator) * 40
        boxes = torch.cat([corner, corner + 10 + torch.rand(4, 2, generator=generator) * 20], 1)
        objects = Objects.of(boxes.numpy(), [0, 1, 1, 0])
        around = torch.rand(64, 4, generator=generator) * 15
        found = torch.cat([points - around[:, :2], points + around[:, 2:]], 1)
        scores = torch.rand(64, 2, generator=generator)
        got = assign(scores[None], found[None], points, Targets.of([objects]), most=5).number[0].tolist()
        assert got == slow(scores, found, points, objects, 5)
