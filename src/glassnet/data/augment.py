"""Augmentation of whole batches of uint8 pictures: what a picture may suffer without becoming another class.

Every function takes pictures (N, h, w, C) uint8 on the CPU and a NumPy generator, and returns new pictures of the same
layout; what each picture gets is drawn from the generator alone. Pixels stay bytes until `Preprocess.finish`: that is a
quarter of the memory traffic of floats. There is no Python loop over the pictures, with one exception that says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor
from torch.nn import functional as F

from glassnet.errors import InputError, require

Generator = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Range = tuple[float, float]

CROP_RATIO = (3 / 4, 4 / 3)  # width / height of a random-resized crop (Szegedy et al. 2014, arXiv:1409.4842)
ERASING_SCALE, ERASING_RATIO = (0.02, 0.33), (0.3, 3.3)  # Zhong et al. 2017, arXiv:1708.04896
CHUNK = 1 << 18  # values mixed at a time: their 16-bit copies stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a batch should be called: `labels` (N,) int64, and where pictures were mixed, with what and how much.

    A mixed picture is `mix` parts `labels` and `1 - mix` parts `labels_b`; mix (N,) float32 in [0, 1]. Both are None
    where nothing was mixed.
    """

    labels: Tensor
    labels_b: Tensor | None = None
    mix: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Which augmentations a training uses; everything defaults to off.

    flip: probability of a left-right mirror. shift: pixels that a picture may move in each direction, its border
    reflected. crop: cut the network's input at a random place of the intermediate instead of its centre. crop_scale:
    least share of the area that a random-resized crop keeps, 0 is off (and replaces `crop`). erasing: probability that
    a rectangle is replaced by noise. mixup, cutmix: alpha of their Beta(alpha, alpha), 0 is off; with both on, a coin
    decides for each batch. rand_augment: magnitude of Kornia's RandAugment, 0 to 30, 0 is off.
    """

    flip: float = 0.0
    shift: int = 0
    crop: bool = False
    crop_scale: float = 0.0
    crop_ratio: Range = CROP_RATIO
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: int = 0

    def __post_init__(self) -> None:
        """Raise `InputError` for a value outside its range, `MissingExtra` where RandAugment's package is missing."""
        limits = {"flip": 1.0, "crop_scale": 1.0, "erasing": 1.0, "mixup": 10.0, "cutmix": 10.0, "rand_augment": 30}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 to {limit:g}")
        if isinstance(self.shift, bool) or not isinstance(self.shift, int) or self.shift < 0:
            raise InputError(f"shift is {self.shift!r}, expected a whole number of pixels, 0 or more")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1] < math.inf:
            raise InputError(f"crop_ratio is {self.crop_ratio}, expected (least, most) width / height, both above 0")
        if self.rand_augment:
            require("kornia", "RandAugment", "augment")

    def apply(
        self, images: Tensor, labels: Tensor, generator: Generator, *, size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Targets]:
        """Augment pictures (N, h, w, C) uint8 with labels (N,) int64; return the new pictures and their targets.

        `size` (height, width) is what the crops cut, the network's input; None keeps the pictures' own size.
        """
        height, width = size or (images.shape[1], images.shape[2])
        if self.crop_scale:
            scale = (self.crop_scale, 1.0)
            images = resized_crop(images, generator, height, width, scale=scale, ratio=self.crop_ratio)
        elif self.crop:
            images = random_crop(images, generator, height, width)
        if self.shift:
            images = shift(images, generator, self.shift)
        if self.flip:
            images = flip(images, generator, self.flip)
        if self.rand_augment:
            images = rand_augment(images, generator, self.rand_augment)
        if self.erasing:
            images = erasing(images, generator, self.erasing)
        return self._mix(images, labels, generator)

    def _mix(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Targets]:
        if self.cutmix and (not self.mixup or generator.random() < 0.5):
            return cutmix(images, labels, generator, self.cutmix)
        if self.mixup:
            return mixup(images, labels, generator, self.mixup)
        return images, Targets(labels=labels)


