"""How long, and in how much memory, 200,000 tiny pictures become an index.

Run:  python benchmarks/index_200k.py [--count 200000] [--repeats 3]

Makes the pictures (28 x 28 grey PNG, 100 classes, all different) in a temporary folder, then scans them in fresh
processes: cold (nothing kept from an earlier scan; the files are in the system's page cache, because they were just
written) and warm (a second scan of unchanged files). Writes benchmarks/results/index_200k.md.
Targets: cold in under 60 s and 500 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from glassnet.nn.device import describe_machine

CLASSES = 100
SECONDS, MEGABYTES = 60, 500
RESULT = Path(__file__).parent / "results" / "index_200k.md"
SCAN = """
import json, resource, sys, time
start = time.perf_counter()
from glassnet.data.index import scan
imported = time.perf_counter()
index = scan(sys.argv[1])
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(json.dumps({"n": len(index), "seconds": done - imported, "import": imported - start, "megabytes": peak,
                  "torch": "torch" in sys.modules, "problems": len(index.problems)}))
"""


def make_pictures(folder: Path, count: int) -> None:
    """Write `count` different PNGs into class folders of `folder`."""
    for number in range(CLASSES):
        (folder / f"class{number:03d}").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(count):
        pixels = noise.integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"class{number % CLASSES:03d}" / f"{number:06d}.png", compress_level=1)


def scan_once(folder: Path, cache: Path) -> dict[str, float]:
    """Scan `folder` in a fresh process with its own cache folder; return what it measured."""
    environment = os.environ | {"GLASSNET_CACHE": str(cache)}
    command = [sys.executable, "-c", SCAN, str(folder)]
    output = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(output)
    return measured


def describe(cold: list[dict[str, float]], warm: list[dict[str, float]]) -> str:
    """Return the result as Markdown."""
    lines = [
        "# Indexing many tiny pictures",
        "",
        f"{cold[0]['n']:,.0f} PNGs of 28 x 28 grey pixels in {CLASSES} class folders; a fresh process per scan;"
        f" median of {len(cold)} (all: in brackets). Targets: cold in under {SECONDS} s and {MEGABYTES} MB.",
        "",
        "| scan | seconds | pictures/s | peak memory, MB |",
        "|---|---|---|---|",
    ]
    for name, runs in (("cold", cold), ("warm", warm)):
        seconds = median(run["seconds"] for run in runs)
        each = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        peak = max(run["megabytes"] for run in runs)
        lines.append(f"| {name} | {seconds:.1f} ({each}) | {runs[0]['n'] / seconds:,.0f} | {peak:.0f} |")
    imports = median(run["import"] for run in cold)
    machine = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    lines += [
        "",
        f"Imports, not included: {imports:.1f} s. The files were in the page cache.",
        "",
        f"Machine and versions: {machine}; NumPy {np.__version__}, Pillow {Image.__version__}. {date.today()}.",
        "Script: benchmarks/index_200k.py",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Make the pictures, measure, write the result; return 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        make_pictures(folder / "pictures", arguments.count)
        print(f"{arguments.count:,} pictures written in {time.perf_counter() - start:.0f} s")
        for repeat in range(arguments.repeats):
            for runs in (cold, warm):
                runs.append(scan_once(folder / "pictures", folder / f"cache{repeat}"))
                print(runs[-1])
    text = describe(cold, warm)
    print(text)
    if arguments.count == 200_000:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(text)
    return int(median(run["seconds"] for run in cold) >= SECONDS or max(run["megabytes"] for run in cold) >= MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
