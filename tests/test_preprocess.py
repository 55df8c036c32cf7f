"""Preprocess: any origin gives the same bits; every kind of picture decodes rightly; finish equals the slow formula."""

from __future__ import annotations

import dataclasses
import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.preprocess import Preprocess, open_picture

WHOLE = Preprocess(height=6, width=8, crop=1.0)  # the intermediate is the input
UPRIGHT = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return something like a photograph: blurred noise over gradients, with a few sharp edges."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(2)), dtype=np.float32)
    y, x = np.mgrid[0:height, 0:width]
    picture = (smooth - 128) * 2 + 64 + 128 * (y / height)[..., None] * np.array([1, 0.5, x.mean() / width])
    picture[height // 4 : height // 2, width // 3 : width // 2] += 60
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


# --- one function for every origin


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    resize=st.sampled_from(["shortest", "squash", "pad"]),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos", "box", "nearest"]),
    decode=st.sampled_from(["full", "dct"]),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    orientation=st.integers(1, 8),
    channels=st.sampled_from([1, 3]),
)
def test_every_origin_gives_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    resize: str,
    interpolation: str,
    decode: str,
    kind: str,
    orientation: int,
    channels: int,
) -> None:
    preprocess = Preprocess(
        height=7, width=5, crop=0.8, channels=channels, resize=resize, interpolation=interpolation, decode=decode
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(height, width, seed=height * 91 + width), kind, exif=exif)
    path = tmp_path_factory.mktemp("origin") / "picture"
    path.write_bytes(data)

    from_bytes = preprocess.intermediate(data)
    assert from_bytes.shape == (9, 6, channels)
    assert from_bytes.dtype == np.uint8
    assert np.array_equal(preprocess.intermediate(path), from_bytes)
    assert np.array_equal(preprocess.intermediate(str(path)), from_bytes)
    with Image.open(path) as unread:
        assert np.array_equal(preprocess.intermediate(unread), from_bytes)
        assert np.array_equal(preprocess.intermediate(unread), from_bytes)  # it was left unread
        unread.load()
        decoded = unread.convert("RGB") if unread.mode != "RGB" else unread
        full = dataclasses.replace(preprocess, decode="full")
        assert np.array_equal(full.intermediate(unread), full.intermediate(data))
        upright = _upright(np.asarray(decoded), orientation)
        assert np.array_equal(full.intermediate(upright), full.intermediate(data))


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright by the EXIF table: where the stored row 0 and column 0 are displayed."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda a: a.transpose(1, 0, 2)[::-1],
    }
    return np.ascontiguousarray(turns[orientation](pixels))


def test_a_pil_picture_is_not_altered() -> None:
    data = encode(photo(600, 800), "JPEG")
    image = Image.open(io.BytesIO(data))
    Preprocess(height=32, width=32, decode="dct").intermediate(image)
    assert image.size == (800, 600)
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(data))))


# --- geometry


def test_shortest_keeps_the_centre_squash_all_and_pad_fills() -> None:
    stripes = np.zeros((4, 12, 3), dtype=np.uint8)
    stripes[:, 4:8] = 200  # the middle third is bright
    shape = {"height": 4, "width": 4, "crop": 1.0, "interpolation": "nearest"}
    assert (Preprocess(**shape).intermediate(stripes) == 200).all()
    squashed = Preprocess(resize="squash", **shape).intermediate(stripes)
    assert (squashed[:, :, 0] == [0, 200, 200, 0]).all() or (squashed[:, :, 0] == [0, 200, 0, 0]).all()
    padded = Preprocess(resize="pad", background=(9, 9, 9), **shape).intermediate(np.full((4, 12, 3), 50, np.uint8))
    assert padded[:, 0, 0].tolist() == [9, 50, 9, 9]


def test_the_right_size_passes_unchanged() -> None:
    for resize in ("shortest", "squash", "pad"):
        for interpolation in ("bilinear", "bicubic", "lanczos", "box", "nearest"):
            preprocess = dataclasses.replace(WHOLE, resize=resize, interpolation=interpolation)
            assert np.array_equal(preprocess.intermediate(UPRIGHT), UPRIGHT)


