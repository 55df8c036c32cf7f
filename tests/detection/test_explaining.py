"""Why one box: a detector small enough for paper, and the real one."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassnet.detection.detections import Detections
from glassnet.detection.explaining import _grid_of, explain_detection
from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.preprocess import Preprocess

SIDE = 32
PREPROCESS = Preprocess(
    height=SIDE, width=SIDE, resize="squash", crop=1.0, interpolation="box", mean=(0.0,) * 3, std=(1.0,) * 3
)


class Raw(NamedTuple):
    scores: Tensor
    boxes: Tensor


class Paper(nn.Module):
    """A grid of 4 x 4 cells of 8 pixels: maps are the mean red and green of a cell, the box of a place is its cell.

    Class 0 has the logit 2 red - green of its cell, class 1 is never seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.AvgPool2d(8)
        self.neck = nn.ModuleList()  # a part that puts out nothing
        self.head = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[2.0, -1, 0], [0, 0, 0]])[:, :, None, None])
            self.head.bias.copy_(torch.tensor([0.0, -9]))
        self.grids = [(4, 4)]

    def forward(self, images: Tensor) -> Raw:
        logits = self.head(self.backbone(images)).flatten(2).transpose(1, 2)  # (N, 16, 2)
        y, x = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        corner = 8 * torch.stack([x, y], -1).reshape(-1, 2)
        return Raw(logits, torch.cat([corner, corner + 8], 1).expand(len(images), -1, -1))


class Found:
    """The detector around it: every cell surer than 0.6 of class 0 is found."""

    classes = ("red", "never")
    preprocess = PREPROCESS

    def __init__(self, module: nn.Module | None = None) -> None:
        self.module = (module or Paper()).eval()

    def detect(self, images: Any, *, threshold: Any = None) -> list[Detections]:
        answers = []
        for image in images:
            pixels = torch.from_numpy(PREPROCESS.intermediate(image)[None])
            raw = self.module(PREPROCESS.finish(pixels))
            scores = raw.scores[0, :, 0].sigmoid().detach()
            keep = (scores > (0.6 if threshold is None else threshold)).nonzero()[:, 0]
            order = keep[scores[keep].argsort(descending=True)]
            size = (2 * SIDE, SIDE)  # the picture is twice as high as the input
            boxes = raw.boxes[0, order].numpy() * np.array([1, 2, 1, 2], np.float32)
            answers.append(
                Detections(
                    boxes=boxes, scores=scores[order].numpy(), labels=np.zeros(len(order), np.int64),
                    classes=self.classes, size=size, path="p.png",
                )
            )  # fmt: skip
        return answers


def picture() -> np.ndarray:
    """Two red cells, the one in row 1, column 2 redder and a little green, the other in row 3, column 0."""
    pixels = np.zeros((2 * SIDE, SIDE, 3), np.uint8)
    pixels[16:32, 16:24] = (255, 51, 0)
    pixels[48:64, 0:8] = (204, 0, 0)
    return pixels


def test_gradcam_weighs_whole_maps() -> None:
    found = explain_detection(Found(), picture(), which=0, method="gradcam")
    right = np.zeros((4, 4))
    right[1, 2] = (2 * 1.0 - 1 * 0.2) / 16  # weights are slopes over 16 positions
    right[3, 0] = 2 * 0.8 / 16  # the other red cell lights up as well
    np.testing.assert_allclose(found.array, right, atol=1e-6)
    assert found.extent == (0, SIDE, 0, SIDE)
    assert (found.label, found.layer, found.kind, found.path) == ("red", "backbone", "map", "p.png")
    assert found.score == pytest.approx(1 / (1 + math.exp(-1.8)), abs=1e-6)
    assert found.settings["box"] == [16, 8, 24, 16]


def test_hirescam_shows_only_the_box_that_was_asked_for() -> None:
    for which, cell, value in ((0, (1, 2), 1.8), (1, (3, 0), 1.6)):
        found = explain_detection(Found(), picture(), which=which, method="hirescam")
        right = np.zeros((4, 4))
        right[cell] = value
        np.testing.assert_allclose(found.array, right, atol=1e-6)


def test_occlusion_is_the_fall_of_the_boxes_own_score() -> None:
    found = explain_detection(Found(), picture(), which=1, method="occlusion", size=8)
    right = np.zeros((SIDE, SIDE))
    right[24:32, 0:8] = 1 / (1 + math.exp(-1.6)) - 0.5  # covered, the cell's logit is 0
    np.testing.assert_allclose(found.array, right, atol=1e-6)
    assert found.kind == "signed"
    assert found.settings["positions"] == 16
    assert found.note == "occluder 8x8, every 8 pixels: 16 positions"


