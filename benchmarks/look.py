"""What one page of `glassnet look` costs: ResNet-18 at 224 pixels, the command as a user types it.

The network has random weights from a seed (what a page costs does not depend on them); the picture is scikit-image's
cat. Each round is a fresh process: imports, maps, projections, an inversion of each stage, the page.

    python benchmarks/look.py [--network resnet18] [--rounds 3]

Writes benchmarks/results/look.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS, MEGABYTES = 180, 25


def measure(name: str, rounds: int) -> tuple[list[float], float]:
    """Return the seconds of each round, and the page's megabytes."""
    import torch
    from PIL import Image
    from skimage import data

    from glassnet.models.network import Network

    seconds = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.manual_seed(0)
        Network.create(name, [f"class {number}" for number in range(1000)]).save(folder / "network.safetensors")
        Image.fromarray(data.chelsea()).save(folder / "cat.png")
        page = folder / "look.html"
        command = [sys.executable, "-m", "glassnet", "look", str(folder / "network.safetensors")]
        command += [str(folder / "cat.png"), "--output", str(page), "--quiet"]
        for _ in range(rounds):
            page.unlink(missing_ok=True)
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begin)
        return seconds, page.stat().st_size / 1e6


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default=str(REPOSITORY / "benchmarks/results/look.md"))
    arguments = parser.parse_args()
    from glassnet.nn.device import describe_machine

    machine = describe_machine()
    seconds, megabytes = measure(arguments.network, arguments.rounds)
    text = [
        "# A page of `glassnet look`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine['cpu']}, {machine['threads']} threads; torch {machine['torch']}, "
        f"glassnet {machine['glassnet']}; n = {len(seconds)}.",
        "Made by `python benchmarks/look.py`, whose first lines say what is timed.",
        "",
        "| network | seconds: median (most) | asked | megabytes | asked |",
        "|---|---:|---:|---:|---:|",
        f"| {arguments.network} | {statistics.median(seconds):.0f} ({max(seconds):.0f}) | {SECONDS} | {megabytes:.1f} "
        f"| {MEGABYTES} |",
    ]
    Path(arguments.output).write_text("\n".join(text) + "\n")
    print(*text[5:], sep="\n")


if __name__ == "__main__":
    main()
