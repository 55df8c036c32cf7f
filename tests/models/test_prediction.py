"""The stream of predictions: order, bounded memory, bad pictures, mirror images."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from glassnet.errors import InputError
from glassnet.models.prediction import Prediction, Reader, as_pictures, with_flip
from glassnet.preprocess import Preprocess

TINY = Preprocess(height=4, width=4, channels=1, crop=1.0, mean=(0.0,), std=(1 / 255,))
"""Its finished images hold the pixels' own values, 0 to 255."""


def brightness(images: Tensor) -> Tensor:
    """Two logits: the mean pixel value, in hundreds, and 1."""
    mean = images.mean((1, 2, 3)) / 100
    return torch.stack([mean, torch.ones_like(mean)], 1)


def a_reader(**changes: Any) -> Reader:
    fields: dict[str, Any] = {"preprocess": TINY, "predictor": brightness, "classes": ("bright", "dark")}
    fields |= {"temperature": 1.0, "top": 2, "batch_size": 3, "device": torch.device("cpu")}
    return Reader(**{**fields, **changes})


def flat(value: int) -> np.ndarray:
    return np.full((4, 4), value, np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 255), st.none()), max_size=12), st.integers(1, 5))
def test_order_is_kept_and_bad_pictures_cost_only_themselves(values: list[int | None], batch_size: int) -> None:
    pictures = [b"no picture" if value is None else flat(value) for value in values]
    predictions = list(a_reader(batch_size=batch_size).stream(pictures))
    assert len(predictions) == len(values)
    for value, prediction in zip(values, predictions, strict=True):
        if value is None:
            assert prediction.error is not None
            assert prediction.label is prediction.probability is None
        else:
            bright = 1 / (1 + math.exp(1 - value / 100))
            assert prediction.error is None
            assert dict(prediction.top)["bright"] == pytest.approx(bright, abs=1e-5)
            assert prediction.label == ("bright" if value > 100 else "dark") or value == 100


def test_no_more_than_three_batches_are_taken_ahead() -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield flat(1)

    stream = a_reader(batch_size=3).stream(endless())
    for seen in range(1, 20):
        next(stream)
        assert taken <= seen + 3 * 3
    stream.close()  # type: ignore[attr-defined]


def test_a_source_that_fails_says_so_itself() -> None:
    def failing() -> Iterator[np.ndarray]:
        yield flat(1)
        raise ConnectionError("the camera is gone")

    with pytest.raises(ConnectionError, match="camera"):
        list(a_reader().stream(failing()))


def test_paths_are_kept_and_missing_files_are_rows(tmp_path: Path) -> None:
    Image.fromarray(flat(200)).save(tmp_path / "a.png")
    good, missing, folder = a_reader().stream([tmp_path / "a.png", str(tmp_path / "none.png"), tmp_path])
    assert (good.path, good.label) == (str(tmp_path / "a.png"), "bright")
    assert missing.path == str(tmp_path / "none.png")
    assert "No such file" in (missing.error or "")
    assert folder.error


def test_the_temperature_softens() -> None:
    sharp, soft = (next(a_reader(temperature=t).stream([flat(250)])) for t in (1.0, 10.0))
    assert sharp.probability == pytest.approx(1 / (1 + math.exp(-1.5)), abs=1e-5)
    assert soft.probability == pytest.approx(1 / (1 + math.exp(-0.15)), abs=1e-5)


def test_top_is_sorted_and_no_longer_than_the_classes() -> None:
    assert len(next(a_reader(top=1).stream([flat(9)])).top) == 1
    prediction = next(a_reader(top=99).stream([flat(9)]))
    assert [label for label, _ in prediction.top] == ["dark", "bright"]
    assert sum(probability for _, probability in prediction.top) == pytest.approx(1)
    assert (prediction.label, prediction.probability) == prediction.top[0]


def test_a_network_that_gives_no_number_is_an_error_in_the_row() -> None:
    (prediction,) = a_reader(predictor=lambda x: brightness(x) * math.nan).stream([flat(9)])
    assert prediction.error == "the network gave no finite number for this picture"
    assert prediction.label is None


def test_logits_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"logits of shape \(1, 1\), expected \(1, 2\)"):
        list(a_reader(predictor=lambda x: brightness(x)[:, :1]).stream([flat(9)]))


@pytest.mark.parametrize("name", ["top", "batch_size"])
@pytest.mark.parametrize("value", [0, -3, 2.5, True])
def test_options_below_one_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}; expected a whole number of at least 1"):
        a_reader(**{name: value})


def test_a_flip_averages_the_picture_and_its_mirror_image() -> None:
    def left_minus_right(images: Tensor) -> Tensor:
        return (images[..., 0] - images[..., -1]).mean((1, 2))[:, None]

    images = torch.randn(2, 3, 4, 4)
    assert left_minus_right(images).abs().max() > 0.01
    torch.testing.assert_close(with_flip(left_minus_right)(images), torch.zeros(2, 1))


def test_one_picture_alone_is_a_list_of_one() -> None:
    picture = Image.fromarray(flat(3))
    for one in ("a.png", Path("a.png"), b"bytes", picture, flat(3), np.zeros((4, 4, 3), np.uint8)):
        assert len(list(as_pictures(one))) == 1
    assert len(list(as_pictures(np.zeros((5, 4, 4, 3), np.uint8)))) == 5
    assert list(as_pictures(["a", "b"])) == ["a", "b"]


@pytest.mark.parametrize("wrong", [7, np.zeros(3), torch.zeros(1, 3, 4, 4)])
def test_what_is_no_picture_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="came; expected"):
        as_pictures(wrong)


def test_a_prediction_as_plain_data() -> None:
    prediction = Prediction("a.jpg", "cat", 0.75, (("cat", 0.75), ("dog", 0.25)))
    assert json.loads(json.dumps(prediction.to_dict())) == {
        "path": "a.jpg",
        "label": "cat",
        "probability": 0.75,
        "top": [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}],
        "error": None,
    }
