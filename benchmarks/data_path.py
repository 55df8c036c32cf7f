"""How fast pictures become batches, beside torchvision's ImageFolder and DataLoader with two workers.

Run:  python benchmarks/data_path.py [--peer .bench/torchvision/bin/python] [--clothing FOLDER] [--rounds 5]

Both sides give float32 batches of 64 at 224 pixels, normalised. Each measurement is a fresh process, imports not
counted; the two sides take turns, and the medians of the rounds are compared. The files are in the system's page cache
for both. Cold: from nothing to the end of the first epoch, which for us includes the scan, decoding and writing the
cache. Warm: an epoch after that.

(a) photographs, random-resized crop (0.08 to 1 of the area) and flip: cold >= 1.2x, warm >= 2.5x
(b) photographs, resize and centre crop: warm >= 10x
(c) generated 12-megapixel JPEGs, as (a): cold >= 3x

Our preprocess is what `glassnet train FOLDER --network resnet18` chooses: photographs whose short side is already the
network's are not enlarged to be cropped, large JPEGs are decoded at a reduced scale.

Writes benchmarks/results/data_path.md, with the time of each augmentation and what the data path costs beside a
ResNet-18's training step.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "data_path.md"
PEER = HERE.parent / ".bench" / "torchvision" / "bin" / "python"
TARGETS = {("a", "cold"): 1.2, ("a", "warm"): 2.5, ("b", "warm"): 10.0, ("c", "cold"): 3.0}
BATCH = 64


# --- what is measured, in a process of its own


def measure(folder: str, mode: str, epochs: int) -> dict[str, Any]:
    """Return seconds of the cold epoch (scan, decode, cache included) and of the best warm one, and the pictures."""
    from glassnet.data.augment import Augment
    from glassnet.data.batches import Batches
    from glassnet.data.index import scan
    from glassnet.data.pictures import load_pictures
    from glassnet.training.choose import choose, input_preprocess

    start = time.perf_counter()
    index = scan(folder)
    scanned = time.perf_counter()
    pictures = load_pictures(index, input_preprocess(index, choose(index, network="resnet18")))
    loaded = time.perf_counter()
    augment = Augment(flip=0.5, crop_scale=0.08) if mode == "train" else None
    batches = Batches(
        pictures, np.arange(len(pictures)), BATCH, augment=augment, shuffle=mode == "train", drop_last=False
    )
    times = []
    for epoch in range(epochs):
        begun = time.perf_counter()
        count = sum(len(batch) for batch in batches.epoch(epoch))
        times.append(time.perf_counter() - begun)
    return {
        "cold": loaded - start + times[0],
        "warm": min(times[1:], default=None),
        "pictures": count,
        "scan": scanned - start,
        "decode": loaded - scanned,
    }


def augmentations(size: int, count: int, channels: int) -> dict[str, float]:
    """Return milliseconds a picture for each step of the data path, at `size` pixels in batches of `count`."""
    import torch

    from glassnet.data import augment as ours
    from glassnet.preprocess import Preprocess

    generator = np.random.default_rng(0)
    preprocess = Preprocess(height=size, width=size, channels=channels)
    stored = preprocess.store_height
    pool = generator.integers(0, 256, (8 * count, stored, stored, channels), dtype=np.uint8)
    items = generator.permutation(len(pool))[:count]
    images = torch.from_numpy(pool[items])
    cropped, labels = images[:, :size, :size].contiguous(), torch.arange(count)
    tasks: dict[str, Callable[[], object]] = {
        "gather": lambda: pool[items],
        "flip": lambda: ours.flip(cropped, generator),
        "shift": lambda: ours.shift(cropped, generator, 2),
        "random crop": lambda: ours.random_crop(images, generator, size, size),
        "random-resized crop": lambda: ours.resized_crop(images, generator, size, size),
        "erasing": lambda: ours.erasing(cropped, generator, 0.5),
        "MixUp": lambda: ours.mixup(cropped, labels, generator, 0.2),
        "CutMix": lambda: ours.cutmix(cropped, labels, generator, 1.0),
        "finish": lambda: preprocess.finish(images),
        "gather, flip, shift, finish": lambda: preprocess.finish(
            ours.flip(ours.shift(torch.from_numpy(pool[items]), generator, 2), generator)
        ),
    }
    return {name: 1000 * _best(task) / count for name, task in tasks.items()}


def training_step(name: str, size: int, count: int, channels: int) -> float:
    """Return milliseconds a picture of one training step of a registered network: forward, backward, SGD."""
    import torch
    from torch.nn.functional import cross_entropy

    from glassnet.models import create

    torch.manual_seed(0)
    network = create(name, classes=10, in_channels=channels).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(count, channels, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (count,))

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(network(images), labels).backward()
        optimiser.step()

    return 1000 * _best(step, repeats=3) / count


def _best(task: Callable[[], object], repeats: int = 15) -> float:
    """Return the median of `repeats` calls, seconds, after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return median(times[2:])


