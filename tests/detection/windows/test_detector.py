from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from glassnet.boxes import box_iou
from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections, Finder
from glassnet.detection.windows import WindowDetector
from glassnet.detection.windows.agreement import agreement, judge_both
from glassnet.errors import DataError, InputError, PictureError, UnknownName
from glassnet.models import Network
from glassnet.models.network import new_card
from glassnet.models.registry import Classifier
from glassnet.preprocess import Preprocess

SIDE = 8
CLASSES = ("red", "green", "nothing")


class Flattened(nn.Flatten):
    """What stands for a body: the picture itself."""


@pytest.fixture
def colours() -> Network:
    """Windows of 8 x 8 at stride 1: the logits are 20 times the share of red, that of green, and a fixed 9."""
    module = Classifier(nn.Sequential(Flattened()), nn.Linear(3 * SIDE * SIDE, 3))
    with torch.no_grad():
        weight = module.head.weight.zero_().view(3, 3, SIDE, SIDE)
        weight[0, 0] = weight[1, 1] = 20.0 / SIDE**2
        module.head.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    preprocess = Preprocess(height=SIDE, width=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3, crop=1.0)
    return Network(module, new_card("vgg16", CLASSES, preprocess, {}, None))


def scene() -> np.ndarray:
    """A black picture 32 x 40 with a red square of 8 at (x 4, y 10) and a green one of 16 at (20, 12)."""
    pixels = np.zeros((32, 40, 3), np.uint8)
    pixels[10:18, 4:12, 0] = 255
    pixels[12:28, 20:36, 1] = 255
    return pixels


def probability(logits: list[float], which: int) -> float:
    return float(torch.tensor(logits, dtype=torch.float32).softmax(0)[which])


@pytest.mark.parametrize("way", ["convolutional", "crops"])
def test_a_scene_by_hand(colours: Network, way: str) -> None:
    detector = WindowDetector(colours, way=way, stride=1, scales=[2.0, 4.0], background="nothing")
    (found,) = detector.detect(scene())
    assert found.size == (32, 40)
    assert found.error is None
    assert [found.classes[label] for label in np.unique(found.labels)] == ["red", "green"]
    assert found.boxes[found.labels == 0].tolist()[0] == [4, 10, 12, 18]  # at scale 4 a window is 8 pixels
    assert [20, 12, 36, 28] in found.boxes[found.labels == 1].tolist()  # at scale 2, 16
    assert found.scores[0] == pytest.approx(probability([20, 0, 9], 0), abs=1e-5)
    assert list(found.scores) == sorted(found.scores, reverse=True)


def test_the_two_ways_find_the_same_without_padding(valid: Network) -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (50, 63, 3), np.uint8) for seed in range(2)]
    settings = {"scales": (0.7, 1.0, 2.3), "threshold": 0.2}
    found = [WindowDetector(valid, way=way, **settings).detect(pictures) for way in ("convolutional", "crops")]  # type: ignore[arg-type]
    for one_pass, crops in zip(*found, strict=True):
        assert len(one_pass) > 3
        np.testing.assert_allclose(one_pass.boxes, crops.boxes, atol=1e-4)
        np.testing.assert_allclose(one_pass.scores, crops.scores, atol=1e-4)
        assert np.array_equal(one_pass.labels, crops.labels)
        assert one_pass.boxes.min() >= 0
        assert one_pass.boxes[:, 2].max() <= 63
        assert one_pass.boxes[:, 3].max() <= 50


def test_windows_of_one_class_that_overlap_are_one_thing(colours: Network) -> None:
    detector = WindowDetector(colours, scales=[4.0], threshold=0.5, background="nothing", iou=0.3)
    (found,) = detector.detect(scene())
    for label in (0, 1):
        boxes = torch.from_numpy(found.boxes[found.labels == label])
        assert (torch.triu(box_iou(boxes, boxes), 1) <= 0.3).all()
    (all_of_them,) = WindowDetector(colours, scales=[4.0], background="nothing", iou=1.0).detect(scene())
    assert len(all_of_them) > 5 * len(found)


def test_the_background_is_never_found_and_without_it_every_window_is_something(colours: Network) -> None:
    (found,) = WindowDetector(colours, scales=[1.0], background="nothing").detect(np.zeros((20, 20, 3), np.uint8))
    assert len(found) == 0
    (found,) = WindowDetector(colours, scales=[1.0]).detect(np.zeros((20, 20, 3), np.uint8))
    assert [found.classes[label] for label in found.labels] == ["nothing"]
    assert found.boxes.tolist() == [[0, 0, 20, 20]]


