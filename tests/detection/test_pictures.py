"""Whole pictures as displayed: size and pixels agree, whatever a picture comes as."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassnet.detection.pictures import displayed
from glassnet.errors import InputError, PictureError

PIXELS = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)  # height 3, width 5


def encoded(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def test_every_origin_gives_the_same_pixels(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(PIXELS))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    np.save(tmp_path / "a.npy", PIXELS)
    for source in (path, str(path), data, Image.fromarray(PIXELS), PIXELS, tmp_path / "a.npy"):
        np.testing.assert_array_equal(np.asarray(displayed(source)), PIXELS)


@pytest.mark.parametrize("orientation, turned", [(1, False), (3, False), (6, True), (8, True)])
def test_a_turned_photograph_is_shown_upright(orientation: int, turned: bool) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = orientation
    data = encoded(image, exif=exif)
    assert displayed(data).size == ((3, 5) if turned else (5, 3))
    right = {1: PIXELS, 3: PIXELS[::-1, ::-1], 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS)}[orientation]
    np.testing.assert_array_equal(np.asarray(displayed(data)), right)


def test_grey_and_transparent_pictures_become_rgb_over_white() -> None:
    assert displayed(np.full((4, 4), 7, np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert displayed(Image.new("RGBA", (2, 2), (9, 9, 9, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_what_cannot_be_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"cannot read .*missing.jpg: No such file"):
        displayed(tmp_path / "missing.jpg")
    with pytest.raises(PictureError, match="no picture format begins with these bytes"):
        displayed(b"words")
    with pytest.raises(InputError, match="a picture of type int came"):
        displayed(3)  # type: ignore[arg-type]
