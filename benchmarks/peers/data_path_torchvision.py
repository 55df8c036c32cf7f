"""The peer of benchmarks/data_path.py: torchvision's ImageFolder and PyTorch's DataLoader, two workers.

Run by that script in a virtual environment with torchvision; prints one JSON object of seconds and pictures.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

NORMALISE = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
TRANSFORMS = {
    "train": [transforms.RandomResizedCrop(224, scale=(0.08, 1.0)), transforms.RandomHorizontalFlip(), *NORMALISE],
    "evaluate": [transforms.Resize(256), transforms.CenterCrop(224), *NORMALISE],
}


def epoch(loader: DataLoader) -> tuple[float, int]:
    """Run through the loader once; return seconds and pictures."""
    start, pictures = time.perf_counter(), 0
    for images, _ in loader:
        assert images.dtype == torch.float32
        pictures += len(images)
    return time.perf_counter() - start, pictures


def main() -> None:
    """Measure the first epoch (with making the data set) and the ones after it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("mode", choices=TRANSFORMS)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()

    start = time.perf_counter()
    data = ImageFolder(options.folder, transforms.Compose(TRANSFORMS[options.mode]))
    loader = DataLoader(
        data, options.batch_size, shuffle=options.mode == "train", num_workers=2, persistent_workers=True
    )
    _, pictures = epoch(loader)
    cold = time.perf_counter() - start
    warm = [epoch(loader)[0] for _ in range(options.epochs - 1)]
    versions = f"torchvision {torchvision.__version__}, torch {torch.__version__}"
    print(json.dumps({"cold": cold, "warm": min(warm, default=None), "pictures": pictures, "versions": versions}))


if __name__ == "__main__":
    main()
