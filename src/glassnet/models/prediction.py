"""Predictions as a stream: pictures are decoded by threads ahead of the network, in order, in constant memory.

A picture that cannot be used becomes a prediction with an error; the stream goes on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from glassnet.errors import GlassnetError, InputError
from glassnet.preprocess import Preprocess

Picture: TypeAlias = "str | Path | bytes | Image.Image | npt.NDArray[Any]"
"""A file's path, its bytes, a PIL image, or an array (H, W) or (H, W, C)."""

Predictor: TypeAlias = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) float32, as the preprocess makes them, -> logits (N, K)."""

Decoded = TypeVar("Decoded")

MOST_WORKERS = 8  # decoding threads; beyond this they wait for each other's memory


@dataclass(frozen=True)
class Prediction:
    """What a network says about one picture: the likeliest class, the `top` classes with probabilities, or an error."""

    path: str | None
    label: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data: path, label, probability, top (a list of label and probability), error."""
        top = [{"label": label, "probability": probability} for label, probability in self.top]
        return {
            "path": self.path,
            "label": self.label,
            "probability": self.probability,
            "top": top,
            "error": self.error,
        }


@dataclass(frozen=True)
class _Decoded:
    """A picture's intermediate, or why there is none."""

    path: str | None
    pixels: npt.NDArray[np.uint8] | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How predictions are made from pictures: what a stream needs to know beside the pictures."""

    preprocess: Preprocess
    predictor: Predictor
    classes: tuple[str, ...]
    temperature: float
    top: int
    batch_size: int
    device: torch.device

    def __post_init__(self) -> None:
        """Raise `InputError` for a `top` or `batch_size` below 1."""
        for name in ("top", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is {value!r}; expected a whole number of at least 1")

    def stream(self, pictures: Iterable[Picture]) -> Iterator[Prediction]:
        """Yield one prediction per picture, in order; at most three batches of pictures are in memory at a time."""
        waiting: list[_Decoded] = []
        for decoded in decode_ahead(self._decode, pictures, 2 * self.batch_size):
            waiting.append(decoded)
            if len(waiting) == self.batch_size:
                yield from self._predict(waiting)
                waiting = []
        yield from self._predict(waiting)

    def _decode(self, picture: Picture) -> _Decoded:
        path = os.fspath(picture) if isinstance(picture, str | Path) else None
        try:
            return _Decoded(path, self.preprocess.intermediate(picture))
        except (GlassnetError, OSError) as error:
            return _Decoded(path, None, str(error))

    def _predict(self, batch: list[_Decoded]) -> list[Prediction]:
        """Return the predictions of a batch; the broken pictures in it cost the others nothing."""
        pixels = [decoded.pixels for decoded in batch if decoded.pixels is not None]
        probabilities = iter(self._probabilities(np.stack(pixels)) if pixels else ())
        return [self._prediction(d, None if d.pixels is None else next(probabilities)) for d in batch]

    def _probabilities(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """(N, h, w, C) uint8 -> (N, K) probabilities."""
        with torch.inference_mode():
            images = self.preprocess.finish(torch.from_numpy(pixels).to(self.device))  # (N, C, H, W)
            logits = torch.as_tensor(self.predictor(images))  # (N, K)
            if (expected := (len(pixels), len(self.classes))) != tuple(logits.shape):
                raise InputError(f"the predictor gave logits of shape {tuple(logits.shape)}, expected {expected}")
            return (logits.float() / self.temperature).softmax(1).cpu()

    def _prediction(self, decoded: _Decoded, probabilities: Tensor | None) -> Prediction:
        if probabilities is None:
            return Prediction(decoded.path, None, None, error=decoded.error)
        if not probabilities.isfinite().all():
            return Prediction(decoded.path, None, None, error="the network gave no finite number for this picture")
        values, numbers = probabilities.topk(min(self.top, len(self.classes)))
        top = tuple((self.classes[n], float(v)) for n, v in zip(numbers.tolist(), values.tolist(), strict=True))
        return Prediction(decoded.path, *top[0], top=top)


def with_flip(predictor: Predictor) -> Predictor:
    """Return a predictor whose logits are the mean over each picture and its mirror image."""

    def averaged(images: Tensor) -> Tensor:
        return (predictor(images) + predictor(images.flip(3))) / 2

    return averaged


def as_pictures(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return `images` as pictures to go through: one alone becomes a list of one, an array (N, H, W, C) N of them."""
    if isinstance(images, str | Path | bytes | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        if images.ndim not in (2, 3, 4):
            raise InputError(f"an array of shape {images.shape} came; expected (H, W), (H, W, C) or (N, H, W, C)")
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, Tensor) or not isinstance(images, Iterable):
        raise InputError(f"a {type(images).__name__} came; expected paths, bytes, PIL images or NumPy arrays")
    return images


def decode_ahead(decode: Callable[[Picture], Decoded], pictures: Iterable[Picture], ahead: int) -> Iterator[Decoded]:
    """Decode `pictures` with threads, in order, at most `ahead` of the consumer; Pillow lets other threads run."""
    pool = ThreadPoolExecutor(min(MOST_WORKERS, os.cpu_count() or 1), thread_name_prefix="glassnet-decode")
    pending: deque[Future[Decoded]] = deque()
    try:
        for picture in pictures:
            pending.append(pool.submit(decode, picture))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # also when the consumer stops early
        pool.shutdown(cancel_futures=True)
