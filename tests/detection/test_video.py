"""Frames of a video, what is found in them, and a video with boxes; files are made here, with PyAV."""

import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassnet.detection import video
from glassnet.detection.detections import Detections
from glassnet.detection.video import Frame, find, frames, is_video, write_video
from glassnet.errors import InputError, MissingExtra, PictureError

av = pytest.importorskip("av")
BRIGHT = 8  # grey levels that each frame is brighter than the one before


def make_video(path: Path, count: int = 20, rate: int = 10, size: tuple[int, int] = (48, 64)) -> Path:
    """Write a video whose frame k is a grey of 8 k (modulo 240), at k / rate seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix != ".mkv" else "libx264", rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            grey = np.full((*size, 3), BRIGHT * number % 240, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class Middle:
    """Finds one box in the middle of any picture, and reads four pictures ahead."""

    name, classes = "middle", ("thing",)
    ahead = 4

    def stream(self, images: Iterable[Any], *, threshold: Any = None) -> Iterator[Detections]:  # noqa: ARG002
        pictures = iter(images)
        while batch := list(islice(pictures, self.ahead)):
            for picture in batch:
                height, width = picture.shape[:2]
                box = np.array([[width / 4, height / 4, 3 * width / 4, 3 * height / 4]], np.float32)
                yield Detections(
                    boxes=box, scores=np.ones(1, np.float32), labels=np.zeros(1, np.int64), classes=self.classes,
                    size=(height, width),
                )  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4")


def test_frames_come_with_their_times_and_in_order(clip: Path) -> None:
    found = list(frames(clip))
    np.testing.assert_allclose([seconds for seconds, _ in found], np.arange(20) / 10, atol=1e-6)
    assert {pixels.shape for _, pixels in found} == {(48, 64, 3)}
    assert found[0][1].dtype == np.uint8
    greys = [pixels.mean() for _, pixels in found]
    np.testing.assert_allclose(greys, BRIGHT * np.arange(20), atol=7)  # what the encoder loses


@pytest.mark.parametrize(
    "every, times", [(0.5, [0, 0.5, 1, 1.5]), (0.25, [0, 0.3, 0.5, 0.8, 1.0, 1.3, 1.5, 1.8]), (9.0, [0])]
)
def test_every_takes_the_first_frame_of_each_span(every: float, times: list[float], clip: Path) -> None:
    np.testing.assert_allclose([seconds for seconds, _ in frames(clip, every=every)], times, atol=1e-6)


@pytest.mark.parametrize("every", [0, -1.0, float("nan"), float("inf"), "2"])
def test_an_every_that_cannot_be_is_refused(every: Any, clip: Path) -> None:
    with pytest.raises(InputError, match=f"every is {every!r}; expected a number of seconds above 0"):
        next(frames(clip, every=every))


def test_frames_are_paired_with_what_is_found_in_them(clip: Path) -> None:
    found = list(find(Middle(), clip, every=0.5))
    assert [frame.found.path for frame in found] == [f"{clip}#t={s:.3f}" for s in (0, 0.5, 1, 1.5)]
    np.testing.assert_allclose([frame.pixels.mean() for frame in found], BRIGHT * np.array([0, 5, 10, 15]), atol=7)


def test_the_finder_reads_ahead_and_no_frame_is_kept_longer(tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", count=60, size=(240, 320))

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in islice(find(Middle(), long), count):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    frame = 240 * 320 * 3
    assert peak(60) < peak(12) + 3 * frame  # 60 frames would be 48 frames more


def test_a_video_with_boxes_has_the_same_times_and_the_boxes(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert write_video(out, find(Middle(), clip)) == 20
    before, after = list(frames(clip)), list(frames(out))
    np.testing.assert_allclose([s for s, _ in after], [s for s, _ in before], atol=2e-3)
    change = np.abs(after[5][1].astype(int) - before[5][1]).max(2)
    assert change[12, 20:44].mean() > 40  # the upper side of the box
    assert change[22:26, 28:36].mean() < 12  # its inside, but for what the encoder loses
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


def test_a_video_of_some_frames_lasts_as_long(clip: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "some.mp4", find(Middle(), clip, every=0.5))
    np.testing.assert_allclose([s for s, _ in frames(tmp_path / "some.mp4")], [0, 0.5, 1, 1.5], atol=2e-3)


@pytest.mark.parametrize("encoder", video.ENCODERS)
def test_every_encoder_writes_odd_sides_too(encoder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(video, "ENCODERS", (encoder,))
    shown = [
        Frame(number / 7, np.full((33, 51, 3), 90, np.uint8), next(Middle().stream([np.zeros((33, 51, 3))])))
        for number in range(5)
    ]
    write_video(tmp_path / "odd.mp4", shown)
    found = list(frames(tmp_path / "odd.mp4"))
    assert [pixels.shape for _, pixels in found] == [(32, 50, 3)] * 5
    np.testing.assert_allclose([seconds for seconds, _ in found], np.arange(5) / 7, atol=2e-3)


def test_a_turned_video_is_shown_upright() -> None:
    class Turned:
        rotation = 90  # counter-clockwise, as PyAV says it

        def to_ndarray(self, format: str) -> np.ndarray:  # noqa: ARG002
            return np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    upright = video._upright(Turned())
    assert upright.shape == (3, 2, 3)
    np.testing.assert_array_equal(upright[2, 0], [0, 1, 2])  # upper left goes to lower left


def test_files_that_are_no_video_are_refused(clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    with pytest.raises(PictureError, match=r"there is no video at .*bad.mp4"):
        next(frames(bad))
    bad.write_bytes(b"")
    with pytest.raises(PictureError, match=r"is empty \(0 bytes\)"):
        next(frames(bad))
    bad.write_bytes(b"words, and no video at all " * 50)
    with pytest.raises(PictureError, match="is no video that can be read: Invalid data"):
        next(frames(bad))
    bad.write_bytes(clip.read_bytes()[:700])
    with pytest.raises(PictureError, match="is no video that can be read"):
        next(frames(bad))


def test_a_file_with_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(PictureError, match="has no video stream, only audio"):
        next(frames(path))


def test_a_video_cut_off_gives_its_frames_until_there(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", count=40)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    got = 0
    try:
        for _ in frames(cut):
            got += 1
    except PictureError as error:
        assert "breaks off" in str(error)  # noqa: PT017 - whether the decoder complains depends on where it was cut
    assert 1 <= got < 40


def test_a_decoder_that_fails_is_a_picture_error(clip: Path) -> None:
    class Failing:
        def decode(self, stream: object) -> Iterator[object]:  # noqa: ARG002
            yield 1
            raise av.error.InvalidDataError(1, "Invalid data found")

    decoded = video._decoded(av, Failing(), None, clip)
    assert next(decoded) == 1
    with pytest.raises(PictureError, match=r"the video .*clip.mp4' breaks off: Invalid data found"):
        next(decoded)


def test_without_the_extra_one_sentence_names_the_command(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        MissingExtra, match=r"reading a video needs an optional package; .*pip install 'glassnet\[video\]'"
    ):
        next(frames(clip))
    with pytest.raises(MissingExtra, match="writing a video"):
        write_video(Path("x.mp4"), [])


def test_outputs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is written as .mp4, and 'out.avi' ends otherwise"):
        write_video(tmp_path / "out.avi", [])
    with pytest.raises(InputError, match="there is no frame to write"):
        write_video(tmp_path / "out.mp4", [])
    assert not list(tmp_path.iterdir())


def test_videos_are_told_by_their_ending() -> None:
    assert is_video("a/CLIP.MP4")
    assert not is_video(Path("a.jpg"))
    assert Fraction(1, video.TICKS) < Fraction(1, 1000)
