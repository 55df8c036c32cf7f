"""Run a network over pictures and judge its answers: the only place where a test split is looked at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from glassnet.data.batches import evaluation_batches
from glassnet.errors import DataError, InputError, nearest
from glassnet.evaluation.judgement import Judgement, summarise
from glassnet.models.prediction import Predictor, with_flip
from glassnet.nn.device import pick_device

if TYPE_CHECKING:
    from glassnet.data.pictures import Pictures
    from glassnet.models.network import Network
    from glassnet.preprocess import Preprocess


Answers: TypeAlias = "Callable[[Pictures, np.ndarray], torch.Tensor]"
"""Pictures and the numbers (N,) of some of them -> logits (N, K), however they come about."""


@dataclass(frozen=True)
class Scores:
    """What a network said: `logits` (N, K) float32, true `labels` (N,) int64 in the network's class order, the
    `items`' numbers (N,) int64, how long the network took (None where it was not run), and on which device."""

    logits: np.ndarray
    labels: np.ndarray
    items: np.ndarray
    seconds: float | None
    device: str


def scores(
    network: Network,
    pictures: Pictures,
    items: np.ndarray,
    *,
    batch_size: int | None = None,
    device: str = "auto",
    predictor: Predictor | None = None,
    tta: bool = False,
    answers: Answers | None = None,
) -> Scores:
    """Run `network` over the `items` of `pictures`, in order, without augmentation and without changing it.

    Args:
        batch_size: pictures at a time; None takes what suits the input's size.
        predictor: runs the network instead of PyTorch on `device`, for instance a compiled one.
        tta: test-time augmentation, the mean logits of each picture and its mirror image.
        answers: give the network's logits in its place, for instance from features that are known already.

    Raises:
        DataError: the pictures have a class the network does not know.
        InputError: no items, `batch_size` below 1, or pictures decoded for another input than the network's.
    """
    if len(items) == 0:
        raise InputError(f"{pictures.index.name}: there is no picture to judge; choose another split or other data")
    size = suitable_batch_size(network.preprocess) if batch_size is None else batch_size
    if size < 1:
        raise InputError(f"batch_size must be at least 1; got {batch_size}")
    if pictures.preprocess.key() != network.preprocess.key():
        raise InputError(f"the pictures were decoded for another input; load them with {network.preprocess}")
    pictures = replace(pictures, preprocess=network.preprocess)  # its mean and deviation, whoever loaded the pixels
    labels = class_map(pictures.index.classes, network.classes, pictures.labels[items])[pictures.labels[items]]
    chosen = pick_device("cpu" if predictor else device)
    seconds: float | None = None
    with torch.inference_mode():
        if answers is None:
            answer = predictor or network.predictor(chosen)
            answer = with_flip(answer) if tta else answer
            start = time.perf_counter()
            batches = evaluation_batches(pictures, items, size)
            logits = torch.cat([answer(batch.images.to(chosen)).float().cpu() for batch in batches]).numpy()
            seconds = time.perf_counter() - start
        else:
            logits = answers(pictures, items).float().cpu().numpy()
    return Scores(logits, labels, np.asarray(items), seconds, "predictor" if predictor else str(chosen))


def judge(
    network: Network,
    pictures: Pictures,
    items: np.ndarray,
    *,
    split: str = "test",
    batch_size: int | None = None,
    device: str = "auto",
    predictor: Predictor | None = None,
    tta: bool = False,
    answers: Answers | None = None,
    seed: int = 0,
) -> Judgement:
    """Judge `network` on the `items` of `pictures`; arguments and errors are those of `scores`.

    `split` is only what the judgement calls them; `seed` draws the bootstrap intervals.
    """
    said = scores(
        network, pictures, items, batch_size=batch_size, device=device, predictor=predictor, tta=tta, answers=answers
    )
    return summarise(
        said.logits,
        said.labels,
        network.classes,
        items=said.items,
        where=pictures.index.where,
        temperature=network.card.temperature,
        network=network.name,
        data=pictures.index.name,
        split=split,
        seconds=said.seconds,
        device=said.device,
        peak_memory=peak_memory(said.device),
        left_out=[str(p) for p in pictures.index.problems if p.quarantined and p.split in (None, split)],
        seed=seed,
    )


def suitable_batch_size(preprocess: Preprocess) -> int:
    """Up to 256 pictures, but no more than 32 of 224 x 224: 256 of those would take gigabytes and be no faster."""
    return max(1, min(256, 32 * 224 * 224 // (preprocess.height * preprocess.width)))


def class_map(found: tuple[str, ...], known: tuple[str, ...], used: np.ndarray) -> np.ndarray:
    """For each class of the data, `found` (F,), its number among the network's, `known`; -1 if it has none.

    Raises `DataError` where one of the labels in `used` (N,) has no counterpart: judging it would be meaningless.
    """
    position = {name: number for number, name in enumerate(known)}
    mapping = np.array([position.get(name, -1) for name in found], dtype=np.int64)
    strangers = [found[label] for label in np.unique(used) if mapping[label] < 0]
    if strangers:
        alike = nearest(strangers[0], known)
        raise DataError(
            f"the data's class {strangers[0]!r}"
            + (f" and {len(strangers) - 1} more are" if len(strangers) > 1 else " is")
            + f" unknown to the network, which knows {len(known)}: {', '.join(known[:5])}"
            + (", ..." if len(known) > 5 else "")
            + (f"; did you mean {alike[0]!r}?" if alike else "; name the folders after its classes")
        )
    return mapping


def peak_memory(device: str = "cpu") -> int | None:
    """The most bytes this process has held: on a CUDA device by its allocator, else resident; None if unknown."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(largest) if sys.platform == "darwin" else int(largest) * 1024
