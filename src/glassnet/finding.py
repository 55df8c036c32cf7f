"""What a user can do with what finds objects, as plain functions: `detect`, `detect_video`, `explain_boxes`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from glassnet import tasks
from glassnet.data.walking import at_least_one, walk
from glassnet.detection import video
from glassnet.detection.detections import Detections
from glassnet.detection.detector import Detector
from glassnet.detection.explained import explain_detections
from glassnet.errors import InputError
from glassnet.explain.figures.rows import Explained
from glassnet.models.prediction import Picture
from glassnet.nn.device import set_threads


def detect(
    network: str | Path,
    pictures: str | Path | Iterable[str | Path],
    *,
    threshold: float | Mapping[str, float] | None = None,
    windows: bool = False,
    every: float | None = None,
    pretrained: bool | str = False,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
) -> Iterator[Detections]:
    """Yield what is found in each picture file, folders walked to their ends, in constant memory.

    Args:
        network: a detector's run or file; with `windows` a classifier, which slides over the pictures.
        pictures: files and folders, or one video, whose frames then are the pictures; `every`: one frame in so many
            seconds of it.
        threshold: the least score that is given, one or one for each class; None takes the detector's own.

    Raises:
        InputError: a path does not exist, the network finds nothing (it is a classifier), a threshold outside [0, 1].
    """
    set_threads(threads)
    torch.manual_seed(seed)
    named = [pictures] if isinstance(pictures, str | Path) else pictures
    if isinstance(named, Sequence):
        for path in named:
            if not os.path.lexists(path):
                raise InputError(f"no picture or folder at {str(path)!r}; check the path")
    single = named[0] if isinstance(named, Sequence) and len(named) == 1 and video.is_video(named[0]) else None
    if single is None and every is not None:
        raise InputError(f"every is {every}, but no single video was named; it is for the frames of one")
    finder, how = tasks.finder(
        network, windows=windows, pretrained=pretrained, device=device, batch_size=batch_size
    )  # fmt: skip
    if single is not None:
        return (frame.found for frame in video.find(finder, single, every=every, threshold=threshold, **how))
    answers = finder.stream(walk(named), threshold=threshold, **how)
    return at_least_one(answers, named) if isinstance(named, Sequence) and named else answers


def detect_video(
    network: str | Path,
    path: str | Path,
    output: str | Path,
    *,
    threshold: float | Mapping[str, float] | None = None,
    windows: bool = False,
    every: float | None = None,
    pretrained: bool | str = False,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
) -> int:
    """Write the video at `path` again with what is found drawn into its frames, as .mp4; return how many these are.

    The other arguments are those of `detect`. Raises `InputError`, `PictureError` for a file that is no video,
    `MissingExtra` without PyAV, `StorageError`.
    """
    set_threads(threads)
    torch.manual_seed(seed)
    finder, how = tasks.finder(
        network, windows=windows, pretrained=pretrained, device=device, batch_size=batch_size
    )  # fmt: skip
    return video.write_video(Path(output), video.find(finder, path, every=every, threshold=threshold, **how))


def explain_boxes(
    network: str | Path,
    pictures: Sequence[Picture],
    methods: Sequence[str],
    *,
    boxes: Sequence[int] = (0,),
    threads: int | None = None,
    **how: Any,
) -> list[Explained]:
    """Explain why a detector found the `boxes` of each picture, 0 being the surest; a row for each picture.

    `how` as for `glassnet.detection.explained.explain_detections`, which says what it raises.
    """
    set_threads(threads)
    strict = len(pictures) == 1
    return list(explain_detections(Detector.load(network), pictures, methods, boxes=boxes, strict=strict, **how))