def test_one_pixel_and_thin_pictures_work() -> None:
    for shape in ((1, 1, 3), (1, 500, 3), (500, 1, 3)):
        for resize in ("shortest", "squash", "pad"):
            preprocess = Preprocess(height=10, width=12, resize=resize)
            assert preprocess.intermediate(np.full(shape, 7, np.uint8)).shape == (11, 14, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_also_at_a_reduced_scale(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = photo(403, 337)  # odd: the reduced picture is rounded up, and begins before its first pixel when turned
    preprocess = Preprocess(height=20, width=16, crop=1.0, decode="dct")
    reduced = preprocess.intermediate(encode(image, "JPEG", quality=95, exif=exif)).astype(int)
    full = dataclasses.replace(preprocess, decode="full")
    expected = full.intermediate(_upright(np.asarray(image), orientation)).astype(int)
    assert 0 < abs(reduced - expected).mean() < 1.5


# --- DCT-scaled decoding


@pytest.mark.parametrize("size", [(768, 1024), (511, 517), (1500, 1800)])
@pytest.mark.parametrize("quality", [60, 90])
def test_dct_stays_within_its_bounds(size: tuple[int, int], quality: int) -> None:
    data = encode(photo(*size), "JPEG", quality=quality)
    reduced = [_check_dct(data, target) for target in (24, 32, 56, 96)]
    assert any(reduced)


def _check_dct(data: bytes, target: int) -> bool:
    full = Preprocess(height=target, width=target, crop=1.0)
    expected = full.intermediate(data).astype(int)
    difference = abs(dataclasses.replace(full, decode="dct").intermediate(data) - expected)
    assert difference.max() <= 8, "grey levels"
    assert difference.mean() <= 0.5
    return bool(difference.any())


def test_dct_stays_within_its_bounds_on_photographs(shared_data: Path) -> None:
    files = sorted(shared_data.glob("raccoon/**/*.jpg"))[::8] + sorted(shared_data.glob("clothing/test/*/*.jpg"))[::20]
    reduced = [_check_dct(path.read_bytes(), target) for path in files for target in (24, 28, 50)]
    assert sum(reduced) > len(reduced) // 2, "the bound must be tested where pictures were really reduced"


def test_dct_reduces_large_pictures_only() -> None:
    data = encode(photo(1024, 1024), "JPEG")
    for target, reduced in ((128, True), (130, False)):  # 1024 / 128 = 8 is where the scale 1/2 begins
        image = open_picture(data)
        Preprocess(height=target, width=target, crop=1.0, decode="dct")._reduce(image, turned=False)
        assert (image.size == (512, 512)) is reduced


# --- every kind of picture


def same(preprocess: Preprocess, data: bytes, expected: np.ndarray, within: int = 0) -> None:
    found = preprocess.intermediate(data)
    assert found.shape == expected.shape, "else broadcasting would compare what is not the same picture"
    assert abs(found.astype(int) - expected.astype(int)).max() <= within


def test_grey_and_colour_become_each_other() -> None:
    grey = UPRIGHT[:, :, 0]
    same(WHOLE, encode(Image.fromarray(grey)), np.repeat(grey[:, :, None], 3, axis=2))
    one = dataclasses.replace(WHOLE, channels=1, mean=(), std=())
    weighted = UPRIGHT @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    same(one, encode(Image.fromarray(UPRIGHT)), weighted[:, :, None], within=1)
    same(WHOLE, encode(Image.fromarray(grey > 40)), np.repeat((grey > 40)[:, :, None] * 255, 3, axis=2))


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.array([[0, 255, 256, 32768], [65280, 65535, 513, 40000]], dtype=np.uint16)
    expected = np.repeat((deep // 256)[:, :, None], 3, axis=2)
    preprocess = Preprocess(height=2, width=4, crop=1.0)
    for kind in ("PNG", "TIFF"):
        same(preprocess, encode(Image.fromarray(deep), kind), expected)
    assert np.array_equal(preprocess.intermediate(deep), expected)
    pgm = b"P5 4 2 65535\n" + deep.astype(">u2").tobytes()
    same(preprocess, pgm, expected)


def test_float_and_bool_arrays() -> None:
    values = np.array([[0.0, 0.5, 1.0, 0.25]])
    preprocess = Preprocess(height=1, width=4, crop=1.0, channels=1)
    assert preprocess.intermediate(values)[0, :, 0].tolist() == [0, 128, 255, 64]
    assert preprocess.intermediate(values > 0.3)[0, :, 0].tolist() == [0, 255, 255, 0]


def test_palette_and_its_transparent_colour() -> None:
    palette = Image.new("P", (4, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    palette.putdata([0, 1, 2, 1])
    colours = np.array([[[10, 20, 30], [200, 100, 50], [0, 255, 0], [200, 100, 50]]])
    preprocess = Preprocess(height=1, width=4, crop=1.0, background=(1, 2, 3))
    same(preprocess, encode(palette), colours)
    colours[0, 2] = (1, 2, 3)
    same(preprocess, encode(palette, transparency=2), colours)


def test_alpha_lies_over_the_background() -> None:
    preprocess = Preprocess(height=1, width=3, crop=1.0, background=(100, 0, 200))
    rgba = np.array([[[50, 60, 70, 255], [50, 60, 70, 0], [200, 100, 0, 128]]], dtype=np.uint8)
    half = 128 / 255
    expected = np.array([[[50, 60, 70], [100, 0, 200], [100 + 100 * half, 100 * half, 200 - 200 * half]]])
    same(preprocess, encode(Image.fromarray(rgba)), expected, within=1)
    assert np.array_equal(preprocess.intermediate(rgba), preprocess.intermediate(encode(Image.fromarray(rgba))))
    grey_alpha = np.array([[[50, 255], [50, 0], [50, 255]]], dtype=np.uint8)
    same(preprocess, encode(Image.fromarray(grey_alpha)), np.array([[[50] * 3, [100, 0, 200], [50] * 3]]))


def test_cmyk_becomes_the_colours_it_was_made_of() -> None:
    colours = np.zeros((16, 48, 3), dtype=np.uint8)
    for band in range(3):
        colours[:, 16 * band : 16 * band + 16, band] = 220
    preprocess = Preprocess(height=16, width=48, crop=1.0)
    cmyk = Image.fromarray(colours).convert("CMYK")
    same(preprocess, encode(cmyk, "TIFF"), colours, within=1)
    same(preprocess, encode(cmyk, "JPEG", quality=100, subsampling=0), colours, within=6)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        same(WHOLE, data, np.broadcast_to([255, 0, 0], (6, 8, 3)))


def test_many_channels(tmp_path: Path) -> None:
    cube = np.random.default_rng(0).integers(0, 256, (12, 16, 5), dtype=np.uint8)
    np.save(tmp_path / "cube.npy", cube)
    preprocess = Preprocess(height=6, width=8, crop=1.0, channels=5)
    small = preprocess.intermediate(tmp_path / "cube.npy")
    assert np.array_equal(small, preprocess.intermediate(cube))
    one = Preprocess(height=6, width=8, crop=1.0, channels=1)
    for band in range(5):  # each channel as if it were alone
        assert np.array_equal(small[:, :, band : band + 1], one.intermediate(cube[:, :, band]))
    with pytest.raises(PictureError, match="has 5 channels, expected 3") as caught:
        WHOLE.intermediate(cube)
    assert caught.value.kind == "wrong_shape"


# --- pictures that cannot be used


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"", "empty"),
        (b"once upon a time", "not_a_picture"),
        (encode(photo(64, 64), "JPEG")[:-400], "truncated"),
        (encode(photo(64, 64), "PNG")[:900], "truncated"),
        (b"\xff\xd8\xff\xe0 and then nonsense", "truncated"),
        (encode(photo(64, 64), "PNG").replace(b"IHDR", b"IHDX"), "unreadable"),
        (b"\x93NUMPY nonsense", "unreadable"),
    ],
)
def test_broken_pictures_say_how(data: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(PictureError) as caught:
            WHOLE.intermediate(source)
        assert caught.value.kind == kind


def test_a_bomb_is_refused_by_its_header_whatever_pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    small = encode(Image.new("L", (8, 6)))
    header = b"IHDR" + struct.pack(">II", 20_000, 10_001) + small[24:29]
    data = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(PictureError, match="20000 x 10001 pixels are more than the limit of 200,000,000") as caught:
        WHOLE.intermediate(data)
    assert caught.value.kind == "bomb"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would warn or refuse here
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert WHOLE.intermediate(encode(Image.fromarray(UPRIGHT))).shape == (6, 8, 3)
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(PictureError, match="limit of 40"):
        WHOLE.intermediate(encode(Image.fromarray(UPRIGHT)), pixel_limit=40)


def test_a_missing_or_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "no.png", tmp_path):
        with pytest.raises(PictureError, match="cannot read") as caught:
            WHOLE.intermediate(path)
        assert caught.value.kind == "unreadable"


def test_wrong_sources() -> None:
    with pytest.raises(InputError, match="type list came"):
        WHOLE.intermediate([1, 2, 3])  # type: ignore[arg-type]
    with pytest.raises(PictureError, match=r"shape \(3,\) came"):
        WHOLE.intermediate(np.zeros(3, np.uint8))
    with pytest.raises(PictureError, match=r"float64 values from 0.0 to 255.0 came, expected uint8"):
        WHOLE.intermediate(np.array([[0.0, 255.0]]))
    with pytest.raises(PictureError, match="expected uint8"):
        WHOLE.intermediate(np.array([[np.nan, 1.0]]))
    closed = Image.open(io.BytesIO(encode(Image.fromarray(UPRIGHT))))
    closed.fp.close()  # type: ignore[union-attr]
    with pytest.raises(PictureError, match="can no longer be read"):
        WHOLE.intermediate(closed)


# --- finish


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 4),
    channels=st.sampled_from([1, 3, 5]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    crop=st.sampled_from([1.0, 0.875, 0.5]),
    whole=st.booleans(),
)
def test_finish_equals_the_slow_formula(
    count: int, channels: int, height: int, width: int, crop: float, whole: bool
) -> None:
    rng = np.random.default_rng(count * channels * height * width)
    mean, std = tuple(rng.random(channels)), tuple(rng.random(channels) + 0.1)
    preprocess = Preprocess(height=height, width=width, channels=channels, crop=crop, mean=mean, std=std)
    tall, wide = (height, width) if whole else (preprocess.store_height, preprocess.store_width)
    batch = rng.integers(0, 256, (count, tall, wide, channels), dtype=np.uint8)

    out = preprocess.finish(torch.from_numpy(batch))
    top, left = (tall - height) // 2, (wide - width) // 2
    slow = (batch[:, top : top + height, left : left + width] / 255 - mean) / std
    assert out.shape == (count, channels, height, width)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert np.abs(out.numpy() - slow.transpose(0, 3, 1, 2)).max() < 2e-5
    assert torch.equal(preprocess.finish(torch.from_numpy(batch).float()), out)


def test_a_pictures_input_does_not_depend_on_its_batch() -> None:
    preprocess = Preprocess(height=64, width=64)  # one picture takes the small way, sixty-four the large one
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 73, 73, 3), dtype=np.uint8))
    whole = preprocess.finish(batch)
    for item in (0, 31, 63):
        assert torch.equal(preprocess.finish(batch[item : item + 1])[0], whole[item])


