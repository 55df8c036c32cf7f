"""Video: frames out of a file, what is found in them, and a video with the boxes drawn; through PyAV (extra "video").

One frame after the other: memory does not grow with the video. Times are seconds from the video's start, as the file
says them and not counted, so that a rate that changes and frames that are missing do no harm.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from glassnet.detection.detections import Detections, Finder
from glassnet.detection.drawing import draw
from glassnet.errors import InputError, PictureError, require
from glassnet.files import atomic_path, storage_errors

Pixels = npt.NDArray[np.uint8]
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")
"""Of files that are taken for a video where pictures are looked for."""
TICKS = 90_000  # per second: the time base that video files customarily have
ENCODERS = ("libx264", "mpeg4")  # the first one that this PyAV has; every build has the second
RATE = Fraction(25)  # frames a second that a file says which knows none


def is_video(path: str | Path) -> bool:
    """Tell by its ending whether `path` is a video."""
    return Path(path).suffix.lower() in ENDINGS


def frames(path: str | Path, *, every: float | None = None) -> Iterator[tuple[float, Pixels]]:
    """Yield (seconds from the start, frame (H, W, 3) uint8 RGB) of the first video stream of the file, upright.

    every: take the first frame of each so many seconds; None takes all. Raises `MissingExtra` without PyAV,
    `InputError` for an `every` that is no number above 0, `PictureError` for a file that is missing, empty, no video or
    without a frame in it. A video that breaks off gives the frames until there, and then the error.
    """
    if every is not None and not (isinstance(every, int | float) and math.isfinite(every) and every > 0):
        raise InputError(f"every is {every!r}; expected a number of seconds above 0")
    av = require("av", "reading a video", "video")
    start, due = math.nan, -math.inf
    with _opened(av, path) as container:
        stream = _video_stream(container, path)
        for number, frame in enumerate(_decoded(av, container, stream, path)):
            clock = float(frame.time if frame.time is not None else number / (stream.average_rate or RATE))
            start = clock if number == 0 else start
            seconds = clock - start
            if seconds >= due - 1e-6:
                due = (math.floor(seconds / every + 1e-6) + 1) * every if every else due
                yield seconds, _upright(frame)
    if math.isnan(start):
        raise PictureError(f"the video {str(path)!r} has no frame that could be decoded", kind="empty")


@dataclass(frozen=True)
class Frame:
    """A frame of a video: seconds from the start, pixels (H, W, 3) uint8, and what was found in it."""

    seconds: float
    pixels: Pixels
    found: Detections


class _Streams(Protocol):
    def stream(
        self, images: Iterable[Any], *, threshold: float | Mapping[str, float] | None = None
    ) -> Iterator[Detections]: ...


def find(
    finder: Finder | _Streams,
    path: str | Path,
    *,
    every: float | None = None,
    threshold: float | Mapping[str, float] | None = None,
    **how: Any,
) -> Iterator[Frame]:
    """Yield the frames of a video with what `finder` finds in them; `every` and errors as in `frames`.

    how: what the finder's `stream` takes beside.

    A frame's path is the video's with the time behind it, as in "clip.mp4#t=1.200" (W3C Media Fragments). Only frames
    that the finder has read ahead are in memory.
    """
    waiting: deque[tuple[float, Pixels]] = deque()

    def pixels() -> Iterator[Pixels]:
        for seconds, frame in frames(path, every=every):
            waiting.append((seconds, frame))
            yield frame

    for found in finder.stream(pixels(), threshold=threshold, **how):
        seconds, frame = waiting.popleft()
        yield Frame(seconds, frame, replace(found, path=f"{path}#t={seconds:.3f}"))


def write_video(path: Path, found: Iterable[Frame]) -> int:
    """Draw what was found into every frame, write an .mp4 with the frames' own times, atomically; return how many.

    A video of frames taken `every` so many seconds lasts as long as the original. Sides are cut to even numbers, as the
    format asks. Sound is not taken over. Raises `InputError` for another ending or no frame at all, `MissingExtra`
    without PyAV, `StorageError` where it cannot be written.
    """
    if path.suffix.lower() != ".mp4":
        raise InputError(f"a video with boxes is written as .mp4, and {path.name!r} ends otherwise")
    av = require("av", "writing a video", "video")
    drawn = ((frame.seconds, draw(frame.pixels, frame.found)) for frame in found)
    first = next(drawn, None)
    if first is None:
        raise InputError("there is no frame to write into a video")
    count = 0
    with atomic_path(path) as temporary, storage_errors(path, temporary), av.open(str(temporary), "w") as container:
        recorder = _Recorder(av, container, first[1].size)
        for seconds, picture in _chained(first, drawn):
            recorder.add(seconds, picture)
            count += 1
        recorder.finish()
    return count


class _Recorder:
    """Encodes pictures of one size with their times."""

    def __init__(self, av: Any, container: Any, size: tuple[int, int]) -> None:
        name = next(name for name in ENCODERS if name in av.codecs_available)
        self.av, self.container = av, container
        self.stream = container.add_stream(name, rate=30)  # players ask for some rate; the times below are what counts
        self.size = size[0] - size[0] % 2 or 2, size[1] - size[1] % 2 or 2
        self.stream.width, self.stream.height = self.size
        self.stream.pix_fmt = "yuv420p"  # what every player plays
        self.stream.codec_context.time_base = Fraction(1, TICKS)
        if name == "libx264":
            self.stream.options = {"crf": "20", "preset": "veryfast"}
        else:
            self.stream.codec_context.time_base = Fraction(1, 1000)  # mpeg4 knows no finer one than 1 / 65535
            self.stream.codec_context.bit_rate = 8 * self.size[0] * self.size[1]
        self.last = -1

    def add(self, seconds: float, picture: Image.Image) -> None:
        """Encode one picture; one of another size is fitted to the first one's."""
        if picture.size != self.size:
            whole = abs(picture.width - self.size[0]) <= 1 and abs(picture.height - self.size[1]) <= 1
            cut = picture.crop((0, 0, *self.size)) if whole else picture.resize(self.size)
            picture = cut
        frame = self.av.VideoFrame.from_image(picture)
        base = self.stream.codec_context.time_base
        self.last = max(round(seconds / base), self.last + 1)  # times must rise
        frame.pts, frame.time_base = self.last, base
        self.container.mux(self.stream.encode(frame))

    def finish(self) -> None:
        """Encode what is still waiting."""
        self.container.mux(self.stream.encode(None))


