"""Non-maximum suppression beside torchvision's, which is compiled; ours is not.

10,000 boxes, IoU 0.5, one thread, once as one class and once as 80: (a) corners uniform in 0..1000 and sides uniform
in 0..100; (b) in 100 crowded clusters, as a detector gives them before suppression: centres uniform in 0..1000, sides
uniform in 40..100, each box its cluster's moved and stretched by a normal share of its size, `--spread`. Both sides
take turns in fresh processes; medians over all repeats. Both must keep the same boxes.

    python benchmarks/nms.py [--peer .bench/torchvision/bin/python] [--rounds 3]

Writes benchmarks/results/nms.md.
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
COUNT, CLUSTERS, CLASSES, THRESHOLD, REPEATS, TARGET = 10_000, 100, 80, 0.5, 15, 3.0


def uniform(rng: np.random.Generator) -> np.ndarray:
    """(N, 4) xyxy float32: corners in 0..1000, sides in 0..100."""
    corner, size = rng.uniform(0, 1000, (COUNT, 2)), rng.uniform(0, 100, (COUNT, 2))
    return np.concatenate([corner, corner + size], 1).astype(np.float32)


def crowded(rng: np.random.Generator, spread: float) -> np.ndarray:
    """(N, 4) xyxy float32: 100 things, each seen by 100 boxes."""
    centre, size = rng.uniform(0, 1000, (CLUSTERS, 2)), rng.uniform(40, 100, (CLUSTERS, 2))
    of = np.arange(COUNT) % CLUSTERS
    moved = centre[of] + spread * size[of] * rng.standard_normal((COUNT, 2))
    half = size[of] * np.exp(spread * rng.standard_normal((COUNT, 2))) / 2
    return np.concatenate([moved - half, moved + half], 1).astype(np.float32)


def ours(path: str) -> None:
    """Print what the peer's script prints, of ours."""
    import torch

    from glassnet.detection import batched_nms, nms

    torch.set_num_threads(1)
    arrays = np.load(path)
    boxes, scores, classes = (torch.from_numpy(arrays[name]) for name in ("boxes", "scores", "classes"))
    said: dict[str, Any] = {}
    for name, call in (
        ("nms", lambda: nms(boxes, scores, THRESHOLD)),
        ("batched", lambda: batched_nms(boxes, scores, classes, THRESHOLD)),
    ):
        kept, times = call(), []
        for _ in range(REPEATS):
            start = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - start))
        said[name] = {"ms": times, "kept": kept.tolist()}
    print(json.dumps(said))


def answer(command: list[str]) -> dict[str, Any]:
    """Run a process and return the JSON it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def measure(peer: str, rounds: int, spread: float) -> list[str]:
    """Return the table's rows."""
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, boxes in (("uniform", uniform(rng)), (f"crowded, spread {spread:g}", crowded(rng, spread))):
            path = f"{folder}/boxes.npz"
            # Every score once: torchvision leaves open which of two equal ones goes first.
            scores = (rng.permutation(COUNT) / COUNT).astype(np.float32)
            np.savez(path, boxes=boxes, scores=scores, classes=rng.integers(0, CLASSES, COUNT))
            both: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
            for _ in range(rounds):
                both["ours"].append(answer([sys.executable, __file__, "--once", path]))
                script = str(REPOSITORY / "benchmarks" / "peers" / "nms_torchvision.py")
                both["peer"].append(answer([peer, script, path, str(THRESHOLD), str(REPEATS)]))
            for call, words in (("nms", "one class"), ("batched", f"{CLASSES} classes")):
                mine, theirs = (
                    statistics.median(ms for said in both[side] for ms in said[call]["ms"]) for side in ("ours", "peer")
                )
                kept = both["ours"][0][call]["kept"]
                same = "yes" if kept == both["peer"][0][call]["kept"] else "**no**"
                verdict = "yes" if theirs / mine >= TARGET else "**no**"
                rows.append(
                    f"| {name} | {words} | {len(kept):,} | {same} | {mine:.1f} | {theirs:.1f} | {theirs / mine:.1f}x | "
                    f"{TARGET:g}x | {verdict} |"
                )
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=str(REPOSITORY / ".bench" / "torchvision" / "bin" / "python"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spread", type=float, default=0.1)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "benchmarks" / "results" / "nms.md")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        ours(options.once)
        return
    from glassnet.nn.device import describe_machine

    rows = measure(options.peer, options.rounds, options.spread)
    machine = describe_machine()
    version = "import torch, torchvision; print('torchvision', torchvision.__version__, 'on torch', torch.__version__)"
    theirs = subprocess.run([options.peer, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    head = [
        "# Non-maximum suppression beside torchvision's",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine['cpu']}, one thread; {machine['platform']}; Python",
        f"{machine['python']}, torch {machine['torch']}, glassnet {machine['glassnet']}; {theirs}.",
        f"{COUNT:,} boxes, IoU {THRESHOLD}, {options.rounds} rounds of {REPEATS} in turns, medians.",
        "Made by `benchmarks/nms.py`, which says what the boxes are.",
        "",
        "| boxes | suppressed | kept | the same | ours, ms | torchvision's, ms | ratio | target | reached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    options.output.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