def test_thresholds_of_the_call_replace_the_detector_s(colours: Network) -> None:
    detector = WindowDetector(colours, scales=[4.0], threshold={"red": 0.99, "green": 1.0}, background="nothing")
    assert set(detector.detect(scene())[0].labels) == {0}
    assert set(detector.detect(scene(), threshold={"red": 1.0})[0].labels) == {1}  # 0 for what is left out
    everything = detector.detect(scene(), threshold=0.0)[0]
    assert set(everything.labels) == {0, 1}
    assert len(everything) > 20


def test_the_card_s_temperature_counts(colours: Network) -> None:
    colours.card.temperature = 5.0
    (found,) = WindowDetector(colours, scales=[4.0], background="nothing", threshold=0.1).detect(scene())
    assert found.scores[0] == pytest.approx(probability([4, 0, 1.8], 0), abs=1e-5)


def test_a_bad_picture_does_not_stop_the_others(colours: Network, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    Image.fromarray(scene()).save(tmp_path / "good.png")
    detector: Finder = WindowDetector(colours, scales=[4.0], background="nothing")
    pictures = [tmp_path / "bad.jpg", str(tmp_path / "good.png"), tmp_path / "none.png"]
    bad, good, none = detector.stream(pictures)
    assert (bad.path, bad.size, len(bad)) == (str(pictures[0]), None, 0)
    assert "broken or cut off" in str(bad.error)
    assert (good.path, good.error) == (pictures[1], None)
    assert len(good) > 1
    assert "cannot read" in str(none.error)
    assert good.to_dict()["boxes"][0]["label"] in ("red", "green")


def test_numbers_that_are_not_finite_are_an_error_of_that_picture(colours: Network) -> None:
    with torch.no_grad():
        colours.module.head.bias[0] = float("nan")
    (found,) = WindowDetector(colours, scales=[1.0]).detect(scene())
    assert found.error == "the network gave no finite number for this picture"


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8)])
def test_small_pictures_are_enlarged(colours: Network, size: tuple[int, int]) -> None:
    red = np.zeros((*size, 3), np.uint8)
    red[..., 0] = 255
    (found,) = WindowDetector(colours, scales=[1.0], background="nothing").detect(red)
    assert len(found) >= 1
    assert set(found.labels) == {0}
    assert found.boxes[:, 2].max() == pytest.approx(size[1], abs=1e-3)
    assert found.boxes[:, 3].max() == pytest.approx(size[0], abs=1e-3)


def test_a_scale_below_one_shows_the_picture_in_one_window(colours: Network) -> None:
    red = np.zeros((30, 30, 3), np.uint8)
    red[..., 0] = 255
    (answers,) = WindowDetector(colours, scales=[0.5]).answers(red)
    assert answers.logits.shape == (1, 1, 3)
    assert answers.logits[0, 0].tolist() == pytest.approx([5, 0, 9], abs=1e-5)  # a quarter of the window is red
    assert answers.boxes[0, 0].tolist() == pytest.approx([-15, -15, 45, 45])


def test_names_and_classes(valid: Network) -> None:
    detector = WindowDetector(valid)
    assert detector.name == "valid in sliding windows"
    assert detector.classes == valid.classes
    assert detector.thresholds == dict.fromkeys(valid.classes, 0.5)
    some = WindowDetector(valid, threshold={"class 3": 0.9})
    assert some.thresholds == dict.fromkeys(valid.classes, 0.0) | {"class 3": 0.9}
    assert detector.way.sliding.stride == (4, 4)
    assert WindowDetector(valid, way="crops").way.sliding.stride == (4, 4)


def test_a_network_that_cannot_slide_is_cropped() -> None:
    network = Network.create("lenet5_1998", ["a", "b"])
    with pytest.raises(InputError, match=r"cannot be made fully convolutional: .*; use way='crops'"):
        WindowDetector(network)
    detector = WindowDetector(network, way="crops", scales=[2.0], threshold=0.0)
    assert detector.way.sliding.stride == (7, 7)  # a quarter of 28
    assert len(detector.detect(np.zeros((30, 30), np.uint8))[0]) > 0


