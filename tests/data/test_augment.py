"""Augmentation: numbers by hand, slow versions picture by picture, and what must hold for any batch."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassnet.data import augment as ours
from glassnet.data.augment import Augment
from glassnet.errors import InputError, MissingExtra


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(count: int, height: int, width: int, channels: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8))


SHAPES = st.tuples(st.integers(1, 6), st.integers(4, 12), st.integers(4, 12), st.sampled_from([1, 2, 3, 5]))
EVERYTHING = Augment(flip=0.5, shift=2, crop_scale=0.3, erasing=0.5, mixup=0.4, cutmix=0.4)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 1000))
def test_any_batch_keeps_its_layout_and_its_source_and_repeats_by_seed(
    shape: tuple[int, int, int, int], seed: int
) -> None:
    images, labels = noise(*shape, seed=seed), torch.arange(shape[0])
    before = images.clone()
    out, targets = EVERYTHING.apply(images, labels, rng(seed), size=(6, 5))
    again, _ = EVERYTHING.apply(images, labels, rng(seed), size=(6, 5))
    assert out.shape == (shape[0], 6, 5, shape[3])
    assert out.dtype == torch.uint8
    assert torch.equal(images, before)
    assert torch.equal(out, again)
    assert targets.mix is not None
    assert targets.labels_b is not None
    assert ((targets.mix >= 0) & (targets.mix <= 1)).all()
    assert sorted(targets.labels_b.tolist()) == labels.tolist()


def test_nothing_asked_nothing_done() -> None:
    images = noise(3, 8, 8, 3)
    out, targets = Augment().apply(images, torch.arange(3), rng())
    assert torch.equal(out, images)
    assert targets.mix is None
    assert targets.labels_b is None


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_flip_mirrors_about_half_of_the_pictures_and_nothing_else(channels: int) -> None:
    images = noise(400, 5, 6, channels)
    out = ours.flip(images, rng(), 0.5)
    mirrored = [torch.equal(new, old.flip(1)) for new, old in zip(out, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(out, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250  # five standard deviations
    assert torch.equal(ours.flip(images, rng(), 1.0), images.flip(2))
    assert torch.equal(ours.flip(images, rng(), 0.0), images)


@pytest.mark.parametrize("border", ["reflect", "zero"])
def test_shift_gives_every_place_of_the_padded_picture(border: str) -> None:
    picture = noise(1, 6, 7, 3)
    mode = {"reflect": "reflect", "zero": "constant"}[border]
    padded = np.pad(picture[0].numpy(), ((2, 2), (2, 2), (0, 0)), mode=mode)  # NumPy's own padding is the reference
    places = {padded[y : y + 6, x : x + 7].tobytes(): (y, x) for y in range(5) for x in range(5)}
    out = ours.shift(picture.expand(600, -1, -1, -1), rng(), 2, border=border)
    assert {places[moved.numpy().tobytes()] for moved in out} == set(places.values())


def test_shift_by_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="cannot shift pictures of 4 x 9 by 4 pixels"):
        ours.shift(noise(1, 4, 9, 1), rng(), 4)
    with pytest.raises(InputError, match="border is 'wrap'"):
        ours.shift(noise(1, 4, 9, 1), rng(), 1, border="wrap")


def test_random_crop_cuts_every_place() -> None:
    picture = noise(1, 6, 5, 3)
    places = {picture[0, y : y + 4, x : x + 4].numpy().tobytes(): (y, x) for y in range(3) for x in range(2)}
    out = ours.random_crop(picture.expand(200, -1, -1, -1), rng(), 4, 4)
    assert {places[cut.numpy().tobytes()] for cut in out} == set(places.values())
    with pytest.raises(InputError, match="cannot crop 7 x 4 out of pictures of 6 x 5"):
        ours.random_crop(picture, rng(), 7, 4)


def test_crop_boxes_have_the_area_and_the_shape_asked_for() -> None:
    boxes = ours.crop_boxes(rng(), 4000, 200, 300, scale=(0.2, 0.6), ratio=(0.5, 2.0))
    top, left, tall, wide = boxes.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= 200).all()
    assert (left + wide <= 300).all()
    area, shape = tall * wide / 60_000, wide / tall
    assert 0.19 < area.min() < 0.21
    assert 0.58 < area.max() < 0.61
    assert shape.min() > 0.49
    assert shape.max() < 2.03
    assert abs(np.log(shape).mean()) < 0.1
    assert abs(top.mean() - (200 - tall).mean() / 2) < 3, "boxes lie anywhere with the same probability"


def test_a_box_that_cannot_fit_is_the_largest_in_the_centre() -> None:
    boxes = ours.crop_boxes(rng(), 3, 100, 10, scale=(1.0, 1.0), ratio=(0.75, 4 / 3))
    assert boxes.tolist() == [[44, 0, 13, 10]] * 3


def test_resized_crop_of_the_whole_picture_is_the_picture() -> None:
    images = noise(4, 9, 9, 3)
    assert torch.equal(ours.resized_crop(images, rng(), 9, 9, scale=(1, 1), ratio=(1, 1)), images)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, height=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 100))
def test_resized_crop_equals_the_slow_formula(
    shape: tuple[int, int, int, int], height: int, width: int, seed: int
) -> None:
    images, limits = noise(*shape, seed=seed), {"scale": (0.1, 1.0), "ratio": (0.5, 2.0)}
    out = ours.resized_crop(images, rng(seed), height, width, **limits)
    boxes = ours.crop_boxes(rng(seed), *shape[:3], **limits)
    for new, old, (top, left, tall, wide) in zip(out.numpy(), images.numpy(), boxes.tolist(), strict=True):
        box = old[top : top + tall, left : left + wide].astype(float)
        slow = np.einsum("yr,rxc,wx->ywc", _mixing(tall, height), box, _mixing(wide, width))
        assert np.abs(new - slow).max() <= 1.01, "bytes are rounded after each of the two passes"


def _mixing(length: int, wanted: int) -> np.ndarray:
    """Return (wanted, length): each wanted pixel's triangle over the old ones, as wide as they are shrunk."""
    ratio = length / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * ratio
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centres) / max(1, ratio))
    return weights / weights.sum(axis=1, keepdims=True)