def _chained(first: tuple[float, Image.Image], rest: Iterable[tuple[float, Image.Image]]) -> Iterator[Any]:
    yield first
    yield from rest


@contextmanager
def _opened(av: Any, path: str | Path) -> Iterator[Any]:
    file = Path(path)
    if not file.is_file():
        raise PictureError(f"there is no video at {str(path)!r}; name a file", kind="unreadable")
    try:
        if not file.stat().st_size:
            raise PictureError(f"the video {str(path)!r} is empty (0 bytes)", kind="empty")
        container = av.open(str(file))
    except (av.error.FFmpegError, OSError) as error:
        raise PictureError(
            f"{str(path)!r} is no video that can be read: {_reason(error)}", kind="not_a_picture"
        ) from error
    with container:
        yield container


def _video_stream(container: Any, path: str | Path) -> Any:
    if not container.streams.video:
        other = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise PictureError(f"{str(path)!r} has no video stream, only {other}", kind="not_a_picture")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _decoded(av: Any, container: Any, stream: Any, path: str | Path) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except (av.error.FFmpegError, OSError) as error:
        raise PictureError(f"the video {str(path)!r} breaks off: {_reason(error)}", kind="truncated") from error


def _upright(frame: Any) -> Pixels:
    """Return a frame as players show it: telephones write the turn beside the pixels, counter-clockwise in degrees."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