@pytest.mark.parametrize(
    "settings, error, words",
    [
        ({"way": "convolutoinal"}, UnknownName, "no way is called 'convolutoinal'; nearest: convolutional"),
        ({"background": "nothin"}, UnknownName, "no class is called 'nothin'; nearest: nothing"),
        ({"threshold": 1.5}, InputError, "the threshold is 1.5; expected 0 to 1"),
        ({"threshold": -0.1}, InputError, "the threshold is -0.1"),
        ({"threshold": float("nan")}, InputError, "the threshold is nan"),
        ({"threshold": {"red": 2.0}}, InputError, "the threshold of red is 2.0"),
        ({"threshold": {"rde": 0.2}}, InputError, "a threshold for 'rde' came, which is no class"),
        ({"iou": 1.1}, InputError, "iou is 1.1; expected a number from 0 to 1"),
        ({"iou": float("nan")}, InputError, "iou is nan"),
        ({"stride": 0}, InputError, "stride is 0; expected a whole number from 1 to 8, the window's side"),
        ({"stride": 9, "way": "crops"}, InputError, "stride is 9; .* nothing would be seen between windows"),
        ({"stride": 2.0}, InputError, "stride is 2.0; expected a whole number"),
        ({"scales": [0.0]}, InputError, "scale 0.0 came"),
        ({"batch_size": 0, "way": "crops"}, InputError, "batch_size is 0"),
        ({"device": "cuda:7"}, InputError, "device is 'cuda:7'"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    colours: Network, settings: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        WindowDetector(colours, **settings)  # type: ignore[arg-type]


def test_a_threshold_of_the_call_is_checked_too(colours: Network) -> None:
    with pytest.raises(InputError, match="the threshold is 7"):
        WindowDetector(colours, scales=[1.0]).detect(scene(), threshold=7)


def pictures() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8) for seed in range(2)]


def test_unpadded_ways_agree_to_rounding(valid: Network) -> None:
    found = agreement(valid, pictures(), scales=[1.0, 2.0])
    assert found.windows == 2 * (1 * 2 + 7 * 8)  # 24 x 24 and 48 x 48 pixels
    assert (found.pictures, found.top1) == (2, 1.0)
    assert found.correlation == pytest.approx(1.0, abs=1e-6)
    assert found.difference < 1e-4
    assert found.probability < 1e-5
    assert "valid: 100.0% of 116 windows of 2 pictures get the same class" in found.sentence()


def test_agreement_of_a_padded_network_against_numbers_made_directly(padded: Network) -> None:
    found = agreement(padded, pictures(), scales=[2.0])
    logits: dict[str, Tensor] = {
        way: torch.cat(
            [
                answers.logits.flatten(0, 1)
                for picture in pictures()
                for answers in WindowDetector(padded, way=way, scales=[2.0]).answers(picture)
            ]
        )
        for way in ("crops", "convolutional")
    }
    one, other = (each - each.mean(1, keepdim=True) for each in logits.values())
    assert found.correlation == pytest.approx(np.corrcoef(one.flatten(), other.flatten())[0, 1], abs=1e-5)
    assert found.top1 == pytest.approx(float((one.argmax(1) == other.argmax(1)).float().mean()))
    assert found.difference == pytest.approx(float((logits["crops"] - logits["convolutional"]).abs().max()), abs=1e-5)
    likely = one.argmax(1)
    p, q = (each.softmax(1)[torch.arange(len(one)), likely] for each in (one, other))
    assert found.probability == pytest.approx(float((p - q).abs().mean()), abs=1e-6)
    assert found.correlation < 0.9999
    assert found.difference > 0.01


def test_both_ways_are_judged_on_annotated_pictures(colours: Network) -> None:
    truth = [Objects.of([[4, 10, 12, 18], [20, 12, 36, 28]], [0, 1])]

    def recall(found: list[Detections], truth: list[Objects], classes: tuple[str, ...]) -> float:
        assert classes == CLASSES
        hits = [(each == found[0].boxes[:50]).all(1).any() for each in truth[0].boxes]
        return float(np.mean(hits))

    judged = judge_both(colours, [scene()], truth, recall, scales=[2.0, 4.0], stride=1, background="nothing")  # type: ignore[arg-type]
    assert judged == {"convolutional": 1.0, "crops": 1.0}


def test_agreement_needs_pictures_that_can_be_read(valid: Network) -> None:
    with pytest.raises(DataError, match="there is no picture to compare the two ways on"):
        agreement(valid, [])
    with pytest.raises(PictureError, match="cannot read none"):
        agreement(valid, ["none.jpg"])


def test_many_candidates_are_bounded(colours: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    from glassnet.detection.windows import detector as module

    nms: Callable[..., Tensor] = module.batched_nms
    monkeypatch.setattr(module, "MOST_CANDIDATES", 50)
    monkeypatch.setattr(module, "MOST_FOUND", 7)
    monkeypatch.setattr(module, "batched_nms", lambda boxes, *rest: seen.append(len(boxes)) or nms(boxes, *rest))
    (found,) = WindowDetector(colours, scales=[2.0, 4.0], iou=1.0, threshold=0.0).detect(scene())
    assert seen == [50]
    assert len(found) == 7
    (full,) = WindowDetector(colours, scales=[2.0, 4.0], iou=1.0, threshold=0.0).detect(scene())
    assert np.array_equal(found.scores, full.scores)