def flip(images: Tensor, generator: Generator, probability: float = 0.5) -> Tensor:
    """Mirror each picture left to right with `probability`."""
    pixels = _pixels(images).copy()
    chosen = np.flatnonzero(generator.random(len(pixels)) < probability)
    whole = _as_pixels(pixels)
    whole[chosen] = whole[chosen][:, :, ::-1]
    return torch.from_numpy(pixels)


def shift(images: Tensor, generator: Generator, pixels: int, *, border: str = "reflect") -> Tensor:
    """Move each picture by up to `pixels` in both directions; the gap shows the reflected border, or zeros ("zero").

    Raises `InputError` for another border, and for a reflected shift as large as the picture.
    """
    padded = _pad(_pixels(images), pixels, border)
    return torch.from_numpy(_windows(padded, generator, images.shape[1], images.shape[2]))


def random_crop(images: Tensor, generator: Generator, height: int, width: int) -> Tensor:
    """Cut `height` x `width` at a random place of each picture; raises `InputError` where it is smaller than that."""
    if height > images.shape[1] or width > images.shape[2]:
        raise InputError(f"cannot crop {height} x {width} out of pictures of {images.shape[1]} x {images.shape[2]}")
    return torch.from_numpy(_windows(_pixels(images), generator, height, width))


def resized_crop(
    images: Tensor,
    generator: Generator,
    height: int,
    width: int,
    *,
    scale: Range = (0.08, 1.0),
    ratio: Range = CROP_RATIO,
) -> Tensor:
    """Cut a box of random area and aspect ratio out of each picture and resize it, bilinear, to `height` x `width`.

    scale: the box's share of the area; ratio: its width / height, drawn on a log scale (Inception's augmentation).
    """
    boxes = crop_boxes(generator, len(images), images.shape[1], images.shape[2], scale=scale, ratio=ratio)
    pixels = _pixels(images)
    out = _empty((len(images), height, width, images.shape[3]))
    # The one loop: PyTorch's vector code for bytes takes 0.15 ms a picture at 224 pixels, one grid_sample over the
    # whole batch 1.5 ms, gathering rows and then columns in NumPy 1.7 ms, matrix products 0.6 ms (and at 28 pixels half
    # of the loop's 0.03 ms). NumPy copies in and out: PyTorch would start its threads for each picture and wait.
    for item, (top, left, tall, wide) in enumerate(boxes.tolist()):
        box = np.ascontiguousarray(pixels[item : item + 1, top : top + tall, left : left + wide])
        source = torch.from_numpy(box).permute(0, 3, 1, 2)  # (1, C, tall, wide), channels_last in memory
        resized = F.interpolate(source, size=(height, width), mode="bilinear", antialias=True)
        out[item] = resized.permute(0, 2, 3, 1)[0].numpy()
    return torch.from_numpy(out)


def crop_boxes(generator: Generator, count: int, height: int, width: int, *, scale: Range, ratio: Range) -> Numbers:
    """Draw `count` boxes (count, 4) of top, left, height, width: area in `scale` of the picture's, shape in `ratio`.

    Each box has ten tries to fit into the picture; then it is the largest centred box of an allowed shape.
    """
    area = generator.uniform(*scale, size=(count, 10)) * (height * width)
    shape = np.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1]), size=(count, 10)))
    wide, tall = np.rint(np.sqrt(area * shape)), np.rint(np.sqrt(area / shape))
    fits = (wide >= 1) & (wide <= width) & (tall >= 1) & (tall <= height)
    first = fits.argmax(axis=1)
    chosen = np.arange(count), first
    nearest = min(max(width / height, ratio[0]), ratio[1])
    fallback_tall = min(height, max(1, round(width / nearest)))
    fallback_wide = min(width, max(1, round(height * nearest)))
    fitted = fits[chosen]
    tall = np.where(fitted, tall[chosen], fallback_tall).astype(np.int64)
    wide = np.where(fitted, wide[chosen], fallback_wide).astype(np.int64)
    places = np.where(fitted[:, None], generator.random((count, 2)), 0.5)
    top = (places[:, 0] * (height - tall + 1)).astype(np.int64)
    left = (places[:, 1] * (width - wide + 1)).astype(np.int64)
    return np.stack([top, left, tall, wide], axis=1)


