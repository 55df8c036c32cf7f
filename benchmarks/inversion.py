"""How long the inversion of one layer takes, and how near it comes: stages of ResNet-18 at 224 and of trained networks.

One picture (scikit-image's cat), every stage's last map, the settings that `glassnet.explain.inversion` has by default.
The error is |Phi(x) - Phi0| / |Phi0| of the returned picture, held to the range a picture can have; its square is the
loss of Mahendran & Vedaldi 2015. ResNet-18 has no weights here: it is drawn at random with gammas of one, its batch
norms estimated from three photographs, so that every block passes something on. EfficientNet-Lite0 has its ImageNet
weights; SqueezeNet too where a file is given.

    python benchmarks/inversion.py [--only resnet18] [--squeezenet FILE] [--rounds 1]

Writes benchmarks/results/inversion.md.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch
from skimage import data
from torch import nn

from glassnet.explain.case import Case
from glassnet.explain.choose import short, stages
from glassnet.explain.inversion import STEPS, invert
from glassnet.models import Network
from glassnet.nn.device import describe_machine

RESULT = Path(__file__).resolve().parent / "results" / "inversion.md"
SECONDS, ERROR, EARLY = 60.0, 0.1, 2  # asked: of each layer, and of the first stages


def drawn_resnet18() -> Network:
    """Return a ResNet-18 at random whose blocks all pass something on, with norms as after seeing photographs."""
    torch.manual_seed(0)
    network = Network.create("resnet18", [str(number) for number in range(1000)])
    for part in network.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
            nn.init.ones_(part.weight)
    photographs = [network.preprocess.intermediate(read()) for read in (data.chelsea, data.astronaut, data.coffee)]
    images = torch.cat([network.preprocess.finish(torch.from_numpy(each[None])) for each in photographs])
    network.module.train()
    with torch.no_grad():
        network.module(torch.cat([images, images.flip(3)]))
    network.module.eval()
    return network


def networks(only: str | None, squeezenet: Path | None) -> dict[str, Network]:
    """Return the networks to measure, by the name the table gives them."""
    made = {"resnet18": drawn_resnet18, "efficientnet_lite0": lambda: _pretrained("efficientnet_lite0")}
    if squeezenet is not None:
        made["squeezenet1_0"] = lambda: Network.load(squeezenet)
    return {name: make() for name, make in made.items() if only in (None, name)}


def _pretrained(name: str) -> Network:
    import glassnet

    return glassnet.load(name, pretrained=True)


def measure(network: Network, rounds: int) -> list[tuple[str, str, float, float]]:
    """Return (layer, its size, median seconds, error) of each stage."""
    case = Case.of(network, data.chelsea())
    rows = []
    for layer in stages(case.inside):
        seconds, error = [], 0.0
        for _ in range(rounds):
            start = time.perf_counter()
            found = invert(case.inside, case.images, layer.name, preprocess=network.preprocess)
            seconds.append(time.perf_counter() - start)
            error = found.errors[0]
        rows.append((short(layer.name), "x".join(map(str, layer.output_shape)), median(seconds), error))
        print(*rows[-1], flush=True)
    return rows


def markdown(found: dict[str, list[tuple[str, str, float, float]]], rounds: int) -> str:
    """Return the results as a page."""
    lines = ["# Inverting one layer", "", f"{STEPS} steps at 224 x 224, one picture, n = {rounds}.", ""]
    lines += [f"Asked: under {SECONDS:.0f} s for a layer of ResNet-18, and an error of at most {ERROR} early.", ""]
    lines += ["| network | layer | output | seconds | error |", "|---|---|---|---|---|"]
    for name, rows in found.items():
        lines += [f"| {name} | {layer} | {shape} | {took:.1f} | {error:.3f} |" for layer, shape, took, error in rows]
    machine = json.dumps(describe_machine())
    lines += ["", f"Machine and versions: {machine}. {datetime.now(UTC):%Y-%m-%d}.", ""]
    lines += ["The first lines of `benchmarks/inversion.py` say how each network was made.", ""]
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, write the page, and fail where what was asked is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only")
    parser.add_argument("--squeezenet", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    found = {
        name: measure(network, options.rounds) for name, network in networks(options.only, options.squeezenet).items()
    }
    options.output.write_text(markdown(found, options.rounds), encoding="utf-8")
    print(f"written: {options.output}")
    rows = found.get("resnet18", [])
    if any(row[2] > SECONDS for row in rows) or any(row[3] > ERROR for row in rows[:EARLY]):
        raise SystemExit("what was asked of ResNet-18 is missed")


if __name__ == "__main__":
    main()
