"""What Grad-CAM costs beside one forward pass, and beside Captum's LayerGradCam, on the same network and picture.

One picture at 224 pixels, fresh weights, both in channels_last, the layer that Grad-CAM chooses by itself. "Forward" is
a plain pass of the module as it was trained, batch norms not folded: what Grad-CAM's own pass goes through. "Predictor"
is what predictions use, with batch norms folded. Grad-CAM is timed for a case whose class is known; "all of it" is a
picture (H, W, 3) given, decoded, predicted and explained. Everything takes turns in one process after two rounds that
do not count, and medians are compared. Captum is read from an environment of its own, and runs on this one's torch.

    python benchmarks/gradcam.py [--captum .bench/captum] [--rounds 15] [--only resnet18]

Writes benchmarks/results/gradcam.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "gradcam.md"
CAPTUM = HERE.parent / ".bench" / "captum"
NETWORKS = ("resnet18", "vgg16", "mobilenet_v2")
TARGET = 1.2  # times one forward, at most
UNCOUNTED = 2


def prepare(name: str, captum: Any) -> tuple[dict[str, Callable[[], Any]], float]:
    """Return what is timed, by name, and Captum's greatest difference as a share of the map's range."""
    from glassnet.explain.case import Case
    from glassnet.explain.class_maps import gradcam
    from glassnet.explain.inside import Inside
    from glassnet.models import Network

    torch.manual_seed(0)
    network = Network.create(name, [str(number) for number in range(1000)])
    network.module.eval().to(memory_format=torch.channels_last)
    inside = Inside.of(network)
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    case = Case.of(network, picture, inside=inside)
    images = case.images.contiguous(memory_format=torch.channels_last)
    layer = str(gradcam(case).layer)

    def forward() -> None:
        with torch.inference_mode():
            network.module(images)

    tasks: dict[str, Callable[[], Any]] = {
        "forward": forward,
        "predictor": lambda: case.predictor(images),
        "gradcam": lambda: gradcam(case),
        "all": lambda: gradcam(Case.of(network, picture, inside=inside)),
    }
    if captum is None:
        return tasks, float("nan")
    theirs = captum.attr.LayerGradCam(network.module, network.module.get_submodule(layer))
    tasks["captum"] = lambda: theirs.attribute(images, target=case.target, relu_attributions=True)
    ours, other = gradcam(case).array, tasks["captum"]()[0, 0].detach().numpy()
    return tasks, float(abs(ours - other).max() / np.ptp(ours))


def times(tasks: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time all of them in turns; return seconds."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + UNCOUNTED):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            if number >= UNCOUNTED:
                found[name].append(time.perf_counter() - begun)
    return found


def line(name: str, seconds: dict[str, list[float]], difference: float) -> str:
    """Return a row of the table."""
    ms = {what: 1000 * median(values) for what, values in seconds.items()}
    ratio = median(a / b for a, b in zip(seconds["gradcam"], seconds["forward"], strict=True))
    cells = [
        name,
        *(f"{ms[what]:.1f}" for what in ("forward", "predictor", "gradcam")),
        f"{ratio:.2f}x",
        "yes" if ratio <= TARGET else "no",
        f"{ms['gradcam'] / ms['predictor']:.2f}x",
        f"{ms['all']:.1f}",
    ]
    if "captum" in ms:
        cells += [f"{ms['captum']:.1f}", f"{ms['captum'] / ms['gradcam']:.2f}x", f"{difference:.1e}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captum", type=Path, default=CAPTUM, help="an environment with Captum")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default=",".join(NETWORKS))
    options = parser.parse_args()
    sys.path += [str(folder) for folder in options.captum.glob("lib/python*/site-packages")]  # behind our own torch
    try:
        import captum  # type: ignore[import-not-found]
        import captum.attr  # type: ignore[import-not-found]
    except ImportError:
        captum = None
        print(
            f"no Captum in {options.captum}: measured without it; python3 -m venv {options.captum}; pip install captum"
        )
    from glassnet.nn.device import describe_machine

    rows = []
    for name in options.only.split(","):
        tasks, difference = prepare(name, captum)
        rows.append(line(name, times(tasks, options.rounds), difference))
        print(rows[-1], flush=True)
    machine = describe_machine()
    head = [
        "network",
        "forward",
        "predictor",
        "Grad-CAM",
        "over forward",
        f"<= {TARGET}x",
        "over predictor",
        "all of it",
    ]
    head += ["Captum", "Captum's over ours", "greatest difference"] if captum else []
    peer = f"; Captum {captum.__version__}" if captum else ""
    RESULT.write_text(
        f"# What Grad-CAM costs\n\n{date.today()}; {machine['cpu']}, {machine['cores']} cores; {machine['platform']}; "
        f"Python {machine['python']}, torch {machine['torch']}, glassnet {machine['glassnet']}{peer}. "
        f"{options.rounds} rounds in turns, medians.\nMade by `benchmarks/gradcam.py`, which says what is measured. "
        "Milliseconds for one picture at 224; the difference is a share of the map's range.\n\n"
        f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n" + "\n".join(rows) + "\n"
    )
    print(RESULT)


if __name__ == "__main__":
    main()
