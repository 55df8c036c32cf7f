"""How fast the networks train and predict on a CPU, beside torchvision's models in a plain PyTorch loop.

Batches of 16 pictures at 224 pixels. Ours is what `glassnet train` and `network.predictor()` do: channels_last, freed
memory kept, the loop's own gradient and step with SGD, at fp32 and at the precision that `auto` means on this machine;
for predictions the batch norms folded. The peer is torchvision's model in float32, in PyTorch's default layout, and in
channels_last. Every measurement is a fresh process that makes one step that does not count; all take turns, and medians
over all rounds are compared. The share is that of the machine's own rate of multiplying matrices (1024x1024, float32),
measured in the same rounds.

    python benchmarks/zoo_speed.py [--peer .bench/torchvision/bin/python] [--rounds 3] [--only resnet18,vgg16]

Writes benchmarks/results/zoo_speed.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "zoo_speed.md"
PEER = HERE.parent / ".bench" / "torchvision" / "bin" / "python"
BATCH = 16
# network -> how many times torchvision's speed in its default layout it should have: training, prediction
TARGETS = {
    "resnet18": (1.1, 1.5),
    "resnet50": (1.1, 1.5),
    "vgg16": (1.2, 1.3),
    "mobilenet_v2": (1.4, 2.0),
    "googlenet_bn": (1.5, 2.0),
}


def training(name: str, precision: str) -> Callable[[], None]:
    """Return a step of our loop on fixed pictures."""
    import torch

    from glassnet.data.batches import Batch
    from glassnet.models import create
    from glassnet.nn.device import autocast_dtype
    from glassnet.training.optimisers import build_optimisers
    from glassnet.training.recipes import RECIPES
    from glassnet.training.task import Classification

    chosen = RECIPES.find("standard", learning_rate=0.01, ema=0.0)
    network = create(name).to(memory_format=torch.channels_last).train()
    optimisers = build_optimisers(network, chosen)
    images = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
    batch = Batch(images=images, labels=torch.randint(0, 1000, (BATCH,)), items=torch.arange(BATCH))
    dtype = autocast_dtype(torch.device("cpu"), precision)
    task = Classification()

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss, _ = task.loss(network, batch)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()

    return step


def prediction(name: str) -> Callable[[], None]:
    """Return a forward pass of our predictor."""
    import torch

    from glassnet.models import Network

    network = Network.create(name, [str(number) for number in range(1000)])
    predictor = network.predictor("cpu")
    images = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)

    def predict() -> None:
        predictor(images)

    return predict


def measure(name: str, mode: str, precision: str, repeats: int) -> dict[str, Any]:
    """Time our steps or passes, and the matrix multiplication that stands for the machine."""
    import torch

    from glassnet.nn.device import autocast_dtype, reuse_memory
    from glassnet.nn.trace import trace

    torch.manual_seed(0)
    reuse_memory()
    task = training(name, precision) if mode == "train" else prediction(name)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    times, products = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
        a @ b
        products.append(time.perf_counter() - start)
    from glassnet.models import create

    with torch.device("meta"):
        multiply_adds = trace(create(name), (3, 224, 224)).multiply_adds
    dtype = autocast_dtype(torch.device("cpu"), precision)
    return {
        "seconds": times[1:],
        "rate": 1024**3 / median(products[1:]),
        "multiply_adds": multiply_adds,
        "precision": "fp32" if dtype is None else str(dtype).removeprefix("torch."),
    }


def call(command: list[str]) -> dict[str, Any]:
    """Run a process that prints JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def sides(name: str, mode: str, peer: Path) -> dict[str, list[str]]:
    """Return the command of each side."""
    mine = [sys.executable, __file__, "--measure", name, mode]
    theirs = [str(peer), str(HERE / "peers" / "zoo_torchvision.py"), name, mode]
    commands = {"fp32": [*mine, "fp32"]}
    if mode == "train":
        commands["auto"] = [*mine, "auto"]
    return commands | {"default": [*theirs, "default"], "channels_last": [*theirs, "channels_last"]}


def row(name: str, mode: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """Return a line of the table."""
    times = {side: median(t for run in runs for t in run["seconds"]) for side, runs in found.items()}
    passes = 3 if mode == "train" else 1  # forward, and two products of the same size backward
    work = passes * BATCH * found["fp32"][0]["multiply_adds"]
    rate = median(run["rate"] for run in found["fp32"])
    ours = min(times["fp32"], times.get("auto", times["fp32"]))
    best = {side: times["default"] / times[side] for side in ("fp32", "auto") if side in times}
    target = TARGETS[name][mode == "predict"]
    reached = "yes" if max(best.values()) >= target else "**no**"
    automatic = f"{1000 * times['auto'] / BATCH:.1f} ({best['auto']:.2f}x)" if "auto" in times else ""
    return (
        f"| {name} | {mode} | {1000 * times['fp32'] / BATCH:.1f} ({best['fp32']:.2f}x) | {automatic} |"
        f" {1000 * times['default'] / BATCH:.1f} | {1000 * times['channels_last'] / BATCH:.1f} |"
        f" {target}x | {reached} | {times['channels_last'] / ours:.2f}x | {work / times['fp32'] / rate:.0%} |"
        f" {work / times['default'] / rate:.0%} |"
    )


def main() -> None:
    """Run all sides in turn and write the page after each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, default=PEER, help="the Python of an environment with torchvision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TARGETS), help="networks, separated by commas")
    parser.add_argument("--modes", default="train,predict")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure, repeats=3)))
        return
    if not options.peer.exists():
        parser.error(f"no Python at {options.peer}: make an environment with torch and torchvision there, or --peer")

    from glassnet.nn.device import describe_machine

    versions = call([str(options.peer), "-c", _VERSIONS])
    lines: list[str] = []
    precision = "fp32"
    for name in options.only.split(","):
        for mode in options.modes.split(","):
            found: dict[str, list[dict[str, Any]]] = {}
            for _ in range(options.rounds):
                for side, command in sides(name, mode, options.peer).items():
                    found.setdefault(side, []).append(call(command))
            lines.append(row(name, mode, found))
            print(lines[-1], flush=True)
            precision = next((run["precision"] for run in found.get("auto", [])), precision)
            page = _page(options.rounds, describe_machine(), versions, precision, lines)
            options.output.write_text(page, encoding="utf-8")


def _page(rounds: int, machine: dict[str, Any], versions: dict[str, str], precision: str, lines: list[str]) -> str:
    return "\n".join(
        [
            "# The networks' speed on a CPU, beside torchvision's",
            "",
            f"{date.today()}; {machine['cpu']}, {machine['cores']} cores; {machine['platform']}; Python"
            f" {machine['python']}, torch {machine['torch']}, glassnet {machine['glassnet']}; torchvision"
            f" {versions['torchvision']} on torch {versions['torch']}. {rounds} rounds in turns, medians.",
            f"Made by `benchmarks/zoo_speed.py`, which says what is measured. `auto` is {precision} here.",
            "Milliseconds a picture, and how many times the default layout's speed.",
            "",
            "| network | what | ours, fp32 | ours, auto | torchvision | its channels_last | target | reached |"
            " over its channels_last | share of the matrix rate | torchvision's |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


_VERSIONS = (
    "import json, torch, torchvision;"
    "print(json.dumps({'torchvision': torchvision.__version__, 'torch': torch.__version__}))"
)

if __name__ == "__main__":
    main()
