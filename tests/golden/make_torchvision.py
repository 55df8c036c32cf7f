"""Record what torchvision's and timm's networks answer, for tests that need neither.

Run it where torch, torchvision, timm and Pillow are (an environment of its own), with the folder of scikit-image's
pictures; it writes torchvision.json beside itself:

    python tests/golden/make_torchvision.py .venv/lib/python3.11/site-packages/skimage/data
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import seeded  # type: ignore[import-not-found]  # beside this script
import timm  # type: ignore[import-not-found]
import torch
import torchvision  # type: ignore[import-not-found]
from PIL import Image
from torch import nn


def build(name: str) -> nn.Module:
    """Return somebody else's network for `seeded.CLASSES` classes."""
    if name.startswith("timm/"):
        return timm.create_model(name.removeprefix("timm/"), num_classes=seeded.CLASSES)
    options = {"aux_logits": True, "transform_input": True, "init_weights": False} if name == "googlenet" else {}
    return torchvision.models.get_model(name, weights=None, num_classes=seeded.CLASSES, **options)


def record(case: seeded.Case, images: torch.Tensor) -> dict[str, object]:
    """Return the names, logits and stages of one network."""
    network = build(case.theirs).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    state = {name: torch.from_numpy(np.array(seeded.tensor(name, shape, case))) for name, shape in shapes.items()}
    network.load_state_dict(state)
    seen: dict[str, list[list[float]]] = {}

    def watch(ours: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.update({ours: seeded.summary(output.numpy())})

    for ours, theirs in case.stages.items():
        network.get_submodule(theirs).register_forward_hook(watch(ours))
    further: dict[str, list[list[float]]] = {}
    for ours, theirs in case.further.items():
        network.get_submodule(seeded.FED_BY[theirs]).register_forward_hook(answer(network, ours, theirs, further))
    with torch.no_grad():
        logits = network(images).numpy()
    spread = logits.std(axis=0).mean()
    print(
        f"{case.theirs:28} logits {logits.std():8.3f}, between pictures {spread:8.3f}, greatest {abs(logits).max():.3f}"
    )
    assert 0.02 < spread < 20, "outputs that say nothing about the pictures, or drown in rounding"
    key = {"names": seeded.shapes_key(shapes), "tensors": len(shapes)}
    return {**key, "logits": rounded(logits), "stages": seen, "further": further}


def answer(network: nn.Module, ours: str, theirs: str, said: dict[str, list[list[float]]]) -> Callable[..., None]:
    """Return a hook on a stage that asks the head `theirs` about the stage's output and writes it down as `ours`."""

    def ask(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        said[ours] = rounded(network.get_submodule(theirs)(output).numpy())

    return ask


def rounded(numbers: np.ndarray) -> list[list[float]]:
    """Return (N, K) as lists, with digits enough for float32 of about one."""
    return [[round(float(value), 7) for value in row] for row in numbers]


def main(folder: Path) -> None:
    """Write the golden file."""
    photos = {name: np.array(Image.open(folder / f"{name}.png").convert("RGB")) for name in seeded.PHOTOS}
    images = torch.from_numpy(seeded.pictures(photos))
    found: dict[str, object] = {
        "made with": {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__},
        **{case.theirs: record(case, images) for case in seeded.CASES},
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    seeded.GOLDEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{seeded.GOLDEN}: {seeded.GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
