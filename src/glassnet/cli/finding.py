"""The verb that finds things in pictures: `glassnet detect`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from glassnet.cli.options import Device, NetworkArgument, Pretrained, Seed, Threads, Weights
from glassnet.errors import InputError


class Found(StrEnum):
    """How what was found is written."""

    table = "table"
    json = "json"
    csv = "csv"
    coco = "coco"
    voc = "voc"
    yolo = "yolo"
    pictures = "pictures"


def register(app: typer.Typer) -> None:
    """Add the verb to the table."""
    app.command(epilog="Example: [bold]glassnet detect runs/cells-1 a.jpg folder/ --output drawn/[/bold]")(detect)


def detect(
    network: NetworkArgument,
    pictures: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, or one video; - reads paths from stdin.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A folder for drawn pictures, or an .mp4 for a video; else what --format writes. Default: stdout.",
        ),
    ] = None,
    format: Annotated[
        Found | None,
        typer.Option(help="table, json, csv, coco, voc, yolo or pictures.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json: one object a line.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score that is given; default: each class's own.", show_default=False),
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Slide a classifier over the pictures and make a detector of it.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(help="Of a video: one frame in so many seconds.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Pictures (or windows) per forward pass.", show_default=False)
    ] = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Find objects: a box, a class and a score for each. A picture that cannot be read is an error, exit code 1."""
    from glassnet import finding
    from glassnet.show import detection

    if json and format not in (None, Found.json):
        raise InputError(f"both --json and --format {format.value} are given; choose one of them")
    form = Found.json if json else format
    how: dict[str, Any] = {"threshold": threshold, "windows": windows, "every": every, "batch_size": batch_size}
    how |= {"pretrained": weights or pretrained, "device": device, "threads": threads, "seed": seed}
    if detection.is_drawn_video(pictures, form is None, output):
        assert output is not None
        count = finding.detect_video(network, pictures[0], output, **how)
        print(f"{count:,} frames: {output}", file=sys.stderr)
        return
    answers = finding.detect(network, sys.stdin if pictures == ["-"] else pictures, **how)
    done = detection.detections(answers, None if form is None else form.value, output, named=pictures)
    if output is not None:
        print(f"{done.boxes:,} boxes in {done.pictures:,} pictures: {output}", file=sys.stderr)
    if done.failed:
        print(f"{done.failed} picture(s) could not be read", file=sys.stderr)
        raise typer.Exit(1)
