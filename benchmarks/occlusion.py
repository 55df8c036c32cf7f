"""How fast exact occlusion is, beside Captum's Occlusion and beside the best loop one can write in plain PyTorch.

Pictures of 224x224, a grey occluder of 16x16, strides 8 (729 positions) and 4 (2,809). The same network, picture and
occluder everywhere. Ours runs all positions, from the picture to the logits at each, everything included but opening
the network. The peers' positions are all alike, one whole pass each, so they run a part of them and the rest is
reckoned: Captum, with `perturbations_per_eval=1` as is its default, 25 positions of an occluder of 48 at stride 44,
since its stride may not exceed its occluder; the loop (batch norms folded, channels_last, batches of 16) 32. Rounds in
turns; medians. Weights are random, with batch norms' statistics those of random pictures; no kernel's time depends on
them.

Equality is measured beside it: our logits at 25 positions against a loop of whole passes through the untouched network,
and our averaged map against Captum's, for an occluder of 64x64 at stride 32, where four overlap; both as the largest
difference over the range of the map.

    python benchmarks/occlusion.py [--peer .bench/captum/bin/python] [--rounds 3] [--only resnet18,vgg16]

Every round is added to .cache/occlusion.json; the page is made anew from all of them (--forget starts afresh). Writes
benchmarks/results/occlusion.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import date
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.cost import multiply_adds
from glassnet.explain.occlusion.engine import Engine
from glassnet.explain.occlusion.grid import make_grid
from glassnet.models import create
from glassnet.nn.device import describe_machine, reuse_memory
from glassnet.nn.fuse import fold_batch_norm

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "occlusion.md"
PEER = HERE.parent / ".bench" / "captum" / "bin" / "python"
RECORD = HERE.parent / ".cache" / "occlusion.json"
# network -> how many times Captum's speed it should have at strides 8 and 4, and that of the best loop
TARGETS: dict[str, tuple[float, float, float]] = {
    "vgg16": (10, 13, 9),
    "googlenet_bn": (10, 10, 2.5),
    "alexnet": (8, 8, 2.2),
    "mobilenet_v2": (8, 8, 2.5),
    "resnet18": (6, 6, 2.2),
}
SIZE, STRIDES, TOGETHER = 16, (8, 4), 16


def settled(name: str) -> nn.Module:
    """Return the network with random weights, its batch norms as after training: by statistics of random pictures."""
    torch.manual_seed(0)
    module = create(name)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(4, 3, 224, 224))
    return module.eval()


def picture() -> Tensor:
    """Return blobs of colour in the network's input space, (1, 3, 224, 224)."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(1, 3, 14, 14, generator=generator)
    return nn.functional.interpolate(coarse, (224, 224), mode="bicubic") + 0.2 * torch.randn(
        1, 3, 224, 224, generator=generator
    )


def naive(module: nn.Module, images: Tensor, positions: Any, size: int, batch: int) -> Tensor:
    """Return the logits (P, K) by whole passes."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(positions), batch):
            part = positions[start : start + batch]
            covered = images.repeat(len(part), 1, 1, 1).contiguous(memory_format=torch.channels_last)
            for index, (y, x) in enumerate(part):
                covered[index, :, y : y + size, x : x + size] = 0
            found.append(module(covered))
    return torch.cat(found)


def seconds(task: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def captum(peer: Path, arguments: list[str]) -> dict[str, Any]:
    """Run the peer."""
    command = [str(peer), str(HERE / "peers" / "occlusion_captum.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


class Bench:
    """One network, ready for rounds."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.file, self.map = name, folder / f"{name}.pt", folder / "map.npy"
        self.module, self.images = settled(name), picture()
        with torch.inference_mode():
            self.logits = self.module(self.images)[0]
        self.target = int(self.logits.argmax())
        torch.save({"weights": self.module.state_dict(), "images": self.images, "target": self.target}, self.file)
        self.inside, self.folded = Inside(self.module, (3, 224, 224)), fold_batch_norm(self.module)
        few = make_grid((224, 224), SIZE, 52).positions
        naive(self.folded, self.images, few[:TOGETHER], SIZE, TOGETHER)  # a first one that does not count
        Engine(self.inside, self.images).logits(few, torch.zeros(3, SIZE, SIZE))

    def round(self, peer: Path | None) -> dict[str, float]:
        """Measure all sides once, ms a position."""
        found = {}
        if peer:
            found["captum"] = captum(peer, [self.name, str(self.file), "--size", "48", "--stride", "44"])["ms"]
        few = make_grid((224, 224), SIZE, 32).positions[: 2 * TOGETHER]
        found["loop"] = 1000 * seconds(lambda: naive(self.folded, self.images, few, SIZE, TOGETHER)) / len(few)
        for stride in STRIDES:
            positions = make_grid((224, 224), SIZE, stride).positions
            took = seconds(lambda p=positions: Engine(self.inside, self.images).logits(p, torch.zeros(3, SIZE, SIZE)))
            found[f"ours {stride}"] = 1000 * took / len(positions)
        return found

    def facts(self, peer: Path | None) -> dict[str, float]:
        """Return what needs measuring once: theoretical ratios and differences."""
        engine = Engine(self.inside, self.images)
        found = {}
        for stride in STRIDES:
            grid = make_grid((224, 224), SIZE, stride)
            whole, changed = multiply_adds(engine.program, grid.positions, grid.size)
            found[f"theory {stride}"] = whole / changed
        few = make_grid((224, 224), SIZE, 52).positions
        wanted = naive(self.module, self.images, few, SIZE, 1)
        moved = (wanted.max(0).values - wanted.min(0).values).max()
        found["logits"] = float((engine.logits(few, torch.zeros(3, SIZE, SIZE)) - wanted).abs().max() / moved)
        if peer:
            grid = make_grid((224, 224), 64, 32)
            answers = engine.logits(grid.positions, torch.zeros(3, 64, 64))[:, self.target]
            falls = (self.logits[self.target] - answers).double().numpy().reshape(grid.shape)
            captum(peer, [self.name, str(self.file), "--size", "64", "--stride", "32", "--map", str(self.map)])
            theirs = np.load(self.map)
            found["map"] = float(np.abs(grid.averaged(falls) - theirs).max() / np.ptp(theirs))
        return found


