"""Eager prediction of one picture at 320 pixels beside torchvision's ssdlite320_mobilenet_v3_large.

Random weights, 91 classes on both sides, one uint8 picture of 480 x 640, batch 1, all cores. Both sides take turns in
fresh processes; medians over all repeats, part by part: preprocess (from pixels to the input), forward (backbone, neck,
head), select (boxes from answers, score threshold 0.001, NMS, back to the picture). What is compared is time for each
multiply-add, since the networks differ in size.

    python benchmarks/detector_speed.py [--peer .bench/torchvision/bin/python] [--rounds 5]

Writes benchmarks/results/detector_speed.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
REPEATS, CLASSES = 30, 91
OURS = (("yolo", "efficientnet_lite0"), ("yolo", "mobilenet_v2"), ("yolo", "squeezenet1_1"))


def ours(path: str, name: str, backbone: str) -> None:
    """Print what the peer's script prints, of ours."""
    import torch

    from glassnet.detection.detector import Detector, select
    from glassnet.preprocess import Preprocess

    torch.manual_seed(0)
    picture = np.load(path)
    preprocess = Preprocess(height=320, width=320, resize="squash", crop=1.0)
    classes = [f"class {number}" for number in range(CLASSES)]
    detector = Detector.create(name, classes, preprocess=preprocess, backbone=backbone)
    predict = detector.predictor("cpu")
    times: dict[str, list[float]] = {"preprocess": [], "forward": [], "select": []}
    with torch.inference_mode():
        for _ in range(REPEATS + 3):
            marks = [time.perf_counter()]
            images = preprocess.finish(torch.from_numpy(preprocess.intermediate(picture)[None]))
            marks.append(time.perf_counter())
            raw = predict(images)
            marks.append(time.perf_counter())
            boxes, _, _ = select(raw, 0, picture.shape[:2], preprocess)
            marks.append(time.perf_counter())
            for part, begin, end in zip(times, marks, marks[1:], strict=False):
                times[part].append(1000 * (end - begin))
    print(
        json.dumps(
            {
                "versions": f"torch {torch.__version__}",
                "multiply_adds": detector.trace().multiply_adds,
                "boxes": len(boxes),
                "ms": {part: values[3:] for part, values in times.items()},
            }
        )
    )


def answer(command: list[str]) -> dict[str, Any]:
    """Run a process and return the JSON it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def measure(peer: str, rounds: int) -> tuple[list[str], str]:
    """Return the table's rows, and the peer's versions."""
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    said: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/picture.npy"
        np.save(path, picture)
        script = str(REPOSITORY / "benchmarks/peers/detector_torchvision.py")
        for _ in range(rounds):
            said.setdefault("torchvision ssdlite320_mobilenet_v3_large", []).append(
                answer([peer, script, path, str(REPEATS)])
            )
            for name, backbone in OURS:
                command = [sys.executable, __file__, "--once", path, name, backbone]
                said.setdefault(f"{name} on {backbone}", []).append(answer(command))
    rows, base = [], 0.0
    for who, rounds_of in said.items():
        parts = {
            part: statistics.median(value for one in rounds_of for value in one["ms"][part])
            for part in rounds_of[0]["ms"]
        }
        total, giga = sum(parts.values()), rounds_of[0]["multiply_adds"] / 1e9
        base = base or total / giga
        rows.append(
            f"| {who} | {giga:.2f} G | {parts['preprocess']:.1f} | {parts['forward']:.1f} | {parts['select']:.1f} | "
            f"{total:.1f} | {total / giga:.1f} | {total / giga / base:.2f} | {rounds_of[0]['boxes']} |"
        )
    return rows, next(iter(said.values()))[0]["versions"]


def main() -> None:
    """Run both sides and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=str(REPOSITORY / ".bench/torchvision/bin/python"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", default=str(REPOSITORY / "benchmarks/results/detector_speed.md"))
    parser.add_argument("--once", nargs=3, metavar=("PICTURE", "NAME", "BACKBONE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        ours(*arguments.once)
        return
    from glassnet.nn.device import describe_machine

    rows, peer = measure(arguments.peer, arguments.rounds)
    machine = describe_machine()
    text = [
        "# One picture through a detector",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine['cpu']}, {machine['threads']} threads; torch {machine['torch']}; "
        f"{peer}; n = {arguments.rounds} rounds of {REPEATS}, medians, milliseconds.",
        "Made by `python benchmarks/detector_speed.py`, whose first lines say what is timed.",
        "",
        "| detector | multiply-adds | preprocess | forward | select | all | ms for each G | to the peer's | boxes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]
    Path(arguments.output).write_text("\n".join(text) + "\n")
    print(*text[5:], sep="\n")


if __name__ == "__main__":
    main()