# --- the pictures of case (c)


def generate(folder: Path, count: int, height: int = 3000, width: int = 4000) -> None:
    """Write JPEGs (quality 90) with a photograph's spectrum: noise of every scale, the finest blurred."""
    scenes = [_scene(np.random.default_rng(seed), height, width) for seed in range(4)]

    def write(number: int) -> None:
        generator = np.random.default_rng(1000 + number)
        shifted = np.roll(scenes[number % len(scenes)], tuple(generator.integers(0, (height, width))), axis=(0, 1))
        target = folder / f"class{number % 2}" / f"{number:05}.jpg"
        Image.fromarray(shifted).save(target, quality=90)

    for name in ("class0", "class1"):
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        list(executor.map(write, range(count)))


def _scene(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    total = np.zeros((height, width, 3), dtype=np.float32)
    total += np.linspace(-40, 40, height, dtype=np.float32)[:, None, None] * generator.uniform(0.2, 1, 3)
    total += np.linspace(-40, 40, width, dtype=np.float32)[None, :, None] * generator.uniform(0.2, 1, 3)
    scale = 1
    while scale < height // 4:  # amplitude grows with the scale as in natural scenes (1 / f)
        shape = (height // scale + 1, width // scale + 1, 3)
        noise = Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))
        noise = noise.filter(ImageFilter.GaussianBlur(1.2)) if scale == 1 else noise
        octave = np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) - 127.5
        total += octave * (0.06 + 0.02 * np.log2(scale))
        scale *= 2
    return (total + 127.5).clip(0, 255).astype(np.uint8)


# --- the comparison


def ours(folder: Path, mode: str, epochs: int) -> dict[str, Any]:
    """Run `measure` in a fresh process with an empty cache."""
    with tempfile.TemporaryDirectory(prefix="glassnet-cache-") as cache:
        command = [sys.executable, __file__, "--measure", str(folder), mode, str(epochs)]
        return _json(command, {"GLASSNET_CACHE": cache})


def peer(python: Path, folder: Path, mode: str, epochs: int) -> dict[str, Any]:
    """Run the same in torchvision."""
    script = HERE / "peers" / "data_path_torchvision.py"
    return _json([str(python), str(script), str(folder), mode, "--epochs", str(epochs)], {})