def test_resized_crop_of_large_pictures() -> None:
    images = noise(3, 120, 120, 3)
    assert torch.equal(ours.resized_crop(images, rng(), 120, 120, scale=(1, 1), ratio=(1, 1)), images)
    assert ours.resized_crop(images, rng(), 96, 100).shape == (3, 96, 100, 3)


def test_resized_crop_interpolates_between_pixel_centres() -> None:
    ramp = torch.arange(0, 160, 10, dtype=torch.uint8).reshape(1, 1, 16, 1).expand(1, 16, 16, 3).contiguous()
    out = ours.resized_crop(ramp, rng(3), 16, 16, scale=(0.25, 0.25), ratio=(1, 1))
    left = int(ours.crop_boxes(rng(3), 1, 16, 16, scale=(0.25, 0.25), ratio=(1, 1))[0, 1])
    centres = (np.arange(16) + 0.5) / 2 - 0.5  # eight pixels become sixteen
    expected = 10 * (left + centres.clip(0, 7))
    assert np.abs(out[0, 0, :, 0].numpy() - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_erasing_puts_noise_into_one_rectangle(channels: int) -> None:
    images = torch.full((300, 20, 30, channels), 128, dtype=torch.uint8)
    out = ours.erasing(images, rng(), 0.5, scale=(0.1, 0.3))
    changed = (out != 128).any(dim=3)
    erased = 0
    for mask in changed:
        if not mask.any():
            continue
        erased += 1
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert 0.08 < box.numel() / 600 < 0.33
        assert box.float().mean() > 0.9, "noise is all over the rectangle: one value in 256 is the old one"
    assert 110 < erased < 190


def test_mixup_blends_with_its_partner_by_the_share_it_names() -> None:
    images, labels = noise(50, 6, 6, 3), torch.arange(50)
    out, targets = ours.mixup(images, labels, rng(), 0.4)
    assert targets.labels_b is not None
    assert targets.mix is not None
    share = targets.mix[:, None, None, None].double()
    slow = images.double() * share + images[targets.labels_b].double() * (1 - share)  # the label is the position here
    assert (out.double() - slow).abs().max() <= 0.5
    assert targets.mix.std() > 0.2, "each picture draws its own"


def test_cutmix_names_the_share_that_is_left() -> None:
    count = 200
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 9, 12, 3).contiguous()
    out, targets = ours.cutmix(images, torch.arange(count), rng(), 1.0)
    assert targets.labels_b is not None
    assert targets.mix is not None
    for new, label, other, mix in zip(out, targets.labels, targets.labels_b, targets.mix, strict=True):
        assert set(new.unique().tolist()) <= {int(label), int(other)}
        if label != other:
            assert torch.isclose((new == label).float().mean(), mix, atol=1e-6)
    assert targets.mix.mean() > 0.5
    assert (targets.mix < 1).sum() > count * 0.8


def test_mixup_and_cutmix_take_turns() -> None:
    both = Augment(mixup=1.0, cutmix=1.0)
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 8, 8, 1).contiguous() * 30
    pasted = 0
    for seed in range(40):
        out, _ = both.apply(images, torch.arange(8), rng(seed))
        pasted += bool((out % 30 == 0).all())  # CutMix makes no new values
    assert 8 < pasted < 32


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"flip": 1.5}, "flip is 1.5, expected 0 to 1"),
        ({"mixup": -1}, "mixup is -1, expected 0 to 10"),
        ({"erasing": float("nan")}, "erasing is nan"),
        ({"shift": -1}, "shift is -1"),
        ({"shift": 1.5}, "shift is 1.5"),
        ({"crop_ratio": (2.0, 1.0)}, "crop_ratio"),
    ],
)
def test_wrong_values_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Augment(**fields)


def test_batches_of_another_layout_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(2, 4, 4\) torch.uint8 on cpu, expected \(N, h, w, C\) uint8"):
        ours.flip(torch.zeros(2, 4, 4, dtype=torch.uint8), rng())
    with pytest.raises(InputError, match=r"torch\.float32"):
        ours.flip(torch.zeros(2, 4, 4, 3), rng())


@pytest.mark.skipif(importlib.util.find_spec("kornia") is not None, reason="Kornia is installed")
def test_rand_augment_without_kornia_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'glassnet\[augment\]'"):
        Augment(rand_augment=9)


@pytest.mark.skipif(importlib.util.find_spec("kornia") is None, reason="Kornia (the extra 'augment') is not installed")
@pytest.mark.filterwarnings("ignore")  # Kornia's import warns about deprecated parts of PyTorch
def test_rand_augment_repeats_by_seed_and_leaves_the_global_generator_alone() -> None:
    images = noise(4, 32, 32, 3)
    state = torch.random.get_rng_state()
    first, again, other = (ours.rand_augment(images, rng(seed), 9) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
