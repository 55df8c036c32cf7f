"""The detector: from file to boxes in pixels of the picture, broken pictures, thresholds, other classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glassnet.detection.detector import Detector, select
from glassnet.detection.yolo.raw import Raw
from glassnet.errors import InputError, NetworkFileError
from glassnet.models.network import Network
from glassnet.preprocess import Preprocess

INPUT = Preprocess(height=64, width=96, resize="pad", crop=1.0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector.create(
        "yolo", ["disc", "square"], preprocess=INPUT, backbone="mobilenet_v2",
        backbone_arguments={"width": 0.25}, width=16,
    )  # fmt: skip


def one_box(box: list[float], score: float) -> Raw:
    """What a network says that is sure of one box of class 1."""
    scores = torch.full((1, 3, 2), -20.0)
    scores[0, 1, 1] = torch.logit(torch.tensor(score))
    boxes = torch.zeros(1, 3, 4)
    boxes[0, 1] = torch.tensor(box)
    return Raw(scores, boxes)


def test_boxes_come_back_in_pixels_of_the_picture() -> None:
    # A picture of 200 x 200 (height x width) is padded: scaled by 0.32 to 64 x 64, 16 pixels from the left.
    boxes, scores, labels = select(one_box([32, 16, 48, 48], 0.9), 0, (200, 200), INPUT)
    np.testing.assert_allclose(boxes, [[50, 50, 100, 150]], atol=1e-3)
    assert scores.tolist() == pytest.approx([0.9])
    assert labels.tolist() == [1]


def test_boxes_are_cut_at_the_picture_and_dropped_beside_it() -> None:
    boxes, _, _ = select(one_box([0, 0, 32, 32], 0.9), 0, (200, 200), INPUT)
    np.testing.assert_allclose(boxes, [[0, 0, 50, 100]], atol=1e-3)
    assert len(select(one_box([0, 0, 15, 64], 0.9), 0, (200, 200), INPUT)[0]) == 0  # in the padding alone


def test_a_file_gives_the_same_detector(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "d.safetensors")
    again = Detector.load(tmp_path / "d.safetensors")
    assert again.classes == detector.classes
    assert again.card.task == "detection"
    for name, tensor in detector.module.state_dict().items():
        assert torch.equal(tensor, again.module.state_dict()[name])
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one, other = (each.detect(picture, threshold=0.0)[0] for each in (detector, again))
    np.testing.assert_array_equal(one.boxes, other.boxes)


def test_folded_batch_norms_give_the_same_answers(detector: Detector) -> None:
    images = torch.randn(2, 3, 64, 96)
    detector.module.eval()
    with torch.inference_mode():
        plain, folded = detector.module(images), detector.predictor("cpu")(images)
    torch.testing.assert_close(folded.scores, plain.scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(folded.boxes, plain.boxes, atol=1e-3, rtol=1e-4)


def test_a_bad_picture_is_an_error_in_its_place(detector: Detector, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (30, 20), (200, 10, 10)).save(good)
    bad.write_bytes(b"not a picture")
    found = detector.detect([good, bad, good], threshold=0.0, batch_size=2)
    assert [each.error is None for each in found] == [True, False, True]
    assert found[0].size == (20, 30)
    assert found[0].to_dict()["path"] == str(good)
    np.testing.assert_array_equal(found[0].scores, found[2].scores)
    assert (found[0].boxes[:, 2] <= 30).all()
    assert (np.diff(found[0].scores) <= 0).all()


@pytest.mark.parametrize(
    "threshold, message",
    [
        (1.5, "the threshold is 1.5; expected 0 to 1"),
        (float("nan"), "the threshold is nan; expected 0 to 1"),
        ({"disc": -1.0}, "the threshold of disc is -1.0; expected 0 to 1"),
        ({"dics": 0.5}, "a threshold for 'dics' came, which is no class; there are disc, square"),
    ],
)
def test_absurd_thresholds(detector: Detector, threshold: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detector.detect(np.zeros((9, 9, 3), np.uint8), threshold=threshold)  # type: ignore[arg-type]


def test_batches_have_pictures(detector: Detector) -> None:
    with pytest.raises(InputError, match="batch_size is 0; expected a whole number of at least 1"):
        detector.detect(np.zeros((9, 9, 3), np.uint8), batch_size=0)


def test_thresholds_of_the_card(detector: Detector) -> None:
    detector.card.thresholds = {"disc": 1.0, "square": 1.0}
    assert len(detector.detect(np.zeros((40, 40, 3), np.uint8))[0]) == 0
    detector.card.thresholds = {}
    assert detector.thresholds == {"disc": 0.3, "square": 0.3}


def test_other_classes_keep_all_but_the_scores(detector: Detector) -> None:
    other = detector.for_classes(["cell"], parent="here")
    assert other.classes == ("cell",)
    assert other.card.parent == "here"
    assert other.module.head.scores.weight.shape[0] == 1  # type: ignore[union-attr]
    assert torch.equal(other.module.head.sides.weight, detector.module.head.sides.weight)  # type: ignore[union-attr]
    same = detector.for_classes(detector.classes)
    assert torch.equal(same.module.head.scores.weight, detector.module.head.scores.weight)  # type: ignore[union-attr]


def test_a_classifier_is_no_detector(tmp_path: Path) -> None:
    Network.create("lenet5", ["a", "b"]).save(tmp_path / "c.safetensors")
    with pytest.raises(NetworkFileError, match="a network for 'classification', expected one for 'detection'"):
        Detector.load(tmp_path / "c.safetensors")


def test_the_trace_counts_the_whole_detector(detector: Detector) -> None:
    found = detector.trace()
    assert found.parameters == detector.num_parameters
    assert found.multiply_adds > 1e6
