"""The two ways to ask a classifier about every window of a picture: in one pass, or crop by crop.

Both answer for the same windows and are given the same finished pixels, so that they can be compared number by number.
Without padding they agree to rounding; with padding a crop sees zeros where the whole picture has pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from glassnet.detection.windows.head import with_patch_products
from glassnet.detection.windows.places import Size, Sliding, context_of, sliding_of
from glassnet.errors import InputError
from glassnet.models.network import Network
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fully_convolutional import to_fully_convolutional
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.trace import trace

MOST_MEMORY = 1 << 30
"""Bytes that the maps of one convolutional pass may take; a larger picture is passed in tiles."""


class Way(Protocol):
    """Something that knows a network's answer about each window."""

    @property
    def sliding(self) -> Sliding:
        """How the windows lie."""

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of every window of `images` (1, C, H, W), finished: (rows, columns, K) on the CPU.

        H and W fit: windows cover them to the last pixel (`Sliding.fitting`). Raises `InputError` for others.
        """


class Crops:
    """Crop by crop: what the network says of each window when it sees nothing else; the slow and exact way.

    stride: pixels between windows, (down, across). batch_size: crops that go through the network together.
    """

    def __init__(
        self, network: Network, stride: Size, *, batch_size: int = 32, device: str | torch.device = "auto"
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; expected a whole number of at least 1")
        self.sliding = Sliding((network.preprocess.height, network.preprocess.width), stride)
        self.batch_size, self.device = batch_size, pick_device(device)
        self.predictor = network.predictor(self.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of every window of `images` (1, C, H, W): (rows, columns, K)."""
        rows, columns = _check_fit(images, self.sliding)
        (height, width), (down, across) = self.sliding.window, self.sliding.stride
        windows = images[0].unfold(1, height, down).unfold(2, width, across)  # (C, rows, columns, h, w), a view
        windows = windows.permute(1, 2, 0, 3, 4)  # (rows, columns, C, h, w)
        answers = []
        for numbers in torch.split(torch.arange(rows * columns), self.batch_size):
            crops = windows[numbers // columns, numbers % columns]  # (n, C, h, w)
            answers.append(self.predictor(crops).float().cpu())
        return torch.cat(answers).view(rows, columns, -1)


class Convolutional:
    """All windows in one pass of the fully convolutional network, in tiles where its maps would take too much memory.

    A tile brings along as much of its surroundings as its answers depend on, so tiles change nothing.

    stride: pixels between windows, a multiple of the network's own; None for that. memory: bytes for maps.
    Raises `InputError` for a network without a fully convolutional form and for another stride.
    """

    def __init__(
        self,
        network: Network,
        stride: int | None = None,
        *,
        device: str | torch.device = "auto",
        memory: int = MOST_MEMORY,
    ) -> None:
        self.device = pick_device(device)
        reuse_memory()
        window, channels = (network.preprocess.height, network.preprocess.width), network.preprocess.channels
        plain = to_fully_convolutional(network.module, (channels, *window))
        self.own = sliding_of(plain, window, channels)
        self.step = _steps(stride, self.own.stride)
        down, across = self.own.stride
        self.sliding = Sliding(window, (down * self.step[0], across * self.step[1]))
        self.context = context_of(plain, self.own, channels)
        self.pixels = max(1, int(memory / (trace(plain, (channels, *window)).peak_memory / math.prod(window))))
        self.network = with_patch_products(fold_batch_norm(plain)).to(self.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of every window of `images` (1, C, H, W): (rows, columns, K)."""
        _check_fit(images, self.sliding)
        size = (int(images.shape[2]), int(images.shape[3]))
        rows, columns = (
            list(_tiles(count, self._longest(size, axis))) for axis, count in enumerate(self.own.positions(size))
        )
        with torch.inference_mode():
            parts = [torch.cat([self._tile(images, down, across) for across in columns], 2) for down in rows]
        scores = torch.cat(parts, 1)  # (K, rows, columns), at the network's own stride
        return scores.permute(1, 2, 0)[:: self.step[0], :: self.step[1]].contiguous()

    def _longest(self, size: Size, axis: int) -> int:
        """Return how many positions a tile may have along an axis of a picture of `size`; at least one.

        Tiles are squares, but for a picture with a short side, which leaves its pixels to the long one.
        """
        limit = max(math.isqrt(self.pixels), self.pixels // size[1 - axis])
        if size[axis] <= limit:
            return self.own.positions(size)[axis]
        fitting = (limit - self.own.window[axis]) // self.own.stride[axis] + 1
        return max(1, fitting - sum(self.context[axis]))

    def _tile(self, images: Tensor, down: range, across: range) -> Tensor:
        """Return the scores of some rows and columns of positions, (K, rows, columns), on the CPU."""
        cuts, skips = [], []
        for axis, asked in enumerate((down, across)):
            before, after = self.context[axis]
            window, stride, size = self.own.window[axis], self.own.stride[axis], images.shape[2 + axis]
            first = max(0, asked.start - before)
            cuts.append(slice(first * stride, min(size, (asked.stop - 1 + after) * stride + window)))
            skips.append(asked.start - first)
        part = images[:, :, cuts[0], cuts[1]].to(self.device).contiguous(memory_format=torch.channels_last)
        scores = self.network(part)[0]  # (K, H', W')
        kept: Tensor = scores[:, skips[0] : skips[0] + len(down), skips[1] : skips[1] + len(across)]
        return kept.float().cpu()


def _tiles(positions: int, longest: int) -> Iterator[range]:
    """Yield the positions 0.. in as few tiles as there can be, of about equal length."""
    count = -(-positions // longest)
    for number in range(count):
        yield range(number * positions // count, (number + 1) * positions // count)


def _steps(stride: int | None, own: Size) -> Size:
    """Return every how many positions of the map are taken along (rows, columns)."""
    if stride is None:
        return 1, 1
    if stride < 1 or any(stride % each for each in own):
        raise InputError(
            f"stride is {stride}; in one pass windows lie multiples of {own[0]} x {own[1]} pixels apart (down x "
            "across), the network's own stride; use such a multiple, or way='crops'"
        )
    return stride // own[0], stride // own[1]


def _check_fit(images: Tensor, sliding: Sliding) -> Size:
    size = (int(images.shape[2]), int(images.shape[3]))
    if images.ndim != 4 or len(images) != 1 or sliding.fitting(size) != size:
        raise InputError(
            f"images of shape {tuple(images.shape)} came; expected (1, C, H, W) of a size that windows of "
            f"{sliding.window} at stride {sliding.stride} cover, such as {sliding.fitting(size)}"
        )
    return sliding.positions(size)
