"""What a terminal shows of detection: what was found, and how good a detector is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.markup import escape

from glassnet.data.problems import printable
from glassnet.detection.detections import Detections
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.detection.localisation.judgement import LocalisationJudgement
from glassnet.detection.video import is_video
from glassnet.detection.writing import FOLDERS, Written, write
from glassnet.errors import InputError
from glassnet.show import console, percent, print_table


def detections(
    answers: Iterable[Detections], form: str | None, output: Path | None, *, named: Sequence[str]
) -> Written:
    """Write what was found to `output`, or to stdout; return how much there was.

    form: None draws pictures into an `output` without a suffix, writes JSON lines or CSV by its suffix, and prints a
    table without `output`. named: what the user called the pictures; folders in it come again in the output.
    """
    chosen = form or by_suffix(output)
    if output is None and chosen in FOLDERS:
        raise InputError(f"--format {chosen} writes a file a picture; say into which folder: --output DRAWN")
    if chosen == "table":
        if output is not None:
            raise InputError("a table is for the terminal; choose --format csv or json for a file")
        return table(answers)
    folders = [Path(name) for name in named if Path(name).is_dir()]
    return write(answers, sys.stdout if output is None else output, chosen, root=folders[0] if folders else None)


def is_drawn_video(named: Sequence[str], free: bool, output: Path | None) -> bool:
    """Whether a video is to be written again with boxes: one is named, and the output is an .mp4.

    free: no format was asked for. Raises `InputError` for drawn pictures of a video, or an .mp4 of anything else.
    """
    video = len(named) == 1 and is_video(named[0])
    wanted = free and output is not None and output.suffix.lower() == ".mp4"
    if wanted and not video:
        raise InputError(f"{output} is a video, and no single video was named; name a folder for drawn pictures")
    if video and free and output is not None and by_suffix(output) == "pictures" and not wanted:
        raise InputError(f"a video's frames are drawn into a video; let {str(output)!r} end in .mp4")
    return wanted


def by_suffix(output: Path | None) -> str:
    """Return the format that a file's name asks for."""
    if output is None:
        return "table"
    return {".json": "json", ".jsonl": "json", ".csv": "csv"}.get(output.suffix.lower(), "pictures")


def table(answers: Iterable[Detections]) -> Written:
    """Print a line a picture: its path, and what was found how often and how surely."""
    done = Written()
    for found in answers:
        done.pictures += 1
        done.boxes += len(found)
        done.failed += found.error is not None
        print(f"{printable(found.path or '-')}  {found.error or in_words(found)}")
    return done


def in_words(found: Detections) -> str:
    """Say what was found: "12 RBC 0.93-0.41, 1 WBC 0.98"."""
    parts = []
    for label, name in enumerate(found.classes):
        scores = found.scores[found.labels == label]
        if len(scores):
            span = f"{scores[0]:.2f}" if len(scores) == 1 else f"{scores[0]:.2f}-{scores[-1]:.2f}"
            parts.append(f"{len(scores)} {name} {span}")
    return ", ".join(parts) or "nothing"


def judgement(judged: DetectionJudgement | LocalisationJudgement) -> None:
    """Print a judgement: a line of headline numbers, a row for each class, and what went wrong."""
    if isinstance(judged, LocalisationJudgement):
        localisation(judged)
        return
    console().print(
        f"[bold]mAP50 {judged.map50:.1%}   mAP {judged.map:.1%}[/bold]   mAP75 {judged.map75:.1%}   "
        f"{judged.objects:,} objects in {judged.n:,} {escape(judged.split)} pictures",
        soft_wrap=True,
    )
    rows = [
        (
            row.name,
            *("-" if value is None else percent(value) for value in (row.ap50, row.ap)),
            f"{row.threshold:.2f}",
            percent(row.precision),
            percent(row.recall),
            f"{row.support:,}",
        )
        for row in judged.per_class
    ]
    print_table(("class", "AP50", "AP", "threshold", "precision", "recall", "objects"), rows)
    for sentence in judged.sentences:
        console().print(escape(sentence), soft_wrap=True)


def localisation(judged: LocalisationJudgement) -> None:
    """Print how good a localiser is: a line of headline numbers and a row for each class."""
    low, high = judged.accuracy_interval
    of_boxes = (
        "" if judged.mean_iou is None else f"mean IoU {judged.mean_iou:.2f}   class {judged.class_accuracy:.1%}   "
    )
    console().print(
        f"[bold]class and box right {judged.accuracy:.1%}[/bold] ({low:.1%} to {high:.1%} at 95 %)   {of_boxes}"
        f"present or not {judged.presence:.1%}   {judged.n:,} {escape(judged.split)} pictures",
        soft_wrap=True,
    )
    rows = [
        (
            row.name,
            *("-" if value is None else percent(value) for value in (row.accuracy, row.class_accuracy)),
            "-" if row.mean_iou is None else f"{row.mean_iou:.2f}",
            f"{row.support:,}",
        )
        for row in judged.per_class
    ]
    print_table(("class", "class and box right", "class right", "mean IoU", "pictures"), rows)
    if judged.several:
        print(f"pictures with several objects: {judged.several:,}; only the largest of each was judged")
