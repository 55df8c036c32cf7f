"""What the strongest patches of a whole layer cost, beside one pass of the network over the same pictures.

The pass is what an evaluation does: decoded pictures streamed through `network.predictor`. Both read the same cache, so
decoding is in neither. Taken in turns after one round that does not count, medians compared. On small pictures all
10,000 (the built-in fashion-mini) and a network trained on them, at a layer in the middle and at the last with
positions; on large ones a ResNet-18 at 224 (random weights, random pictures: the cost is the same) and fewer pictures.
Projections are timed apart: nine for each of 16 channels.

    python benchmarks/patches.py [--run RUN_OR_FILE] [--rounds 3] [--large 192]

Without --run the network is trained first (`glassnet train fashion-mini --recipe quick`). Writes
benchmarks/results/patches.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from glassnet.data.index import Index, scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.evaluation.judge import scores
from glassnet.explain.choose import short, stages
from glassnet.explain.inside import Inside
from glassnet.explain.patches import patches_of
from glassnet.explain.strongest import strongest
from glassnet.models import Network, load_network
from glassnet.nn.device import describe_machine

RESULT = Path(__file__).resolve().parent / "results" / "patches.md"
RATIO, SECONDS = 1.2, 60.0  # asked: of one pass, and for the projections of 16 channels


def trained(run: str | None) -> tuple[Network, Pictures]:
    """Return a network trained on fashion-mini, and its 10,000 pictures."""
    if run is None:
        import tempfile

        import glassnet

        folder = Path(tempfile.mkdtemp()) / "run"
        glassnet.train("fashion-mini", recipe="quick", output=folder)
        run = str(folder)
    network = load_network(run)
    return network, load_pictures(scan("fashion-mini"), network.preprocess)


def large(count: int) -> tuple[Network, Pictures]:
    """Return a ResNet-18 with random weights, and random pictures as its cache holds them."""
    torch.manual_seed(0)
    network = Network.create("resnet18", [str(number) for number in range(1000)])
    size = (network.preprocess.store_height, network.preprocess.store_width)
    pool = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    labels = np.zeros(count, np.int64)
    index = Index(
        name="noise",
        kind="arrays",
        root=None,
        classes=network.classes,
        paths=None,
        images=pool,
        labels=labels,
        splits=np.zeros(count, np.int8),
        sizes=np.tile(np.array(size, np.int32), (count, 1)),
        channels=3,
    )
    return network, Pictures(index=index, pool=pool, labels=labels, preprocess=network.preprocess)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `work` takes, and what it gives."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure(name: str, network: Network, pictures: Pictures, layers: list[str], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each of `layers`: seconds of a pass and of the layer's strongest pictures, and projections."""
    items = np.arange(len(pictures))
    seconds: dict[str, list[float]] = {layer: [] for layer in ["", *layers]}
    answers = {}
    for number in range(rounds + 1):
        for layer, spent in seconds.items():
            if layer:
                took, answers[layer] = timed(lambda at=layer: strongest(network, pictures, at, device="cpu"))
            else:
                took, _ = timed(lambda: scores(network, pictures, items, device="cpu"))
            if number:  # the first round warms up
                spent.append(took)
    rows = []
    for layer in layers:
        projecting, found = timed(lambda at=layer: patches_of(answers[at], network, pictures, device="cpu"))
        row = {
            "network": name,
            "pictures": len(pictures),
            "layer": short(layer),
            "channels": len(answers[layer]),
            "pass": median(seconds[""]),
            "layer_seconds": median(seconds[layer]),
            "shown": len(found),
            "projecting": projecting,
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def markdown(rows: list[dict[str, Any]], rounds: int) -> str:
    """Return the results as a page."""
    lines = ["# The strongest patches of a layer", ""]
    lines += [
        f"Medians of n = {rounds} rounds in turns. Asked: at most {RATIO} of one pass; projections of 16 channels"
    ]
    lines += [f"in at most {SECONDS:.0f} s.", ""]
    lines += [
        "| network | pictures | layer | channels | one pass, s | layer, s | ratio | 9 projections of channels, s |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['network']} | {row['pictures']:,} | {row['layer']} | {row['channels']} | {row['pass']:.2f} "
            f"| {row['layer_seconds']:.2f} | {row['layer_seconds'] / row['pass']:.2f} "
            f"| {row['shown']}: {row['projecting']:.1f} |"
        )
    machine = json.dumps(describe_machine())
    lines += ["", f"Machine and versions: {machine}. {datetime.now(UTC):%Y-%m-%d}.", ""]
    lines += ["The first lines of `benchmarks/patches.py` say what the times include.", ""]
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, write the page, and fail where what was asked is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run or network file trained on fashion-mini")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=192, help="pictures at 224 x 224 for ResNet-18; 0 leaves it out")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    network, pictures = trained(options.run)
    every = [layer.name for layer in stages(Inside.of(network))]
    rows = measure(network.name, network, pictures, every, options.rounds)
    if options.large:
        network, pictures = large(options.large)
        last = [layer.name for layer in stages(Inside.of(network))][-2:]
        rows += measure("resnet18", network, pictures, last, options.rounds)
    options.output.write_text(markdown(rows, options.rounds), encoding="utf-8")
    print(f"written: {options.output}")
    if any(row["layer_seconds"] > RATIO * row["pass"] or row["projecting"] > SECONDS for row in rows):
        raise SystemExit("what was asked is missed")


if __name__ == "__main__":
    main()
