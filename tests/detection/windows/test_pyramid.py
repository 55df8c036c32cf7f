from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from glassnet.detection.windows.places import Sliding
from glassnet.detection.windows.pyramid import check_scales, level, whole
from glassnet.errors import InputError, PictureError
from glassnet.preprocess import Preprocess


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


EIGHT = Preprocess(height=8, width=8, channels=3, crop=0.5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.1, 0.5))
SLIDING = Sliding((8, 8), (3, 3))


def test_a_level_by_hand() -> None:
    # 16 x 24 at scale 2: a window covers half of 16, so the picture keeps its size. Windows of 8 at stride 3 cover 17
    # and 26: one row below, one column on each side, of zeros.
    pixels = noise(16, 24)
    made = level(EIGHT, pixels, 2.0, SLIDING)
    assert made.images.shape == (1, 3, 17, 26)
    assert (made.across, made.down, made.left, made.top) == (1.0, 1.0, 1, 0)
    expected = (torch.from_numpy(pixels).float() / 255 - torch.tensor(EIGHT.mean)) / torch.tensor(EIGHT.std)
    torch.testing.assert_close(made.images[0, :, :16, 1:25], expected.permute(2, 0, 1), rtol=1e-5, atol=1e-5)
    assert not made.images[0, :, 16:].any()
    assert not made.images[0, :, :, 0].any()
    assert not made.images[0, :, :, 25].any()
    assert made.to_picture(np.array([[1, 0, 25, 16], [0, 0, 26, 17]], np.float32)).tolist() == [
        [0, 0, 24, 16],
        [-1, 0, 25, 17],
    ]


@pytest.mark.parametrize("size", [(100, 60), (3, 5), (1, 1), (8, 8), (9, 200)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 3.0])
def test_every_picture_fits_and_its_corners_come_back(size: tuple[int, int], scale: float) -> None:
    made = level(EIGHT, noise(*size), scale, SLIDING)
    shown = made.images.shape[2], made.images.shape[3]
    assert SLIDING.fitting(shown) == shown
    corners = np.array([made.left, made.top, made.left + size[1] * made.across, made.top + size[0] * made.down])
    assert made.to_picture(corners.astype(np.float32)) == pytest.approx([0, 0, size[1], size[0]], abs=1e-4)
    shorter = min(size[0] * made.down, size[1] * made.across)
    assert shorter == pytest.approx(8 * scale, abs=0.51)  # whole pixels


def test_at_scale_one_a_window_is_what_a_prediction_sees_without_its_crop() -> None:
    prediction = Preprocess(height=8, width=8, crop=1.0)
    pixels = noise(20, 20)
    made = level(prediction, pixels, 1.0, SLIDING)
    torch.testing.assert_close(made.images, prediction.finish(torch.from_numpy(prediction.intermediate(pixels)[None])))


def test_a_picture_is_whole_from_any_origin(tmp_path: Path) -> None:
    pixels = noise(11, 17)
    image = Image.fromarray(pixels)
    path = tmp_path / "a.png"
    image.save(path)
    with Image.open(path) as unread:
        for source in (pixels, image, path, str(path), path.read_bytes(), unread):
            assert np.array_equal(whole(EIGHT, source), pixels)
    grey = Preprocess(height=8, width=8, channels=1)
    assert whole(grey, pixels).shape == (11, 17, 1)
    np.save(tmp_path / "a.npy", pixels)
    assert np.array_equal(whole(EIGHT, tmp_path / "a.npy"), pixels)


def test_a_turned_photo_is_upright() -> None:
    pixels = noise(11, 17)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the left in the file: shown 17 high and 11 wide
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", exif=exif)
    assert np.array_equal(whole(EIGHT, file.getvalue()), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    "source, words",
    [
        ("none.jpg", "cannot read none.jpg: No such file"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_no_picture_is_said(source: object, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        whole(EIGHT, source)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 33.0])
def test_scales_that_cannot_be_are_refused(scale: float) -> None:
    with pytest.raises(InputError, match=rf"scale {scale} came; expected 0.1 to 32"):
        check_scales([1.0, scale])


@pytest.mark.parametrize("scales", [[], [1, 1.0]])
def test_scales_must_be_there_and_differ(scales: list[float]) -> None:
    with pytest.raises(InputError, match="expected at least one, and each once"):
        check_scales(scales)


def test_a_level_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(InputError, match=r"at scale 32 a picture of 100000 x 1 has .* use smaller scales"):
        level(EIGHT, np.zeros((1, 100_000, 3), np.uint8), 32.0, SLIDING)