def erasing(
    images: Tensor,
    generator: Generator,
    probability: float,
    *,
    scale: Range = ERASING_SCALE,
    ratio: Range = ERASING_RATIO,
) -> Tensor:
    """Replace, with `probability`, a random rectangle of each picture by noise (Zhong et al. 2017)."""
    count, height, width, channels = images.shape
    boxes = crop_boxes(generator, count, height, width, scale=scale, ratio=ratio)
    boxes[generator.random(count) >= probability] = 0  # a box of no height
    noise = np.frombuffer(generator.bytes(height * width * channels), dtype=np.uint8)
    rows = _pixels(images).reshape(count, height, width * channels)
    return _select(rows, noise.reshape(1, height, width * channels), boxes, images.shape)


def mixup(images: Tensor, labels: Tensor, generator: Generator, alpha: float) -> tuple[Tensor, Targets]:
    """Blend each picture with another of its batch (Zhang et al. 2017, arXiv:1710.09412), in steps of 1/256.

    Each picture draws its own share from Beta(alpha, alpha).
    """
    partner = generator.permutation(len(images))
    parts = np.rint(generator.beta(alpha, alpha, len(images)) * 256).astype(np.uint16)
    pixels = _pixels(images)
    flat = pixels.reshape(len(pixels), -1)
    out = _empty(flat.shape)
    step = max(1, CHUNK // max(1, flat.shape[1]))
    for start in range(0, len(flat), step):  # a chunk is many small pictures, or a part of the batch of large ones
        part = slice(start, start + step)
        share = parts[part, None]
        blend = flat[part].astype(np.uint16)
        blend *= share
        blend += flat[partner[part]].astype(np.uint16) * (256 - share)
        blend += 128  # rounds; 255 * 256 + 128 still fits 16 bits
        blend >>= 8
        out[part] = blend
    mix = torch.from_numpy((parts / 256).astype(np.float32))
    mixed = torch.from_numpy(out.reshape(pixels.shape))
    return mixed, Targets(labels=labels, labels_b=labels[torch.from_numpy(partner)], mix=mix)


def cutmix(images: Tensor, labels: Tensor, generator: Generator, alpha: float) -> tuple[Tensor, Targets]:
    """Paste a rectangle of another picture of the batch into each (Yun et al. 2019, arXiv:1905.04899).

    The rectangle's intended share of the area is 1 - Beta(alpha, alpha); cut off at the border it may be smaller, and
    `mix` is what is really left of the picture.
    """
    count, height, width, channels = images.shape
    partner = generator.permutation(count)
    side = np.sqrt(1 - generator.beta(alpha, alpha, count))
    centre_y, centre_x = generator.integers(height, size=count), generator.integers(width, size=count)
    half_tall, half_wide = (side * height / 2).astype(np.int64), (side * width / 2).astype(np.int64)
    top, left = np.maximum(centre_y - half_tall, 0), np.maximum(centre_x - half_wide, 0)
    tall = np.minimum(centre_y + half_tall, height) - top
    wide = np.minimum(centre_x + half_wide, width) - left
    rows = _pixels(images).reshape(count, height, width * channels)
    mixed = _select(rows, rows[partner], np.stack([top, left, tall, wide], axis=1), images.shape)
    mix = torch.from_numpy((1 - tall * wide / (height * width)).astype(np.float32))
    return mixed, Targets(labels=labels, labels_b=labels[torch.from_numpy(partner)], mix=mix)


def rand_augment(images: Tensor, generator: Generator, magnitude: int) -> Tensor:
    """Apply two random operations of colour or geometry by Kornia (RandAugment, Cubuk et al. 2019, arXiv:1909.13719).

    Kornia draws the operations for the whole batch and their strengths for each picture.
    Kornia draws from PyTorch's global generator: it is seeded from ours meanwhile and put back afterwards, so nothing
    else may draw from it in another thread. Raises `MissingExtra` without Kornia.
    """
    auto: Any = require("kornia.augmentation.auto", "RandAugment", "augment")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        augment = auto.RandAugment(n=2, m=magnitude)
        floats = images.permute(0, 3, 1, 2).float() / 255  # (N, C, h, w) in [0, 1]
        out: Tensor = augment(floats)
    return (out.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _pixels(images: Tensor) -> Pixels:
    """Return the batch as an array on the same memory; raise `InputError` for anything but (N, h, w, C) uint8."""
    if images.dtype is not torch.uint8 or images.ndim != 4 or images.device.type != "cpu":
        came = f"{tuple(images.shape)} {images.dtype} on {images.device}"
        raise InputError(f"augmentation got a batch {came}, expected (N, h, w, C) uint8 on the CPU")
    pixels: Pixels = images.contiguous().numpy()
    return pixels


def _as_pixels(pixels: Pixels) -> npt.NDArray[Any]:
    """View (N, h, w, C) bytes as (N, h, w) items of C bytes, which NumPy moves several times faster."""
    count, height, width, channels = pixels.shape
    return pixels.reshape(count, height, width * channels).view(f"V{channels}") if channels > 1 else pixels[..., 0]


def _empty(shape: tuple[int, ...]) -> Pixels:
    return np.empty(shape, dtype=np.uint8)


def _pad(pixels: Pixels, by: int, border: str) -> Pixels:
    """Pad height and width by `by` on each side."""
    count, height, width, channels = pixels.shape
    if border not in ("reflect", "zero"):
        raise InputError(f"border is {border!r}, expected 'reflect' or 'zero'")
    if border == "reflect" and by >= min(height, width):
        raise InputError(f"cannot shift pictures of {height} x {width} by {by} pixels and reflect the rest; use less")
    padded = np.zeros((count, height + 2 * by, width + 2 * by, channels), dtype=np.uint8)
    padded[:, by : by + height, by : by + width] = pixels
    if border == "reflect" and by:
        padded[:, :by] = padded[:, 2 * by : by : -1]
        padded[:, by + height :] = padded[:, by + height - 2 : height - 2 : -1]
        padded[:, :, :by] = padded[:, :, 2 * by : by : -1]
        padded[:, :, by + width :] = padded[:, :, by + width - 2 : width - 2 : -1]
    return padded


def _windows(pixels: Pixels, generator: Generator, height: int, width: int) -> Pixels:
    """Cut `height` x `width` out of each picture at a random place, all in one indexing operation."""
    count, tall, wide, channels = pixels.shape
    places = (count, tall - height + 1, wide - width + 1)
    per_item, per_row, per_pixel, _ = pixels.strides
    every = as_strided(
        pixels,
        (*places, height, width * channels),
        (per_item, per_row, per_pixel, per_row, 1),
        writeable=False,
    )
    top, left = generator.integers(places[1], size=count), generator.integers(places[2], size=count)
    cut: Pixels = every[np.arange(count), top, left]
    return cut.reshape(count, height, width, channels)


def _select(rows: Pixels, others: Pixels, boxes: Numbers, shape: torch.Size) -> Tensor:
    """Take `others` inside each picture's box and `rows` elsewhere: (N, h, w * C) each; others may be (1, h, w * C)."""
    count, height, width, channels = shape
    y, x = np.arange(height), np.arange(width * channels) // channels
    top, left, tall, wide = (boxes[:, column, None] for column in range(4))
    inside_y = ((y >= top) & (y < top + tall)).astype(np.uint8) * np.uint8(255)
    inside_x = ((x >= left) & (x < left + wide)).astype(np.uint8) * np.uint8(255)
    out = _empty((count, height, width * channels))
    for part in _chunks(count, height * width * channels):
        mask = inside_y[part, :, None] & inside_x[part, None, :]
        other = others if len(others) == 1 else others[part]
        np.bitwise_xor(rows[part], other, out=out[part])  # rows ^ ((rows ^ other) & mask) selects without a branch
        out[part] &= mask
        out[part] ^= rows[part]
    return torch.from_numpy(out.reshape(tuple(shape)))


def _chunks(count: int, values: int) -> Iterator[slice]:
    """Cut `count` pictures of `values` each into slices of about `CHUNK` values."""
    step = max(1, CHUNK // max(1, values))
    for start in range(0, count, step):
        yield slice(start, start + step)