def _json(command: Iterable[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(list(command), env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(name: str, python: Path, folder: Path, mode: str, rounds: int, epochs: int) -> list[str]:
    """Measure both sides in turns; return the lines of the table for one case."""
    sides: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for number in range(rounds):
        sides["ours"].append(ours(folder, mode, epochs))
        sides["peer"].append(peer(python, folder, mode, epochs))
        print(f"({name}) round {number + 1}: ours {sides['ours'][-1]}; peer {sides['peer'][-1]}", flush=True)
    lines = []
    for state in ("cold", "warm"):
        if sides["ours"][0][state] is None or (name, state) not in TARGETS:
            continue
        each = {side: [1000 * run[state] / run["pictures"] for run in runs] for side, runs in sides.items()}
        mine, theirs = median(each["ours"]), median(each["peer"])
        target = TARGETS[name, state]
        reached = "yes" if theirs / mine >= target else "**no**"
        spread = (
            f"{min(each['ours']):.2f} to {max(each['ours']):.2f} | {min(each['peer']):.2f} to {max(each['peer']):.2f}"
        )
        count = sides["ours"][0]["pictures"]
        lines.append(
            f"| ({name}) {state} | {count} | {mine:.2f} | {theirs:.2f} | {theirs / mine:.1f}x | {target}x |"
            f" {reached} | {spread} |"
        )
    if name != "b":
        parts = {part: median(run[part] for run in sides["ours"]) for part in ("scan", "decode")}
        lines.append(
            f"|  of which scan {parts['scan']:.1f} s, decode and cache {parts['decode']:.1f} s | | | | | | | | |"
        )
    return lines


def steps_table() -> list[str]:
    """Return the Markdown of what each step of the data path costs."""
    small, large = augmentations(28, 128, 1), augmentations(224, 64, 3)
    lenet, resnet = training_step("lenet5", 28, 128, 1), training_step("resnet18", 224, 16, 3)
    lines = ["", "## Each step, ms a picture (median of 15 batches)", ""]
    lines += ["| step | 28 px, grey, batch 128 | 224 px, colour, batch 64 |", "|---|---|---|"]
    lines += [f"| {name} | {small[name]:.4f} | {large[name]:.3f} |" for name in small]
    lines += [f"| training step: LeNet-5, ResNet-18 | {lenet:.3f} | {resnet:.1f} |"]
    path = sum(large[name] for name in ("gather", "random-resized crop", "flip", "finish"))
    augment = sum(large[name] for name in ("random-resized crop", "flip", "erasing", "MixUp"))
    quick = sum(small[name] for name in ("shift", "flip"))
    lines += [
        "",
        f"- A batch of 128 at 28 px, shifted, flipped, finished: {128 * small['gather, flip, shift, finish']:.2f} ms.",
        f"- The warm path of (a) costs {path:.2f} ms a picture, {100 * path / resnet:.1f} % of ResNet-18's step"
        " (target: 2 %).",
        f"- Crop, flip, erasing and MixUp together cost {100 * augment / (resnet + augment):.1f} % of ResNet-18's time"
        f" at 224 px; shift and flip {100 * quick / (lenet + quick):.1f} % of LeNet-5's at 28 px (target: 10 %).",
    ]
    return lines


def main() -> None:
    """Measure the cases asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, default=PEER, help="the Python of an environment with torchvision")
    parser.add_argument("--clothing", type=Path, default=HERE.parents[1] / "shared" / "data" / "clothing" / "train")
    parser.add_argument("--cases", default="abc")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=1000, help="how many 12-megapixel JPEGs case (c) has")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, mode, epochs = options.measure
        print(json.dumps(measure(folder, mode, int(epochs))))
        return
    if not options.peer.exists():
        parser.error(f"no Python at {options.peer}: make an environment with torch and torchvision there, or --peer")

    from glassnet.nn.device import describe_machine

    lines = []
    for case, mode in (("a", "train"), ("b", "evaluate")):
        if case in options.cases:
            lines += compare(case, options.peer, options.clothing, mode, options.rounds, epochs=3)
    if "c" in options.cases:
        with tempfile.TemporaryDirectory(prefix="glassnet-12mp-") as folder:
            generate(Path(folder), options.count)
            megabytes = sum(path.stat().st_size for path in Path(folder).rglob("*.jpg")) / options.count / 1e6
            lines += compare("c", options.peer, Path(folder), "train", options.rounds, epochs=1)
            lines.append(f"| a JPEG of (c) has {megabytes:.1f} MB |" + " |" * 8)
    versions = _json([str(options.peer), "-c", _VERSIONS], {})["versions"]
    text = [
        "# The data path beside torchvision's ImageFolder + DataLoader(2 workers)",
        "",
        f"{date.today()}; {options.rounds} rounds in turns, medians; {versions};"
        f" ours: {_sentence(describe_machine())}.",
        "Made by `benchmarks/data_path.py`, which says what is measured.",
        "",
        "| case | pictures | ours, ms a picture | torchvision | ratio | target | reached | ours, least to most |"
        " torchvision |",
        "|---|---|---|---|---|---|---|---|---|",
        *lines,
        *steps_table(),
    ]
    options.output.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))


_VERSIONS = (
    "import json, torch, torchvision;"
    "print(json.dumps({'versions': f'torchvision {torchvision.__version__}, torch {torch.__version__}'}))"
)


def _sentence(machine: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


if __name__ == "__main__":
    main()