def test_a_box_that_moves_away_counts_as_lost() -> None:
    class Fleeing(Paper):
        """Where a cell is not red its box is somewhere else."""

        def forward(self, images: Tensor) -> Raw:
            raw = super().forward(images)
            away = torch.where(raw.scores[:, :, :1] > 1, 0.0, 100.0)
            return Raw(raw.scores, raw.boxes + away)

    found = explain_detection(Found(Fleeing()), picture(), which=0, method="occlusion", size=8)
    assert found.array.max() == pytest.approx(1 / (1 + math.exp(-1.8)), abs=1e-6)  # all of the score, not down to 0.5


def test_the_default_occluder_is_a_fourteenth_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    found = explain_detection(Found(), picture(), method="occlusion", progress=lambda *both: told.append(both))
    assert found.settings["size"] == [4, 4]
    assert found.settings["stride"] == [4, 4]
    assert told[-1] == (64, 64)
    explain_detection(Found(), picture(), method="occlusion", size=8, stride=4, occluder="noise", seed=3)


def test_what_was_found_already_is_not_found_again() -> None:
    detector = Found()
    (found,) = detector.detect([picture()])
    detector.detect = None  # type: ignore[assignment,method-assign]
    assert explain_detection(detector, picture(), found=found, which=1).score == pytest.approx(found.scores[1])


def test_hooks_and_gradients_are_gone_afterwards() -> None:
    detector = Found()
    explain_detection(detector, picture())
    with pytest.raises(InputError, match="no maps"):
        explain_detection(detector, picture(), layer="neck")
    assert not any(part._forward_hooks for part in detector.module.modules())
    assert all(weight.grad is None for weight in detector.module.parameters())


@pytest.mark.parametrize(
    "place, grid", [(0, (4, 4)), (31, (4, 4)), (32, (2, 2)), (39, (2, 2)), (40, (1, 1)), (41, (1, 1))]
)
def test_a_place_belongs_to_a_grid(place: int, grid: tuple[int, int]) -> None:
    assert _grid_of(place, [(4, 4), (2, 2), (1, 1)], 42) == grid  # two places a cell


def test_what_cannot_be_explained_is_said() -> None:
    detector = Found()
    with pytest.raises(UnknownName, match="no method is called 'gradcan'; nearest: gradcam"):
        explain_detection(detector, picture(), method="gradcan")
    with pytest.raises(InputError, match="no detection number 2 in this picture; 2 were found, numbered from 0"):
        explain_detection(detector, picture(), which=2)
    with pytest.raises(InputError, match="nothing was found: lower the threshold"):
        explain_detection(detector, np.zeros((64, 32, 3), np.uint8))
    with pytest.raises(UnknownName, match="no layer is called 'backbon'; nearest: backbone"):
        explain_detection(detector, picture(), layer="backbon")
    with pytest.raises(InputError, match="are of occlusion; gradcam takes none of them"):
        explain_detection(detector, picture(), size=4)
    with pytest.raises(InputError, match="layer is of the class maps; occlusion looks at none"):
        explain_detection(detector, picture(), method="occlusion", layer="backbone")
    with pytest.raises(InputError, match="the occluder is 40 pixels high, and the picture 32"):
        explain_detection(detector, picture(), method="occlusion", size=40)
    with pytest.raises(PictureError, match="0 bytes"):
        explain_detection(detector, b"")


@pytest.mark.parametrize("name", ["yolo", "yolo_v1"])
def test_the_real_detector_is_explained(name: str) -> None:
    from glassnet.detection.detector import Detector

    torch.manual_seed(0)
    detector = Detector.create(
        name, ("a", "b"), preprocess=Preprocess(height=64, width=64, resize="pad", crop=1.0), backbone="mobilenet_v2"
    )
    shown = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    with torch.no_grad():
        (found,) = detector.detect(shown, threshold=0.0, device="cpu")
    assert len(found)
    for method in ("gradcam", "hirescam"):
        explained = explain_detection(detector, shown, found=found, method=method)
        assert tuple(explained.array.shape) in detector.module.grids
    assert detector.module.training  # as it was before
    covered = explain_detection(detector, shown, found=found, method="occlusion", size=32)
    assert covered.array.shape == (64, 64)
    assert covered.array.max() <= found.scores[0] + 1e-3
