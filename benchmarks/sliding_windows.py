"""Sliding windows in one convolutional pass beside crop by crop: how much faster is the same question answered?

VGG-16 with fresh weights, windows of 224 pixels at stride 32, a picture of noise of 448 x 448 and one of 896 x 896
pixels: 64 and 484 windows. Both ways are the product's own (`detection.windows.ways`) and start from finished pixels.
Crops go through the predictor that predictions use, in batches of `--batch` (32, the default of `WindowDetector`, was
the quickest of 8, 16 and 32). All batches take equally long, so the ways take turns batch by batch: one batch of crops,
one pass, and so on, whatever else the machine does; the crops' time is the median batch's times the number of windows
over the batch's. A process for each size, after a pass and a batch that do not count. Multiply-adds are counted
beforehand, by the trace: their ratio is what a machine would reach that multiplies at one speed whatever the shapes.

VGG-16 pads, so the two ways do not say the same; how much they differ is measured by benchmarks/window_agreement.py.

    python benchmarks/sliding_windows.py [--rounds 7] [--before "nice -n -5"]

`--before` is put before the command of each measuring process. Writes benchmarks/results/sliding_windows.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

RESULT = Path(__file__).resolve().parent / "results" / "sliding_windows.md"
TARGETS = {448: 12.0, 896: 20.0}


def seconds(task: Callable[[], Any]) -> float:
    """Return what one call takes."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun


def measure(size: int, rounds: int, batch: int) -> dict[str, Any]:
    """Time both ways on a picture of `size` x `size`; return seconds and multiply-adds."""
    import torch

    from glassnet.detection.windows.ways import Convolutional, Crops
    from glassnet.models import Network
    from glassnet.nn.fully_convolutional import to_fully_convolutional
    from glassnet.nn.trace import trace

    torch.manual_seed(0)
    network = Network.create("vgg16", [str(number) for number in range(1000)])
    plain = to_fully_convolutional(network.module)
    counts = {"window": trace(network.module, (3, 224, 224)).multiply_adds}
    counts["pass"] = trace(plain, (3, size, size)).multiply_adds
    del plain
    one_pass = Convolutional(network)
    crops = Crops(network, one_pass.sliding.stride, batch_size=batch)
    images = torch.randn(1, 3, size, size)
    rows, columns, _ = one_pass.logits(images).shape
    across = 8 if batch % 8 == 0 else 1  # a batch of windows: so many columns of them
    part = images[:, :, : 224 + 32 * (batch // across - 1), : 224 + 32 * (across - 1)]
    assert crops.logits(part)[..., 0].numel() == batch
    found: dict[str, list[float]] = {"pass": [], "crops": []}
    for _ in range(rounds):
        found["crops"].append(seconds(lambda: crops.logits(part)) * rows * columns / batch)
        found["pass"].append(seconds(lambda: one_pass.logits(images)))
    return {"windows": rows * columns, "seconds": found, "counts": counts}


def row(size: int, said: dict[str, Any]) -> str:
    """Return a row of the table."""
    windows, counts = said["windows"], said["counts"]
    crops, one_pass = (median(said["seconds"][way]) for way in ("crops", "pass"))
    gigas = [windows * counts["window"] / 1e9, counts["pass"] / 1e9]
    cells = [
        f"{size} x {size}",
        windows,
        f"{gigas[0]:,.0f} G",
        f"{gigas[1]:,.1f} G",
        f"{gigas[0] / gigas[1]:.1f}x",
        f"{crops:.2f}",
        f"{one_pass:.2f}",
        f"{gigas[0] / crops:.0f}",
        f"{gigas[1] / one_pass:.0f}",
        f"**{crops / one_pass:.1f}x**",
        f"{TARGETS[size]:g}x",
        "yes" if crops / one_pass >= TARGETS[size] else "**no**",
        len(said["seconds"]["pass"]),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--before", default="", help="put before the command of each measuring process")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.once, options.rounds, options.batch)))
        return
    from glassnet.nn.device import describe_machine

    rows = []
    for size in TARGETS:
        settings = [f"--{name}={getattr(options, name)}" for name in ("rounds", "batch")]
        command = [*shlex.split(options.before), sys.executable, __file__, f"--once={size}", *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        rows.append(row(size, json.loads(done.stdout)))
        print(rows[-1], flush=True)
    machine = describe_machine()
    head = [
        "# Sliding windows: one pass beside crop by crop",
        "",
        f"{date.today()}; {machine['cpu']}, {machine['cores']} cores; {machine['platform']}; Python",
        f"{machine['python']}, torch {machine['torch']}, glassnet {machine['glassnet']}.",
        f"VGG-16, windows of 224 px at stride 32, crops in batches of {options.batch}; medians of n batches, passes.",
        "Made by `benchmarks/sliding_windows.py`, which says what is measured. G: thousand millions of multiply-adds.",
        "",
        "| picture | windows | crops | pass | ratio | crops, s | pass, s | crops, G/s | pass, G/s | faster | target "
        "| reached | n |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    RESULT.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