def test_finished_batches_never_share_memory_while_in_use() -> None:
    preprocess = Preprocess(height=64, width=64, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    batches = [torch.full((64, 64, 64, 3), value, dtype=torch.uint8) for value in range(8)]
    kept = [preprocess.finish(batch)[1:2] for batch in batches]  # a view keeps its memory in use
    for value, view in enumerate(kept):
        assert torch.allclose(view * 255, torch.tensor(float(value)))
    kept.clear()
    places = {preprocess.finish(batch).data_ptr() for batch in batches}
    assert len(places) < len(batches), "and is used again afterwards"


def test_finish_names_the_sizes_it_wants() -> None:
    preprocess = Preprocess(height=28, width=28, channels=1)
    with pytest.raises(InputError, match=r"\(2, 30, 30, 1\) came, expected \(N, 32, 32, 1\) or \(N, 28, 28, 1\)"):
        preprocess.finish(torch.zeros(2, 30, 30, 1, dtype=torch.uint8))


# --- the contract as data


def test_the_key_holds_what_shapes_the_intermediate_and_nothing_else() -> None:
    base = Preprocess(height=32, width=32, crop=1.0)
    changes = (
        *({"height": 33}, {"width": 33}, {"crop": 0.5}, {"resize": "pad"}, {"decode": "dct"}),
        *({"interpolation": "box"}, {"background": (1, 0, 0)}, {"channels": 1, "mean": (), "std": ()}),
    )
    keys = {dataclasses.replace(base, **change).key() for change in changes} | {base.key()}
    assert len(keys) == len(changes) + 1
    assert dataclasses.replace(base, mean=(0.1, 0.2, 0.3), std=(1, 1, 1)).key() == base.key()
    assert Preprocess(height=16, width=16, crop=0.5).key() == base.key(), "the same intermediate, more of it cropped"


def test_to_dict_and_back() -> None:
    preprocess = Preprocess(height=32, width=48, channels=5, resize="pad", background=(1, 2, 3))
    assert Preprocess.from_dict(preprocess.to_dict()) == preprocess
    with pytest.raises(UnknownName, match="'heigth'; nearest: height"):
        Preprocess.from_dict({"heigth": 3})


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"height": 0}, "height is 0, expected a whole number above 0"),
        ({"width": 2.5}, "width is 2.5"),
        ({"channels": True}, "channels is True"),
        ({"crop": 1.5}, "crop is 1.5"),
        ({"crop": float("nan")}, "crop is nan"),
        ({"resize": "short"}, "no resize is called 'short'; nearest: shortest"),
        ({"decode": "fast"}, "it is one of: full, dct"),
        ({"interpolation": "cubic"}, "nearest: bicubic"),
        ({"background": (0, 0, 256)}, "background is"),
        ({"mean": (0.5,)}, "expected 3 finite numbers"),
        ({"std": (0.5, 0.5, 0.0)}, "above 0"),
        ({"std": (0.5, 0.5, float("inf"))}, "finite"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocess(**fields)


def test_it_imports_no_torch() -> None:
    code = "import sys, glassnet.preprocess; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