def row(name: str, found: dict[str, Any]) -> str:
    """Return a line of the table."""
    ms = {side: median(each[side] for each in found["rounds"] if side in each) for side in found["rounds"][0]}
    facts, cells = found["facts"], []
    for stride, target in zip(STRIDES, TARGETS[name][:2], strict=True):
        ours, over = ms[f"ours {stride}"], ms["captum"] / ms[f"ours {stride}"]
        loop = ms["loop"] / ours
        reached = "yes" if over >= target and loop >= TARGETS[name][2] else "**no**"
        cells.append(
            f"| {name} | {stride} | {ours:.2f} | {ms['captum']:.1f} | {over:.1f}x ({target:g}x) | {ms['loop']:.1f} |"
            f" {loop:.1f}x ({TARGETS[name][2]:g}x) | {facts[f'theory {stride}']:.1f}x | {reached} |"
            f" {facts['logits']:.0e} | {facts['map']:.0e} | {len(found['rounds'])} |"
        )
    return "\n".join(cells)


def page(record: dict[str, Any], versions: dict[str, str]) -> str:
    """Return the results as Markdown."""
    machine = describe_machine()
    ratios = [
        median(r["captum"] for r in found["rounds"]) / median(r["ours 8"] for r in found["rounds"])
        for found in record.values()
    ]
    mean = prod(ratios) ** (1 / len(ratios))
    return "\n".join(
        [
            "# Exact occlusion, beside Captum and beside a loop",
            "",
            f"{date.today()}; {machine['cpu']}, {machine['cores']} cores; {machine['platform']}; Python"
            f" {machine['python']}, torch {machine['torch']}, glassnet {machine['glassnet']}; Captum"
            f" {versions['captum']} on torch {versions['torch']}. Medians of n rounds in turns.",
            "Made by `benchmarks/occlusion.py`, which says what is measured. 224x224, occluder 16x16, float32;",
            "milliseconds a position; in brackets what was asked. Theory: multiply-adds of the convolutions in a whole",
            "pass over those of the windows that can change. Differences: of our logits from a loop's of whole passes,",
            "and of our averaged map from Captum's; both over the range.",
            "",
            "| network | stride | ours | Captum, one at a time | over Captum | best loop | over the loop | theory |"
            " reached | logits differ | map differs | n |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|",
            *(row(name, found) for name, found in record.items()),
            "",
            f"Geometric mean over Captum at stride 8, of {len(ratios)} networks: {mean:.1f}x (8x asked).",
            "",
        ]
    )


def main() -> None:
    """Run the rounds and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, default=PEER, help="the Python of an environment with captum and torch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TARGETS), help="networks, separated by commas")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--forget", action="store_true", help="leave earlier rounds out")
    options = parser.parse_args()
    if not options.peer.exists():
        parser.error(f"no Python at {options.peer}: make an environment with captum and torch there, or --peer")
    reuse_memory()
    record: dict[str, Any] = {}
    if RECORD.exists() and not options.forget:
        record = json.loads(RECORD.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only.split(","):
            bench = Bench(name, Path(folder))
            found = record.setdefault(name, {"rounds": []})
            if "facts" not in found:
                found["facts"] = bench.facts(options.peer)
            for _ in range(options.rounds):
                found["rounds"].append(bench.round(options.peer))
                print(name, found["rounds"][-1], found["facts"], flush=True)
            RECORD.parent.mkdir(exist_ok=True)
            RECORD.write_text(json.dumps(record, indent=1))
        command = [str(options.peer), "-c", _VERSIONS]
        versions = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    options.output.write_text(page({name: record[name] for name in TARGETS if name in record}, versions))


_VERSIONS = "import json, torch, captum; print(json.dumps({'captum': captum.__version__, 'torch': torch.__version__}))"

if __name__ == "__main__":
    main()
