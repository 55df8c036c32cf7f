"""The peer of benchmarks/zoo_speed.py: torchvision's models in a plain PyTorch loop.

Run by that script in a virtual environment with torchvision; prints one JSON object of seconds.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torchvision import models

NAMES = {"googlenet_bn": "googlenet"}


def seconds(task, repeats: int) -> list[float]:
    """Time `repeats` calls after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return times[1:]


def main() -> None:
    """Time steps of a training, or forward passes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("mode", choices=["train", "predict"])
    parser.add_argument("layout", choices=["default", "channels_last"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    layout = torch.channels_last if options.layout == "channels_last" else torch.contiguous_format
    name = NAMES.get(options.network, options.network)
    extra = {"init_weights": True} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, **extra).to(memory_format=layout)
    images = torch.randn(options.batch, 3, 224, 224).to(memory_format=layout)
    labels = torch.randint(0, 1000, (options.batch,))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        outputs = model(images)
        said = outputs if isinstance(outputs, tuple) else (outputs,)
        sum((1.0 if i == 0 else 0.3) * F.cross_entropy(each, labels) for i, each in enumerate(said)).backward()
        optimiser.step()

    def predict() -> None:
        with torch.inference_mode():
            model(images)

    model.train(options.mode == "train")
    print(json.dumps({"seconds": seconds(step if options.mode == "train" else predict, options.repeats)}))


if __name__ == "__main__":
    main()
